//! Another priority for a job in whatever state.

use super::cases;
use super::world::{World, id, ids, job};
use crate::error::Refusal;
use crate::job::JobState;
use crate::store::change::Change;

cases! {
    into_the_prioritized_and_out_again,
    behind_its_new_equals_or_before_them,
    before_the_waiting_where_asked,
    the_same_again_goes_behind_its_equals,
    a_delayed_one_runs_by_it_later,
    an_active_one_comes_back_by_it,
    an_ended_one_only_notes_it,
    only_one_that_is_there,
    counted_by_priority,
}

fn to(priority: u32) -> Change {
    Change::Priority { priority, lifo: false }
}

fn into_the_prioritized_and_out_again(w: &World) {
    let all = w.add_all([job(), job()]);
    w.change(&all[0], to(5)).unwrap();
    assert_eq!(w.shown(), "waiting 2, prioritized 1");
    assert_eq!(w.record(&all[0]).priority, 5);
    w.change(&all[0], to(0)).unwrap();
    assert_eq!(w.shown(), "waiting 2 1");
    assert_eq!((w.record(&all[0]).priority, w.record(&all[0]).options.priority), (0, 0));
}

fn behind_its_new_equals_or_before_them(w: &World) {
    let all = w.add_all([job().priority(2), job().priority(2), job(), job()]);
    w.change(&all[2], to(2)).unwrap();
    assert_eq!(w.shown(), "waiting 4, prioritized 1 2 3");
    w.change(&all[3], Change::Priority { priority: 2, lifo: true }).unwrap();
    assert_eq!(w.shown(), "prioritized 4 1 2 3");
}

fn before_the_waiting_where_asked(w: &World) {
    let all = w.add_all([job(), job(), job().priority(2), job().priority(2)]);
    w.change(&all[2], Change::Priority { priority: 0, lifo: true }).unwrap();
    w.change(&all[3], to(0)).unwrap();
    assert_eq!(w.shown(), "waiting 3 1 2 4");
}

fn the_same_again_goes_behind_its_equals(w: &World) {
    let all = w.add_all([job().priority(2), job().priority(2)]);
    w.change(&all[0], to(2)).unwrap();
    assert_eq!(w.shown(), "prioritized 2 1");
}

fn a_delayed_one_runs_by_it_later(w: &World) {
    let all = w.add_all([job().delay(5), job().priority(2), job().priority(4)]);
    w.change(&all[0], to(3)).unwrap();
    assert_eq!(w.state(&all[0]), Some(JobState::Delayed));
    w.pass(5);
    assert_eq!(ids(&w.take(3)), "2 1 3");
}

fn an_active_one_comes_back_by_it(w: &World) {
    w.add_all([job(), job().priority(2), job().priority(4)]);
    let held = w.one();
    w.change(&held.id, to(3)).unwrap();
    assert_eq!(w.state(&held.id), Some(JobState::Active));
    w.accept(held.retry());
    assert_eq!(w.shown(), "prioritized 2 1 3");
}

fn an_ended_one_only_notes_it(w: &World) {
    let id = w.add(job());
    w.accept(w.one().complete());
    w.change(&id, to(3)).unwrap();
    assert_eq!((w.shown().as_str(), w.record(&id).priority), ("completed 1", 3));
}

fn only_one_that_is_there(w: &World) {
    assert_eq!(w.change(&id("nobody"), to(3)), Err(Refusal::MissingJob));
}

fn counted_by_priority(w: &World) {
    w.add_all([0, 2, 2, 7].map(|priority| job().priority(priority)));
    let counted = w.runtime.block_on(w.queue.priorities(&[0, 1, 2, 7])).unwrap();
    assert_eq!(counted, [1, 0, 2, 1]);
}
