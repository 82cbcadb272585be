//! Waiting for work.

use std::future::Future;
use std::time::Duration;

use super::world::{World, job};
use super::{PATIENCE, cases};
use crate::store::change::{Change, Setting};
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

fn a_promotion_ends_it(w: &World) {
    w.pass(crate::time::Timestamp::now().as_millis() - w.now().as_millis());
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
