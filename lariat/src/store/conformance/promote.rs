//! Delayed jobs whose time has come.

use super::cases;
use super::world::{World, ids, job};
use crate::store::change::Setting;

cases! {
    in_the_order_in_which_they_were_due,
    behind_what_is_waiting,
    to_where_their_priority_says,
    lifo_does_not_count_any_more,
    only_those_that_are_due,
    it_is_told_and_recorded,
    many_at_once,
}

/// Has the store promote, and hand out nothing.
fn promote(w: &World) {
    w.configure(Setting::Pause);
    w.hint();
}

fn in_the_order_in_which_they_were_due(w: &World) {
    w.add_all([30, 10, 20, 10].map(|delay| job().delay(delay)));
    w.pass(100);
    promote(w);
    assert_eq!(w.shown(), "waiting 2 4 3 1");
}

fn behind_what_is_waiting(w: &World) {
    w.add_all([job().delay(1), job(), job()]);
    w.pass(1);
    promote(w);
    assert_eq!(w.shown(), "waiting 2 3 1");
}

fn to_where_their_priority_says(w: &World) {
    w.add_all([job().delay(1).priority(2), job().priority(2), job().priority(3)]);
    w.pass(1);
    promote(w);
    assert_eq!(w.shown(), "prioritized 2 1 3");
}

fn lifo_does_not_count_any_more(w: &World) {
    w.add_all([job(), job().delay(1).lifo()]);
    w.pass(1);
    promote(w);
    assert_eq!(w.shown(), "waiting 1 2");
}

fn only_those_that_are_due(w: &World) {
    w.add_all([job().delay(5), job().delay(6)]);
    w.pass(5);
    promote(w);
    assert_eq!(w.shown(), "waiting 1, delayed 2");
}

fn it_is_told_and_recorded(w: &World) {
    let id = w.add(job().delay(5));
    w.pass(5);
    w.configure(Setting::Pause);
    w.told();
    w.hint();
    assert_eq!(w.told(), ["waiting jobId=1 prev=delayed"]);
    let record = w.record(&id);
    assert_eq!((record.delay.as_millis(), record.options.delay.as_millis()), (0, 5));
}

fn many_at_once(w: &World) {
    let all = w.add_all((0..300).map(|n| job().delay(1 + n % 7)));
    w.pass(7);
    promote(w);
    assert_eq!(w.overview().counts.waiting, 300);
    w.configure(Setting::Resume);
    // Of one ms in the order in which they were added.
    let first: Vec<_> = all.iter().step_by(7).take(20).map(crate::id::JobId::as_str).collect();
    assert_eq!(ids(&w.take(20)), first.join(" "));
}
