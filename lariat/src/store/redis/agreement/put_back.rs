//! Back to the front, unused.

use super::steps::End;
use super::*;
use crate::store::exchange::Verdict;

#[test]
fn to_the_front() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(2), &json!({}), NOW);
    let job = both.fetch(1, NOW).unwrap();
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.theirs(json!({"op": "moveToWait", "id": job, "token": "t:1", "now": NOW + 5}));
    let ours = both.ours(vec![settle(&job, 1, Transition::PutBack)], 0, 0, NOW + 5);
    assert_eq!(ours.verdicts, [Verdict::Accepted]);
    both.assert_same();
}

#[test]
fn a_prioritized_one_before_its_equals_and_somebody_is_woken() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({"priority": 3}), NOW);
    both.add("n", &json!(2), &json!({"priority": 3}), NOW);
    let job = both.fetch(1, NOW).unwrap();
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.theirs(json!({"op": "moveToWait", "id": job, "token": "t:1", "now": NOW + 5}));
    both.ours(vec![settle(&job, 1, Transition::PutBack)], 0, 0, NOW + 5);
    // BullMQ tells nobody; the job would wait for somebody's poll.
    assert_eq!(both.pair.differences().matches("bull:").count(), 1, "{}", both.pair.differences());
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.assert_same();
}

#[test]
fn with_its_attempts_as_they_were() {
    let both = Both::without_markers();
    for opts in [json!({"attempts": 5}), json!({"attempts": 5, "priority": 2})] {
        both.wipe();
        both.add("n", &json!(1), &opts, NOW);
        let job = both.hold(1, NOW);
        both.end(&job, End::Retried { lifo: false }, NOW);
        let job = both.hold(2, NOW);
        both.end(&job, End::PutBack, NOW + 1);
        both.assert_same();
        let job = both.hold(3, NOW + 2);
        both.end(&job, End::Completed, NOW + 3);
        both.assert_same();
    }
}

#[test]
fn several_of_one_priority_are_ordered_by_their_ids() {
    let both = Both::without_markers();
    for _ in 0..11 {
        both.add("n", &json!(1), &json!({"priority": 2}), NOW);
    }
    let held: Vec<_> = (1..=10).map(|n| both.hold(n, NOW)).collect();
    for job in [&held[8], &held[9], &held[1]] {
        both.end(job, End::PutBack, NOW + 1);
    }
    both.assert_same();
    let order: Vec<String> = (11..=14).map(|n| both.hold(n, NOW).id).collect();
    assert_eq!(order, ["10", "2", "9", "11"]);
    both.assert_same();
}
