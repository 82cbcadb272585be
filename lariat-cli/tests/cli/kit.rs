//! A store, the binary, and ways to wait for what they do.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;

use interop::redis::RedisServer;
use interop::wait;
use lariat::rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What a run of the command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The run's stdout, after it went well.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    #[track_caller]
    pub(crate) fn failed_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "nothing but data on stdout");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {self:?}");
        }
    }
}

/// The binary, in an environment without ours.
pub(crate) fn lariat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lariat"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("LARIAT_") || name_text == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end with this on stdin.
pub(crate) fn run(mut command: Command, input: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    let feeder = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Makes of each test, a function of a [`Place`], one for each store.
macro_rules! on_both_stores {
    ($($test:ident,)*) => {
        mod on_redis {
            $(#[test]
            fn $test() {
                super::$test(&mut crate::kit::Place::on_redis());
            })*
        }
        mod on_sqlite {
            $(#[test]
            fn $test() {
                super::$test(&mut crate::kit::Place::on_sqlite());
            })*
        }
    };
}

pub(crate) use on_both_stores;

/// A store with nothing in it, and a folder for what commands leave.
pub(crate) struct Place {
    pub(crate) at: At,
    dir: TempDir,
}

/// Where the store is.
pub(crate) enum At {
    Redis(RedisServer),
    /// In a file of a folder of its own, which somebody may keep to themselves.
    Sqlite(Mutex<Option<Connection>>),
}

impl Place {
    pub(crate) fn on_redis() -> Place {
        Place { at: At::Redis(RedisServer::start()), dir: TempDir::new().unwrap() }
    }

    pub(crate) fn on_sqlite() -> Place {
        let place = Place { at: At::Sqlite(Mutex::default()), dir: TempDir::new().unwrap() };
        fs::create_dir(place.path("store")).unwrap();
        place
    }

    /// Another store of the same kind.
    pub(crate) fn another(&self) -> Place {
        match self.at {
            At::Redis(_) => Place::on_redis(),
            At::Sqlite(_) => Place::on_sqlite(),
        }
    }

    pub(crate) fn url(&self) -> String {
        match &self.at {
            At::Redis(server) => server.url(),
            At::Sqlite(_) => format!("sqlite:{}", self.file().display()),
        }
    }

    /// What an error calls the store by.
    pub(crate) fn called(&self) -> &'static str {
        match self.at {
            At::Redis(_) => "127.0.0.1",
            At::Sqlite(_) => "jobs.db",
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("store/jobs.db")
    }

    pub(crate) fn server(&self) -> &RedisServer {
        match &self.at {
            At::Redis(server) => server,
            At::Sqlite(_) => panic!("only Redis has a server"),
        }
    }

    /// Nobody can reach the store until it comes back: a server is killed, a file's folder is moved away.
    pub(crate) fn go_away(&mut self) {
        match &mut self.at {
            At::Redis(server) => server.kill(),
            At::Sqlite(_) => fs::rename(self.path("store"), self.path("elsewhere")).unwrap(),
        }
    }

    pub(crate) fn come_back(&mut self) {
        match &mut self.at {
            At::Redis(server) => server.restart(),
            At::Sqlite(_) => fs::rename(self.path("elsewhere"), self.path("store")).unwrap(),
        }
    }

    /// The store takes nothing in, until it is thawed.
    pub(crate) fn freeze(&self) {
        match &self.at {
            At::Redis(server) => server.freeze(),
            At::Sqlite(held) => {
                let file = self.sql();
                file.execute_batch("BEGIN IMMEDIATE").unwrap();
                *held.lock().unwrap() = Some(file);
            }
        }
    }

    pub(crate) fn thaw(&self) {
        match &self.at {
            At::Redis(server) => server.thaw(),
            At::Sqlite(held) => held.lock().unwrap().take().unwrap().execute_batch("ROLLBACK").unwrap(),
        }
    }

    pub(crate) fn lariat(&self, args: &[&str]) -> Command {
        let mut command = lariat();
        command.env("LARIAT_STORE", self.url()).current_dir(self.dir.path()).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(self.lariat(args), "")
    }

    /// Adds a job to queue `q` and answers its id.
    #[track_caller]
    pub(crate) fn add(&self, args: &[&str]) -> String {
        let args = [&["add", "q"], args].concat();
        self.run(&args).done().trim_end().to_owned()
    }

    /// A job of queue `q`, as `job get --json` has it.
    #[track_caller]
    pub(crate) fn job(&self, id: &str) -> Value {
        serde_json::from_str(&self.run(&["job", "get", "q", id, "--json"]).done()).unwrap()
    }

    /// The rows of a job's log.
    #[track_caller]
    pub(crate) fn log(&self, id: &str) -> Vec<String> {
        let log: Value = serde_json::from_str(&self.run(&["job", "logs", "q", id, "--json"]).done()).unwrap();
        serde_json::from_value(log["logs"].clone()).unwrap()
    }

    /// How many jobs of a queue are in this state.
    #[track_caller]
    pub(crate) fn count(&self, queue: &str, state: &str) -> u64 {
        let numbers: Value = serde_json::from_str(&self.run(&["queue", "stats", queue, "--json"]).done()).unwrap();
        numbers["counts"][state].as_u64().unwrap_or_else(|| panic!("no count of {state} in {numbers}"))
    }

    #[track_caller]
    pub(crate) fn wait_for_state(&self, id: &str, state: &str) -> Value {
        wait::find(&format!("job {id} is {state}"), || {
            let job = self.job(id);
            (job["state"] == state).then_some(job)
        })
    }

    /// Works on queue `q` with a shell script, with stderr in a file.
    pub(crate) fn work(&self, options: &[&str], script: &str) -> Worker {
        self.work_on(&["q"], options, &["sh", "-c", script])
    }

    pub(crate) fn work_on(&self, queues: &[&str], options: &[&str], program: &[&str]) -> Worker {
        let args = [&["work"], queues, options, &["--"], program].concat();
        Worker::spawn(self.lariat(&args), self.dir.path())
    }

    /// Works on queue `q` until nothing is left, and goes well.
    #[track_caller]
    pub(crate) fn work_off(&self, script: &str) {
        let mut worker = self.work(&["--exit-when-drained"], script);
        let status = worker.wait();
        assert_eq!(status.code(), Some(0), "{}", worker.said());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The lines of a file that a command writes; none while there is no such file.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The first whole line of a file, as soon as there is one.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, name: &str) -> String {
        wait::find(&format!("{name} is written"), || {
            let text = fs::read_to_string(self.path(name)).ok()?;
            text.split_once('\n').map(|(line, _)| line.to_owned())
        })
    }

    #[track_caller]
    pub(crate) fn wait_for_lines(&self, name: &str, count: usize) {
        wait::until(&format!("{count} lines in {name}"), || self.lines(name).len() >= count);
    }

    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }
}

