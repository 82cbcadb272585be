//! Every example runs, on a server of the test's own, and says what it says it does.

use std::collections::BTreeSet;
use std::path::Path;

use crate::fixture::{Fixture, on_both_stores};

on_both_stores! {
    hello,
    retry_and_backoff,
    router_with_state,
    by_hand,
}

macro_rules! examples {
    ($($name:ident = $path:literal;)*) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];
        $(
            // As it is, so that what is tested is what is shown; only its `main` is not called.
            #[path = $path]
            #[allow(dead_code, unreachable_pub, reason = "an example is a program of its own")]
            mod $name;
        )*
    };
}

examples! {
    hello = "../../examples/hello.rs";
    retry_and_backoff = "../../examples/retry_and_backoff.rs";
    router_with_state = "../../examples/router_with_state.rs";
    by_hand = "../../examples/by_hand.rs";
    one_program = "../../examples/one_program.rs";
}

async fn hello(f: Fixture) {
    let lines = hello::run(&f.store).await.unwrap();
    assert_eq!(lines, ["completed: \"sent to ada@example.org\"", "failed: \"nobody\" is no address"]);
}

async fn retry_and_backoff(f: Fixture) {
    let lines = retry_and_backoff::run(&f.store).await.unwrap();
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
    let lines = router_with_state::run(&f.store).await.unwrap();
    assert_eq!(lines[..2], ["completed: \"invoice 1 for Ada: 19.99 EUR\"", "completed: \"thank you, Ada\""]);
    assert!(lines[2].starts_with("failed: no handler for jobs named \"refund\""), "{}", lines[2]);
}

async fn by_hand(f: Fixture) {
    let lines = by_hand::run(&f.store).await.unwrap();
    assert_eq!(lines, ["1: 2", "2: failed", "3: later", "4: 6", "3: waited"]);
}

/// Nothing but the URL differs.
#[tokio::test]
async fn one_program_on_both_stores() {
    let (server, file) = (interop::redis::RedisServer::start(), crate::file::TestFile::new());
    let on_redis = one_program::run(&server.url()).await.unwrap();
    let in_a_file = one_program::run(&file.url()).await.unwrap();
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

#[test]
fn none_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names: BTreeSet<String> = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ALL.iter().map(|name| (*name).to_owned()).collect());
}
