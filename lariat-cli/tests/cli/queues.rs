//! Queues as a whole: ls, pause, resume, limit.

use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores};

on_both_stores! {
    queues_are_listed_with_their_numbers,
    more_queues_than_a_page_holds,
    a_paused_queue_hands_out_nothing_until_it_is_resumed,
    limits_are_shown_set_and_lifted,
    a_limit_that_is_reached_is_shown_with_the_time_left,
    bad_input,
}

#[track_caller]
fn json_of(place: &Place, args: &[&str]) -> Value {
    serde_json::from_str(&place.run(&[args, &["--json"]].concat()).done()).unwrap()
}

fn queues_are_listed_with_their_numbers(place: &Place) {
    assert_eq!(place.run(&["queue", "ls"]).done(), "");
    assert_eq!(place.run(&["queue", "ls", "--json"]).done(), "[]\n");
    for (queue, args) in [("mail", &["--delay", "1h"][..]), ("mail", &[]), ("a thumbnail", &[]), ("{tagged}", &[])] {
        place.run(&[&["add", queue, "n"], args].concat()).done();
    }
    place.run(&["add", "elsewhere", "n", "--prefix", "other"]).done();
    place.run(&["queue", "pause", "{tagged}"]).done();
    insta::assert_snapshot!("queues_are_listed_with_their_numbers", place.run(&["queue", "ls"]).done());
    let all = json_of(place, &["queue", "ls"]);
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|queue| queue["queue"].as_str().unwrap()).collect();
    assert_eq!(names, ["a thumbnail", "mail", "{tagged}"]);
    for queue in all.as_array().unwrap() {
        assert_eq!(queue, &json_of(place, &["queue", "stats", queue["queue"].as_str().unwrap()]));
    }
    let other = json_of(place, &["queue", "ls", "--prefix", "other"]);
    assert_eq!((other.as_array().unwrap().len(), &other[0]["queue"]), (1, &json!("elsewhere")));
}

fn more_queues_than_a_page_holds(place: &Place) {
    let mut names: Vec<String> = (0..120).map(|n| format!("queue-{n}")).collect();
    place.found_queues(&names);
    names.sort_unstable();
    let listed = json_of(place, &["queue", "ls"]);
    let listed: Vec<&str> = listed.as_array().unwrap().iter().map(|queue| queue["queue"].as_str().unwrap()).collect();
    assert_eq!(listed, names);
    let text = place.run(&["queue", "ls"]).done();
    assert_eq!(text.lines().count(), 121, "one head");
}

fn a_paused_queue_hands_out_nothing_until_it_is_resumed(place: &Place) {
    assert_eq!(place.run(&["queue", "pause", "q"]).done(), "");
    assert_eq!(place.run(&["queue", "pause", "q", "--json"]).done(), "{\"queue\":\"q\",\"paused\":true}\n");
    let id = place.add(&["n"]);
    assert_eq!(json_of(place, &["queue", "stats", "q"])["paused"], true);
    place.work_off("exit 0");
    assert_eq!(place.job(&id)["state"], "waiting");
    assert_eq!(place.run(&["queue", "resume", "q"]).done(), "");
    assert_eq!(place.run(&["queue", "resume", "q", "--json"]).done(), "{\"queue\":\"q\",\"paused\":false}\n");
    assert_eq!(json_of(place, &["queue", "stats", "q"])["paused"], false);
    place.work_off("exit 0");
    assert_eq!(place.job(&id)["state"], "completed");
}

