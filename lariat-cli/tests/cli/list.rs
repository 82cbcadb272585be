//! Jobs and log rows, many at a time.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores};

on_both_stores! {
    the_jobs_of_each_state_as_text,
    the_jobs_of_each_state_as_json,
    a_long_listing_is_whole_and_in_order,
    ids_without_a_record_neither_hide_nor_repeat_jobs,
    a_job_that_cannot_be_read_is_named_and_the_rest_is_listed,
    a_reader_that_has_had_enough_ends_the_listing,
    a_log_as_text_and_as_json,
    a_long_log_is_whole,
    bad_input_and_what_is_not_there,
}

/// Jobs of all sorts with times that do not change, as other clients might have left them.
fn stored(place: &Place) {
    let job = |id: &str, state: (&str, i64), fields: &[(&str, &str)]| {
        let common =
            [("name", "resize"), ("data", "{\"n\":1}"), ("opts", "{\"attempts\":3}"), ("timestamp", "1700000000123")];
        place.plant(id, state, &[&common, fields].concat());
    };
    job("1", ("wait", 0), &[("delay", "0"), ("priority", "0")]);
    job("2", ("wait", 0), &[("name", "evil\u{1b}[31m\nname\u{202e}")]);
    let reason = "no such file\n".repeat(20);
    let ended = [("atm", "3"), ("ats", "3"), ("finishedOn", "1700000009000"), ("failedReason", reason.as_str())];
    job("3", ("failed", 1_700_000_009_000), &ended);
    job("4", ("delayed", 1_700_000_000_000 << 12), &[("delay", "3600000")]);
    job("5", ("active", 0), &[("processedOn", "1700000005000"), ("pb", "host-1")]);
    job("6", ("prioritized", 7 << 32), &[("priority", "7")]);
}

const STATES: [&str; 7] = ["waiting", "active", "delayed", "prioritized", "completed", "failed", "waiting-children"];

#[track_caller]
fn listed(place: &Place, args: &[&str]) -> Vec<Value> {
    let args = [&["job", "ls", "q", "--json", "--state"], args].concat();
    serde_json::from_str(&place.run(&args).done()).unwrap()
}

#[track_caller]
fn ids(place: &Place, args: &[&str]) -> Vec<String> {
    listed(place, args).iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

fn the_jobs_of_each_state_as_text(place: &Place) {
    stored(place);
    let text: Vec<String> = STATES
        .iter()
        .map(|state| format!("{state}:\n{}", place.run(&["job", "ls", "q", "--state", state]).done()))
        .collect();
    insta::assert_snapshot!("the_jobs_of_each_state_as_text", text.join("\n"));
}

fn the_jobs_of_each_state_as_json(place: &Place) {
    stored(place);
    for (state, expected) in STATES.iter().zip([&["1", "2"][..], &["5"], &["4"], &["6"], &[], &["3"], &[]]) {
        let jobs = listed(place, &[state]);
        for job in &jobs {
            assert_eq!(job, &place.job(job["id"].as_str().unwrap()), "as job get has it");
            assert_eq!(&job["state"], state);
        }
        assert_eq!(ids(place, &[state]), expected, "{state}");
    }
    assert_eq!(place.run(&["job", "ls", "q", "--state", "completed", "--json"]).done(), "[]\n");
}

fn a_long_listing_is_whole_and_in_order(place: &Place) {
    let lines = "{\"name\":\"n\"}\n".repeat(350);
    crate::kit::run(place.lariat(&["add", "q", "--stdin"]), &lines).done();
    let all: Vec<String> = (1..=350).map(|id| id.to_string()).collect();
    assert_eq!(ids(place, &["waiting"]), all);
    assert_eq!(ids(place, &["waiting", "--from", "3", "--count", "210"]), all[3..213]);
    let newest: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(ids(place, &["waiting", "--newest"]), newest);
    assert_eq!(ids(place, &["waiting", "--newest", "--from", "1", "--count", "2"]), newest[1..3]);
    assert_eq!(ids(place, &["waiting", "--from", "349"]), ["350"]);
    for nothing in [&["--from", "350"][..], &["--count", "0"], &["--from", "18446744073709551615"]] {
        assert_eq!(listed(place, &[&["waiting"], nothing].concat()), [] as [Value; 0], "{nothing:?}");
    }
    let text = place.run(&["job", "ls", "q", "--state", "waiting"]).done();
    assert_eq!(text.lines().count(), 351, "one head");
}

fn ids_without_a_record_neither_hide_nor_repeat_jobs(place: &Place) {
    crate::kit::run(place.lariat(&["add", "q", "--stdin"]), &"{\"name\":\"n\"}\n".repeat(400)).done();
    // More of them than a page has jobs.
    for id in (20..170).chain(300..310) {
        place.lose_record(&id.to_string());
    }
    let left: Vec<String> = (1..20).chain(170..300).chain(310..=400).map(|id| id.to_string()).collect();
    assert_eq!(ids(place, &["waiting"]), left);
    let newest: Vec<String> = left.iter().rev().cloned().collect();
    assert_eq!(ids(place, &["waiting", "--newest"]), newest);
}

/// Once, and not again for each page behind it.
/// On Redis only: in a file a page is one look, however much is passed over.
#[test]
fn a_long_stretch_of_ids_without_a_record_is_passed_over() {
    let place = Place::on_redis();
    let add =
        || drop(crate::kit::run(place.lariat(&["add", "q", "--stdin"]), &"{\"name\":\"n\"}\n".repeat(150)).done());
    add();
    let script = "for i = 1, 6000 do redis.call('LPUSH', 'bull:q:wait', 'ghost-' .. i) end";
    place.redis::<()>(&["EVAL", script, "0"]);
    add();
    let all: Vec<String> = (1..=300).map(|id| id.to_string()).collect();
    place.redis::<()>(&["CONFIG", "RESETSTAT"]);
    assert_eq!(ids(&place, &["waiting"]), all);
    let stats = place.redis::<String>(&["INFO", "commandstats"]);
    let calls = stats.split_once("cmdstat_evalsha:calls=").unwrap().1.split(',').next().unwrap().parse::<u32>();
    assert!(calls.as_ref().is_ok_and(|calls| *calls < 20), "{calls:?} calls for 6300 ids");
}

fn a_job_that_cannot_be_read_is_named_and_the_rest_is_listed(place: &Place) {
    for _ in 0..3 {
        place.add(&["n"]);
    }
    place.garble("2");
    let ran = place.run(&["job", "ls", "q", "--state", "waiting", "--json"]);
    let jobs: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, jobs.len()), (1, 2), "{ran:?}");
    assert!(ran.err.contains("\"2\" cannot be read"), "{ran:?}");
}

