//! Making one delayed job ready by hand.

use super::cases;
use super::world::{World, id, job};
use crate::error::Refusal;
use crate::store::change::Change;

cases! {
    it_goes_behind_what_is_waiting,
    or_where_its_priority_says,
    it_is_told_and_recorded,
    only_a_delayed_one,
    only_one_that_is_there,
    only_by_its_holder_where_one_is_named,
}

fn it_goes_behind_what_is_waiting(w: &World) {
    let all = w.add_all([job().delay(900).lifo(), job(), job().delay(900)]);
    w.change(&all[0], Change::Promote).unwrap();
    assert_eq!(w.shown(), "waiting 2 1, delayed 3");
}

fn or_where_its_priority_says(w: &World) {
    let all = w.add_all([job().delay(900).priority(2), job().priority(2), job().priority(3)]);
    w.change(&all[0], Change::Promote).unwrap();
    assert_eq!(w.shown(), "prioritized 2 1 3");
}

fn it_is_told_and_recorded(w: &World) {
    let id = w.add(job().delay(900));
    w.told();
    w.change(&id, Change::Promote).unwrap();
    assert_eq!(w.told(), ["waiting jobId=1 prev=delayed"]);
    assert_eq!(w.record(&id).delay.as_millis(), 0);
}

fn only_a_delayed_one(w: &World) {
    let all = w.add_all([job(), job(), job(), job().priority(1), job()]);
    let held = w.take(3);
    w.accept(held[0].complete());
    w.accept(held[1].fail());
    let before = w.shown();
    for id in &all {
        assert_eq!(w.change(id, Change::Promote), Err(Refusal::NotInState), "{id}");
    }
    assert_eq!(w.shown(), before);
}

fn only_one_that_is_there(w: &World) {
    assert_eq!(w.change(&id("nobody"), Change::Promote), Err(Refusal::MissingJob));
    assert_eq!(w.change(&id("7"), Change::Promote), Err(Refusal::MissingJob));
}

fn only_by_its_holder_where_one_is_named(w: &World) {
    let id = w.add(job().delay(900));
    assert_eq!(w.change_by(Some("nobody:1"), &id, Change::Promote), Err(Refusal::MissingLock));
    assert_eq!(w.shown(), "delayed 1");
}
