//! Working: results, retries, limits of time, order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::wait;
use lariat::{Backoff, CancelReason, Job, JobError, JobState, Keep, NewJob, Outcome, WorkerEvent};
use serde_json::json;

use crate::fixture::{Fixture, Gate, SECOND, event, on_both_stores};

on_both_stores! {
    a_float_is_read_back_exactly,
    a_result_is_stored,
    a_failed_attempt_is_tried_again_after_its_backoff,
    attempts_run_out,
    failing_for_good_uses_no_further_attempt,
    a_panic_is_a_failed_attempt_and_the_worker_goes_on,
    a_timeout_is_a_failed_attempt,
    a_cancelled_job_fails_with_the_reason,
    progress_and_log_rows_are_kept,
    a_later_attempt_goes_on_from_updated_data,
    a_job_that_has_ended_can_no_longer_report,
    delaying_and_putting_back_use_no_attempt,
    waiting_for_children_that_are_not_there_runs_again_at_once,
    a_job_that_runs_on_at_once_does_not_run_beside_the_next,
    order_is_arrival_then_priority_and_lifo_goes_first,
    a_delayed_job_runs_when_it_is_due_and_not_before,
    as_many_run_at_a_time_as_were_asked_for,
    many_that_end_at_once_are_handed_in_by_two_lanes_of_one_worker,
    a_paused_queue_hands_out_nothing_until_resumed,
    a_quiet_worker_takes_nothing_and_goes_on_when_told,
    ended_jobs_are_kept_as_asked,
    a_rate_limit_is_kept,
    a_handler_that_panics_before_it_begins_is_caught_too,
    a_cancel_that_was_in_time_holds_though_the_handler_returns_before_it_looks,
}

async fn a_float_is_read_back_exactly(f: Fixture) {
    // A reader that is content with nearly right is one off in the last place of some of these.
    let floats: Vec<f64> =
        vec![31.245_270_191_439_438, 121.487_919_511_619_45, 5e-324, 0.1 + 0.2, 1.797_693_134_862_315_7e308]
            .into_iter()
            .chain(
                (1..500u64)
                    .map(|n| f64::from_bits(0x3ff0_0000_0000_0000 | (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12))),
            )
            .collect();
    let id = f.queue.add("floats", &floats).await.unwrap();
    let worker = f.worker().start(async |job: Job| Ok::<_, JobError>(job.data::<Vec<f64>>()?)).unwrap();
    let job = f.until(&id, JobState::Completed).await;
    let returned: Vec<f64> = serde_json::from_str(job.record.return_value.unwrap().get()).unwrap();
    let bits = |floats: &[f64]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&returned), bits(&floats));
    worker.close(SECOND).await;
}

async fn a_result_is_stored(f: Fixture) {
    let id = f.queue.add("double", &21).await.unwrap();
    let handler = async |job: Job| -> Result<u32, JobError> { Ok(job.data::<u32>()? * 2) };
    let worker = f.worker().name("w1").start(handler).unwrap();
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!(job.return_value.unwrap().get(), "42");
    assert_eq!((job.attempts_made, job.attempts_started), (1, 1));
    assert_eq!(job.processed_by.as_deref(), Some("w1"));
    assert!(job.finished_on >= job.processed_on);
    assert_eq!(f.lock_of("1"), None);
    worker.close(SECOND).await;
}

async fn a_failed_attempt_is_tried_again_after_its_backoff(f: Fixture) {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let handler = move |job: Job| {
        let tries = Arc::clone(&counted);
        async move {
            assert_eq!(job.attempt(), job.starts());
            if tries.fetch_add(1, Ordering::Relaxed) < 2 { Err(format!("no {}", job.attempt())) } else { Ok("yes") }
        }
    };
    let worker = f.worker().start(handler).unwrap();
    let mut events = worker.events();
    let backoff = Backoff::fixed(Duration::from_millis(30));
    let id = f.queue.add("x", &()).attempts(3).backoff(backoff).await.unwrap();
    for n in 1..=2 {
        let (reason, delay) = event(&mut events, |e| match e {
            WorkerEvent::Retrying { reason, delay, .. } => Some((reason, delay)),
            _ => None,
        })
        .await;
        assert_eq!((reason, delay), (format!("no {n}"), Duration::from_millis(30)));
    }
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!((job.attempts_made, job.attempts_started), (3, 3));
    assert_eq!(job.stacktrace, ["no 1", "no 2"]);
}

