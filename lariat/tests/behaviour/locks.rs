//! A lock that is lost stops its handler, and its result is never sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::wait;
use lariat::{CancelReason, Job, JobError, JobState, LossReason, WorkerBuilder, WorkerEvent};

use crate::fixture::{Fixture, Gate, SECOND, event, on_both_stores};

on_both_stores! {
    a_long_job_keeps_its_lock,
    a_stolen_lock_stops_the_handler_and_its_result_is_not_sent,
    a_handler_that_ignores_the_loss_is_dropped,
    trust_ends_without_an_answer_and_before_the_lock_does,
    a_lock_manager_of_ones_own_keeps_locks_of_a_queue,
    cancelling_reaches_the_run_that_counts,
    a_worker_whose_only_job_is_lost_is_idle_though_no_server_answers,
    a_result_that_comes_after_the_loss_is_not_sent on 3 threads,
    a_blocked_runtime_loses_no_lock on 2 threads,
}

fn short_lock(f: &Fixture) -> WorkerBuilder {
    f.worker().lock_duration(Duration::from_millis(800)).cancel_grace(Duration::from_millis(50))
}

async fn a_long_job_keeps_its_lock(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("long", &()).await.unwrap();
    let worker = short_lock(&f).start(gate.handler()).unwrap();
    gate.started().await;
    // Only renewals can have put off the lock's end so far.
    let token = f.lock_of("1");
    assert!(token.is_some());
    // sleep: three lock durations have to pass
    tokio::time::sleep(Duration::from_millis(2400)).await;
    assert_eq!(f.lock_of("1"), token);
    assert!(worker.smallest_trust().unwrap() > Duration::ZERO);
    let locks = worker.lock_metrics();
    assert!(locks.renewed >= 2 && locks.calls.ok >= 2 && locks.trust_left.min().is_some(), "{locks:?}");
    gate.open();
    f.until(&id, JobState::Completed).await;
}