/// A `lariat work` that runs; dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    said: PathBuf,
}

impl Worker {
    pub(crate) fn spawn(mut command: Command, dir: &Path) -> Worker {
        let said = tempfile::Builder::new().prefix("stderr-").tempfile_in(dir).unwrap();
        let (file, said) = said.keep().unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Worker { child, said }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_until_said(&self, words: &str) {
        wait::until(&format!("{words:?} is said"), || self.said().contains(words));
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let said = self.said.clone();
        let child = &mut self.child;
        wait::find(&format!("the worker ends; it said:\n{}", fs::read_to_string(said).unwrap()), || {
            child.try_wait().unwrap()
        })
    }

    #[track_caller]
    pub(crate) fn ends_with(&mut self, code: i32) {
        let status = self.wait();
        assert_eq!(status.code(), Some(code), "{status}: {}", self.said());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process runs: it is there, and not just waiting to be waited for.
pub(crate) fn runs(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !matches!(stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()), Some('Z' | 'X'))
}

#[track_caller]
pub(crate) fn wait_until_gone(pid: &str) {
    wait::until(&format!("process {pid} is gone"), || !runs(pid));
}

/// The processes with this parent and this argument.
pub(crate) fn children(parent: &str, argument: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let is_child =
            read("stat").rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1).map(str::to_owned));
        if is_child.as_deref() == Some(parent) && read("cmdline").split('\0').any(|part| part == argument) {
            found.push(pid);
        }
    }
    found
}
