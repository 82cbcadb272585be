//! To run later: a backoff, or because the handler asked for it.

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
