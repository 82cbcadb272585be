//! A server, the binary, and ways to wait for what they do.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use interop::redis::RedisServer;
use interop::wait;
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

/// A server with nothing in it, and a folder for what commands leave.
pub(crate) struct Place {
    pub(crate) server: RedisServer,
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { server: RedisServer::start(), dir: TempDir::new().unwrap() }
    }

    pub(crate) fn lariat(&self, args: &[&str]) -> Command {
        let mut command = lariat();
        command.env("LARIAT_STORE", self.server.url()).current_dir(self.dir.path()).args(args);
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

    /// Runs a command at the server.
    #[track_caller]
    pub(crate) fn redis<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let (name, args) = command.split_first().unwrap();
        redis::cmd(name).arg(args).query(&mut self.server.connection()).unwrap()
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
