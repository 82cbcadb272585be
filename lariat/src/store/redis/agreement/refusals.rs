//! What is refused: the code is BullMQ's, and nothing changes.

use super::steps::{End, Held};
use super::*;
use crate::store::exchange::Verdict;

const ALL: [End; 8] = [
    End::Completed,
    End::Failed,
    End::Retried { lifo: false },
    End::Retried { lifo: true },
    End::BackedOff(700),
    End::Delayed(700),
    End::WaitsForChildren,
    End::PutBack,
];

/// A job that is active and waits for a child, so that every end gets as far as the lock; completing it does not.
fn active(both: &Both, end: End) -> Held {
    both.add("n", &json!(1), &json!({}), NOW);
    let job = both.hold(1, NOW);
    if end == End::WaitsForChildren {
        both.both(&[&["SADD", "bull:q:1:dependencies", "bull:q:c"]]);
    }
    both.both(&[&["DEL", "bull:q:marker"]]);
    job
}

#[test]
fn without_a_record() {
    let both = Both::start();
    for end in ALL {
        both.wipe();
        active(&both, end);
        assert_eq!(both.end(&Held::nobody(), end, NOW + 1), Verdict::Refused(Refusal::MissingJob), "{end:?}");
        both.assert_same();
    }
}

#[test]
fn without_the_lock() {
    let both = Both::start();
    for end in ALL {
        both.wipe();
        let job = active(&both, end);
        both.both(&[&["DEL", "bull:q:1:lock"]]);
        assert_eq!(both.end(&job, end, NOW + 1), Verdict::Refused(Refusal::MissingLock), "{end:?}");
        both.assert_same();
    }
}

#[test]
fn with_somebody_elses_lock() {
    let both = Both::start();
    for end in ALL {
        both.wipe();
        let job = active(&both, end);
        both.both(&[&["SET", "bull:q:1:lock", "somebody", "PX", "30000"]]);
        assert_eq!(both.end(&job, end, NOW + 1), Verdict::Refused(Refusal::LockTaken), "{end:?}");
        both.assert_same();
    }
}

#[test]
fn out_of_place() {
    let both = Both::start();
    for end in ALL {
        both.wipe();
        let job = active(&both, end);
        both.both(&[&["LREM", "bull:q:active", "0", "1"], &["LPUSH", "bull:q:active", "2"]]);
        let ours = both.ours(vec![job.ours(end)], 0, 0, NOW + 1);
        assert_eq!(ours.verdicts, [Verdict::Refused(Refusal::NotInState)], "{end:?}");
        // We leave all as it was.
        both.assert_same();
        let theirs = both.their_end(&job, end, NOW + 1);
        // BullMQ lets the job be without a word; else it refuses, and has dropped the lock and noted the failure by then.
        let expected = if end == End::PutBack { Verdict::Accepted } else { ours.verdicts[0].clone() };
        assert_eq!(theirs, expected, "{end:?}");
        both.both(&[&["DEL", "bull:q:1:lock"], &["HDEL", "bull:q:1", "failedReason", "stacktrace"]]);
        both.assert_same();
    }
}

#[test]
fn children_stand_before_the_lock() {
    let both = Both::start();
    let cases: [(&[&str], End, Refusal); 3] = [
        (&["SADD", "bull:q:1:dependencies", "bull:q:c"], End::Completed, Refusal::PendingChildren),
        (&["ZADD", "bull:q:1:unsuccessful", "1", "bull:q:c"], End::Completed, Refusal::FailedChildren),
        (&["ZADD", "bull:q:1:unsuccessful", "1", "bull:q:c"], End::WaitsForChildren, Refusal::FailedChildren),
    ];
    for (ground, end, refusal) in cases {
        for lock in [None, Some("somebody")] {
            both.wipe();
            let job = active(&both, end);
            both.both(&[ground, &["DEL", "bull:q:1:lock"]]);
            if let Some(lock) = lock {
                both.both(&[&["SET", "bull:q:1:lock", lock]]);
            }
            assert_eq!(both.end(&job, end, NOW + 1), Verdict::Refused(refusal));
            both.assert_same();
        }
    }
}

#[test]
fn a_job_with_children_may_fail() {
    let both = Both::without_markers();
    let job = active(&both, End::Failed);
    both.both(&[&["SADD", "bull:q:1:dependencies", "bull:q:c"], &["ZADD", "bull:q:1:unsuccessful", "1", "bull:q:d"]]);
    assert_eq!(both.end(&job, End::Failed, NOW + 1), Verdict::Accepted);
    both.assert_same();
}

#[test]
fn a_second_outcome_of_one_job_gets_the_code_of_a_second_call() {
    // Alone in a small call, and among many.
    for others in [0, 4] {
        let both = Both::with(Options::default().without_key(":marker").events_in_any_order());
        let held: Vec<Held> = (0..=others)
            .map(|i| {
                both.add("n", &json!(1), &json!({}), NOW);
                both.hold(i + 1, NOW)
            })
            .collect();
        let ends = [End::Completed, End::Retried { lifo: false }, End::PutBack, End::Delayed(5)];
        let mut outcomes: Vec<(&Held, End)> = ends.iter().map(|end| (&held[0], *end)).collect();
        outcomes.extend(held[1..].iter().map(|job| (job, End::Completed)));
        let theirs: Vec<Verdict> = outcomes.iter().map(|(job, end)| both.their_end(job, *end, NOW + 1)).collect();
        let settles = outcomes.iter().map(|(job, end)| job.ours(*end)).collect();
        assert_eq!(both.ours(settles, 0, 0, NOW + 1).verdicts, theirs);
        assert_eq!(theirs[1], Verdict::Refused(Refusal::MissingLock));
        assert!(both.differences_of_a_batch().is_empty(), "{}", both.differences_of_a_batch());
    }
}
