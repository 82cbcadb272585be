//! Outcomes that a store refuses, of each kind, and that nothing comes of them.

use super::cases;
use super::world::{World, job};
use crate::error::Refusal;
use crate::store::exchange::{Transition, Verdict};

cases! {
    there_is_no_such_job,
    the_lock_is_missing,
    the_lock_is_somebody_elses,
    the_job_is_not_active_any_more,
    a_second_outcome_of_one_call,
    one_that_was_never_taken,
    children_are_pending,
    a_child_has_failed_its_parent,
}

/// Whether its refusal looks at the lock last: there may be nothing to wait for.
fn waits(to: &Transition) -> bool {
    matches!(to, Transition::WaitForChildren)
}

#[track_caller]
fn all_refused(w: &World, held: &super::world::Held, refusal: Refusal) {
    let before = (w.shown(), format!("{:?}", w.state(&held.id).map(|_| w.record(&held.id))));
    w.told();
    for outcome in held.all_outcomes() {
        // Without children it is told to go on, held or not.
        let expected = if waits(&outcome.to) && refusal != Refusal::MissingJob {
            Verdict::Resume
        } else {
            Verdict::Refused(refusal)
        };
        let words = format!("{:?}", outcome.to);
        assert_eq!(w.settle(outcome), expected, "{words}");
    }
    assert!(w.told().is_empty());
    let after = (w.shown(), format!("{:?}", w.state(&held.id).map(|_| w.record(&held.id))));
    assert_eq!(after, before);
}

fn there_is_no_such_job(w: &World) {
    w.add(job());
    let held = w.one();
    w.accept(held.complete_with("1", crate::job::Keep::NONE));
    all_refused(w, &held, Refusal::MissingJob);
}

fn the_lock_is_missing(w: &World) {
    w.add_all([job(), job()]);
    let held = w.one();
    w.hands.lapse("1");
    all_refused(w, &held, Refusal::MissingLock);
}

fn the_lock_is_somebody_elses(w: &World) {
    w.add_all([job(), job()]);
    let held = w.one();
    all_refused(w, &held.by("lane:7"), Refusal::LockTaken);
    w.hands.give_lock("1", "another:1");
    all_refused(w, &held, Refusal::LockTaken);
    w.accept(held.by("another:1").complete());
}

fn the_job_is_not_active_any_more(w: &World) {
    w.add(job());
    let held = w.one();
    w.accept(held.put_back());
    all_refused(w, &held, Refusal::MissingLock);
    let held = w.one();
    w.accept(held.complete());
    all_refused(w, &held, Refusal::MissingLock);
}

fn a_second_outcome_of_one_call(w: &World) {
    w.add(job());
    let held = w.one();
    let verdicts = w.exchange(vec![held.complete(), held.fail()], 0).verdicts;
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Refused(Refusal::MissingLock)]);
    assert_eq!(w.shown(), "completed 1");
}

fn one_that_was_never_taken(w: &World) {
    w.add_all([job(), job().delay(50), job().priority(2)]);
    let held = w.one();
    w.accept(held.put_back());
    for id in ["1", "2", "3"] {
        let mut held = held.clone();
        held.id = super::world::id(id);
        all_refused(w, &held, Refusal::MissingLock);
    }
}

fn children_are_pending(w: &World) {
    w.add_all([job(), job().delay(500)]);
    w.hands.adopt("1", "2", "");
    let held = w.one();
    assert_eq!(w.settle(held.complete()), Verdict::Refused(Refusal::PendingChildren));
    assert_eq!(w.settle(held.by("nobody").complete()), Verdict::Refused(Refusal::PendingChildren), "before the lock");
    assert_eq!(w.shown(), "active 1, delayed 2");
    w.accept(held.put_back());
}

fn a_child_has_failed_its_parent(w: &World) {
    w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "fpof");
    let held = w.take(2);
    w.accept(held[1].fail());
    for outcome in [held[0].complete(), held[0].wait_for_children()] {
        assert_eq!(w.settle(outcome), Verdict::Refused(Refusal::FailedChildren));
    }
    w.accept(held[0].fail());
}
