//! The stream of events.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use interop::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores, run};

on_both_stores! {
    what_happens_is_told_in_lines_of_json,
    without_a_place_to_begin_it_begins_now,
    nobody_who_reads_ends_it,
    a_reader_who_does_not_read_does_not_keep_it_from_ending,
    bad_input_and_a_store_that_is_away,
}

/// A `lariat events` that runs, with stdout and stderr in files; dropping it kills it.
struct Listener {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Listener {
    fn spawn(place: &Place, args: &[&str]) -> Listener {
        let (out, err) = (place.path("events.out"), place.path("events.err"));
        let mut command = place.lariat(&[&["events", "q"], args].concat());
        command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Listener { child: command.spawn().unwrap(), out, err }
    }

    /// The whole lines so far.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.out).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait::find(&format!("{what}; it said {:?}", self.said()), || self.events().into_iter().find(&is))
    }

    #[track_caller]
    fn wait_for_job(&self, event: &str, id: &str) -> Value {
        self.wait_for(&format!("{event} of {id}"), |line| line["event"] == event && line["jobId"] == id)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        let status = wait::find("the listener ends", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(code), "{status}: {}", self.said());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn what_happens_is_told_in_lines_of_json(place: &Place) {
    let (good, bad) = (place.add(&["good"]), place.add(&["bad", "--attempts", "1"]));
    place.work_off(&format!(
        "case $LARIAT_JOB_NAME in good) '{}' job progress '{{\"step\": 2}}'; echo '[1, 2]';; *) echo oops >&2; exit 1;; esac",
        env!("CARGO_BIN_EXE_lariat")
    ));
    let later = place.add(&["later", "--delay", "1h"]);
    let mut listener = Listener::spawn(place, &["--from", "0-0", "--json"]);
    let delayed = listener.wait_for_job("delayed", &later);
    assert!(delayed["delay"].is_u64(), "{delayed}");
    let seen = |event, id| listener.wait_for_job(event, id);
    let first = seen("added", &good);
    assert_eq!(first["name"], "good");
    let (ms, _) = first["id"].as_str().unwrap().split_once('-').unwrap();
    assert_eq!(first["at"].to_string(), ms);
    assert_eq!(seen("active", &good)["prev"], "waiting");
    assert_eq!(seen("progress", &good)["data"], json!({"step": 2}));
    assert_eq!(seen("completed", &good)["returnvalue"], json!([1, 2]));
    assert_eq!(seen("failed", &bad)["failedReason"], "oops");
    assert!(seen("retries-exhausted", &bad)["attemptsMade"].is_u64());
    let text = fs::read_to_string(&listener.out).unwrap();
    assert!(text.lines().all(|line| line.starts_with("{\"id\":\"")), "{text}");

    // From an event in the middle: what follows on it, and nothing else.
    let middle = seen("completed", &good);
    let all = listener.events();
    let place_of = all.iter().position(|event| event == &middle).unwrap();
    listener.signal(Signal::INT);
    listener.ends_with(0);
    assert_eq!(listener.said(), "");
    let again = Listener::spawn(place, &["--from", middle["id"].as_str().unwrap()]);
    again.wait_for_job("delayed", &later);
    assert_eq!(again.events(), all[place_of + 1..]);
}

fn without_a_place_to_begin_it_begins_now(place: &Place) {
    let before = place.add(&["n"]);
    let mut listener = Listener::spawn(place, &[]);
    // It cannot be seen from outside when it listens, so jobs come until one is seen.
    let first = wait::find("an event", || {
        place.add(&["n"]);
        listener.events().first().cloned()
    });
    assert_ne!(first["jobId"], before.as_str());
    listener.signal(Signal::TERM);
    listener.ends_with(0);
    assert_eq!(listener.said(), "");
}

/// On Redis only: nobody else writes the events of a file.
#[test]
fn hostile_names_and_fields_do_no_harm() {
    let place = Place::on_redis();
    place.redis::<()>(&[
        "XADD",
        "bull:q:events",
        "5-1",
        "event",
        "mine\u{1b}[2J",
        "id",
        "x",
        "at",
        "y",
        "a\u{9b}\n\"b",
        "\u{202e}\u{7f}",
        "twice",
        "1",
        "twice",
        "2",
    ]);
    place.redis::<()>(&["XADD", "bull:q:events", "5-2", "event", "completed", "jobId", "1", "returnvalue", "no json"]);
    place.redis::<()>(&["XADD", "bull:q:events", "5-3", "odd", "one"]);
    let listener = Listener::spawn(&place, &["--from", "0-0"]);
    listener.wait_for("the last", |event| event["id"] == "5-3");
    let expected = [
        json!({"id": "5-1", "at": 5, "event": "mine\u{1b}[2J", "_id": "x", "_at": "y", "a\u{9b}\n\"b": "\u{202e}\u{7f}", "twice": "1"}),
        json!({"id": "5-2", "at": 5, "event": "completed", "jobId": "1", "returnvalue": "no json"}),
        json!({"id": "5-3", "at": 5, "event": "", "odd": "one"}),
    ];
    assert_eq!(listener.events(), expected);
    let text = fs::read_to_string(&listener.out).unwrap();
    assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
}

fn nobody_who_reads_ends_it(place: &Place) {
    place.add(&["n"]);
    let mut command = place.lariat(&["events", "q", "--from", "0-0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    for _ in 0..place.events() {
        out.read_line(&mut lines).unwrap();
    }
    assert!(lines.contains("\"jobId\":\"1\""), "{lines}");
    // All has been read, and nothing happens any more: only the closed pipe can tell it.
    drop(out);
    wait::find("it ends", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

fn a_reader_who_does_not_read_does_not_keep_it_from_ending(place: &Place) {
    let long = format!("{{\"name\":\"{}\"}}\n", "x".repeat(1000));
    run(place.lariat(&["add", "q", "--stdin"]), &long.repeat(500)).done();
    let mut command = place.lariat(&["events", "q", "--from", "0-0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::with_capacity(1, child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let status = wait::find("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    drop(out);
}

/// On Redis only: a file has no connection that could be lost.
#[test]
fn it_goes_on_after_a_lost_connection_and_loses_nothing() {
    let place = Place::on_redis();
    let mut listener = Listener::spawn(&place, &["--from", "0-0"]);
    for _ in 0..3 {
        let (one, two) = (place.add(&["n"]), {
            place.redis::<u64>(&["CLIENT", "KILL", "SKIPME", "yes"]);
            place.add(&["n"])
        });
        listener.wait_for_job("waiting", &one);
        listener.wait_for_job("waiting", &two);
    }
    let ids: Vec<Value> = listener.events().iter().map(|event| event["id"].clone()).collect();
    let stored: Vec<(String, Vec<String>)> = place.redis(&["XRANGE", "bull:q:events", "-", "+"]);
    assert_eq!(ids, stored.into_iter().map(|(id, _)| json!(id)).collect::<Vec<_>>());
    listener.signal(Signal::INT);
    listener.ends_with(0);
}

/// On Redis only: a file that was taken away is another one when it comes back, and that ends the stream with words.
#[test]
fn it_waits_for_a_store_that_comes_back_and_says_so_once() {
    let mut place = Place::on_redis();
    let first = place.add(&["n"]);
    let mut listener = Listener::spawn(&place, &["--from", "0-0"]);
    listener.wait_for_job("waiting", &first);
    place.go_away();
    wait::until("the loss is said", || listener.said().contains("tried again"));
    place.come_back();
    wait::until("the return is said", || listener.said().contains("answers again"));
    let new = place.add(&["new"]);
    listener.wait_for("the new job", |event| event["name"] == "new" && event["jobId"] == new.as_str());
    assert_eq!(listener.said().lines().count(), 2, "{}", listener.said());
    place.go_away();
    listener.signal(Signal::INT);
    listener.ends_with(0);
}

fn bad_input_and_a_store_that_is_away(place: &mut Place) {
    for (args, words) in [
        (&["events"][..], &["QUEUE"][..]),
        (&["events", "a:b"], &["queue name", "a:b"]),
        (&["events", "q", "--from", "yesterday"], &["event id", "yesterday", "1700000000000-0"]),
        (&["events", "q", "--from", "-1"], &["event id", "-1"]),
    ] {
        place.run(args).failed_with(2, words);
    }
    place.go_away();
    place.run(&["events", "q"]).failed_with(4, &[place.called()]);
    place.run(&["events", "q", "--from", "0-0"]).failed_with(4, &[place.called()]);
}
