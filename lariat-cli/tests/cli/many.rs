//! `add --stdin`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Stdio;

use interop::wait;
use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores, run};

on_both_stores! {
    stdin_adds_in_batches_in_order,
    stdin_takes_options_and_prints_json,
    a_bad_line_is_named_and_nothing_of_its_batch_is_added,
    the_batches_before_a_bad_line_stay,
    a_reader_that_has_had_enough_does_not_stop_the_adding,
    nothing_behind_a_bad_line_is_added_however_much_is_on_its_way,
    large_jobs_are_added_too,
    a_terminal_shows_how_far_it_is,
}

fn opts(place: &Place, id: &str) -> Value {
    place.job(id)["opts"].clone()
}

fn lines(count: usize) -> String {
    let line = |n| format!("{{\"name\":\"n\",\"data\":{n}}}");
    (1..=count).map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn stdin_adds_in_batches_in_order(place: &Place) {
    let out = run(place.lariat(&["add", "q", "--stdin"]), &lines(30_203)).done();
    let ids: Vec<String> = (1..=30_203).map(|n: u32| n.to_string()).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), ids);
    for n in ["1", "500", "501", "15000", "30203"] {
        assert_eq!(place.data(n), n);
    }
    assert_eq!(place.waiting(), ids);
}

fn stdin_takes_options_and_prints_json(place: &Place) {
    let input = concat!(
        r#"{"name":"a","data":{"x":1.0},"opts":{"jobId":"one","attempts":4,"backoff":500,"keepLogs":9}}"#,
        "\n\n  \n",
        r#"{"name":"b","data":null}"#,
    );
    let out = run(place.lariat(&["add", "q", "--stdin", "--json"]), input).done();
    // The queue counts every job, also those that bring their own id.
    assert_eq!(out, "{\"id\":\"one\"}\n{\"id\":\"2\"}\n");
    let expected = json!({"attempts": 4, "backoff": {"type": "fixed", "delay": 500}, "jobId": "one", "keepLogs": 9});
    assert_eq!(opts(place, "one"), expected);
    assert_eq!(place.data("one"), "{\"x\":1.0}");
    assert_eq!(place.data("2"), "null");
}

fn a_bad_line_is_named_and_nothing_of_its_batch_is_added(place: &Place) {
    let input = lines(3) + "{\"name\":\"n\",\"opts\":{\"delay\":-1}}\n" + &lines(3);
    let ran = run(place.lariat(&["add", "q", "--stdin"]), &input);
    ran.failed_with(1, &["line 4", "opts.delay", "0 jobs were added"]);
    assert_eq!(place.waiting().len(), 0);
}

fn the_batches_before_a_bad_line_stay(place: &Place) {
    let ran = run(place.lariat(&["add", "q", "--stdin"]), &(lines(700) + "nonsense\n"));
    assert_eq!((ran.code, ran.out.lines().count()), (1, 500), "{}", ran.err);
    assert!(ran.err.contains("line 701") && ran.err.contains("500 jobs were added"), "{}", ran.err);
    assert_eq!(place.waiting().len(), 500);
}

fn a_reader_that_has_had_enough_does_not_stop_the_adding(place: &Place) {
    let mut command = place.lariat(&["add", "q", "--stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(lines(1100).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    assert_eq!(place.waiting().len(), 1100);
}

fn nothing_behind_a_bad_line_is_added_however_much_is_on_its_way(place: &Place) {
    let ran = run(place.lariat(&["add", "q", "--stdin"]), &(lines(7600) + "nonsense\n" + &lines(5000)));
    assert_eq!((ran.code, ran.out.lines().count()), (1, 7500), "{}", ran.err);
    assert!(ran.err.contains("line 7601") && ran.err.contains("7500 jobs were added"), "{}", ran.err);
    assert_eq!(place.waiting().len(), 7500);
}

/// On Redis only: a server without memory. A full disk: `lariat/tests/crash/faults`.
#[test]
fn a_store_that_fails_on_the_way_says_what_was_added() {
    let place = Place::on_redis();
    let mut command = place.lariat(&["add", "q", "--stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(500).as_bytes()).unwrap();
    wait::until("the first batch is added", || place.waiting().len() == 500);
    place.redis::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);
    // More than is read before it fails: the pipe may break.
    let _ = input.write_all(lines(20_000).as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.contains("line 1000")), (Some(1), true), "{said}");
    assert!(said.contains("500 jobs were added before its batch"), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 500);
    assert_eq!(place.waiting().len(), 500);
}

fn large_jobs_are_added_too(place: &Place) {
    let job = format!("{{\"name\":\"n\",\"data\":\"{}\"}}\n", "x".repeat(600_000));
    let out = run(place.lariat(&["add", "q", "--stdin"]), &job.repeat(7)).done();
    assert_eq!(out, "1\n2\n3\n4\n5\n6\n7\n");
    assert_eq!(place.data("7").len(), 600_002);
}

/// What a terminal on stderr shows of it.
fn on_a_terminal(place: &Place, stdin: Stdio) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let inside = File::options().read(true).write(true).open(name).unwrap();
    let mut command = place.lariat(&["add", "q", "--stdin"]);
    command.env("TERM", "xterm").stdin(stdin).stdout(Stdio::null()).stderr(inside);
    let mut child = command.spawn().unwrap();
    // Our own copy of the inner end goes, so that reading ends with the command.
    drop(command);
    let mut shown = Vec::new();
    let mut bytes = [0; 4096];
    let mut outer = File::from(terminal);
    while let Ok(read @ 1..) = outer.read(&mut bytes) {
        shown.extend_from_slice(&bytes[..read]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&shown).into_owned()
}

fn a_terminal_shows_how_far_it_is(place: &Place) {
    fs::write(place.path("jobs.jsonl"), lines(1200)).unwrap();
    let shown = on_a_terminal(place, File::open(place.path("jobs.jsonl")).unwrap().into());
    assert!(shown.contains("100%") && shown.contains("1200 jobs added, "), "{shown:?}");
    // Without an end that is known there is a count alone.
    let mut piped =
        std::process::Command::new("cat").arg(place.path("jobs.jsonl")).stdout(Stdio::piped()).spawn().unwrap();
    let shown = on_a_terminal(place, piped.stdout.take().unwrap().into());
    piped.wait().unwrap();
    assert!(!shown.contains('%') && shown.contains("1200 jobs added, "), "{shown:?}");
}
