//! Disks that are full, limits that are met, files that may not be written, and ten processes at once: said clearly, with
//! the file's name, and nothing that was answered is lost.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use interop::wait;
use rustix::process::{Resource, Rlimit, getuid, prlimit};

use crate::child::{Orders, Process, Told, history};
use crate::lab::{Lab, assert_whole, connect, numbers, skip, url};

/// The child, run by a shell that first carries out this script with the path in `$0`.
fn in_shell(outer: &[&str], script: &str, path: &Path, orders: &Orders) -> Process {
    let program = orders.command();
    let words = [outer, &["sh", "-c"]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(format!("{script} && exec \"$@\"")).arg(path);
    command.arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Process(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
}

fn failures(told: &[Told]) -> Vec<&str> {
    let mut failures = Vec::new();
    for told in told {
        if let Told::NotAdded { why } = told {
            failures.push(why.as_str());
        }
    }
    failures
}

/// Waits until an add fails, has the cause removed, and waits until adds are answered again. What the failures said.
fn recovers(orders: &Orders, words: &str, remove: impl FnOnce()) {
    wait::until("an add fails", || !failures(&history(&orders.history)).is_empty());
    remove();
    let after = history(&orders.history).len();
    let again = || history(&orders.history)[after..].iter().any(|told| matches!(told, Told::Added { .. }));
    wait::until("adds are answered again", again);
    for why in failures(&history(&orders.history)) {
        assert!(why.contains("jobs.db") && why.contains(words), "{why}");
    }
}

/// All that was answered is in the file, which is copied from where the process sees it.
fn assert_nothing_lost(lab: &Lab, process: &Process, orders: &Orders, seen: &Path) {
    process.stop();
    let copy = lab.folder.path().join("copy.db");
    fs::copy(seen, &copy).unwrap();
    fs::copy(seen.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
    let file = connect(&copy);
    assert_whole(&file);
    let there: HashSet<u64> = numbers(&file).into_iter().collect();
    for told in history(&orders.history) {
        if let Told::Added { id } = told {
            assert!(there.contains(&id.parse().unwrap()), "job {id} was answered and is lost");
        }
    }
}

#[test]
fn a_full_disk_is_said_and_adds_go_on_when_it_has_room_again() {
    let lab = Lab::new();
    let disk = lab.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let orders = Orders { url: url(&disk.join("jobs.db")), adders: 2, adds: u64::MAX, ..lab.orders() };
    // A small disk that only the process sees, and that ends with it.
    let outer: &[&str] = if getuid().is_root() { &["unshare", "-m"] } else { &["unshare", "-rm"] };
    let may = Command::new(outer[0]).args(&outer[1..]).args(["mount", "-t", "tmpfs", "none"]).arg(&disk).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return skip("this machine does not let us mount a small disk");
    }
    let script = "mount -t tmpfs -o size=1m none \"$0\" && head -c 400000 /dev/zero > \"$0/ballast\"";
    let process = in_shell(outer, script, &disk, &orders);
    let seen = PathBuf::from(format!("/proc/{}/root{}", process.0.id(), disk.display()));
    recovers(&orders, "the disk is full", || fs::remove_file(seen.join("ballast")).unwrap());
    assert_nothing_lost(&lab, &process, &orders, &seen.join("jobs.db"));
}

/// What a disk that fails looks like: each write beyond a size is an error of input and output.
#[test]
fn writes_that_fail_are_said_and_adds_go_on_when_they_work_again() {
    let lab = Lab::new();
    let orders = Orders { adders: 2, adds: u64::MAX, ..lab.orders() };
    let process = in_shell(&[], "trap '' XFSZ && ulimit -S -f 1000", &lab.path(), &orders);
    let unlimited = Rlimit { current: None, maximum: None };
    let remove = || _ = prlimit(Some(process.pid()), Resource::Fsize, unlimited).unwrap();
    recovers(&orders, "writing the file failed", remove);
    assert_nothing_lost(&lab, &process, &orders, &lab.path());
}

/// One add by a user who is not root. None, with a line that says why, where there is no such user.
fn add_as_somebody(lab: &Lab, orders: &Orders) -> Option<Told> {
    drop(fs::remove_file(&orders.history));
    let program = orders.command();
    let executable = lab.folder.path().join("program");
    if !executable.exists() {
        // Where it was built, another user may have no access.
        let built = Path::new(program.get_program());
        fs::hard_link(built, &executable).or_else(|_| fs::copy(built, &executable).map(drop)).unwrap();
    }
    let mut command = Command::new(executable);
    command.args(program.get_args()).envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if getuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    match command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn() {
        Ok(child) => {
            let _process = Process(child);
            Some(wait::find("the add is answered", || history(&orders.history).pop()))
        }
        Err(error) => {
            skip(&format!("this program cannot be run by another user: {error}"));
            None
        }
    }
}

#[test]
fn a_file_or_folder_that_may_not_be_written_is_said() {
    let lab = Lab::new();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let (jobs, told) = (lab.folder.path().join("jobs"), lab.folder.path().join("told"));
    for folder in [&jobs, &told] {
        fs::create_dir(folder).unwrap();
        set(folder, 0o777);
    }
    set(lab.folder.path(), 0o755);
    let path = jobs.join("jobs.db");
    let orders = Orders { url: url(&path), history: told.join("history"), adders: 1, adds: 1, ..lab.orders() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = lariat::Store::open(&orders.url).unwrap();
        lariat::Queue::new(&store, &orders.queue).unwrap().add("first", &1).await.unwrap();
    });
    drop(runtime);
    wait::until("the file is closed", || !path.with_extension("db-wal").exists());
    for (of_folder, of_file) in [(0o777, 0o444), (0o555, 0o666), (0o555, 0o444), (0o777, 0o000), (0o000, 0o666)] {
        set(&path, of_file);
        set(&jobs, of_folder);
        let Some(answer) = add_as_somebody(&lab, &orders) else { return };
        set(&jobs, 0o777);
        let Told::NotAdded { why } = answer else { panic!("{of_folder:o} {of_file:o}: {answer:?}") };
        eprintln!("{of_folder:o} {of_file:o}: {why}");
        assert!(why.contains("jobs.db") && why.contains("may not"), "{why}");
    }
    set(&path, 0o666);
    assert_eq!(add_as_somebody(&lab, &orders), Some(Told::Added { id: "2".into() }));
    assert_whole(&connect(&path));
}

/// Each adds and works. None is told that the file was in use.
#[test]
fn ten_processes_share_a_file() {
    const EACH: u64 = 60;
    let lab = Lab::new();
    let orders =
        Orders { adders: 1, adds: EACH, concurrency: 4, lock_duration: Duration::from_secs(30), ..lab.orders() };
    let crew: Vec<Process> = (0..10).map(|_| orders.start()).collect();
    wait::until("all jobs are added and completed", || {
        let (mut added, mut completed) = (0, 0);
        for told in history(&orders.history) {
            match told {
                Told::Added { .. } => added += 1,
                Told::Completed { .. } => completed += 1,
                Told::Ended { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        (added, completed) == (10 * EACH, 10 * EACH)
    });
    drop(crew);
    assert_whole(&connect(&lab.path()));
}
