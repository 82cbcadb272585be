//! Taking: order, promotion, pause, concurrency, rate limits, ghosts.

use super::*;
use crate::store::exchange::Hint;

#[test]
fn jobs_are_activated_one_by_one() {
    let both = Both::without_markers();
    both.add("n", &json!({"a": 1}), &json!({"attempts": 2}), NOW);
    both.add("n", &json!({"a": 2}), &json!({"lifo": true}), NOW);
    assert_eq!(both.fetch(1, NOW + 5).as_deref(), Some("2"));
    assert_eq!(both.fetch(2, NOW + 5).as_deref(), Some("1"));
    assert_eq!(both.fetch(3, NOW + 6), None);
    both.assert_same();
}

#[test]
fn the_base_marker_stays_while_there_is_work() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(2), &json!({"priority": 1}), NOW);
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.fetch(1, NOW);
    both.assert_same();
    // With the last job BullMQ writes a marker for nobody; ours is not written.
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.fetch(2, NOW);
    assert_eq!(both.pair.differences().matches("bull:").count(), 1, "{}", both.pair.differences());
    assert!(both.pair.differences().contains("bull:q:marker"));
}

#[test]
fn the_record_is_handed_out_as_it_is_once_active() {
    let both = Both::start();
    both.add("n", &json!({"a": 1}), &json!({"attempts": 2}), NOW);
    let ours = both.ours(vec![], 1, 1, NOW + 5);
    let job = ours.jobs[0].record.as_ref().unwrap();
    assert_eq!((job.name.as_str(), job.data.get(), job.attempts_started), ("n", r#"{"a":1}"#, 1));
    assert_eq!((job.processed_on, job.options.attempts), (Some(at(NOW + 5)), 2));
    assert_eq!(&*ours.jobs[0].token, "t:1");
    let stored = both.runtime.block_on(both.queue.job(&id("1"))).unwrap().unwrap();
    assert_eq!(format!("{:?}", stored.record), format!("{job:?}"));
}

#[test]
fn priorities_after_the_rest_and_the_counter_goes_with_the_last() {
    let both = Both::without_markers();
    for priority in [5, 2, 2, 9] {
        both.add("n", &json!({}), &json!({"priority": priority}), NOW);
    }
    both.add("n", &json!({}), &json!({}), NOW);
    for n in 1..=5 {
        both.fetch(n, NOW + n);
        both.assert_same();
    }
    assert_eq!(both.fetch(6, NOW + 9), None);
    both.assert_same();
}

#[test]
fn what_is_due_is_promoted_first() {
    let both = Both::without_markers();
    both.add("n", &json!({}), &json!({"delay": 10}), NOW);
    both.add("n", &json!({}), &json!({"delay": 10, "priority": 3}), NOW);
    both.add("n", &json!({}), &json!({"delay": 5, "lifo": true}), NOW);
    both.add("n", &json!({}), &json!({"delay": 11}), NOW);
    both.add("n", &json!({}), &json!({"delay": 500}), NOW);
    for n in 1..=5 {
        both.fetch(n, NOW + 10);
        both.assert_same();
    }
    assert_eq!(both.ours(vec![], 1, 9, NOW + 10).hint, Hint::DueAt(at(NOW + 11)));
}

#[test]
fn nothing_starts_while_paused_but_what_is_due_is_promoted() {
    let both = Both::without_markers();
    both.add("n", &json!({}), &json!({}), NOW);
    both.add("n", &json!({}), &json!({"delay": 10}), NOW);
    both.both(&[&["HSET", "bull:q:meta", "paused", "1"]]);
    assert_eq!(both.fetch(1, NOW + 20), None);
    both.assert_same();
    assert_eq!(both.ours(vec![], 1, 2, NOW + 20).hint, Hint::Paused);
}

#[test]
fn global_concurrency_counts_what_is_active() {
    let both = Both::without_markers();
    both.both(&[&["HSET", "bull:q:meta", "concurrency", "3"], &["LPUSH", "bull:q:active", "other"]]);
    for _ in 0..5 {
        both.add("n", &json!({}), &json!({}), NOW);
    }
    for n in 1..=3 {
        both.fetch(n, NOW + n);
    }
    both.assert_same();
    let batch = Both::start();
    batch.both(&[&["HSET", "bull:q:meta", "concurrency", "3"], &["LPUSH", "bull:q:active", "other"]]);
    batch.add_ours(vec![new_job("n", &json!({}), &json!({}), NOW); 5]);
    let taken = batch.ours(vec![], 5, 1, NOW);
    assert_eq!((taken.jobs.len(), taken.hint), (2, Hint::Paused));
}

#[test]
fn the_workers_rate_limit() {
    let both = Both::without_markers().limited(2, Duration::from_secs(60));
    for _ in 0..4 {
        both.add("n", &json!({}), &json!({}), NOW);
    }
    both.both(&[&["HSET", "bull:q:1", "defa", "why not"]]);
    for n in 1..=4 {
        both.fetch(n, NOW + n);
        both.assert_same();
    }
    let Hint::LimitedFor(left) = both.ours(vec![], 1, 9, NOW).hint else { panic!("it is limited") };
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(60), "{left:?}");
}

#[test]
fn the_queues_rate_limit_stands_before_the_workers() {
    let both = Both::without_markers().limited(9, Duration::from_secs(60));
    both.both(&[&["HSET", "bull:q:meta", "max", "1", "duration", "30000"]]);
    for _ in 0..3 {
        both.add("n", &json!({}), &json!({}), NOW);
    }
    for n in 1..=2 {
        both.fetch(n, NOW + n);
        both.assert_same();
    }
}

#[test]
fn a_batch_is_as_many_fetches() {
    // Whatever stands in the way, taking five at once is taking one five times.
    type Ground = &'static [&'static [&'static str]];
    let grounds: [Ground; 6] = [
        &[],
        &[&["HSET", "bull:q:meta", "concurrency", "4"]],
        &[&["HSET", "bull:q:meta", "max", "2", "duration", "60000"]],
        &[&["HSET", "bull:q:meta", "max", "2", "duration", "60000"], &["HSET", "bull:q:2", "defa", "x"]],
        &[&["RPUSH", "bull:q:wait", "0:1", "ghost"]],
        &[&["HSET", "bull:q:meta", "paused", "1"]],
    ];
    for ground in grounds {
        let both = Both::with(Options::default().without_key(":marker").events_in_any_order());
        for opts in [json!({}), json!({"priority": 2}), json!({"delay": 5}), json!({}), json!({"priority": 1})] {
            both.add("n", &json!({}), &opts, NOW);
        }
        both.both(ground);
        let mut theirs = Vec::new();
        let mut n = 1;
        while n <= 5 {
            let job = both.theirs(json!({"op": "fetch", "token": format!("t:{n}"), "now": NOW + 9}))["job"].clone();
            match job["id"].as_str() {
                // BullMQ hands out ghosts; we drop them.
                Some("ghost") => both
                    .both(&[&["LREM", "bull:q:active", "1", "ghost"], &["DEL", "bull:q:ghost", "bull:q:ghost:lock"]]),
                Some(job) => {
                    theirs.push(job.to_owned());
                    n += 1;
                }
                None => break,
            }
        }
        let ours = both.ours(vec![], 5, 1, NOW + 9);
        assert_eq!(ours.jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>(), theirs, "{ground:?}");
        let found = both.pair.differences();
        // The ghost's event is theirs alone.
        let ghost = ground.iter().any(|command| command.contains(&"ghost"));
        assert!(found.is_empty() || ghost && found.matches("bull:").count() == 1, "{ground:?} {found}");
    }
}

#[test]
fn ghosts_are_dropped_and_told() {
    let both = Both::start();
    both.both(&[
        &["RPUSH", "bull:q:wait", "gone", "0:7", "wrong"],
        &["SET", "bull:q:wrong", "not a hash"],
        &["ZADD", "bull:q:prioritized", "1", "gone-too"],
    ]);
    both.add("n", &json!({}), &json!({}), NOW);
    let taken = both.ours(vec![], 3, 1, NOW);
    assert_eq!(taken.jobs.len(), 1);
    let mut dropped: Vec<&str> = taken.dropped.iter().map(|dropped| dropped.id.as_str()).collect();
    dropped.sort_unstable();
    assert_eq!(dropped, ["gone", "gone-too", "wrong"]);
    let counts = both.runtime.block_on(both.queue.overview()).unwrap().counts;
    assert_eq!((counts.waiting, counts.active, counts.prioritized), (0, 1, 0));
}

#[test]
fn more_ghosts_than_one_call_looks_at_do_not_hold_it() {
    let both = Both::start();
    let ghosts: Vec<String> = (0..1000).map(|i| format!("ghost{i}")).collect();
    let mut push = vec!["RPUSH", "bull:q:wait"];
    push.extend(ghosts.iter().map(String::as_str));
    both.both(&[&push]);
    both.add("n", &json!({}), &json!({}), NOW);
    let mut calls = 0;
    loop {
        calls += 1;
        let taken = both.ours(vec![], 1, calls, NOW);
        assert!(taken.dropped.len() <= 257);
        if !taken.jobs.is_empty() {
            break;
        }
        assert_eq!(taken.hint, Hint::Again);
    }
    assert!(calls > 2);
}

#[test]
fn a_record_that_does_not_decode_is_handed_out_with_the_reason() {
    let both = Both::start();
    both.add("n", &json!({}), &json!({}), NOW);
    both.both(&[&["HSET", "bull:q:1", "data", "{broken"]]);
    let taken = both.ours(vec![], 1, 1, NOW);
    let why = taken.jobs[0].record.as_ref().unwrap_err();
    assert!(why.contains("field data"), "{why}");
}
