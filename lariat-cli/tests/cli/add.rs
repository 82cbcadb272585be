use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::kit::{Place, lariat, on_both_stores, run};

on_both_stores! {
    prints_the_id,
    options_arrive_as_bullmq_names_them,
    an_id_that_exists_adds_nothing,
    the_prefix_is_the_first_part_of_each_key,
    bad_input_is_named_with_its_rule_and_nothing_is_sent,
    a_store_that_is_not_there_is_given_up_in_time,
    a_store_that_does_not_answer_is_given_up_in_time,
    add_waits_for_a_store_that_comes_back,
}

fn opts(place: &Place, id: &str) -> Value {
    place.job(id)["opts"].clone()
}

fn prints_the_id(place: &Place) {
    assert_eq!(place.run(&["add", "q", "n"]).done(), "1\n");
    assert_eq!(place.run(&["add", "q", "n", "[1, 2]", "--json"]).done(), "{\"id\":\"2\"}\n");
    assert_eq!([place.data("1"), place.data("2")], ["{}", "[1, 2]"]);
}

fn options_arrive_as_bullmq_names_them(place: &Place) {
    let id = place.add(&[
        "n",
        "{}",
        "--id",
        "invoice-7",
        "--delay",
        "1h",
        "--priority",
        "5",
        "--attempts",
        "3",
        "--backoff",
        "exponential:1s:0.5",
        "--remove-on-complete",
        "true",
        "--remove-on-fail",
        "100",
        "--lifo",
    ]);
    assert_eq!(id, "invoice-7");
    let stored: Value = serde_json::from_str(&place.options("invoice-7")).unwrap();
    let expected = json!({
        "jobId": "invoice-7", "delay": 3_600_000, "priority": 5, "attempts": 3, "lifo": true,
        "backoff": {"type": "exponential", "delay": 1000, "jitter": 0.5}, "removeOnComplete": true, "removeOnFail": 100,
    });
    assert_eq!(opts(place, &id), expected);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&stored[name], value, "{name}");
    }
    assert_eq!(place.job(&id)["state"], "delayed");
}

fn an_id_that_exists_adds_nothing(place: &Place) {
    place.add(&["first", "--id", "x"]);
    assert_eq!(place.add(&["second", "--id", "x"]), "x");
    assert_eq!(place.job("x")["name"], "first");
}

fn the_prefix_is_the_first_part_of_each_key(place: &Place) {
    place.add(&["n", "--prefix", "other"]);
    let mut by_environment = place.lariat(&["add", "q", "n"]);
    by_environment.env("LARIAT_PREFIX", "third");
    run(by_environment, "").done();
    assert!(place.has_job("other", 1) && place.has_job("third", 1) && !place.has_job("bull", 1));
}

fn bad_input_is_named_with_its_rule_and_nothing_is_sent(place: &Place) {
    for (args, words) in [
        (&["add", "a:b", "n"][..], &["queue name", "a:b", "must not contain ':'"][..]),
        (&["add", "q", ""], &["job name", "must not be empty"]),
        (&["add", "q", "n", "{oops"], &["JSON", "{oops", "valid JSON"]),
        (&["add", "q", "n", "--id", "17"], &["job id", "17", "whole number"]),
        (&["add", "q", "n", "--priority", "2097152"], &["priority", "2097152", "0 to 2097151"]),
        (&["add", "q", "n", "--priority", "-1"], &["--priority", "-1", "0 to 2097151"]),
        (&["add", "q", "n", "--delay", "20000days"], &["delay", "September 2039"]),
        (&["add", "q", "n", "--delay", "5"], &["--delay", "'5'", "500ms"]),
        (&["add", "q", "n", "--delay", "-5s"], &["--delay", "-5s"]),
        (&["add", "q", "n", "--attempts", "many"], &["--attempts", "many"]),
        (&["add", "q", "n", "--backoff", "linear:1s"], &["--backoff", "linear:1s", "exponential:D"]),
        (&["add", "q", "n", "--backoff", "fixed:1s:1.5"], &["--backoff", "between 0 and 1"]),
        (&["add", "q", "n", "--remove-on-fail", "some"], &["--remove-on-fail", "some"]),
        (&["add", "q", "n", "--prefix", "lariat"], &["prefix", "lariat"]),
        (&["add", "q"], &["<NAME>"]),
        (&["add", "q", "--stdin", "n"], &["--stdin"]),
    ] {
        place.run(args).failed_with(2, words);
    }
    assert!(place.is_untouched());
}

/// Without a store: the URL is refused.
#[test]
fn a_store_that_is_not_built_says_what_to_pass() {
    for (url, words) in [
        ("rediss://host", "TLS"),
        ("redis+sentinel://h:1/m", "Sentinel"),
        ("redis+cluster://h:1", "Cluster"),
        ("http://h", "is not a store"),
    ] {
        let mut command = lariat();
        command.args(["add", "q", "n", "--store", url]);
        run(command, "").failed_with(2, &[words]);
    }
}

/// In a file only: that is what there is then.
#[test]
fn without_a_store_jobs_live_in_a_file_here() {
    let folder = tempfile::TempDir::new().unwrap();
    let here = |args: &[&str]| {
        let mut command = lariat();
        command.args(args).current_dir(folder.path());
        run(command, "")
    };
    assert_eq!(here(&["add", "q", "n"]).done().trim(), "1");
    assert!(folder.path().join("lariat.db").exists());
}

fn a_store_that_is_not_there_is_given_up_in_time(place: &mut Place) {
    place.go_away();
    place.run(&["add", "q", "n", "--wait", "200ms"]).failed_with(4, &[place.called()]);
    run(place.lariat(&["add", "q", "--stdin", "--wait", "200ms"]), "{\"name\":\"n\"}\n").failed_with(4, &["line 1"]);
}

fn a_store_that_does_not_answer_is_given_up_in_time(place: &Place) {
    place.freeze();
    let ran = place.run(&["add", "q", "n", "--wait", "200ms"]);
    place.thaw();
    ran.failed_with(4, &[]);
}

fn add_waits_for_a_store_that_comes_back(place: &mut Place) {
    place.go_away();
    let mut command = place.lariat(&["add", "q", "n", "--wait", "60s"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    place.come_back();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!((child.wait().unwrap().code(), out.as_str()), (Some(0), "1\n"));
}

/// On Redis only: a file has no password.
#[test]
fn a_wrong_password_is_said_without_the_password() {
    let place = Place::on_redis();
    place.redis::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    let mut command = lariat();
    let url = format!("redis://:hunter2@127.0.0.1:{}", place.server().port());
    command.args(["add", "q", "n", "--wait", "200ms", "--store", &url]);
    let ran = run(command, "");
    ran.failed_with(4, &[]);
    assert!(!ran.err.contains("hunter2"), "{ran:?}");
}