fn limits_are_shown_set_and_lifted(place: &Place) {
    let none = json!({"queue": "q", "limits": {"concurrency": null, "rate": null, "limitedForMs": null}});
    assert_eq!(json_of(place, &["queue", "limit", "q"]), none);
    assert_eq!(place.run(&["queue", "limit", "q"]).done(), "concurrency  none\nrate         none\n");

    assert_eq!(place.run(&["queue", "limit", "q", "--concurrency", "7"]).done(), "");
    assert_eq!(place.run(&["queue", "limit", "q"]).done(), "concurrency  7\nrate         none\n");
    let set = place.run(&["queue", "limit", "q", "--rate", "100/1m30s", "--json"]).done();
    let both = json!({"queue": "q", "limits": {"concurrency": 7, "rate": {"max": 100, "durationMs": 90_000}, "limitedForMs": null}});
    assert_eq!(serde_json::from_str::<Value>(&set).unwrap(), both);
    assert_eq!(place.run(&["queue", "limit", "q"]).done(), "concurrency  7\nrate         100/1m30s\n");
    let stats = json_of(place, &["queue", "stats", "q"]);
    assert_eq!(stats["limits"], both["limits"]);
    let text = place.run(&["queue", "stats", "q"]).done();
    assert!(text.ends_with("  concurrency  7\n  rate         100/1m30s\n"), "{text}");

    let lifted = place.run(&["queue", "limit", "q", "--concurrency", "none", "--rate", "none", "--json"]).done();
    assert_eq!(serde_json::from_str::<Value>(&lifted).unwrap(), none);
}

/// On Redis only: nobody else reads those of a file.
#[test]
fn limits_are_stored_where_bullmqs_clients_read_them() {
    let place = Place::on_redis();
    place.run(&["queue", "limit", "q", "--concurrency", "7", "--rate", "100/1m30s"]).done();
    let stored: Vec<String> = place.redis(&["HMGET", "bull:q:meta", "concurrency", "max", "duration"]);
    assert_eq!(stored, ["7", "100", "90000"]);
}

fn a_limit_that_is_reached_is_shown_with_the_time_left(place: &Place) {
    place.add(&["n"]);
    place.add(&["n"]);
    place.run(&["queue", "limit", "q", "--rate", "1/1h"]).done();
    let mut worker = place.work(&[], "exit 0");
    place.wait_for_state("1", "completed");
    let left = json_of(place, &["queue", "limit", "q"])["limits"]["limitedForMs"].as_u64().unwrap();
    assert!((1..=3_600_000).contains(&left), "{left}");
    let text = place.run(&["queue", "limit", "q"]).done();
    assert!(text.contains("no job starts for "), "{text}");
    assert_eq!(place.job("2")["state"], "waiting");
    worker.signal(rustix::process::Signal::TERM);
    worker.ends_with(0);
}

fn bad_input(place: &mut Place) {
    for (args, words) in [
        (&["queue", "pause"][..], &["QUEUE"][..]),
        (&["queue", "resume", "a:b"], &["queue name", "a:b"]),
        (&["queue", "pause", "a\u{1b}b"], &["queue name", "control"]),
        (&["queue", "limit"], &["QUEUE"]),
        (&["queue", "limit", "q", "--concurrency", "0"], &["--concurrency", "at least 1", "pause"]),
        (&["queue", "limit", "q", "--concurrency", "-1"], &["--concurrency", "-1"]),
        (&["queue", "limit", "q", "--concurrency", "many"], &["--concurrency", "many", "or none"]),
        (&["queue", "limit", "q", "--rate", "100"], &["--rate", "100/1m"]),
        (&["queue", "limit", "q", "--rate", "0/1s"], &["--rate", "at least 1"]),
        (&["queue", "limit", "q", "--rate", "5/0s"], &["--rate", "at least 1ms"]),
        (&["queue", "limit", "q", "--rate", "5/soon", "--concurrency", "3"], &["--rate", "duration"]),
        (&["queue", "ls", "extra"], &["extra"]),
    ] {
        place.run(args).failed_with(2, words);
    }
    assert!(place.is_untouched());
    place.go_away();
    for args in [
        &["queue", "ls"][..],
        &["queue", "pause", "q"],
        &["queue", "resume", "q"],
        &["queue", "limit", "q"],
        &["queue", "limit", "q", "--rate", "none"],
    ] {
        place.run(args).failed_with(4, &[place.called()]);
    }
}
