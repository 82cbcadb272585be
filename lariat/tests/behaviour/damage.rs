//! What is wrong in the store costs the job that it is wrong with, and nobody else.

use lariat::{JobError, JobId, JobState, WorkerEvent};

use crate::fixture::{Fixture, Gate, event};

#[tokio::test]
async fn data_that_is_no_json_fails_the_job_and_the_queue_goes_on() {
    let f = Fixture::redis();
    let bad = f.queue.add("bad", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    f.redis_says::<()>("HSET bull:mail:1 data {oops");
    let _worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    f.until(&good, JobState::Completed).await;
    interop::wait::until_async("the bad one failed", || async {
        f.redis_says::<Option<f64>>("ZSCORE bull:mail:failed 1").is_some()
    })
    .await;
    let reason: String = f.redis_says("HGET bull:mail:1 failedReason");
    assert!(reason.contains("data"), "{reason}");
    drop(bad);
}

#[tokio::test]
async fn a_listed_id_without_a_record_is_dropped_and_said() {
    let f = Fixture::redis();
    f.queue.add("gone", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    f.redis_says::<()>("DEL bull:mail:1");
    let gate = Gate::new();
    let worker = f.worker().start(gate.handler()).unwrap();
    let mut events = worker.events();
    gate.open();
    f.until(&good, JobState::Completed).await;
    let id = event(&mut events, |e| match e {
        WorkerEvent::Dropped { id, .. } => Some(id),
        _ => None,
    });
    if f.redis_says::<u32>("LLEN bull:mail:active") == 0 {
        assert_eq!(f.redis_says::<u32>("EXISTS bull:mail:1"), 0, "no ghost was made");
    }
    assert_eq!(id.await, "1");
}

#[tokio::test]
async fn a_record_of_the_wrong_type_costs_only_itself() {
    let f = Fixture::redis();
    f.queue.add("odd", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    f.redis_says::<()>("DEL bull:mail:1");
    f.redis_says::<()>("SET bull:mail:1 text");
    let _worker = f.worker().concurrency(4).start(async |_| Ok::<_, JobError>(())).unwrap();
    f.until(&good, JobState::Completed).await;
    interop::wait::until("it is out of the way", || f.redis_says::<u32>("LLEN bull:mail:active") == 0);
}

#[tokio::test]
async fn a_schedulers_job_is_handed_back_and_the_worker_says_why_it_stops() {
    let f = Fixture::redis();
    let id = f.queue.add("tick", &()).await.unwrap();
    f.redis_says::<()>("HSET bull:mail:1 rjk every-minute");
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    let closed = worker.stopped().await;
    assert!(closed.why.unwrap().contains("every-minute"));
    let job = f.job(&id).await;
    assert_eq!((job.state, job.record.attempts_made), (Some(JobState::Waiting), 0));
}

#[tokio::test]
async fn a_job_that_was_to_fail_is_failed_without_being_run() {
    let f = Fixture::redis();
    let id: JobId = f.queue.add("x", &()).attempts(5).await.unwrap();
    f.redis_says::<()>("HSET bull:mail:1 defa doomed");
    let gate = Gate::new();
    let _worker = f.worker().start(gate.handler()).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!((job.failed_reason.as_deref(), job.deferred_failure), (Some("doomed"), None));
}
