//! The search for stalled jobs: suspected first, put back when the next search finds them still without a lock.

use super::cases;
use super::world::{LOCK, World, id, ids, job, ms};
use crate::store::exchange::Recover;

cases! {
    one_without_a_lock_is_put_back_by_the_second_search,
    one_that_is_held_is_let_be,
    one_whose_lock_was_renewed_is_no_suspect,
    to_the_front_of_all,
    too_often_is_a_failure_in_waiting,
    each_job_has_a_count_of_its_own,
    it_is_told,
    one_search_per_interval,
    a_large_queue_is_searched_to_its_end,
    an_outcome_after_it_is_refused,
    an_empty_queue_has_none,
    only_one_that_was_suspected,
    one_of_a_scheduler_never_too_often,
    one_that_is_to_fail_still_is,
    more_than_one_slice_can_hold,
    one_that_came_back_by_itself_is_no_suspect,
}

fn one_without_a_lock_is_put_back_by_the_second_search(w: &World) {
    let id = w.add(job());
    w.one();
    w.hands.lapse("1");
    assert!(w.recover(1).is_empty(), "it is suspected only");
    assert_eq!(w.recover(1), ["1"]);
    assert_eq!(w.shown(), "waiting 1");
    let record = w.record(&id);
    assert_eq!((record.stalled_counter, record.attempts_made, record.attempts_started), (1, 0, 1));
}

fn one_that_is_held_is_let_be(w: &World) {
    w.add_all([job(), job()]);
    let held = w.take(2);
    for _ in 0..3 {
        assert!(w.recover(1).is_empty());
    }
    w.hands.lapse("2");
    assert_eq!(w.recover(1), ["2"]);
    w.accept(held[0].complete());
}

fn one_whose_lock_was_renewed_is_no_suspect(w: &World) {
    w.add(job());
    let held = w.one();
    w.recover(1);
    let verdicts = w.runtime.block_on(w.locks.extend(&[held.claim()], LOCK)).unwrap();
    assert_eq!(verdicts, [lariat_lock::Verdict::Extended]);
    w.hands.lapse("1");
    assert!(w.recover(1).is_empty(), "it has to be suspected anew");
    assert_eq!(w.recover(1), ["1"]);
}

fn to_the_front_of_all(w: &World) {
    w.add_all([job().priority(5), job(), job().delay(900)]);
    let held = w.take(2);
    w.accept(held[0].put_back());
    w.hands.lapse("1");
    w.recover(1);
    w.add(job());
    assert_eq!(w.recover(1), ["1"]);
    assert_eq!(ids(&w.take(9)), "1 2 4");
}

fn too_often_is_a_failure_in_waiting(w: &World) {
    let id = w.add(job());
    for stalls in 1..=2 {
        let held = w.one();
        assert_eq!(held.record.deferred_failure, None);
        w.hands.lapse("1");
        w.recover(1);
        w.recover(1);
        assert_eq!(w.record(&id).stalled_counter, stalls);
    }
    let held = w.one();
    assert_eq!(held.record.deferred_failure.as_deref(), Some("job stalled more than allowable limit"));
    w.accept(held.fail());
    assert_eq!(w.shown(), "failed 1");
}

fn each_job_has_a_count_of_its_own(w: &World) {
    w.add_all([job(), job()]);
    for id in ["1", "2"] {
        w.one();
        w.hands.lapse(id);
        w.recover(1);
        assert_eq!(w.recover(1), [id]);
        let held = w.one();
        assert_eq!((held.id.as_str(), held.record.deferred_failure.as_deref()), (id, None));
        w.accept(held.complete());
    }
}

fn it_is_told(w: &World) {
    w.add(job());
    w.one();
    w.hands.lapse("1");
    w.recover(1);
    w.told();
    w.recover(1);
    assert_eq!(w.told(), ["waiting jobId=1 prev=active", "stalled jobId=1"]);
}

