//! Waiting for work.

use std::future::Future;
use std::time::Duration;

use super::world::{World, id, job};
use super::{PATIENCE, cases};
use crate::id::JobId;
use crate::store::change::{Change, ChangeJob, Setting};
use crate::store::exchange::Woken;

cases! {
    what_is_ready_ends_it_at_once,
    nothing_came,
    an_add_ends_it,
    a_job_that_comes_back_ends_it,
    a_promotion_ends_it,
    a_resume_ends_it,
    work_that_may_not_start_does_not,
    who_closes_wakes_another,
    a_retry_by_hand_ends_it,
    a_parent_set_free_ends_it,
    a_due_time_ends_it,
    a_parent_set_free_where_none_may_start_does_not,
    what_is_left_wakes_another,
    one_that_comes_back_where_none_may_start_does_not,
}

/// Waits, and does something meanwhile.
fn woken<T>(w: &World, step: impl Future<Output = T>) -> Woken {
    w.runtime.block_on(async {
        let waiting = w.queue.wait(PATIENCE);
        tokio::pin!(waiting);
        // It is under way before anything happens.
        assert!(tokio::time::timeout(Duration::from_millis(30), &mut waiting).await.is_err(), "it waits");
        step.await;
        waiting.await.unwrap()
    })
}

fn waits(w: &World, longest: Duration) -> Woken {
    w.runtime.block_on(w.queue.wait(longest)).unwrap()
}

/// Uses up what an earlier step has left to wake somebody with.
fn use_up(w: &World) {
    while waits(w, Duration::from_millis(20)) != Woken::TimedOut {
        w.exchange(vec![], 0);
    }
}

fn what_is_ready_ends_it_at_once(w: &World) {
    w.add(job());
    assert_eq!(waits(w, PATIENCE), Woken::Ready);
}

fn nothing_came(w: &World) {
    assert_eq!(waits(w, Duration::from_millis(30)), Woken::TimedOut);
}

fn an_add_ends_it(w: &World) {
    for new in [job(), job().priority(3), job().lifo()] {
        let add = crate::store::change::Add { call: w.call("adds"), jobs: vec![w.to_add(new)].into() };
        assert_eq!(woken(w, w.queue.add(&add)), Woken::Ready);
        w.one();
        use_up(w);
    }
}

fn a_job_that_comes_back_ends_it(w: &World) {
    w.add(job());
    for back in [super::world::Held::put_back, super::world::Held::retry] {
        let held = w.one();
        use_up(w);
        let exchange = w.exchange_of(vec![back(&held)], 0);
        assert_eq!(woken(w, w.queue.exchange(&exchange, PATIENCE)), Woken::Ready);
    }
}

/// A store may go by the clock of the machine as to what is due.
fn at_this_time(w: &World) {
    w.pass(crate::time::Timestamp::now().as_millis() - w.now().as_millis());
}

fn a_promotion_ends_it(w: &World) {
    at_this_time(w);
    let id = w.add(job().delay(3_600_000));
    use_up_due(w);
    let change = crate::store::change::ChangeJob { id, now: w.now(), holder: None, change: Change::Promote };
    assert_eq!(woken(w, w.queue.change(&change)), Woken::Ready);
}

/// A store may say at once when the next job is due.
fn use_up_due(w: &World) {
    for _ in 0..5 {
        if waits(w, Duration::from_millis(20)) == Woken::TimedOut {
            return;
        }
    }
    panic!("it never waits");
}

fn a_resume_ends_it(w: &World) {
    w.configure(Setting::Pause);
    w.add(job());
    use_up(w);
    assert_eq!(woken(w, w.queue.configure(Setting::Resume)), Woken::Ready);
}

fn work_that_may_not_start_does_not(w: &World) {
    w.configure(Setting::Pause);
    w.add_all([job(), job().priority(1)]);
    assert_eq!(waits(w, Duration::from_millis(50)), Woken::TimedOut);
}

fn who_closes_wakes_another(w: &World) {
    w.add(job());
    assert_eq!(waits(w, PATIENCE), Woken::Ready);
    let mut closing = w.exchange_of(vec![], 0);
    closing.wake_another = true;
    w.send(&closing);
    assert_eq!(waits(w, PATIENCE), Woken::Ready);
}

fn a_retry_by_hand_ends_it(w: &World) {
    let id = w.add(job());
    w.accept(w.one().fail());
    use_up(w);
    let change = again(w, &id, Change::Reprocess { from: None, reset_made: false, reset_started: false });
    assert_eq!(woken(w, w.queue.change(&change)), Woken::Ready);
}

