//! Looking: pages, counts, who works here, which queues there are.

use super::cases;
use super::world::{World, id, job};
use crate::id::QueueName;
use crate::job::JobState;
use crate::store::change::Setting;
use crate::store::view::Page;

cases! {
    pages_from_both_ends,
    a_page_beyond_the_end_is_empty,
    looking_at_nothing,
    a_job_that_is_not_there,
    queues_are_listed_by_name,
    queues_are_apart,
    a_page_says_where_the_next_one_begins,
}

fn pages_from_both_ends(w: &World) {
    w.add_all((0..5).map(|_| job()));
    let page = |from, count, oldest_first| {
        let jobs = w.page(JobState::Waiting, from, count, oldest_first);
        jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(page(0, 2, true), "1 2");
    assert_eq!(page(2, 2, true), "3 4");
    assert_eq!(page(4, 9, true), "5");
    assert_eq!(page(0, 2, false), "5 4");
    assert_eq!(page(3, 9, false), "2 1");
}

fn a_page_beyond_the_end_is_empty(w: &World) {
    w.add(job());
    assert!(w.page(JobState::Waiting, 1, 9, true).is_empty());
    assert!(w.page(JobState::Waiting, 0, 0, true).is_empty());
    assert!(w.page(JobState::Waiting, u64::MAX >> 12, 9, false).is_empty());
}

fn looking_at_nothing(w: &World) {
    assert_eq!(w.shown(), "");
    assert!(w.told().is_empty());
    assert!(w.runtime.block_on(w.queue.held(9)).unwrap().is_empty());
    assert_eq!(w.runtime.block_on(w.queue.priorities(&[0, 1])).unwrap(), [0, 0]);
    assert!(w.runtime.block_on(w.store.queues()).unwrap().is_empty(), "a look makes no queue");
}

fn a_job_that_is_not_there(w: &World) {
    w.add(job().id("x"));
    for missing in ["nobody", "2", "x:y", "01", "-1"] {
        assert_eq!(w.state(&id(missing)), None, "{missing}");
        let logs = w.runtime.block_on(w.queue.logs(&id(missing), 0, 9)).unwrap();
        assert_eq!((logs.rows.len(), logs.total), (0, 0));
    }
}

fn queues_are_listed_by_name(w: &World) {
    w.add(job());
    for name in ["zebra", "ant"] {
        let queue = w.store.queue(&QueueName::new(name).unwrap(), None).unwrap();
        w.runtime.block_on(queue.configure(Setting::Pause)).unwrap();
    }
    let names = w.runtime.block_on(w.store.queues()).unwrap();
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ant", "q", "zebra"]);
}

fn queues_are_apart(w: &World) {
    w.add(job());
    let other = w.store.queue(&QueueName::new("other").unwrap(), None).unwrap();
    assert_eq!(w.runtime.block_on(other.overview()).unwrap(), crate::store::view::Overview::default());
    assert!(w.runtime.block_on(other.job(&id("1"))).unwrap().is_none());
    w.runtime.block_on(other.configure(Setting::Pause)).unwrap();
    assert_eq!(w.take(1).len(), 1);
}

fn a_page_says_where_the_next_one_begins(w: &World) {
    w.add_all((0..5).map(|_| job()));
    let next = |from, count| {
        let page = Page { state: JobState::Waiting, from, count, oldest_first: true };
        w.runtime.block_on(w.queue.page(&page)).unwrap().next
    };
    assert_eq!([next(0, 2), next(2, 2), next(4, 2), next(5, 2)], [2, 4, 5, 5]);
}
