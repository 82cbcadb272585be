//! Ends counted by the minute.

use super::cases;
use super::world::{World, job};
use crate::job::JobState;
use crate::store::view::Metrics;

cases! {
    by_the_minute,
    completed_and_failed_apart,
    no_more_points_than_asked_for,
    none_where_none_are_kept,
    a_job_that_is_not_kept_counts_too,
}

fn end(w: &World, points: Option<u32>, fail: bool, keep: crate::job::Keep) {
    w.add(job());
    let held = w.one();
    let outcome = if fail { held.fail_with("boom", keep, 1) } else { held.complete_with("1", keep) };
    let mut exchange = w.exchange_of(vec![outcome], 0);
    exchange.metrics = points;
    w.send(&exchange);
}

fn complete(w: &World, points: u32) {
    end(w, Some(points), false, crate::job::Keep::ALL);
}

fn metrics(w: &World, state: JobState) -> Metrics {
    w.runtime.block_on(w.queue.metrics(state, 1000)).unwrap()
}

fn by_the_minute(w: &World) {
    for _ in 0..3 {
        complete(w, 100);
    }
    w.pass(60_000);
    complete(w, 100);
    w.pass(180_000);
    complete(w, 100);
    let metrics = metrics(w, JobState::Completed);
    assert_eq!((metrics.total, metrics.written), (5, Some(w.now())));
    assert_eq!(metrics.per_minute[..4], [0, 0, 1, 3]);
}

fn completed_and_failed_apart(w: &World) {
    complete(w, 100);
    end(w, Some(100), true, crate::job::Keep::ALL);
    end(w, Some(100), true, crate::job::Keep::ALL);
    assert_eq!((metrics(w, JobState::Completed).total, metrics(w, JobState::Failed).total), (1, 2));
}

fn no_more_points_than_asked_for(w: &World) {
    for _ in 0..8 {
        complete(w, 3);
        w.pass(60_000);
    }
    let kept = metrics(w, JobState::Completed);
    assert!(kept.per_minute.len() <= 3, "{kept:?}");
    assert_eq!(kept.total, 8);
    let fewer = w.runtime.block_on(w.queue.metrics(JobState::Completed, 1)).unwrap();
    assert_eq!(fewer.per_minute, [1]);
}

fn none_where_none_are_kept(w: &World) {
    end(w, None, false, crate::job::Keep::ALL);
    assert_eq!(metrics(w, JobState::Completed), Metrics::default());
}

fn a_job_that_is_not_kept_counts_too(w: &World) {
    end(w, Some(5), false, crate::job::Keep::NONE);
    assert_eq!(metrics(w, JobState::Completed).total, 1);
}