async fn attempts_run_out(f: Fixture) {
    let id = f.queue.add("x", &()).attempts(2).await.unwrap();
    let _worker = f.worker().start(async |_| Err::<(), _>("never")).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!((job.attempts_made, job.failed_reason.as_deref()), (2, Some("never")));
}

async fn failing_for_good_uses_no_further_attempt(f: Fixture) {
    let id = f.queue.add("x", &()).attempts(9).await.unwrap();
    let _worker = f.worker().start(async |_| Err::<(), _>(JobError::fail("no such user"))).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!((job.attempts_made, job.failed_reason.as_deref()), (1, Some("no such user")));
}

async fn a_panic_is_a_failed_attempt_and_the_worker_goes_on(f: Fixture) {
    let bad = f.queue.add("bad", &()).await.unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    let handler = async |job: Job| {
        assert_ne!(job.name(), "bad", "this one panics");
        Ok::<_, JobError>(())
    };
    let _worker = f.worker().start(handler).unwrap();
    let reason = f.until(&bad, JobState::Failed).await.record.failed_reason.unwrap();
    assert!(reason.contains("panicked") && reason.contains("this one panics"), "{reason}");
    f.until(&good, JobState::Completed).await;
}

async fn a_handler_that_panics_before_it_begins_is_caught_too(f: Fixture) {
    #[allow(clippy::needless_pass_by_value, reason = "what a handler takes")]
    fn handler(job: Job) -> std::future::Ready<Result<(), JobError>> {
        panic!("at once: {}", job.id())
    }
    let id = f.queue.add("x", &()).await.unwrap();
    let _worker = f.worker().start(handler).unwrap();
    assert!(f.until(&id, JobState::Failed).await.record.failed_reason.unwrap().contains("at once: 1"));
}

async fn a_timeout_is_a_failed_attempt(f: Fixture) {
    let id = f.queue.add("x", &()).timeout(Duration::from_millis(50)).await.unwrap();
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let handler = move |job: Job| {
        let told = Arc::clone(&told);
        async move {
            *told.lock().unwrap() = Some(job.cancelled().await);
            Ok::<_, JobError>("late, and not believed")
        }
    };
    let _worker = f.worker().start(handler).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!(job.failed_reason.as_deref(), Some("timed out after 50ms"));
    assert_eq!(*seen.lock().unwrap(), Some(CancelReason::TimedOut));
}

async fn a_cancelled_job_fails_with_the_reason(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("x", &()).attempts(5).await.unwrap();
    let worker = f.worker().cancel_grace(Duration::from_millis(20)).start(gate.handler()).unwrap();
    gate.started().await;
    assert!(worker.cancel(&id, "the customer left"));
    assert!(!worker.cancel(&id, "again"), "it was told before");
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!(job.failed_reason.as_deref(), Some("the customer left"));
    assert!(gate.ended.lock().unwrap().is_empty(), "its future was dropped");
}

async fn a_cancel_that_was_in_time_holds_though_the_handler_returns_before_it_looks(f: Fixture) {
    let gate = Gate::new();
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = f.worker().cancel_grace(60 * SECOND).start(gate.handler()).unwrap();
    gate.started().await;
    // One thread, and no await between the two: the handler is polled next when both are there.
    assert!(worker.cancel(&id, "the customer left"));
    gate.open();
    let ended = || async { f.queue.overview().await.unwrap().counts.active == 0 };
    wait::until_async("it has ended", ended).await;
    assert_eq!(f.job(&id).await.record.failed_reason.as_deref(), Some("the customer left"));
}

