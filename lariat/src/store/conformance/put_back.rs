//! Jobs that their worker gives back unspent.

use super::cases;
use super::world::{World, ids, job};

cases! {
    to_the_front,
    before_its_equals_in_priority,
    with_its_attempts_as_they_were,
    several_come_out_in_reverse,
    it_is_told,
}

fn to_the_front(w: &World) {
    w.add_all([job(), job(), job()]);
    w.accept(w.take(2)[1].put_back());
    assert_eq!(w.shown(), "waiting 2 3, active 1");
}

fn before_its_equals_in_priority(w: &World) {
    w.add_all([1, 2, 2].map(|priority| job().priority(priority)));
    let held = w.take(2);
    w.accept(held[1].put_back());
    assert_eq!(w.shown(), "active 1, prioritized 2 3");
}

fn with_its_attempts_as_they_were(w: &World) {
    let id = w.add(job());
    w.accept(w.one().put_back());
    let record = w.record(&id);
    assert_eq!((record.attempts_made, record.attempts_started, record.failed_reason), (0, 1, None));
}

fn several_come_out_in_reverse(w: &World) {
    w.add_all((0..4).map(|_| job()));
    let held = w.take(3);
    // Who holds several hands the last one in first, so that their order stays.
    w.exchange(held.iter().rev().map(super::world::Held::put_back).collect(), 0);
    assert_eq!(ids(&w.take(4)), "1 2 3 4");
}

fn it_is_told(w: &World) {
    w.add(job());
    let held = w.one();
    w.told();
    w.accept(held.put_back());
    assert_eq!(w.told(), ["waiting jobId=1 prev=active"]);
}
