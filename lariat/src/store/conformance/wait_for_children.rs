//! Active parents that wait for their children.

use super::cases;
use super::world::{World, job};
use crate::error::Refusal;
use crate::store::exchange::Verdict;

cases! {
    with_a_child_pending_it_waits,
    without_children_it_goes_on,
    with_all_children_ended_it_goes_on,
    only_who_holds_it_may_let_it_wait,
}

fn with_a_child_pending_it_waits(w: &World) {
    let parent = w.add(job());
    w.add(job().delay(500));
    w.hands.adopt("1", "2", "");
    let held = w.one();
    w.told();
    w.accept(held.wait_for_children());
    assert_eq!(w.shown(), "delayed 2, waiting-children 1");
    assert_eq!(w.told(), ["waiting-children jobId=1 prev=active"]);
    let record = w.record(&parent);
    assert_eq!((record.attempts_made, record.attempts_started), (0, 1));
    assert!(w.runtime.block_on(w.queue.held(1)).unwrap().is_empty());
}

fn without_children_it_goes_on(w: &World) {
    w.add(job());
    let held = w.one();
    assert_eq!(w.settle(held.wait_for_children()), Verdict::Resume);
    assert_eq!(w.shown(), "active 1");
    w.accept(held.complete());
}

fn with_all_children_ended_it_goes_on(w: &World) {
    w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "");
    let held = w.take(2);
    let verdicts = w.exchange(vec![held[1].complete(), held[0].wait_for_children()], 0).verdicts;
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Resume]);
    w.accept(held[0].complete());
}

fn only_who_holds_it_may_let_it_wait(w: &World) {
    w.add_all([job(), job().delay(500)]);
    w.hands.adopt("1", "2", "");
    let held = w.one();
    assert_eq!(w.settle(held.by("nobody:1").wait_for_children()), Verdict::Refused(Refusal::LockTaken));
    w.hands.lapse("1");
    assert_eq!(w.settle(held.wait_for_children()), Verdict::Refused(Refusal::MissingLock));
    assert_eq!(w.shown(), "active 1, delayed 2");
}
