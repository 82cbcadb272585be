//! A failed attempt that is due again at once.

use super::*;
use crate::store::exchange::Verdict;

fn retried(opts: &Value, lifo: bool) {
    let both = Both::start();
    both.add("n", &json!(1), opts, NOW);
    both.add("n", &json!(2), opts, NOW);
    let job = both.fetch(1, NOW).unwrap();
    both.both(&[&["DEL", "bull:q:marker"]]);
    let fields = json!({"failedReason": "boom", "stacktrace": "[\"boom\"]"});
    both.theirs(json!({"op": "retry", "id": job, "lifo": lifo, "token": "t:1", "fields": fields, "now": NOW + 5}));
    let ours = both.ours(vec![retry(&job, 1, "boom", lifo)], 0, 0, NOW + 5);
    assert_eq!(ours.verdicts, [Verdict::Accepted]);
    both.assert_same();
}

#[test]
fn behind_the_others_or_in_front() {
    retried(&json!({"attempts": 3}), false);
    retried(&json!({"attempts": 3}), true);
}

#[test]
fn by_priority() {
    retried(&json!({"attempts": 3, "priority": 4}), false);
}

#[test]
fn what_is_due_is_promoted_first() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(2), &json!({"delay": 3}), NOW);
    let job = both.fetch(1, NOW).unwrap();
    both.both(&[&["DEL", "bull:q:marker"]]);
    let fields = json!({"failedReason": "boom", "stacktrace": "[\"boom\"]"});
    both.theirs(json!({"op": "retry", "id": job, "token": "t:1", "fields": fields, "now": NOW + 5}));
    both.ours(vec![retry(&job, 1, "boom", false)], 0, 0, NOW + 5);
    both.assert_same();
}

#[test]
fn no_marker_where_nothing_may_start() {
    for ground in [["paused", "1"], ["concurrency", "1"]] {
        let both = Both::start();
        for _ in 0..2 {
            both.add("n", &json!(1), &json!({}), NOW);
        }
        for n in 1..=2 {
            both.fetch(n, NOW);
        }
        both.both(&[&["HSET", "bull:q:meta", ground[0], ground[1]], &["DEL", "bull:q:marker"]]);
        let fields = json!({"failedReason": "boom", "stacktrace": "[\"boom\"]"});
        both.theirs(json!({"op": "retry", "id": "1", "token": "t:1", "fields": fields, "now": NOW + 5}));
        both.ours(vec![retry("1", 1, "boom", false)], 0, 0, NOW + 5);
        both.assert_same();
    }
}

#[test]
fn refused_without_the_lock() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    let job = both.fetch(1, NOW).unwrap();
    both.both(&[&["DEL", "bull:q:1:lock"], &["DEL", "bull:q:marker"]]);
    let code = both.their_refusal(json!({"op": "retry", "id": job, "token": "t:1", "fields": {}, "now": NOW + 5}));
    let ours = both.ours(vec![retry(&job, 1, "boom", false)], 0, 0, NOW + 5);
    assert_eq!(ours.verdicts, [Verdict::Refused(Refusal::from_code(code).unwrap())]);
    both.assert_same();
}