fn one_search_per_interval(w: &World) {
    w.add(job());
    w.one();
    w.hands.lapse("1");
    let recover = Recover { now: w.now(), max_stalled: 1, interval: LOCK, after: None };
    let search = || w.runtime.block_on(w.queue.recover(&recover)).unwrap();
    w.recover(1);
    // Too soon: somebody has just searched.
    let slice = search();
    assert!(slice.ids.is_empty() && slice.more.is_none());
    assert_eq!(w.shown(), "active 1");
    w.hands.forget_search();
    assert_eq!(search().ids, [id("1")]);
}

fn a_large_queue_is_searched_to_its_end(w: &World) {
    w.add_all((0..450).map(|_| job()));
    let mut taken = Vec::new();
    while taken.len() < 450 {
        taken.extend(w.take(64));
    }
    // All but a few are given up.
    for held in taken.iter().step_by(2) {
        w.hands.lapse(held.id.as_str());
    }
    assert!(w.recover(1).is_empty());
    assert_eq!(w.recover(1).len(), 225);
    let counts = w.overview().counts;
    assert_eq!((counts.waiting, counts.active), (225, 225));
}

fn an_outcome_after_it_is_refused(w: &World) {
    w.add(job());
    let late = w.one();
    w.hands.lapse("1");
    w.recover(1);
    w.recover(1);
    let refused = |refusal| crate::store::exchange::Verdict::Refused(refusal);
    assert_eq!(w.settle(late.complete()), refused(crate::error::Refusal::MissingLock));
    let held = w.one();
    assert_eq!(w.settle(late.complete()), refused(crate::error::Refusal::LockTaken));
    w.accept(held.complete());
}

fn an_empty_queue_has_none(w: &World) {
    assert!(w.recover(1).is_empty());
    w.add(job());
    assert!(w.recover(1).is_empty());
    assert_eq!(w.shown(), "waiting 1");
}

fn only_one_that_was_suspected(w: &World) {
    w.add_all([job(), job()]);
    w.one();
    w.recover(1);
    w.one();
    w.hands.lapse("1");
    w.hands.lapse("2");
    assert_eq!(w.recover(1), ["1"]);
    assert_eq!(w.shown(), "waiting 1, active 2");
}

fn one_of_a_scheduler_never_too_often(w: &World) {
    w.add(job());
    w.hands.schedule("1", "nightly");
    for _ in 0..3 {
        assert_eq!(w.one().record.deferred_failure, None);
        w.hands.lapse("1");
        w.recover(1);
        assert_eq!(w.recover(1), ["1"]);
    }
}

fn one_that_is_to_fail_still_is(w: &World) {
    w.add(job());
    w.hands.doom("1", "doomed");
    w.one();
    w.hands.lapse("1");
    w.recover(5);
    w.recover(5);
    assert_eq!(w.one().record.deferred_failure.as_deref(), Some("doomed"));
}

fn more_than_one_slice_can_hold(w: &World) {
    const HELD: usize = 2_050;
    const GIVEN_UP: usize = 300;
    w.add_all((0..HELD + GIVEN_UP).map(|_| job()));
    let take = |most: usize, lock_duration| {
        let mut taken = 0;
        while taken < most {
            let mut exchange = w.exchange_of(vec![], (most - taken).min(64));
            exchange.lease.lock_duration = lock_duration;
            taken += w.send(&exchange).jobs.len();
        }
    };
    take(HELD, LOCK);
    take(GIVEN_UP, ms(1));
    let newest = || w.runtime.block_on(w.queue.held(u64::MAX >> 12)).unwrap().pop().unwrap();
    interop::wait::until("the locks have lapsed", || newest().left.is_none());
    assert!(w.recover(1).is_empty());
    assert_eq!(w.recover(1).len(), GIVEN_UP);
    let counts = w.overview().counts;
    assert_eq!((counts.waiting, counts.active), (GIVEN_UP as u64, HELD as u64));
}

fn one_that_came_back_by_itself_is_no_suspect(w: &World) {
    w.add(job());
    let held = w.one();
    w.recover(1);
    w.accept(held.put_back());
    w.one();
    w.hands.lapse("1");
    assert!(w.recover(1).is_empty(), "this run of it was not suspected");
    assert_eq!(w.recover(1), ["1"]);
}
