use std::process::Stdio;

use serde_json::Value;

use crate::kit::{Place, lariat, on_both_stores, run};

on_both_stores! {
    a_job_as_json_has_all_keys,
    a_job_as_text,
    a_job_that_is_not_there,
    a_queue_in_numbers,
    a_store_that_is_not_there,
    a_reader_that_has_had_enough_is_no_failure,
}

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
    let options = concat!(
        r#"{"attempts":3,"backoff":{"type":"fixed","delay":1000},"#,
        r#""fpof":true,"kl":9,"de":{"id":"d"},"tm":"{}"}"#
    );
    let fields = [
        ("name", "resize"),
        ("data", "{\"b\":1.0, \"a\":\n[]}"),
        ("opts", options),
        ("timestamp", "1700000000123"),
        ("delay", "0"),
        ("priority", "0"),
        ("ats", "2"),
        ("atm", "1"),
        ("stc", "1"),
        ("processedOn", "1700000001000"),
        ("failedReason", "no\u{1b}[31m such file"),
        ("stacktrace", "[\"Error: no\\n    at x\"]"),
        ("progress", "{\"step\":2}"),
        ("pb", "host-1"),
        ("deid", "d"),
        ("parentKey", "bull:p:1"),
        ("parent", "{\"id\":\"1\",\"queueKey\":\"bull:p\",\"fpof\":true}"),
    ];
    place.plant("7", ("wait", 0), &fields);
}

fn a_job_as_json_has_all_keys(place: &Place) {
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
    stored(place);
    let text = place.run(&["job", "get", "q", "7", "--json"]).done();
    insta::assert_snapshot!("a_job_as_json_has_all_keys", text);
    assert_eq!(text.lines().count(), 1, "one object on one line");
}

fn a_job_as_text(place: &Place) {
    stored(place);
    insta::assert_snapshot!("a_job_as_text", place.run(&["job", "get", "q", "7"]).done());
}

fn a_job_that_is_not_there(place: &Place) {
    place.run(&["job", "get", "q", "17"]).failed_with(3, &["\"q\"", "\"17\""]);
    place.run(&["job", "get", "q", "17", "--json"]).failed_with(3, &["\"17\""]);
    place.run(&["job", "get", "q", ""]).failed_with(2, &["job id"]);
}

fn a_queue_in_numbers(place: &Place) {
    for args in [&["n"][..], &["n"], &["n", "--delay", "1h"], &["n", "--priority", "3"]] {
        place.add(args);
    }
    place.run(&["queue", "pause", "q"]).done();
    insta::assert_snapshot!("a_queue_in_numbers", place.run(&["queue", "stats", "q", "--json"]).done());
    insta::assert_snapshot!("a_queue_in_numbers-2", place.run(&["queue", "stats", "q"]).done());
}

fn a_store_that_is_not_there(place: &mut Place) {
    place.go_away();
    place.run(&["queue", "stats", "q"]).failed_with(4, &[place.called()]);
    place.run(&["job", "get", "q", "1"]).failed_with(4, &[place.called()]);
}

fn a_reader_that_has_had_enough_is_no_failure(place: &Place) {
    place.add(&["n"]);
    let mut command = place.lariat(&["job", "get", "q", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

/// Without a store: nothing is asked of it.
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
        &["demo", "--help"],
    ] {
        let mut command = lariat();
        command.args(args).env("LARIAT_STORE", "redis://:hunter2@h");
        let help = run(command, "").done();
        assert!(help.contains("Example") && help.contains("lariat "), "{help}");
        assert!(help.contains("sqlite:PATH[?durability=normal][&adopt=true]"), "{help}");
        assert!(!help.contains("hunter2") && !help.contains("reaper"), "{help}");
    }
}
