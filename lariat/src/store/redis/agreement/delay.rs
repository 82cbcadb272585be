//! To run later: a backoff, or because the handler asked for it.

use super::steps::End;
use super::*;
use crate::store::exchange::Verdict;

#[test]
fn a_backoff_uses_an_attempt() {
    // The marker of the next due time: theirs has a fraction.
    let both = Both::without_markers();
    both.add("n", &json!(1), &json!({"attempts": 3, "backoff": {"type": "fixed", "delay": 700}}), NOW);
    both.add("n", &json!(1), &json!({"delay": 705}), NOW);
    let job = both.fetch(1, NOW).unwrap();
    both.theirs(json!({"op": "moveToFailed", "id": job, "error": {"message": "boom"}, "token": "t:1", "now": NOW + 5}));
    let ours = both.ours(vec![backoff(&job, 1, "boom", Duration::from_millis(700))], 0, 0, NOW + 5);
    assert_eq!(ours.verdicts, [Verdict::Accepted]);
    both.both(&[&["HSET", "bull:q:1", "stacktrace", "[]"]]);
    both.assert_same();
}

#[test]
fn a_delay_asked_for_uses_none() {
    for ms in [700, 0] {
        let both = Both::start();
        both.add("n", &json!(1), &json!({}), NOW);
        let job = both.fetch(1, NOW).unwrap();
        both.both(&[&["DEL", "bull:q:marker"]]);
        both.theirs(
            json!({"op": "moveToDelayed", "id": job, "timestamp": NOW + 5 + ms, "token": "t:1", "now": NOW + 5}),
        );
        both.ours(vec![delay(&job, 1, Duration::from_millis(ms))], 0, 0, NOW + 5);
        both.assert_same();
    }
}

#[test]
fn the_next_due_time_is_marked_even_when_a_job_is_taken() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(2), &json!({}), NOW);
    both.fetch(1, NOW);
    let taken = both.ours(vec![delay("1", 1, Duration::from_millis(700))], 1, 2, NOW + 5);
    assert_eq!(taken.jobs.len(), 1);
    let mut ours = interop::redis::connect(&both.pair.ours());
    let score: Option<f64> = redis::cmd("ZSCORE").arg("bull:q:marker").arg("1").query(&mut ours).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let due = (NOW + 705) as f64;
    assert_eq!(score, Some(due));
}

#[test]
fn places_within_a_millisecond_are_given_in_turn() {
    let both = Both::start();
    for _ in 0..6 {
        both.add("n", &json!(1), &json!({"priority": 1}), NOW);
    }
    let held: Vec<_> = (1..=5).map(|n| both.hold(n, NOW)).collect();
    both.both(&[&["DEL", "bull:q:marker"]]);
    for (job, end) in
        held.iter().zip([End::BackedOff(9), End::Delayed(9), End::BackedOff(8), End::Delayed(9), End::Delayed(9)])
    {
        both.end(job, end, NOW);
        // The earliest is the same for all but one; none is at a fraction.
        both.assert_same();
    }
    // In one call too, where a place is free in the middle: what counts is the highest.
    both.both(&[&["ZREM", "bull:q:delayed", "2"]]);
    let last = both.hold(6, NOW);
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.end(&last, End::BackedOff(9), NOW);
    both.assert_same();
}

#[test]
fn a_full_millisecond_shares_its_last_place() {
    let both = Both::without_markers();
    both.both(&[&["ZADD", "bull:q:delayed", &((NOW + 9) * 4096 + 4095).to_string(), "x"]]);
    for n in 1..=2 {
        both.add("n", &json!(1), &json!({}), NOW);
        let job = both.hold(n, NOW);
        both.end(&job, End::BackedOff(9), NOW);
        both.assert_same();
    }
}

#[test]
fn many_delayed_in_one_call_take_the_places_of_as_many_calls() {
    let both = Both::without_markers();
    let ends = [5u64, 5, 0, 5, 7, 0, 5].map(End::Delayed);
    for _ in ends {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    let held: Vec<_> = (1..).zip(ends).map(|(n, end)| (both.hold(n, NOW), end)).collect();
    for (job, end) in &held {
        both.their_end(job, *end, NOW + 1);
    }
    both.ours(held.iter().map(|(job, end)| job.ours(*end)).collect(), 0, 0, NOW + 1);
    assert_eq!(both.differences_of_a_batch(), "");
}
