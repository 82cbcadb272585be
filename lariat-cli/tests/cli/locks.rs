//! Who holds what.

use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores};

on_both_stores! {
    held_jobs_are_listed_with_their_holders,
    a_job_that_nobody_holds_and_a_hostile_name,
    bad_input_and_a_store_that_is_away,
}

fn held_jobs_are_listed_with_their_holders(place: &Place) {
    assert_eq!(place.run(&["locks", "q"]).done(), "");
    assert_eq!(place.run(&["locks", "q", "--json"]).done(), "[]\n");
    let id = place.add(&["resize"]);
    let _worker = place.work(&["--name", "w1"], "echo $LARIAT_TOKEN > token; exec sleep 600");
    let token = place.wait_for_line("token");

    let text = place.run(&["locks", "q", "--json"]).done();
    let locks: Value = serde_json::from_str(&text).unwrap();
    let [lock] = locks.as_array().unwrap().as_slice() else { panic!("{text}") };
    let mut keys: Vec<&str> = lock.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["heldMs", "id", "leftMs", "name", "token", "worker"]);
    assert_eq!((&lock["id"], &lock["name"], &lock["worker"]), (&json!(id), &json!("resize"), &json!("w1")));
    assert!(lock["heldMs"].is_u64() && (1..=30_000).contains(&lock["leftMs"].as_u64().unwrap()), "{text}");
    let (hidden, end) = token.split_at(token.len() - 4);
    assert_eq!(lock["token"], format!("{}{end}", "*".repeat(hidden.len())));

    let text = place.run(&["locks", "q"]).done();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["job", "name", "worker", "token", "held", "left"]);
    assert_eq!(lines[1][..4], [id.as_str(), "resize", "w1", &format!("*{end}")]);
    assert!(!text.contains(hidden), "{text}");
}

fn a_job_that_nobody_holds_and_a_hostile_name(place: &Place) {
    let fields = [("name", "evil\u{1b}[2J\nname"), ("pb", "\u{9b}31m"), ("data", "{}"), ("opts", "{}")];
    place.plant("7", ("active", 0), &fields);
    let text = place.run(&["locks", "q", "--json"]).done();
    let expected = json!([{
        "id": "7", "name": "evil\u{1b}[2J\nname", "token": null, "worker": "\u{9b}31m", "heldMs": null, "leftMs": null,
    }]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let shown = place.run(&["locks", "q"]).done();
    assert!(shown.contains("evil\\u{1b}[2J\\nname") && shown.contains("held by nobody"), "{shown}");
    for text in [text, shown] {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

fn bad_input_and_a_store_that_is_away(place: &mut Place) {
    place.run(&["locks"]).failed_with(2, &["QUEUE"]);
    place.run(&["locks", "a:b"]).failed_with(2, &["queue name", "a:b"]);
    place.go_away();
    place.run(&["locks", "q"]).failed_with(4, &[place.called()]);
}