async fn progress_and_log_rows_are_kept(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let handler = async |job: Job| {
        job.log("one").await?;
        job.log_rows(vec!["two".into(), "three".into()]).await?;
        job.progress(&json!({"done": 40})).await?;
        Ok::<_, JobError>(())
    };
    let _worker = f.worker().start(handler).unwrap();
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!(job.progress.unwrap().get(), r#"{"done":40}"#);
    assert_eq!(f.queue.logs(&id, 0, 10).await.unwrap().rows, ["one", "two", "three"]);
}

async fn a_later_attempt_goes_on_from_updated_data(f: Fixture) {
    let id = f.queue.add("x", &1).attempts(2).await.unwrap();
    let handler = async |job: Job| {
        let step: u32 = job.data()?;
        job.update_data(&(step + 1)).await?;
        if job.attempt() == 1 { Err(JobError::retry("half way")) } else { Ok(step) }
    };
    let _worker = f.worker().start(handler).unwrap();
    assert_eq!(f.until(&id, JobState::Completed).await.record.return_value.unwrap().get(), "2");
}

async fn a_job_that_has_ended_can_no_longer_report(f: Fixture) {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let id = f.queue.add("x", &()).await.unwrap();
    let handler = move |job: Job| {
        *keep.lock().unwrap() = Some(job);
        async { Ok::<_, JobError>(()) }
    };
    let worker = f.worker().start(handler).unwrap();
    f.until(&id, JobState::Completed).await;
    worker.close(SECOND).await;
    let job = kept.lock().unwrap().take().unwrap();
    let error = job.progress(&1).await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
    assert!(f.job(&id).await.record.progress.is_none());
}

async fn delaying_and_putting_back_use_no_attempt(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let handler = async |job: Job| match job.starts() {
        1 => Ok::<_, JobError>(Outcome::Delay(Duration::from_millis(20))),
        2 => Ok(Outcome::PutBack),
        _ => Outcome::done(&job.attempt()),
    };
    let _worker = f.worker().start(handler).unwrap();
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!((job.attempts_made, job.attempts_started), (1, 3));
    assert_eq!(job.return_value.unwrap().get(), "1");
}

async fn waiting_for_children_that_are_not_there_runs_again_at_once(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let handler = move |_| {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        async move { if run == 0 { Ok(Outcome::WaitForChildren) } else { Outcome::done("alone") } }
    };
    let _worker = f.worker().start(handler).unwrap();
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!((job.attempts_started, runs.load(Ordering::Relaxed)), (1, 2), "the same start, run twice");
}

async fn a_job_that_runs_on_at_once_does_not_run_beside_the_next(f: Fixture) {
    let (running, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(HashSet::new())));
    let handler = move |job: Job| {
        let (running, seen) = (Arc::clone(&running), Arc::clone(&seen));
        async move {
            if running.fetch_add(1, Ordering::Relaxed) > 0 {
                return Err(JobError::fail("two at a time"));
            }
            // sleep: whoever runs beside this one has to meet it
            tokio::time::sleep(Duration::from_millis(20)).await;
            running.fetch_sub(1, Ordering::Relaxed);
            let first = seen.lock().unwrap().insert(job.id().clone());
            if first { Ok(Outcome::WaitForChildren) } else { Outcome::done("alone") }
        }
    };
    let ids = f.queue.add_bulk((0..5).map(|n| NewJob::new("n", &n))).await.unwrap();
    let _worker = f.worker().start(handler).unwrap();
    for id in &ids {
        wait::until_async("the job has ended", || async { f.job(id).await.record.finished_on.is_some() }).await;
        assert_eq!(f.job(id).await.record.failed_reason, None);
    }
}

async fn order_is_arrival_then_priority_and_lifo_goes_first(f: Fixture) {
    f.queue.add("low", &()).priority(9).await.unwrap();
    f.queue.add("high", &()).priority(2).await.unwrap();
    f.queue.add("first", &()).await.unwrap();
    f.queue.add("second", &()).await.unwrap();
    f.queue.add("front", &()).lifo().await.unwrap();
    let gate = Gate::new();
    gate.open();
    let _worker = f.worker().start(gate.handler()).unwrap();
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(gate.started().await.name().to_owned());
    }
    assert_eq!(order, ["front", "first", "second", "high", "low"]);
}

async fn a_delayed_job_runs_when_it_is_due_and_not_before(f: Fixture) {
    let gate = Gate::new();
    gate.open();
    let _worker = f.worker().start(gate.handler()).unwrap();
    let id = f.queue.add("later", &()).delay(Duration::from_millis(300)).await.unwrap();
    gate.started().await;
    let job = f.until(&id, JobState::Completed).await.record;
    let waited = job.processed_on.unwrap().since(job.timestamp);
    assert!(waited >= Duration::from_millis(300), "ran after {waited:?}");
}

async fn as_many_run_at_a_time_as_were_asked_for(f: Fixture) {
    let gate = Gate::new();
    f.queue.add_bulk((0..7).map(|n| NewJob::new("n", &n))).await.unwrap();
    let worker = f.worker().concurrency(3).start(gate.handler()).unwrap();
    for _ in 0..3 {
        gate.started().await;
    }
    let overview = f.queue.overview().await.unwrap();
    assert_eq!((overview.counts.active, overview.counts.waiting), (3, 4));
    assert_eq!(worker.active().len(), 3);
    worker.set_concurrency(5);
    for _ in 0..2 {
        gate.started().await;
    }
    assert_eq!(worker.active().len(), 5);
    gate.open();
    interop::wait::until_async("all done", || async { f.queue.overview().await.unwrap().counts.completed == 7 }).await;
}

