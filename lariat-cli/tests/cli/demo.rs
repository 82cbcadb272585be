//! `lariat demo`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use interop::redis::RedisServer;
use interop::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{Ran, Worker, children, lariat, run, wait_until_gone};

/// A folder of files, and another for what is temporary.
struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new(files: usize) -> Lab {
        let lab = Lab { dir: TempDir::new().unwrap() };
        fs::create_dir_all(lab.path("files/sub")).unwrap();
        fs::create_dir(lab.path("tmp")).unwrap();
        for n in 0..files {
            let name = if n % 3 == 0 { format!("files/sub/{n}") } else { format!("files/{n}") };
            fs::write(lab.path(&name), format!("file {n}\n").repeat(n * 100)).unwrap();
        }
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As short as a demo can be.
    fn demo(&self, args: &[&str]) -> Command {
        let mut command = lariat();
        command.args(["demo", "files", "--hold", "3s", "--workers", "3"]).args(args);
        command.current_dir(self.dir.path()).env("TMPDIR", self.path("tmp"));
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(self.demo(args), "")
    }

    fn start(&self, args: &[&str]) -> Worker {
        Worker::spawn(self.demo(args), self.dir.path())
    }

    /// What is in the folder for what is temporary.
    fn left(&self) -> Vec<PathBuf> {
        entries(&self.path("tmp"))
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The worker processes of a demo that runs.
fn workers(demo: &Worker) -> Vec<String> {
    wait::find("three workers run", || {
        Some(children(&demo.pid().to_string(), "__demo-worker")).filter(|pids| pids.len() == 3)
    })
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// In a file only: the next one is on a server.
#[test]
fn on_a_file_of_its_own_all_of_it_holds_and_nothing_is_left() {
    let lab = Lab::new(30);
    fs::create_dir(lab.path("files/.git")).unwrap();
    std::os::unix::fs::symlink("0", lab.path("files/link")).unwrap();
    let ran = lab.run(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("30 files below files,") && ran.out.contains("all 30 digests"), "{ran:?}");
    assert!(ran.out.contains("all of it held") && !ran.out.contains("NO "), "{ran:?}");
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{ran:?}");
    for words in ["1 hidden, 1 symbolic links", "30 jobs added", "is killed by KILL while it holds", "were found"] {
        assert!(ran.err.contains(words), "{words:?} is not in {ran:?}");
    }
    assert_eq!(lab.left(), [] as [PathBuf; 0]);
    assert!(!lab.path("lariat.db").exists(), "the user's own store is left alone");
}

/// On Redis only: the one before is in a file.
#[test]
fn on_a_server_all_of_it_holds_as_json_and_nothing_is_left() {
    let (lab, server) = (Lab::new(12), RedisServer::start());
    redis::cmd("SET").arg(&["bull:mine:id", "7"]).exec(&mut server.connection()).unwrap();
    let ran = lab.run(&["--json", "--store", &server.url()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["held"], &report["jobs"], &report["longJobs"]), (&json!(true), &json!(12), &json!(4)));
    assert_eq!((&report["workers"], &report["folder"]), (&json!(3), &json!("files")));
    let number = |value: &Value| value.as_u64().unwrap();
    let (locks, killed) = (&report["locks"], &report["killed"]);
    assert!(number(&locks["renewed"]) >= number(&locks["calls"]) && number(&locks["calls"]) > 0, "{locks}");
    assert!(locks["smallestTrustMs"].is_u64(), "{locks}");
    assert!(number(&killed["held"]) > 0 && killed["recovered"] == killed["held"], "{killed}");
    assert!(number(&killed["foundAfterMs"][0]) <= number(&killed["foundAfterMs"][1]), "{killed}");
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() == 7 && checks.iter().all(|check| check["held"] == true), "{report}");
    let keys: Vec<String> = redis::cmd("KEYS").arg("bull:*").query(&mut server.connection()).unwrap();
    assert_eq!(keys, ["bull:mine:id"]);
}

/// And what is asked to be kept is.
/// In a file only: that is where a demo is unless told otherwise; how it watches its workers is the same on a server.
#[test]
fn a_worker_that_dies_by_another_hand_is_told_and_fails_the_demo() {
    let lab = Lab::new(30);
    let mut demo = lab.demo(&["--keep"]);
    let out = fs::File::create(lab.path("out")).unwrap();
    let err = fs::File::create(lab.path("err")).unwrap();
    let mut child = demo.stdout(out).stderr(err).spawn().unwrap();
    let said = |name: &str| fs::read_to_string(lab.path(name)).unwrap();
    wait::until("the jobs are added", || said("err").contains("jobs added"));
    kill(&children(&child.id().to_string(), "__demo-worker")[0]);
    let status = wait::find("the demo ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1), "{}{}", said("err"), said("out"));
    let report = said("out");
    assert!(report.contains("NOT all of it held") && report.contains("was ended by signal 9"), "{report}");
    assert!(report.contains("ok  nothing lost: each of 30 jobs"), "{report}");
    let kept = said("err").lines().find_map(|line| line.split_once("kept: lariat ").map(|kept| kept.1.to_owned()));
    let mut look = lariat();
    look.args(kept.unwrap().split(' ')).arg("--json");
    let kept: Value = serde_json::from_str(&run(look, "").done()).unwrap();
    assert_eq!(kept["counts"]["completed"], 30, "{kept}");
}

/// In a file only: the next one is on a server.
#[test]
fn an_interrupted_demo_leaves_nothing() {
    let lab = Lab::new(9);
    let mut demo = lab.start(&[]);
    demo.wait_until_said("jobs added");
    let workers = workers(&demo);
    assert_eq!(lab.left().len(), 1);
    demo.signal(Signal::INT);
    demo.ends_with(130);
    for worker in workers {
        wait_until_gone(&worker);
    }
    assert_eq!(lab.left(), [] as [PathBuf; 0]);
}

/// On Redis only: the one before is in a file.
#[test]
fn an_interrupted_demo_leaves_nothing_on_a_server() {
    let (lab, server) = (Lab::new(9), RedisServer::start());
    let mut demo = lab.start(&["--store", &server.url()]);
    demo.wait_until_said("jobs added");
    demo.signal(Signal::TERM);
    demo.ends_with(143);
    let keys: Vec<String> = redis::cmd("KEYS").arg("bull:*").query(&mut server.connection()).unwrap();
    assert_eq!(keys, [] as [&str; 0]);
}

/// In a file only: how workers end is the same on a server.
#[test]
fn workers_do_not_outlive_a_demo_that_is_killed() {
    let lab = Lab::new(9);
    let mut demo = lab.start(&[]);
    demo.wait_until_said("jobs added");
    let workers = workers(&demo);
    demo.signal(Signal::KILL);
    demo.wait();
    for worker in workers {
        wait_until_gone(&worker);
    }
}

/// On both: one after the other.
#[test]
fn what_cannot_be_shown_is_said() {
    let mut server = RedisServer::start();
    let (lab, url) = (Lab::new(1), server.url());
    fs::create_dir(lab.path("empty")).unwrap();
    fs::write(lab.path("empty/.hidden"), "").unwrap();
    server.kill();
    let other = |args: &[&str]| {
        let mut command = lariat();
        command.arg("demo").args(args).current_dir(lab.dir.path()).env("TMPDIR", lab.path("tmp"));
        run(command, "")
    };
    other(&["empty"]).failed_with(1, &["no files below empty", "1 hidden"]);
    other(&["gone"]).failed_with(3, &["gone"]);
    other(&["files/1"]).failed_with(3, &["files/1"]);
    other(&["files/sub/0"]).failed_with(2, &["files/sub/0", "must be a folder"]);
    other(&["--workers", "1"]).failed_with(2, &["--workers", "1"]);
    other(&["--hold", "2s"]).failed_with(2, &["--hold", "at least 3s"]);
    lab.run(&["--store", "sqlite::memory:"]).failed_with(2, &["processes of their own"]);
    lab.run(&["--store", &url]).failed_with(4, &["127.0.0.1"]);
    assert_eq!(lab.left(), [] as [PathBuf; 0]);
}