fn a_reader_that_has_had_enough_ends_the_listing(place: &Place) {
    crate::kit::run(place.lariat(&["add", "q", "--stdin"]), &"{\"name\":\"n\"}\n".repeat(300)).done();
    for args in [
        &["job", "ls", "q", "--state", "waiting"][..],
        &["queue", "ls"],
        &["job", "ls", "q", "--state", "waiting", "--json"],
    ] {
        let mut child = place.lariat(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{args:?}");
    }
}

fn a_log_as_text_and_as_json(place: &Place) {
    let id = place.add(&["n"]);
    assert_eq!(place.run(&["job", "logs", "q", &id]).done(), "");
    assert_eq!(place.run(&["job", "logs", "q", &id, "--json"]).done(), "{\"id\":\"1\",\"count\":0,\"logs\":[]}\n");
    place.log_rows("1", &["plain", "two\nlines", "\u{1b}[2Jevil\u{9b}", "{\"a\":1}"].map(str::to_owned));
    assert_eq!(place.run(&["job", "logs", "q", &id]).done(), "plain\ntwo\\nlines\n\\u{1b}[2Jevil\\u{9b}\n{\"a\":1}\n");
    let text = place.run(&["job", "logs", "q", &id, "--json"]).done();
    assert!(!text.trim_end().contains(|c: char| c.is_control()), "{text:?}");
    let expected = json!({"id": "1", "count": 4, "logs": ["plain", "two\nlines", "\u{1b}[2Jevil\u{9b}", "{\"a\":1}"]});
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert_eq!(place.run(&["job", "logs", "q", &id, "--from", "1", "--count", "1"]).done(), "two\\nlines\n");
    for nothing in [["--from", "4"], ["--count", "0"], ["--from", "18446744073709551615"]] {
        let args = [&["job", "logs", "q", &id][..], &nothing].concat();
        assert_eq!(place.run(&args).done(), "");
        let part = place.run(&[&args[..], &["--json"]].concat()).done();
        assert_eq!(part, "{\"id\":\"1\",\"count\":4,\"logs\":[]}\n");
    }
}

fn a_long_log_is_whole(place: &Place) {
    let id = place.add(&["n"]);
    let rows: Vec<String> = (0..1234).map(|n| n.to_string()).collect();
    place.log_rows("1", &rows);
    assert_eq!(place.run(&["job", "logs", "q", &id]).done().lines().collect::<Vec<_>>(), rows);
    let json: Value = serde_json::from_str(&place.run(&["job", "logs", "q", &id, "--json"]).done()).unwrap();
    assert_eq!(json["logs"], json!(rows));
    let part = place.run(&["job", "logs", "q", &id, "--from", "1", "--count", "700"]).done();
    assert_eq!(part.lines().collect::<Vec<_>>(), rows[1..701]);
}

fn bad_input_and_what_is_not_there(place: &mut Place) {
    for (args, words) in [
        (&["job", "ls", "q"][..], &["--state"][..]),
        (&["job", "ls", "q", "--state", "wait"], &["--state", "wait", "waiting-children"]),
        (&["job", "ls", "--state", "waiting"], &["QUEUE"]),
        (&["job", "ls", "a:b", "--state", "waiting"], &["queue name", "a:b"]),
        (&["job", "ls", "q", "--state", "waiting", "--from", "-1"], &["--from", "-1"]),
        (&["job", "ls", "q", "--state", "waiting", "--count", "some"], &["--count", "some"]),
        (&["job", "logs", "q"], &["ID"]),
        (&["job", "logs", "q", ""], &["job id"]),
    ] {
        place.run(args).failed_with(2, words);
    }
    place.run(&["job", "logs", "q", "17"]).failed_with(3, &["\"q\"", "\"17\""]);
    place.run(&["job", "logs", "q", "17", "--json"]).failed_with(3, &["\"17\""]);
    place.run(&["job", "logs", "q", "\u{1b}[31m"]).failed_with(3, &["\\u{1b}[31m"]);
    place.go_away();
    place.run(&["job", "ls", "q", "--state", "waiting"]).failed_with(4, &[place.called()]);
    place.run(&["job", "logs", "q", "1"]).failed_with(4, &[place.called()]);
}