async fn many_that_end_at_once_are_handed_in_by_two_lanes_of_one_worker(f: Fixture) {
    const SLOTS: usize = 32;
    let jobs: Vec<NewJob> = (0..SLOTS * 12).map(|n| NewJob::new("wave", &n)).collect();
    let ids = f.queue.add_bulk(jobs).await.unwrap();
    let lanes = Arc::new(Mutex::new(HashSet::new()));
    let (together, seen) = (Arc::new(tokio::sync::Barrier::new(SLOTS)), Arc::clone(&lanes));
    let handler = move |job: Job| {
        let (together, seen) = (Arc::clone(&together), Arc::clone(&seen));
        async move {
            seen.lock().unwrap().insert(job.token().rsplit_once(':').unwrap().0.to_owned());
            together.wait().await;
            Ok::<_, JobError>(job.starts())
        }
    };
    let worker = f.worker().name("wide").concurrency(SLOTS).start(handler).unwrap();
    for id in ids {
        let job = f.until(&id, JobState::Completed).await;
        assert_eq!(job.record.return_value.unwrap().get(), "1", "each ran once");
    }
    assert_eq!(lanes.lock().unwrap().len(), 2);
    let workers = f.queue.workers().await.unwrap();
    assert_eq!(workers.iter().map(|worker| worker.name.as_deref()).collect::<Vec<_>>(), [Some("wide")]);
    worker.close(SECOND).await;
}

async fn a_paused_queue_hands_out_nothing_until_resumed(f: Fixture) {
    f.queue.pause().await.unwrap();
    let gate = Gate::new();
    gate.open();
    let worker = f.worker().start(gate.handler()).unwrap();
    let id = f.queue.add("x", &()).await.unwrap();
    assert!(f.queue.overview().await.unwrap().paused);
    interop::wait::until_async("the worker looks", || async { worker.is_idle() }).await;
    assert_eq!(f.state(&id).await, Some(JobState::Waiting));
    f.queue.resume().await.unwrap();
    f.until(&id, JobState::Completed).await;
}

async fn a_quiet_worker_takes_nothing_and_goes_on_when_told(f: Fixture) {
    let gate = Gate::new();
    // One slot: with a free one, a call that asks for a job might be on its way.
    let worker = f.worker().start(gate.handler()).unwrap();
    let running = f.queue.add("running", &()).await.unwrap();
    gate.started().await;
    worker.quiet();
    assert!(worker.is_quiet());
    let waiting = f.queue.add("waiting", &()).await.unwrap();
    gate.open();
    f.until(&running, JobState::Completed).await;
    assert_eq!(f.state(&waiting).await, Some(JobState::Waiting));
    worker.resume();
    f.until(&waiting, JobState::Completed).await;
}

async fn ended_jobs_are_kept_as_asked(f: Fixture) {
    let gate = Gate::new();
    gate.open();
    let worker = f.worker().remove_on_complete(Keep::last(2)).start(gate.handler()).unwrap();
    let mut events = worker.events();
    for n in 0..5 {
        f.queue.add("n", &n).await.unwrap();
    }
    let gone = f.queue.add("gone", &()).remove_on_complete(Keep::NONE).await.unwrap();
    for _ in 0..6 {
        event(&mut events, |e| matches!(e, WorkerEvent::Completed { .. }).then_some(())).await;
    }
    assert_eq!(f.queue.overview().await.unwrap().counts.completed, 2);
    assert!(f.queue.job(&gone).await.unwrap().is_none());
}

async fn a_rate_limit_is_kept(f: Fixture) {
    let gate = Gate::new();
    gate.open();
    f.queue.add_bulk((0..6).map(|n| NewJob::new("n", &n))).await.unwrap();
    let worker = f.worker().concurrency(6).rate_limit(2, Duration::from_millis(400)).start(gate.handler()).unwrap();
    let mut starts = Vec::new();
    for _ in 0..6 {
        let job = gate.started().await;
        starts.push(job.record().processed_on.unwrap().as_millis());
    }
    // Windows begin with their first start: the third start is the first of the second window.
    assert!(starts[2] - starts[0] >= 390 && starts[4] - starts[2] >= 390, "{starts:?}");
    worker.close(SECOND).await;
}
