use std::process::Stdio;

use serde_json::Value;

use crate::kit::{Place, lariat, run};

const KEYS: [&str; 20] = [
    "id",
    "name",
    "data",
    "opts",
    "state",
    "attemptsMade",
    "attemptsStarted",
    "stalledCounter",
    "returnvalue",
    "failedReason",
    "stacktrace",
    "progress",
    "timestamp",
    "processedOn",
    "finishedOn",
    "delay",
    "priority",
    "parent",
    "processedBy",
    "deduplicationId",
];

/// A job as a Node client might have left it.
fn stored(place: &Place) {
    place.redis::<()>(&[
        "HSET", "bull:q:7", "name", "resize", "data", "{\"b\":1.0, \"a\":\n[]}", "opts",
        "{\"attempts\":3,\"backoff\":{\"type\":\"fixed\",\"delay\":1000},\"fpof\":true,\"kl\":9,\"de\":{\"id\":\"d\"},\"tm\":\"{}\"}",
        "timestamp", "1700000000123", "delay", "0", "priority", "0", "ats", "2", "atm", "1", "stc", "1",
        "processedOn", "1700000001000", "failedReason", "no\u{1b}[31m such file", "stacktrace", "[\"Error: no\\n    at x\"]", "progress",
        "{\"step\":2}", "pb", "host-1", "deid", "d", "parentKey", "bull:p:1", "parent",
        "{\"id\":\"1\",\"queueKey\":\"bull:p\",\"fpof\":true}",
    ]);
    place.redis::<()>(&["LPUSH", "bull:q:wait", "7"]);
}

#[test]
fn a_job_as_json_has_all_keys() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let fresh = place.job(&id);
    let mut keys: Vec<_> = fresh.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = KEYS.to_vec();
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for absent in [
        "returnvalue",
        "failedReason",
        "progress",
        "processedOn",
        "finishedOn",
        "parent",
        "processedBy",
        "deduplicationId",
    ] {
        assert_eq!(fresh[absent], Value::Null, "{absent}");
    }
    stored(&place);
    let text = place.run(&["job", "get", "q", "7", "--json"]).done();
    insta::assert_snapshot!(text);
    assert_eq!(text.lines().count(), 1, "one object on one line");
}

#[test]
fn a_job_as_text() {
    let place = Place::new();
    stored(&place);
    insta::assert_snapshot!(place.run(&["job", "get", "q", "7"]).done());
}

#[test]
fn a_job_that_is_not_there() {
    let place = Place::new();
    place.run(&["job", "get", "q", "17"]).failed_with(3, &["\"q\"", "\"17\""]);
    place.run(&["job", "get", "q", "17", "--json"]).failed_with(3, &["\"17\""]);
    place.run(&["job", "get", "q", ""]).failed_with(2, &["job id"]);
}

#[test]
fn a_queue_in_numbers() {
    let place = Place::new();
    for args in [&["n"][..], &["n"], &["n", "--delay", "1h"], &["n", "--priority", "3"]] {
        place.add(args);
    }
    place.redis::<()>(&["HSET", "bull:q:meta", "paused", "1"]);
    insta::assert_snapshot!(place.run(&["queue", "stats", "q", "--json"]).done());
    insta::assert_snapshot!(place.run(&["queue", "stats", "q"]).done());
}

#[test]
fn a_store_that_is_not_there() {
    let mut place = Place::new();
    place.server.kill();
    place.run(&["queue", "stats", "q"]).failed_with(4, &["127.0.0.1"]);
    place.run(&["job", "get", "q", "1"]).failed_with(4, &["127.0.0.1"]);
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let place = Place::new();
    place.add(&["n"]);
    let mut command = place.lariat(&["job", "get", "q", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn help_has_an_example_for_each_verb() {
    for args in [
        &["--help"][..],
        &["add", "--help"],
        &["work", "--help"],
        &["job", "ls", "--help"],
        &["job", "get", "--help"],
        &["job", "retry", "--help"],
        &["job", "promote", "--help"],
        &["job", "rm", "--help"],
        &["job", "progress", "--help"],
        &["job", "log", "--help"],
        &["job", "logs", "--help"],
        &["queue", "ls", "--help"],
        &["queue", "stats", "--help"],
        &["queue", "pause", "--help"],
        &["queue", "resume", "--help"],
        &["queue", "limit", "--help"],
        &["locks", "--help"],
        &["events", "--help"],
    ] {
        let mut command = lariat();
        command.args(args).env("LARIAT_STORE", "redis://:hunter2@h");
        let help = run(command, "").done();
        assert!(help.contains("Example") && help.contains("lariat "), "{help}");
        assert!(!help.contains("hunter2") && !help.contains("reaper"), "{help}");
    }
}
