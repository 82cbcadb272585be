//! Jobs whose worker is gone.

use std::time::Duration;

use lariat::{JobError, JobState, WorkerEvent};

use crate::fixture::{Fixture, event};

#[tokio::test]
async fn a_job_without_a_lock_is_found_and_run() {
    let f = Fixture::start();
    let id = f.queue.add("x", &()).await.unwrap();
    // A worker that died: the job is active, its lock has lapsed.
    f.redis::<()>("RPOPLPUSH bull:mail:wait bull:mail:active");
    f.redis::<()>("DEL bull:mail:marker");
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

#[tokio::test]
async fn a_job_that_stalls_too_often_fails() {
    let f = Fixture::start();
    let id = f.queue.add("x", &()).await.unwrap();
    f.redis::<()>("RPOPLPUSH bull:mail:wait bull:mail:active");
    let interval = Duration::from_millis(100);
    let _worker = f.worker().stalled_interval(interval).max_stalled(0).start(async |_| Ok::<_, JobError>(())).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!(job.failed_reason.as_deref(), Some("job stalled more than allowable limit"));
}
