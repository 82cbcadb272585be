//! Failed attempts that are tried again at once.

use super::cases;
use super::world::{World, ids, job};

cases! {
    behind_the_others,
    or_before_them,
    by_its_priority,
    the_attempt_and_its_reason_are_recorded,
    what_is_due_comes_before_it,
    again_and_again,
    while_paused,
    by_the_priority_that_it_has_by_now,
}

fn behind_the_others(w: &World) {
    w.add_all([job(), job(), job()]);
    w.accept(w.one().retry());
    assert_eq!(w.shown(), "waiting 2 3 1");
    assert_eq!(w.told().last().unwrap(), "waiting jobId=1 prev=active");
}

fn or_before_them(w: &World) {
    w.add_all([job(), job(), job()]);
    w.accept(w.one().retry_first());
    assert_eq!(w.shown(), "waiting 1 2 3");
}

fn by_its_priority(w: &World) {
    w.add_all([2, 2, 3].map(|priority| job().priority(priority)));
    w.accept(w.one().retry());
    assert_eq!(w.shown(), "prioritized 2 1 3");
    w.accept(w.one().retry_first());
    assert_eq!(w.shown(), "prioritized 1 2 3", "lifo does not count among them");
}

fn the_attempt_and_its_reason_are_recorded(w: &World) {
    let id = w.add(job().attempts(2));
    w.accept(w.one().retry());
    let record = w.record(&id);
    assert_eq!((record.attempts_made, record.attempts_started), (1, 1));
    assert_eq!((record.failed_reason.as_deref(), &*record.stacktrace), (Some("boom"), &["at boom".to_owned()][..]));
    assert_eq!(record.finished_on, None);
}

fn what_is_due_comes_before_it(w: &World) {
    w.add_all([job(), job().delay(5)]);
    let held = w.one();
    w.pass(5);
    w.accept(held.retry());
    assert_eq!(w.shown(), "waiting 2 1");
}

fn again_and_again(w: &World) {
    let id = w.add(job().attempts(9));
    for attempt in 1..=5 {
        w.accept(w.one().retry());
        let record = w.record(&id);
        assert_eq!((record.attempts_made, record.attempts_started), (attempt, attempt));
    }
    assert_eq!(ids(&w.take(2)), "1");
}

fn while_paused(w: &World) {
    w.add(job());
    let held = w.one();
    w.configure(crate::store::change::Setting::Pause);
    w.accept(held.retry());
    assert_eq!(w.shown(), "waiting 1");
}

fn by_the_priority_that_it_has_by_now(w: &World) {
    let id = w.add(job());
    let held = w.one();
    w.change(&id, crate::store::change::Change::Priority { priority: 4, lifo: false }).unwrap();
    w.accept(held.retry());
    assert_eq!(w.shown(), "prioritized 1");
}
