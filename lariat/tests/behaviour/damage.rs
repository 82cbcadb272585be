//! What is wrong in the store costs the job that it is wrong with, and nobody else.

use interop::wait;
use lariat::{ErrorKind, JobError, JobId, JobState, WorkerEvent};

use crate::fixture::{Fixture, Gate, event, on_both_stores};

on_both_stores! {
    a_job_that_was_to_fail_is_failed_without_being_run,
    a_schedulers_job_is_handed_back_and_the_worker_says_why_it_stops,
    data_that_is_no_json_fails_the_job_and_the_queue_goes_on,
    a_listed_id_without_a_record_is_dropped_and_said,
    a_record_that_is_none_costs_only_itself,
}

async fn data_that_is_no_json_fails_the_job_and_the_queue_goes_on(f: Fixture) {
    let bad = f.queue.add("bad", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    f.break_data("1");
    let _worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    f.until(&good, JobState::Completed).await;
    wait::until_async("the bad one failed", || async { f.queue.overview().await.unwrap().counts.failed == 1 }).await;
    let reason = f.failed_reason("1");
    assert!(reason.contains("data"), "{reason}");
    drop(bad);
}

async fn a_listed_id_without_a_record_is_dropped_and_said(f: Fixture) {
    f.queue.add("gone", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    f.lose_record("1");
    let gate = Gate::new();
    let worker = f.worker().start(gate.handler()).unwrap();
    let mut events = worker.events();
    gate.open();
    f.until(&good, JobState::Completed).await;
    let id = event(&mut events, |e| match e {
        WorkerEvent::Dropped { id, .. } => Some(id),
        _ => None,
    });
    assert_eq!(id.await, "1");
    let counts = f.queue.overview().await.unwrap().counts;
    assert_eq!((counts.waiting, counts.active, counts.failed), (0, 0, 0));
    assert!(f.has_no_trace_of("1"), "no ghost was made");
}

/// On Redis only: who adds to a file gives no id that is not checked.
#[tokio::test]
async fn an_id_that_cannot_be_named_does_not_hold_up_the_worker() {
    let f = Fixture::on_redis();
    f.redis::<()>("HSET bull:mail: name n data 1");
    f.redis::<()>("LPUSH bull:mail:wait ");
    let good = f.queue.add("good", &()).await.unwrap();
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    let mut events = worker.events();
    f.until(&good, JobState::Completed).await;
    let why = event(&mut events, |e| match e {
        WorkerEvent::Dropped { why, .. } => Some(why),
        _ => None,
    });
    assert!(why.await.contains("empty"));
}

async fn a_record_that_is_none_costs_only_itself(f: Fixture) {
    f.queue.add("odd", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    f.garble("1");
    let _worker = f.worker().concurrency(4).start(async |_| Ok::<_, JobError>(())).unwrap();
    f.until(&good, JobState::Completed).await;
    let counts = || async { f.queue.overview().await.unwrap().counts };
    wait::until_async("it is out of the way", || async { counts().await.active == 0 }).await;
    for state in JobState::ALL {
        f.queue.jobs(state, 0, 9).await.unwrap();
    }
}

async fn a_schedulers_job_is_handed_back_and_the_worker_says_why_it_stops(f: Fixture) {
    let id = f.queue.add("tick", &()).await.unwrap();
    f.schedule("1", "every-minute");
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    let closed = worker.stopped().await;
    let why = closed.why.unwrap();
    assert_eq!(why.kind(), ErrorKind::Unsupported);
    assert!(why.to_string().contains("every-minute"), "{why}");
    let job = f.job(&id).await;
    assert_eq!((job.state, job.record.attempts_made), (Some(JobState::Waiting), 0));
}

async fn a_job_that_was_to_fail_is_failed_without_being_run(f: Fixture) {
    let id: JobId = f.queue.add("x", &()).attempts(5).await.unwrap();
    f.doom("1", "doomed");
    let gate = Gate::new();
    let _worker = f.worker().start(gate.handler()).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!((job.failed_reason.as_deref(), job.deferred_failure), (Some("doomed"), None));
}
