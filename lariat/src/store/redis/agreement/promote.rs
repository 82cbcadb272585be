//! From `delayed` to where they run from, when their time has come.

use super::steps::{End, Held};
use super::*;

#[test]
fn in_the_order_in_which_they_were_due() {
    let both = Both::start();
    for (delay, priority) in [(30, 0), (10, 0), (10, 4), (20, 1), (10, 0), (20, 4), (31, 0)] {
        let mut opts = json!({"delay": delay, "lifo": true});
        if priority > 0 {
            opts["priority"] = priority.into();
        }
        both.add("n", &json!(1), &opts, NOW);
    }
    both.both(&[&["DEL", "bull:q:marker"]]);
    // A millisecond early: nothing.
    assert!(both.take(1, NOW + 9).is_none());
    both.assert_same();
    let order: Vec<String> = (2..=7).map(|n| both.hold(n, NOW + 30).id).collect();
    assert_eq!(order, ["2", "5", "1", "4", "3", "6"]);
    both.assert_same();
}

#[test]
fn a_thousand_at_a_time() {
    let both = Both::without_markers();
    let mut add: Vec<String> = vec!["ZADD".into(), "bull:q:delayed".into()];
    for i in 0..1003_u64 {
        add.extend([((NOW + i) * 4096).to_string(), i.to_string()]);
    }
    both.both(&[&add.iter().map(String::as_str).collect::<Vec<_>>()]);
    for i in 0..1003 {
        let job = format!("bull:q:{i}");
        let priority = if i % 100 == 99 { "1" } else { "0" };
        let fields = ["HSET", &job, "name", "n", "data", "1", "opts", "{}", "timestamp", "1", "delay", "7"];
        both.both(&[&[&fields[..], &["priority", priority]].concat()]);
    }
    assert_eq!(both.hold(1, NOW + 5000).id, "0");
    both.assert_same();
    assert_eq!(both.hold(2, NOW + 5000).id, "1");
    both.assert_same();
}

#[test]
fn while_paused_or_full_too() {
    for ground in [["paused", "1"], ["concurrency", "1"]] {
        let both = Both::start();
        both.add("n", &json!(1), &json!({"delay": 10}), NOW);
        both.add("n", &json!(1), &json!({"delay": 11, "priority": 1}), NOW);
        both.both(&[
            &["HSET", "bull:q:meta", ground[0], ground[1]],
            &["LPUSH", "bull:q:active", "x"],
            &["DEL", "bull:q:marker"],
        ]);
        assert!(both.take(1, NOW + 11).is_none());
        both.assert_same();
    }
}

#[test]
fn a_retry_that_is_refused_has_promoted_by_then() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({"delay": 10}), NOW);
    both.end(&Held::nobody(), End::Retried { lifo: false }, NOW + 10);
    both.assert_same();
}

#[test]
fn what_was_delayed_by_its_handler_or_a_backoff() {
    let both = Both::without_markers();
    for opts in [json!({}), json!({"priority": 3}), json!({"lifo": true})] {
        for end in [End::Delayed(20), End::BackedOff(20)] {
            both.wipe();
            both.add("n", &json!(1), &opts, NOW);
            both.add("n", &json!(1), &opts, NOW);
            let first = both.hold(1, NOW);
            both.end(&first, end, NOW + 1);
            both.hold(2, NOW + 20);
            assert!(both.take(3, NOW + 20).is_none());
            both.assert_same();
            assert_eq!(both.hold(4, NOW + 21).id, first.id);
            both.assert_same();
        }
    }
}