async fn a_stolen_lock_stops_the_handler_and_its_result_is_not_sent(f: Fixture) {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let handler = move |job: Job| {
        let told = Arc::clone(&told);
        async move {
            let reason = job.cancelled().await;
            let refused = job.progress(&99).await.is_err();
            *told.lock().unwrap() = Some((reason, refused, job.lock_left()));
            Ok::<_, JobError>("not to be believed")
        }
    };
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = short_lock(&f).start(handler).unwrap();
    let mut events = worker.events();
    f.until(&id, JobState::Active).await;
    f.give_lock("1", "somebody-else");
    let reason = event(&mut events, |e| match e {
        WorkerEvent::LockLost { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert_eq!(reason, LossReason::Taken);
    wait::until_async("the slot is free", || async { worker.active().is_empty() }).await;
    worker.close(Duration::ZERO).await;
    while let Some(event) = events.next().await {
        assert!(!matches!(event, WorkerEvent::LockLost { .. }), "told twice");
    }
    let seen = seen.lock().unwrap().clone().unwrap();
    assert_eq!(seen, (CancelReason::LockLost(LossReason::Taken), true, Duration::ZERO));
    let job = f.job(&id).await;
    assert_eq!(job.state, Some(JobState::Active), "it is somebody else's now");
    assert!(job.record.return_value.is_none() && job.record.progress.is_none());
    assert_eq!(f.lock_of("1").as_deref(), Some("somebody-else"));
}

async fn a_result_that_comes_after_the_loss_is_not_sent(f: Fixture) {
    let handler = async |_: Job| {
        // sleep: blocks past the loss, and returns in the same poll: nobody could have stopped it
        std::thread::sleep(Duration::from_millis(1500));
        Ok::<_, JobError>("too late")
    };
    f.queue.add("x", &()).await.unwrap();
    let worker = short_lock(&f).concurrency(2).start(handler).unwrap();
    let mut events = worker.events();
    event(&mut events, |e| matches!(e, WorkerEvent::Active { .. }).then_some(())).await;
    f.give_lock("1", "somebody-else");
    let told = event(&mut events, |e| match e {
        WorkerEvent::LockLost { reason, .. } => Some(Ok(reason)),
        WorkerEvent::ResultRefused { why, .. } => Some(Err(why)),
        _ => None,
    });
    assert_eq!(told.await, Ok(LossReason::Taken));
    let closed = worker.close(Duration::ZERO).await;
    assert_eq!((closed.handed_back, closed.unsettled), (0, 0));
}

async fn a_handler_that_ignores_the_loss_is_dropped(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = short_lock(&f).start(gate.handler()).unwrap();
    gate.started().await;
    f.drop_lock("1");
    wait::until_async("the handler is gone", || async { worker.active().is_empty() }).await;
    gate.open();
    assert!(gate.ended.lock().unwrap().is_empty());
    assert_eq!(f.state(&id).await, Some(JobState::Active), "left for the search for stalled jobs");
}

async fn trust_ends_without_an_answer_and_before_the_lock_does(f: Fixture) {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let handler = move |job: Job| {
        let told = Arc::clone(&told);
        async move {
            let reason = job.cancelled().await;
            *told.lock().unwrap() = Some(reason);
            Ok::<_, JobError>("not to be believed")
        }
    };
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = short_lock(&f).start(handler).unwrap();
    f.until(&id, JobState::Active).await;
    // Or it would take the job again as soon as it has put it back.
    worker.quiet();
    f.freeze();
    wait::until_async("the handler was told", || async { seen.lock().unwrap().is_some() }).await;
    assert_eq!(*seen.lock().unwrap(), Some(CancelReason::LockLost(LossReason::Expired)));
    f.thaw();
    wait::until_async("the slot is free", || async { worker.active().is_empty() }).await;
    let record = f.job(&id).await.record;
    assert!(record.return_value.is_none() && record.finished_on.is_none(), "its result was not sent");
    assert_eq!(record.attempts_made, 0);
}

async fn a_blocked_runtime_loses_no_lock(f: Fixture) {
    let handler = async |_: Job| {
        // sleep: blocks every thread that the runtime has for three lock durations
        std::thread::sleep(Duration::from_millis(2400));
        Ok::<_, JobError>("kept")
    };
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(f.queue.add("block", &n).await.unwrap());
    }
    let worker = short_lock(&f).concurrency(4).start(handler).unwrap();
    let mut events = worker.events();
    for id in &ids {
        let job = f.until(id, JobState::Completed).await.record;
        assert_eq!(job.attempts_started, 1, "job {id} ran once");
    }
    drop(worker);
    while let Some(event) = events.next().await {
        assert!(!matches!(event, WorkerEvent::LockLost { .. } | WorkerEvent::ResultRefused { .. }), "{event:?}");
    }
}

/// The manager alone, on locks that somebody else's worker loop has taken.
async fn a_lock_manager_of_ones_own_keeps_locks_of_a_queue(f: Fixture) {
    f.queue.add("x", &()).await.unwrap();
    f.abandon_next();
    f.give_lock("1", "my-token");
    f.suspect("1");
    let locks = lariat_lock::LockManager::builder(f.store.locks("mail").unwrap())
        .lock_duration(Duration::from_secs(1))
        .start()
        .unwrap();
    let guard = locks.track_job("1", "my-token", lariat_lock::Instant::now()).unwrap();
    // sleep: two lock durations have to pass
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(f.lock_of("1").as_deref(), Some("my-token"));
    assert!(!f.is_suspect("1"), "a renewed lock is no suspect");
    f.drop_lock("1");
    assert_eq!(guard.lost().await, LossReason::Missing);
    locks.stop(Duration::ZERO).await;
}

async fn cancelling_reaches_the_run_that_counts(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = f.worker().concurrency(2).lock_duration(3600 * SECOND).lock_renew_time(Duration::from_millis(20));
    let worker = worker.cancel_grace(60 * SECOND).stalled_interval(Duration::from_millis(50)).max_stalled(9);
    let worker = worker.start(gate.handler()).unwrap();
    gate.started().await;
    f.drop_lock("1");
    // The first run has its grace, while the job is found and run again.
    assert_eq!(*gate.started().await.id(), id);
    assert_eq!(worker.active().len(), 2, "both runs are here");
    assert!(worker.cancel(&id, "the customer left"));
    gate.open();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!(job.failed_reason.as_deref(), Some("the customer left"));
}

async fn a_worker_whose_only_job_is_lost_is_idle_though_no_server_answers(f: Fixture) {
    let gate = Gate::new();
    f.queue.add("x", &()).await.unwrap();
    let worker = short_lock(&f).start(gate.handler()).unwrap();
    let mut events = worker.events();
    gate.started().await;
    assert!(!worker.is_idle());
    f.drop_lock("1");
    event(&mut events, |e| matches!(e, WorkerEvent::LockLost { .. }).then_some(())).await;
    f.freeze();
    wait::until_async("it is idle", || async { worker.is_idle() }).await;
    f.thaw();
}