fn again(w: &World, id: &JobId, change: Change) -> ChangeJob {
    ChangeJob { id: id.clone(), now: w.now(), holder: None, change }
}

/// A parent that waits for a child, which is held, and for another one, which is delayed; nobody is to be woken.
fn family(w: &World) -> super::world::Held {
    at_this_time(w);
    w.add_all([job(), job(), job().delay(3_600_000)]);
    w.hands.adopt("1", "2", "");
    w.hands.adopt("1", "3", "");
    let mut held = w.take(2);
    w.accept(held.remove(0).wait_for_children());
    use_up(w);
    held.remove(0)
}

fn a_parent_set_free_ends_it(w: &World) {
    let child = family(w);
    let remove = again(w, &id("3"), Change::Remove { children: false });
    w.runtime.block_on(w.queue.change(&remove)).unwrap();
    use_up(w);
    let end = w.exchange_of(vec![child.complete()], 0);
    assert_eq!(woken(w, w.queue.exchange(&end, PATIENCE)), Woken::Ready);
    w.accept(w.one().complete());

    w.add_all([job(), job().delay(3_600_000)]);
    w.hands.adopt("4", "5", "");
    w.accept(w.one().wait_for_children());
    use_up(w);
    let remove = again(w, &id("5"), Change::Remove { children: false });
    assert_eq!(woken(w, w.queue.change(&remove)), Woken::Ready, "its child is removed");
}

fn a_parent_set_free_where_none_may_start_does_not(w: &World) {
    let child = family(w);
    w.accept(child.complete());
    w.add(job());
    w.one();
    w.configure(Setting::Concurrency(Some(1)));
    use_up(w);
    w.change(&id("3"), Change::Remove { children: false }).unwrap();
    assert_eq!(w.shown(), "waiting 1, active 4, completed 2");
    assert_eq!(waits(w, Duration::from_millis(50)), Woken::TimedOut, "as many run as may");
    w.add(job());
    assert_eq!(waits(w, Duration::from_millis(50)), Woken::TimedOut);

    w.configure(Setting::Concurrency(None));
    w.add(job().delay(3_600_000));
    w.hands.adopt("1", "6", "");
    w.accept(w.one().wait_for_children());
    w.configure(Setting::Pause);
    use_up(w);
    w.change(&id("6"), Change::Remove { children: false }).unwrap();
    assert_eq!(waits(w, Duration::from_millis(50)), Woken::TimedOut, "it is paused");
}

fn a_due_time_ends_it(w: &World) {
    at_this_time(w);
    let in_5_s = |step: &str| {
        assert_eq!(waits(w, PATIENCE), Woken::DueAt(w.now().after(Duration::from_secs(5))), "{step}");
        w.pass(3_600_000);
        let held = w.one();
        w.pass(-3_600_000);
        held
    };
    w.add(job().delay(5_000));
    let held = in_5_s("added");
    use_up(w);
    w.accept(held.delay(5_000));
    w.accept(in_5_s("delayed").complete());
    use_up(w);
    let id = w.add(job().delay(3_600_000));
    use_up_due(w);
    w.change(&id, Change::Delay(Duration::from_secs(5))).unwrap();
    w.accept(in_5_s("changed").complete());
    w.configure(Setting::Pause);
    w.add(job().delay(5_000));
    use_up_due(w);
    w.configure(Setting::Resume);
    w.accept(in_5_s("resumed").complete());
    w.add_all([job(), job()]);
    w.hands.adopt("4", "5", "");
    w.hands.put_off("4", 5_000);
    let mut held = w.take(2);
    w.accept(held.remove(0).wait_for_children());
    use_up(w);
    w.accept(held.remove(0).complete());
    in_5_s("set free");
}

fn what_is_left_wakes_another(w: &World) {
    w.add_all([job(), job()]);
    assert_eq!(waits(w, PATIENCE), Woken::Ready);
    w.one();
    assert_eq!(waits(w, PATIENCE), Woken::Ready);
}

fn one_that_comes_back_where_none_may_start_does_not(w: &World) {
    w.add(job());
    for back in [super::world::Held::put_back, super::world::Held::retry] {
        let held = w.one();
        w.configure(Setting::Pause);
        use_up(w);
        w.accept(back(&held));
        assert_eq!(waits(w, Duration::from_millis(50)), Woken::TimedOut);
        w.configure(Setting::Resume);
    }
}
