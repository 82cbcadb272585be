//! Ended jobs that are made ready again.

use super::cases;
use super::world::{World, id, ids, job};
use crate::error::Refusal;
use crate::job::JobState;
use crate::store::change::Change;

cases! {
    a_completed_one_and_a_failed_one,
    its_end_is_forgotten,
    counters_are_reset_where_asked,
    only_from_the_state_that_is_named,
    only_an_ended_one,
    only_one_that_is_there,
    where_its_options_say,
    it_runs_again,
    its_parent_waits_for_it_again,
}

fn again() -> Change {
    Change::Reprocess { from: None, reset_made: false, reset_started: false }
}

fn from(state: JobState) -> Change {
    Change::Reprocess { from: Some(state), reset_made: false, reset_started: false }
}

fn a_completed_one_and_a_failed_one(w: &World) {
    let all = w.add_all([job(), job(), job()]);
    let held = w.take(2);
    w.exchange(vec![held[0].complete(), held[1].fail()], 0);
    w.told();
    w.change(&all[0], again()).unwrap();
    w.change(&all[1], from(JobState::Failed)).unwrap();
    assert_eq!(w.shown(), "waiting 3 1 2");
    assert_eq!(w.told(), ["waiting jobId=1 prev=completed", "waiting jobId=2 prev=failed"]);
}

fn its_end_is_forgotten(w: &World) {
    let all = w.add_all([job(), job()]);
    let held = w.take(2);
    w.exchange(vec![held[0].complete(), held[1].fail()], 0);
    for id in &all {
        w.change(id, again()).unwrap();
        let record = w.record(id);
        assert_eq!((record.finished_on, record.processed_on, &record.failed_reason), (None, None, &None));
        assert!(record.return_value.is_none());
        assert_eq!((record.attempts_made, record.attempts_started), (1, 1));
    }
}

fn counters_are_reset_where_asked(w: &World) {
    let id = w.add(job());
    w.accept(w.one().fail());
    w.change(&id, Change::Reprocess { from: None, reset_made: true, reset_started: true }).unwrap();
    let record = w.record(&id);
    assert_eq!((record.attempts_made, record.attempts_started), (0, 0));
}

fn only_from_the_state_that_is_named(w: &World) {
    let id = w.add(job());
    w.accept(w.one().fail());
    assert_eq!(w.change(&id, from(JobState::Completed)), Err(Refusal::NotInState));
    assert_eq!(w.shown(), "failed 1");
}

fn only_an_ended_one(w: &World) {
    let all = w.add_all([job(), job(), job().delay(9), job().priority(1)]);
    w.one();
    for id in &all {
        assert_eq!(w.change(id, again()), Err(Refusal::NotInState), "{id}");
    }
    assert_eq!(w.shown(), "waiting 2, active 1, delayed 3, prioritized 4");
}

fn only_one_that_is_there(w: &World) {
    assert_eq!(w.change(&id("nobody"), again()), Err(Refusal::MissingJob));
}

fn where_its_options_say(w: &World) {
    let all = w.add_all([job().lifo(), job().priority(2), job().delay(3)]);
    w.pass(3);
    for held in w.take(3) {
        w.accept(held.complete());
    }
    w.add_all([job(), job().priority(2)]);
    for id in &all {
        w.change(id, again()).unwrap();
    }
    assert_eq!(w.shown(), "waiting 1 4 3, prioritized 5 2");
}

fn it_runs_again(w: &World) {
    let id = w.add(job());
    w.accept(w.one().fail());
    w.change(&id, again()).unwrap();
    let held = w.one();
    assert_eq!((ids(std::slice::from_ref(&held)).as_str(), held.record.attempts_started), ("1", 2));
    w.accept(held.complete());
    assert_eq!((w.shown().as_str(), w.record(&id).attempts_made), ("completed 1", 2));
}

fn its_parent_waits_for_it_again(w: &World) {
    w.add_all([job(), job(), job().delay(900)]);
    w.hands.adopt("1", "2", "idof");
    w.hands.adopt("1", "3", "");
    let held = w.take(2);
    w.accept(held[0].wait_for_children());
    w.accept(held[1].fail());
    w.change(&held[1].id, again()).unwrap();
    w.change(&id("3"), Change::Remove { children: false }).unwrap();
    assert_eq!(w.shown(), "waiting 2, waiting-children 1");
    w.accept(w.one().complete());
    assert_eq!(w.shown(), "waiting 1, completed 2");
}
