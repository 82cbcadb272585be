//! Deleting what a queue without jobs has left.

use super::cases;
use super::world::{World, job};
use crate::job::JobState;
use crate::store::change::{Change, Setting};
use crate::store::view::Overview;

cases! {
    not_one_with_jobs,
    one_that_never_was,
    a_forgotten_queue_begins_anew,
}

fn forget(w: &World) -> bool {
    w.runtime.block_on(w.queue.forget()).unwrap()
}

fn not_one_with_jobs(w: &World) {
    w.add_all([job(), job().delay(900), job().priority(2), job(), job(), job()]);
    w.hands.adopt("1", "2", "");
    let held = w.take(4);
    w.accept(held[0].wait_for_children());
    w.exchange(vec![held[1].complete(), held[2].fail()], 0);
    let mut left = w.shown();
    assert_eq!(left, "active 6, delayed 2, prioritized 3, completed 4, failed 5, waiting-children 1");
    // One state after the other is the only one.
    w.hands.lapse("6");
    for only in [3, 6, 4, 5, 2, 1] {
        assert!(!forget(w), "{left}");
        w.change(&super::world::id(&only.to_string()), Change::Remove { children: false }).unwrap();
        left = w.shown();
    }
    assert!(forget(w));
}

fn one_that_never_was(w: &World) {
    assert!(forget(w));
    assert_eq!(w.overview(), Overview::default());
}

fn a_forgotten_queue_begins_anew(w: &World) {
    w.configure(Setting::Concurrency(Some(3)));
    w.configure(Setting::Pause);
    w.configure(Setting::Resume);
    let end = |fail: bool| {
        let id = w.add(job());
        let held = w.one();
        let mut exchange = w.exchange_of(vec![if fail { held.fail() } else { held.complete() }], 0);
        exchange.metrics = Some(10);
        w.send(&exchange);
        id
    };
    for id in [end(false), end(true)] {
        w.change(&id, Change::Remove { children: true }).unwrap();
    }
    w.told();
    assert!(forget(w));
    assert!(w.runtime.block_on(w.store.queues()).unwrap().is_empty());
    assert_eq!(w.overview(), Overview::default());
    assert_eq!(end(false).as_str(), "1");
    let total = |state| w.runtime.block_on(w.queue.metrics(state, 9)).unwrap().total;
    assert_eq!((total(JobState::Completed), total(JobState::Failed)), (1, 0));
    let told = w.told();
    assert_eq!(told.first().map(String::as_str), Some("added jobId=1 name=n"), "who listened goes on: {told:?}");
}
