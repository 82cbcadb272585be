//! Back to the front, unused.

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
