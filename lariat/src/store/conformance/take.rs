//! Handing out: which jobs, in which order, under which tokens, and what to do when none comes.

use super::cases;
use super::world::{LOCK, World, held, ids, job};
use crate::job::JobState;
use crate::store::change::Setting;
use crate::store::exchange::Hint;

cases! {
    waiting_jobs_first_then_by_priority,
    a_job_is_handed_out_once,
    no_more_than_asked_for,
    who_wants_none_gets_none,
    the_record_says_who_took_it_and_when,
    tokens_count_up_from_the_lease,
    what_is_active_is_held,
    what_is_due_is_promoted_first,
    a_job_is_due_at_its_very_ms,
    nothing_is_ready,
    the_next_due_time_is_told,
    what_came_back_is_handed_out_again_under_another_token,
    a_job_that_is_to_fail_is_handed_out_with_the_reason,
    taking_is_told,
    an_id_without_a_record_is_dropped,
    who_has_no_name_leaves_the_last_ones,
}

fn waiting_jobs_first_then_by_priority(w: &World) {
    w.add_all([job().priority(9), job(), job().priority(1), job().lifo(), job().priority(9)]);
    assert_eq!(ids(&w.take(10)), "4 2 3 1 5");
    assert_eq!(w.shown(), "active 4 2 3 1 5");
}

fn a_job_is_handed_out_once(w: &World) {
    w.add_all([job(), job()]);
    assert_eq!(ids(&w.take(1)), "1");
    assert_eq!(ids(&w.take(5)), "2");
    assert_eq!(ids(&w.take(5)), "");
}

fn no_more_than_asked_for(w: &World) {
    w.add_all((0..70).map(|_| job()));
    let answer = w.exchange(vec![], 64);
    assert_eq!((answer.jobs.len(), answer.hint), (64, Hint::Again));
    assert_eq!(w.take(64).len(), 6);
}

fn who_wants_none_gets_none(w: &World) {
    w.add(job());
    assert!(w.take(0).is_empty());
    assert_eq!(w.shown(), "waiting 1");
}

fn the_record_says_who_took_it_and_when(w: &World) {
    let id = w.add(job());
    w.pass(25);
    let held = w.one();
    for record in [held.record, w.record(&id)] {
        assert_eq!((record.processed_on, record.attempts_started), (Some(w.now()), 1));
        assert_eq!((record.processed_by.as_deref(), record.attempts_made), (Some("w"), 0));
    }
}

fn tokens_count_up_from_the_lease(w: &World) {
    w.add_all([job(), job().priority(1), job()]);
    let exchange = w.exchange_of(vec![], 3);
    let tokens: Vec<_> = held(&w.send(&exchange)).iter().map(|held| held.token.to_string()).collect();
    let first = exchange.lease.first;
    assert_eq!(tokens, [first, first + 1, first + 2].map(|n| format!("lane:{n}")));
}

fn what_is_active_is_held(w: &World) {
    w.add_all([job().named("a"), job().named("b")]);
    let taken = w.take(2);
    let found = w.runtime.block_on(w.queue.held(10)).unwrap();
    assert_eq!(found.len(), 2);
    for (found, taken) in found.iter().zip(&taken) {
        assert_eq!((&found.id, found.worker.as_deref()), (&taken.id, Some("w")));
        assert_eq!((found.name.as_deref(), found.since), (Some(taken.record.name.as_str()), Some(w.now())));
        let left = found.left.unwrap();
        assert!(left <= LOCK && left > LOCK / 2, "{left:?}");
        assert!(found.token.is_some());
    }
    assert_eq!(w.runtime.block_on(w.queue.held(1)).unwrap().len(), 1);
    w.hands.lapse("1");
    let lapsed = &w.runtime.block_on(w.queue.held(1)).unwrap()[0];
    assert_eq!((lapsed.id.as_str(), &lapsed.token, lapsed.left), ("1", &None, None));
}

fn what_is_due_is_promoted_first(w: &World) {
    w.add_all([job().delay(10), job().delay(5).priority(3), job()]);
    w.pass(10);
    assert_eq!(ids(&w.take(9)), "3 1 2");
}

fn a_job_is_due_at_its_very_ms(w: &World) {
    w.add(job().delay(10));
    w.pass(9);
    assert!(w.take(1).is_empty());
    w.pass(1);
    assert_eq!(ids(&w.take(1)), "1");
}

fn nothing_is_ready(w: &World) {
    assert_eq!(w.hint(), Hint::Wait);
    w.add(job());
    w.one();
    assert_eq!(w.hint(), Hint::Wait);
}

fn the_next_due_time_is_told(w: &World) {
    w.add_all([job().delay(90), job().delay(40)]);
    assert_eq!(w.hint(), Hint::DueAt(w.now().after(super::world::ms(40))));
}

fn what_came_back_is_handed_out_again_under_another_token(w: &World) {
    w.add(job());
    let first = w.one();
    w.accept(first.put_back());
    let second = w.one();
    assert_eq!((&second.id, second.record.attempts_started), (&first.id, 2));
    assert_ne!(second.token, first.token);
}

fn a_job_that_is_to_fail_is_handed_out_with_the_reason(w: &World) {
    let id = w.add(job());
    w.hands.doom(id.as_str(), "doomed");
    let held = w.one();
    assert_eq!(held.record.deferred_failure.as_deref(), Some("doomed"));
    w.accept(held.fail_with("doomed", crate::job::Keep::ALL, 0));
    let record = w.record(&id);
    assert_eq!((record.failed_reason.as_deref(), record.deferred_failure), (Some("doomed"), None));
    assert_eq!(w.state(&id), Some(JobState::Failed));
}

fn taking_is_told(w: &World) {
    w.configure(Setting::Resume);
    w.add(job());
    w.told();
    w.one();
    assert_eq!(w.told(), ["active jobId=1 prev=waiting"]);
}

fn an_id_without_a_record_is_dropped(w: &World) {
    w.add_all([job(), job().priority(1), job()]);
    w.hands.lose_record("1");
    w.hands.lose_record("2");
    let answer = w.exchange(vec![], 3);
    assert_eq!(ids(&held(&answer)), "3");
    assert_eq!(answer.dropped.iter().map(|dropped| dropped.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(w.shown(), "active 3");
    assert!(w.exchange(vec![], 3).dropped.is_empty());
}

fn who_has_no_name_leaves_the_last_ones(w: &World) {
    let id = w.add(job());
    w.accept(w.one().put_back());
    let mut exchange = w.exchange_of(vec![], 1);
    exchange.lease.worker = None;
    assert_eq!(w.send(&exchange).jobs.len(), 1);
    assert_eq!(w.record(&id).processed_by.as_deref(), Some("w"));
}
