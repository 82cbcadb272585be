//! Deleting what a queue without jobs has left.

use super::cases;
use super::world::{World, id, job};
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
    let remove = |job: &str| w.change(&id(job), Change::Remove { children: false }).unwrap();
    for state in JobState::ALL {
        let alone = match state {
            JobState::Delayed => w.add(job().delay(900)),
            JobState::Prioritized => w.add(job().priority(2)),
            _ => w.add(job()),
        };
        match state {
            JobState::Active => w.hands.lapse(w.one().id.as_str()),
            JobState::Completed => w.accept(w.one().complete()),
            JobState::Failed => w.accept(w.one().fail()),
            JobState::WaitingChildren => {
                let child = w.add(job().delay(900));
                w.hands.adopt(alone.as_str(), child.as_str(), "");
                w.accept(w.one().wait_for_children());
                w.hands.disown(child.as_str());
                remove(child.as_str());
            }
            _ => {}
        }
        assert_eq!(w.shown(), format!("{state} {alone}"));
        assert!(!forget(w), "{state}");
        remove(alone.as_str());
        assert!(forget(w), "{state}");
    }
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
