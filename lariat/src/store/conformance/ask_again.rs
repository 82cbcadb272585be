//! The lane: a call that is repeated under its number has no second effect, and the same answer.

use super::cases;
use super::world::{World, held, ids, job};
use crate::error::Refusal;
use crate::store::exchange::Verdict;

cases! {
    the_same_jobs_and_the_same_verdicts,
    nothing_is_done_twice,
    a_job_that_has_left_is_not_handed_out_again,
    only_what_is_still_locked_by_it,
    a_repeat_makes_the_lock_last_anew,
    an_older_call_does_nothing,
    lanes_are_apart,
    a_call_that_found_nothing_may_find_something,
}

fn the_same_jobs_and_the_same_verdicts(w: &World) {
    w.add_all((0..5).map(|_| job()));
    let first = w.take(2);
    let exchange = w.exchange_of(vec![first[0].complete(), first[1].by("nobody:1").fail()], 2);
    let (once, again) = (w.send(&exchange), w.send(&exchange));
    assert_eq!(once.verdicts, [Verdict::Accepted, Verdict::Refused(Refusal::LockTaken)]);
    assert_eq!(again.verdicts, once.verdicts);
    let tokens = |answer| held(answer).into_iter().map(|held| (held.id, held.token)).collect::<Vec<_>>();
    assert_eq!(tokens(&again), tokens(&once));
    assert_eq!(ids(&held(&again)), "3 4");
}

fn nothing_is_done_twice(w: &World) {
    let all = w.add_all([job(), job(), job()]);
    let first = w.take(2);
    let exchange = w.exchange_of(vec![first[0].retry(), first[1].complete()], 1);
    w.send(&exchange);
    let before = w.shown();
    w.told();
    for _ in 0..3 {
        w.send(&exchange);
    }
    assert_eq!(w.shown(), before);
    assert!(w.told().is_empty());
    assert_eq!((w.record(&all[0]).attempts_made, w.record(&all[2]).attempts_started), (1, 1));
}

fn a_job_that_has_left_is_not_handed_out_again(w: &World) {
    w.add_all([job(), job()]);
    let exchange = w.exchange_of(vec![], 2);
    let first = held(&w.send(&exchange));
    // Through another lane, as a closing worker might.
    let mut other = w.exchange_of(vec![first[0].complete()], 0);
    other.call.base = "other".into();
    w.send(&other);
    assert_eq!(ids(&held(&w.send(&exchange))), "2");
}

fn only_what_is_still_locked_by_it(w: &World) {
    w.add_all([job(), job(), job()]);
    let exchange = w.exchange_of(vec![], 3);
    w.send(&exchange);
    w.hands.lapse("1");
    w.hands.give_lock("2", "another:1");
    assert_eq!(ids(&held(&w.send(&exchange))), "3");
}

fn a_repeat_makes_the_lock_last_anew(w: &World) {
    w.add(job());
    let mut exchange = w.exchange_of(vec![], 1);
    w.send(&exchange);
    w.recover(1);
    exchange.lease.lock_duration *= 2;
    w.send(&exchange);
    let left = w.runtime.block_on(w.queue.held(1)).unwrap()[0].left.unwrap();
    assert!(left > super::world::LOCK, "{left:?}");
    w.hands.lapse("1");
    assert!(w.recover(1).is_empty(), "it is no suspect any more");
}

fn an_older_call_does_nothing(w: &World) {
    w.add_all([job(), job()]);
    let first = w.exchange_of(vec![], 1);
    let taken = held(&w.send(&first));
    w.exchange(vec![taken[0].put_back()], 0);
    let before = w.shown();
    assert!(w.try_send(&first).is_err());
    assert_eq!(w.shown(), before);
}

fn lanes_are_apart(w: &World) {
    w.add_all([job(), job()]);
    let mut exchange = w.exchange_of(vec![], 1);
    assert_eq!(ids(&held(&w.send(&exchange))), "1");
    exchange.call.base = "other".into();
    assert_eq!(ids(&held(&w.send(&exchange))), "2");
}

fn a_call_that_found_nothing_may_find_something(w: &World) {
    let exchange = w.exchange_of(vec![], 1);
    assert!(w.send(&exchange).jobs.is_empty());
    assert_eq!(w.add(job()).as_str(), "1");
    // Whether its repeat finds it is the store's affair; the next call does.
    let again = held(&w.send(&exchange));
    let next = w.take(1);
    assert_eq!(again.len() + next.len(), 1);
}
