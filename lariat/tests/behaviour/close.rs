//! Closing: quiet, grace, hand back.

use std::time::Duration;

use interop::wait;
use lariat::{CancelReason, Job, JobError, JobState, NewJob, WorkerEvent};

use crate::fixture::{Fixture, Gate, SECOND, on_both_stores};

on_both_stores! {
    running_jobs_finish_within_the_grace,
    what_does_not_finish_goes_back_to_the_front_unspent_and_in_order,
    a_handler_that_returns_after_the_signal_is_believed,
    the_shortest_grace_counts,
    for_ever_is_a_grace_and_a_patience_like_any_other,
    events_end_with_the_worker_and_not_with_its_handle,
    dropping_a_worker_hands_its_jobs_back_too,
    an_idle_worker_does_not_wait_long_for_a_store_that_is_gone,
    a_handler_left_behind_is_counted_once_and_not_forgotten on 3 threads,
}

async fn running_jobs_finish_within_the_grace(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("x", &()).await.unwrap();
    let waiting = f.queue.add("y", &()).await.unwrap();
    let worker = f.worker().start(gate.handler()).unwrap();
    gate.started().await;
    let (closed, ()) = tokio::join!(worker.close(60 * SECOND), async { gate.open() });
    assert_eq!((closed.handed_back, closed.still_running, closed.unsettled, closed.why), (0, 0, 0, None));
    assert_eq!(f.state(&id).await, Some(JobState::Completed));
    assert_eq!(f.state(&waiting).await, Some(JobState::Waiting), "nothing new was taken");
}

async fn what_does_not_finish_goes_back_to_the_front_unspent_and_in_order(f: Fixture) {
    let gate = Gate::new();
    let ids = f.queue.add_bulk((0..5).map(|n| NewJob::new("n", &n))).await.unwrap();
    let worker = f.worker().concurrency(3).cancel_grace(Duration::from_millis(30)).start(gate.handler()).unwrap();
    for _ in 0..3 {
        gate.started().await;
    }
    let closed = worker.close(Duration::ZERO).await;
    assert_eq!((closed.handed_back, closed.still_running), (3, 0));
    assert_eq!(f.queue.overview().await.unwrap().counts.active, 0);
    for id in &ids[..3] {
        let record = f.job(id).await.record;
        assert_eq!((record.attempts_made, record.stalled_counter), (0, 0));
        assert_eq!(f.lock_of(id.as_str()), None);
    }
    let next = Gate::new();
    next.open();
    let _second = f.worker().start(next.handler()).unwrap();
    for id in &ids {
        assert_eq!(next.started().await.id(), id, "in the old order");
    }
}

async fn a_handler_that_returns_after_the_signal_is_believed(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let handler = async |job: Job| {
        assert_eq!(job.cancelled().await, CancelReason::Closing);
        Ok::<_, JobError>("just in time")
    };
    let worker = f.worker().cancel_grace(60 * SECOND).start(handler).unwrap();
    f.until(&id, JobState::Active).await;
    assert_eq!(worker.close(Duration::ZERO).await.handed_back, 0);
    assert_eq!(f.job(&id).await.record.return_value.unwrap().get(), "\"just in time\"");
}

async fn the_shortest_grace_counts(f: Fixture) {
    let gate = Gate::new();
    f.queue.add("x", &()).await.unwrap();
    let worker = f.worker().cancel_grace(Duration::from_millis(10)).start(gate.handler()).unwrap();
    gate.started().await;
    let (first, second) = tokio::join!(worker.close(3600 * SECOND), worker.close(Duration::ZERO));
    assert_eq!((first.handed_back, second.handed_back), (1, 1));
}

async fn an_idle_worker_does_not_wait_long_for_a_store_that_is_gone(mut f: Fixture) {
    let worker = f.worker().lock_duration(3600 * SECOND).start(async |_| Ok::<_, JobError>(())).unwrap();
    f.until_waited_for(0).await;
    f.go_away();
    // It would go on for a lock's duration, had it a result to hand in.
    let closed = tokio::time::timeout(wait::DEADLINE, worker.close(Duration::ZERO)).await.unwrap();
    assert_eq!((closed.handed_back, closed.unsettled), (0, 0));
}

async fn for_ever_is_a_grace_and_a_patience_like_any_other(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.clone().with_patience(Duration::MAX).add("x", &()).await.unwrap();
    let refused = f.worker().cancel_grace(Duration::MAX).start(gate.handler()).unwrap_err();
    assert!(refused.to_string().contains("cancel_grace"), "{refused}");
    let worker = f.worker().timeout(Duration::MAX).start(gate.handler()).unwrap();
    gate.started().await;
    let (closed, ()) = tokio::join!(worker.close(Duration::MAX), async { gate.open() });
    assert_eq!(closed.handed_back, 0);
    assert_eq!(f.state(&id).await, Some(JobState::Completed));
}

async fn events_end_with_the_worker_and_not_with_its_handle(f: Fixture) {
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    let mut events = worker.events();
    worker.close(SECOND).await;
    assert!(matches!(events.next().await, Some(WorkerEvent::Stopped { .. })));
    assert!(events.next().await.is_none());
    assert!(worker.events().next().await.is_none(), "also for those who come too late");
}

async fn dropping_a_worker_hands_its_jobs_back_too(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = f.worker().cancel_grace(Duration::from_millis(10)).start(gate.handler()).unwrap();
    gate.started().await;
    drop(worker);
    f.until(&id, JobState::Waiting).await;
}

/// On Redis only: a wait for a file pops nothing.
#[tokio::test]
async fn a_marker_popped_by_a_closing_worker_is_given_back() {
    let f = Fixture::on_redis();
    for _ in 0..20 {
        let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
        f.until_waited_for(0).await;
        // The marker goes to the waiting worker, which is closed before it can use it.
        let (id, closed) = tokio::join!(f.queue.add("x", &()), worker.close(SECOND));
        assert_eq!(closed.unsettled, 0);
        let id = id.unwrap();
        if f.state(&id).await == Some(JobState::Waiting) {
            assert_eq!(f.redis::<u32>("EXISTS bull:mail:marker"), 1, "nobody would look");
        }
        f.redis::<()>("FLUSHDB");
    }
}

async fn a_handler_left_behind_is_counted_once_and_not_forgotten(f: Fixture) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let handler = move |job: Job| {
        let blocks = if job.name() == "blocks" { released.lock().unwrap().take() } else { None };
        let tell = if job.name() == "blocks" { tell.lock().unwrap().take() } else { None };
        async move {
            if let Some(released) = blocks {
                tell.unwrap().send(()).unwrap();
                released.recv().ok();
            } else {
                job.cancelled().await;
            }
            Ok::<_, JobError>(())
        }
    };
    f.queue.add("blocks", &()).await.unwrap();
    let ends = f.queue.add("ends", &()).await.unwrap();
    let worker = f.worker().concurrency(2).cancel_grace(Duration::from_millis(10)).start(handler).unwrap();
    told.await.unwrap();
    f.until(&ends, JobState::Active).await;
    f.freeze();
    let closing = worker.close(Duration::ZERO);
    tokio::pin!(closing);
    // Told again and again while a result is on its way, past the time at which the blocked one is left behind.
    let mut times = 0;
    let closed = loop {
        tokio::select! {
            closed = &mut closing => break closed,
            // sleep: the pace of the repeats
            () = tokio::time::sleep(Duration::from_millis(10)) => worker.quiet(),
        }
        times += 1;
        if times == 200 {
            f.thaw();
        }
    };
    drop(release);
    assert_eq!((closed.still_running, closed.unsettled), (1, 0));
}
