//! Jobs whose worker is gone.

use std::time::Duration;

use lariat::{JobError, JobState, WorkerEvent};

use crate::fixture::{Fixture, event, on_both_stores};

on_both_stores! {
    a_job_without_a_lock_is_found_and_run,
    a_job_that_stalls_too_often_fails,
}

async fn a_job_without_a_lock_is_found_and_run(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    // A worker that died: the job is active, its lock has lapsed.
    f.abandon_next();
    let interval = Duration::from_millis(100);
    let worker = f.worker().stalled_interval(interval).start(async |_| Ok::<_, JobError>(())).unwrap();
    let mut events = worker.events();
    let ids = event(&mut events, |e| match e {
        WorkerEvent::Stalled { ids } => Some(ids),
        _ => None,
    })
    .await;
    assert_eq!(ids, std::slice::from_ref(&id));
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!((job.stalled_counter, job.attempts_made), (1, 1));
}

async fn a_job_that_stalls_too_often_fails(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    f.abandon_next();
    let interval = Duration::from_millis(100);
    let _worker = f.worker().stalled_interval(interval).max_stalled(0).start(async |_| Ok::<_, JobError>(())).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!(job.failed_reason.as_deref(), Some("job stalled more than allowable limit"));
}
