//! Every example runs as the program that it is, on a store of the test's own, and says what it says it does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::{Fixture, Place, on_both_stores};

on_both_stores! {
    hello,
    retry_and_backoff,
    router_with_state,
    by_hand,
}

const ALL: [&str; 5] = ["by_hand", "hello", "one_program", "retry_and_backoff", "router_with_state"];

fn source(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).with_extension("rs")
}

/// Where cargo puts examples: beside the folder of this test. It builds them with the tests, unless it was told to build
/// some tests only.
fn program(example: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    let changed = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    let is_new = changed(&program) >= changed(&source(example));
    assert!(is_new, "example {example} is not built as it is now: `cargo build -p lariat --examples` first");
    program
}

/// What the program writes. On a file: and all that it has done is in the file when it has ended, not beside it.
fn lines(f: &Fixture, example: &str) -> Vec<String> {
    let lines = said(Command::new(program(example)).env("LARIAT_STORE", f.url()));
    if let Place::Sqlite(file) = &f.server {
        assert!(file.path().exists() && !file.path().with_extension("db-wal").exists());
    }
    lines
}

fn said(command: &mut Command) -> Vec<String> {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), "");
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

async fn hello(f: Fixture) {
    assert_eq!(lines(&f, "hello"), ["completed: \"sent to ada@example.org\"", "failed: \"nobody\" is no address"]);
}

async fn retry_and_backoff(f: Fixture) {
    let lines = lines(&f, "retry_and_backoff");
    assert_eq!(
        lines[..3],
        ["fixed: attempt 1: too busy, again in 10ms", "fixed: attempt 2: too busy, again in 10ms", "fixed: completed"]
    );
    assert_eq!(
        lines[6..9],
        [
            "linear: attempt 1: too busy, again in 15ms",
            "linear: attempt 2: too busy, again in 30ms",
            "linear: completed"
        ]
    );
    assert_eq!(lines[9], "unknown: failed: attempt 1: too busy");
}

async fn router_with_state(f: Fixture) {
    let lines = lines(&f, "router_with_state");
    assert_eq!(lines[..2], ["completed: \"invoice 1 for Ada: 19.99 EUR\"", "completed: \"thank you, Ada\""]);
    assert!(lines[2].starts_with("failed: no handler for jobs named \"refund\""), "{}", lines[2]);
}

async fn by_hand(f: Fixture) {
    assert_eq!(lines(&f, "by_hand"), ["1: 2", "2: failed", "3: later", "4: 6", "3: waited"]);
}

/// On both: nothing but the URL differs.
#[test]
fn one_program_on_both_stores() {
    let (server, file) = (interop::redis::RedisServer::start(), crate::file::TestFile::new());
    let on_redis = said(Command::new(program("one_program")).arg(server.url()));
    let in_a_file = said(Command::new(program("one_program")).arg(file.url()));
    assert_eq!(on_redis, in_a_file);
    assert_eq!(
        on_redis,
        [
            "5 wait, 1 of them behind the others",
            "1: 3, after 1 of 1 attempts, [\"attempt 1: \\\"3\\\"\"]",
            "2: \"four\": invalid digit found in string, after 1 of 1 attempts, [\"attempt 1: \\\"four\\\"\"]",
            "3: 0, after 2 of 2 attempts, [\"attempt 1: \\\"flaky\\\"\", \"attempt 2: \\\"flaky\\\"\"]",
            "4: 5, after 1 of 1 attempts, [\"attempt 1: \\\"5\\\"\"]",
            "5: 6, after 1 of 1 attempts, [\"attempt 1: \\\"6\\\"\"]",
            "seven: 7, after 1 of 1 attempts, [\"attempt 1: \\\"7\\\"\"]",
            "5 completed, 1 failed, 0 left",
            "failed: 2 with \"four\"",
        ]
    );
}

/// Without a store: it looks at the folder.
#[test]
fn none_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, ALL);
}
