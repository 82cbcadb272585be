//! Runs one handler: until it ends, is stopped, or panics; and says what becomes of its job.

use std::any::Any;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lariat_lock::{BoxFuture, LossReason};

use super::backoff::{self, FailedAttempt, Strategy};
use super::lease::Lease;
use crate::job::{CancelReason, Held, IntoOutcome, Job, JobError, JobRecord, Keep, Outcome, check_due, check_size};
use crate::retry::{self, NextAttempt};
use crate::store::exchange::{DelayedAttempt, Failure, Transition};
use crate::time::Timestamp;

/// Runs jobs. Implemented by every `Fn(Job) -> impl Future<Output = Result<T, E>>`, so that an `async fn`, a closure
/// that returns an async block, and an `async` closure all are handlers.
pub trait Handler: Send + Sync + 'static {
    /// Runs one job.
    fn call(&self, job: Job) -> BoxFuture<'static, Result<Outcome, JobError>>;
}

impl<F, Fut, T, E> Handler for F
where
    F: Fn(Job) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: IntoOutcome,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    fn call(&self, job: Job) -> BoxFuture<'static, Result<Outcome, JobError>> {
        let run = self(job);
        Box::pin(async move {
            match run.await {
                Ok(value) => value.into_outcome(),
                Err(error) => Err(JobError::from_boxed(error.into())),
            }
        })
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The handler returned, or panicked (which reads as a failed attempt).
    Returned(Result<Outcome, JobError>),
    /// It was stopped, and returned nothing that counts.
    Stopped(CancelReason),
}

/// What of a worker's options a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub timeout: Option<Duration>,
    pub cancel_grace: Duration,
    /// The grace of a handler whose lock is lost: no longer than the lock itself can still last once trust has ended.
    pub lost_grace: Duration,
    pub remove_on_complete: Keep,
    pub remove_on_fail: Keep,
    pub backoff: Option<Strategy>,
}

/// Runs the handler until it ends or has to be dropped.
///
/// A stopped handler is polled on for its grace, which is shorter where its lock is lost: then there is nothing that it
/// could still do for its job, and soon another worker may have it.
pub(crate) async fn run(handler: &dyn Handler, job: Job, lease: &Lease, limits: &Limits) -> Ended {
    let timeout = job.record().options.timeout.or(limits.timeout);
    // A handler may panic before it returns its future, too.
    let mut future = match catch_unwind(AssertUnwindSafe(|| handler.call(job))) {
        Ok(future) => future,
        Err(panic) => return Ended::Returned(Err(panicked(&*panic))),
    };
    let reason = {
        let mut guarded = catching(&mut future);
        tokio::select! {
            biased;
            ended = &mut guarded => return believed(ended, lease),
            reason = lease.lost() => CancelReason::LockLost(reason),
            reason = lease.cancelled() => reason,
            () = expired(timeout) => CancelReason::TimedOut,
        }
    };
    lease.cancel(reason);
    let reason = lease.cancel_reason().unwrap_or(CancelReason::Closing);
    let ended = stopping(&mut future, lease, &reason, limits).await;
    drop_quietly(future);
    match (ended, lease.loss()) {
        // Whatever it returned: without the lock it does not count.
        (_, Some(loss)) => Ended::Stopped(CancelReason::LockLost(loss)),
        (Some(ended), None) if reason == CancelReason::Closing => ended,
        _ => Ended::Stopped(reason),
    }
}

/// What a handler's own end means: somebody who was told that the job is cancelled may rely on it, even where the handler
/// has not looked.
fn believed(ended: Ended, lease: &Lease) -> Ended {
    match lease.handler_ended() {
        Some(reason @ CancelReason::Requested(_)) => Ended::Stopped(reason),
        _ => ended,
    }
}

/// Lets a stopped handler go on for its grace.
async fn stopping(future: &mut HandlerFuture, lease: &Lease, reason: &CancelReason, limits: &Limits) -> Option<Ended> {
    let lost = matches!(reason, CancelReason::LockLost(_));
    let grace = if lost { limits.lost_grace } else { limits.cancel_grace };
    tokio::select! {
        biased;
        ended = catching(future) => Some(ended),
        () = tokio::time::sleep(grace) => None,
        _ = lease.lost(), if !lost => {
            // Lost while it was being stopped: it has as long as a handler whose lock was lost in the first place.
            tokio::time::timeout(limits.lost_grace, catching(future)).await.ok()
        }
    }
}

type HandlerFuture = Pin<Box<dyn Future<Output = Result<Outcome, JobError>> + Send>>;

fn catching(future: &mut HandlerFuture) -> impl Future<Output = Ended> + '_ {
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(Ended::Returned(result)),
        Err(panic) => Poll::Ready(Ended::Returned(Err(panicked(&*panic)))),
    })
}

/// A destructor in the handler's future may panic as well; that must not take the worker along.
fn drop_quietly(future: HandlerFuture) {
    drop(catch_unwind(AssertUnwindSafe(|| drop(future))));
}

fn panicked(panic: &(dyn Any + Send)) -> JobError {
    let words =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    JobError::retry(format!("the handler panicked: {}", words.as_deref().unwrap_or("(no message)")))
}

async fn expired(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// What becomes of a job whose run ended so; None where it is not ours to decide any more.
pub(crate) fn transition(
    ended: Ended,
    record: &JobRecord,
    limits: &Limits,
    now: Timestamp,
    chance: f64,
) -> Option<Transition> {
    match ended {
        Ended::Returned(Ok(outcome)) => Some(match too_large(&outcome) {
            Some(error) => failure(&error, record, limits, now, chance),
            None => success(outcome, record, limits, now, chance),
        }),
        Ended::Returned(Err(error)) => Some(failure(&error, record, limits, now, chance)),
        Ended::Stopped(CancelReason::TimedOut) => {
            let timeout = record.options.timeout.or(limits.timeout).unwrap_or_default();
            let error = JobError::retry(format!("timed out after {timeout:?}"));
            Some(failure(&error, record, limits, now, chance))
        }
        Ended::Stopped(CancelReason::Requested(reason)) => Some(failed(reason, record, limits)),
        // After expiry the job may still be ours: it is put back with its token, and the store judges.
        Ended::Stopped(CancelReason::Closing | CancelReason::LockLost(LossReason::Expired)) => {
            Some(Transition::PutBack)
        }
        Ended::Stopped(CancelReason::LockLost(_)) => None,
    }
}

/// What a handler has made itself has not been looked at.
fn too_large(outcome: &Outcome) -> Option<JobError> {
    match outcome {
        Outcome::Done(value) => check_size(value).err(),
        _ => None,
    }
}

#[cfg_attr(not(feature = "sqlite"), allow(unused_variables, reason = "without it there are no transactions"))]
fn success(outcome: Outcome, record: &JobRecord, limits: &Limits, now: Timestamp, chance: f64) -> Transition {
    match outcome {
        Outcome::Done(value) => {
            Transition::Complete { value, keep: record.options.remove_on_complete.unwrap_or(limits.remove_on_complete) }
        }
        Outcome::Delay(delay) => match check_due("delay", delay, now) {
            Ok(()) => Transition::Delay { delay, attempt: DelayedAttempt::NotUsed },
            Err(error) => failed(error.to_string(), record, limits),
        },
        Outcome::WaitForChildren => Transition::WaitForChildren,
        Outcome::PutBack => Transition::PutBack,
        #[cfg(feature = "sqlite")]
        Outcome::Committed(_) => {
            // The run would have known of its own.
            let error = JobError::retry("the handler returned the receipt of another job's completion");
            failure(&error, record, limits, now, chance)
        }
    }
}

fn failure(error: &JobError, record: &JobRecord, limits: &Limits, now: Timestamp, chance: f64) -> Transition {
    let reason = error.reason().to_owned();
    let custom = |strategy: &str, attempts_made| {
        backoff::ask(limits.backoff.as_ref(), &FailedAttempt { attempts_made, strategy, error, job: record })
    };
    match retry::decide(&record.options, record.attempts_made, error.may_retry(), chance, custom) {
        Ok(NextAttempt::Never) => failed(reason, record, limits),
        Ok(NextAttempt::AtOnce) => Transition::Retry { failure: noted(reason, record), lifo: record.options.lifo },
        Ok(NextAttempt::After(delay)) => {
            // A doubling backoff outgrows what a store accepts; it then waits as long as one can.
            let longest = Timestamp::FIRST_REFUSED_DUE.since(now).saturating_sub(Duration::from_millis(1));
            let attempt = DelayedAttempt::Failed(noted(reason, record));
            Transition::Delay { delay: delay.min(longest), attempt }
        }
        Err(problem) => failed(format!("{reason} ({problem})"), record, limits),
    }
}

/// Failed for good.
pub(crate) fn failed(reason: String, record: &JobRecord, limits: &Limits) -> Transition {
    Transition::Fail {
        failure: noted(reason, record),
        keep: record.options.remove_on_fail.unwrap_or(limits.remove_on_fail),
        attempts: record.options.attempts,
    }
}

/// Most bytes of a failure's reason; more are cut off.
const MOST_REASON: usize = 1 << 20;
/// Most bytes of all stack traces of a job; the oldest go first.
const MOST_TRACES: usize = 16 << 20;

/// The reason, and the stack traces with this one, cut to the newest.
fn noted(reason: String, record: &JobRecord) -> Failure {
    let reason = cut(reason);
    let mut stacktrace = record.stacktrace.clone();
    stacktrace.push(reason.clone());
    if let Some(limit) = record.options.stack_trace_limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        stacktrace.drain(..stacktrace.len().saturating_sub(limit));
    }
    let mut size = 0;
    let fits = |trace: &&String| {
        size += trace.len();
        size <= MOST_TRACES
    };
    let newest = stacktrace.iter().rev().take_while(fits).count();
    stacktrace.drain(..stacktrace.len() - newest);
    Failure { reason, stacktrace }
}

fn cut(reason: String) -> String {
    if reason.len() <= MOST_REASON {
        return reason;
    }
    let end = (0..=MOST_REASON).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes, cut off here)", &reason[..end], reason.len())
}

pub(super) type SharedHandler = Arc<dyn Handler>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::JobId;
    use crate::job::{Backoff, JobOptions, MOST_RESULT};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const LIMITS: Limits = Limits {
        timeout: None,
        cancel_grace: Duration::from_secs(2),
        lost_grace: Duration::from_secs(1),
        remove_on_complete: Keep::last(7),
        remove_on_fail: Keep::NONE,
        backoff: None,
    };

    fn record(options: JobOptions, attempts_made: u32) -> JobRecord {
        JobRecord {
            id: JobId::existing("1").unwrap(),
            name: "x".into(),
            data: serde_json::value::to_raw_value(&()).unwrap(),
            options,
            timestamp: NOW,
            delay: Duration::ZERO,
            priority: 0,
            attempts_made,
            attempts_started: attempts_made + 1,
            stalled_counter: 0,
            processed_on: None,
            finished_on: None,
            return_value: None,
            failed_reason: None,
            stacktrace: vec!["old".into(), "older".into()],
            progress: None,
            processed_by: None,
            parent: None,
            scheduler: None,
            deduplication_id: None,
            deferred_failure: None,
        }
    }

    fn after(ended: Ended, options: JobOptions, made: u32) -> Option<Transition> {
        transition(ended, &record(options, made), &LIMITS, NOW, 0.5)
    }

    fn failing(error: JobError) -> Ended {
        Ended::Returned(Err(error))
    }

    #[test]
    fn retention_is_the_jobs_own_else_the_workers() {
        let own = JobOptions { remove_on_complete: Some(Keep::ALL), ..JobOptions::default() };
        let done = || Ended::Returned(Outcome::done(&1));
        assert!(matches!(after(done(), own, 0), Some(Transition::Complete { keep: Keep::ALL, .. })));
        let Some(Transition::Complete { keep, .. }) = after(done(), JobOptions::default(), 0) else { panic!() };
        assert_eq!(keep, Keep::last(7));
    }

    #[test]
    fn stack_traces_grow_and_are_cut_to_the_newest() {
        let options = JobOptions { stack_trace_limit: Some(2), attempts: 5, ..JobOptions::default() };
        let Some(Transition::Retry { failure, .. }) = after(failing(JobError::retry("new")), options, 0) else {
            panic!()
        };
        assert_eq!((failure.reason.as_str(), failure.stacktrace), ("new", vec!["older".to_owned(), "new".to_owned()]));
        let none = JobOptions { stack_trace_limit: Some(0), ..JobOptions::default() };
        let Some(Transition::Fail { failure, .. }) = after(failing(JobError::retry("new")), none, 0) else { panic!() };
        assert!(failure.stacktrace.is_empty());
    }

    #[test]
    fn a_result_that_no_store_takes_is_a_failed_attempt_that_says_so() {
        let text = |bytes: usize| {
            let json = format!("\"{}\"", "x".repeat(bytes - 2));
            Ended::Returned(Ok(Outcome::Done(serde_json::value::RawValue::from_string(json).unwrap())))
        };
        let two = || JobOptions { attempts: 2, ..JobOptions::default() };
        let Some(Transition::Retry { failure, .. }) = after(text(MOST_RESULT + 1), two(), 0) else { panic!() };
        assert!(failure.reason.contains("67108865 bytes"), "{}", failure.reason);
        let error = Outcome::done(&"x".repeat(MOST_RESULT)).unwrap_err();
        assert!(error.reason().contains("at most 67108864"), "{}", error.reason());
    }

    #[test]
    fn reasons_and_stack_traces_are_cut() {
        let Some(Transition::Fail { failure, .. }) =
            after(failing(JobError::fail("ä".repeat(MOST_REASON))), JobOptions::default(), 0)
        else {
            panic!()
        };
        assert!(failure.reason.len() < MOST_REASON + 100 && failure.reason.ends_with("(2097152 bytes, cut off here)"));
        let mut long = record(JobOptions { attempts: 3, ..JobOptions::default() }, 0);
        long.stacktrace = vec!["o".repeat(MOST_TRACES), "n".repeat(MOST_TRACES / 2)];
        let ended = failing(JobError::retry("new"));
        let Some(Transition::Retry { failure, .. }) = transition(ended, &long, &LIMITS, NOW, 0.5) else { panic!() };
        assert_eq!(failure.stacktrace.iter().map(String::len).collect::<Vec<_>>(), [MOST_TRACES / 2, 3]);
    }

    #[test]
    fn a_backoff_beyond_what_a_store_accepts_waits_as_long_as_one_can() {
        let backoff = Some(Backoff::exponential(Duration::from_secs(3600)));
        let options = JobOptions { attempts: 100, backoff, ..JobOptions::default() };
        let Some(Transition::Delay { delay, .. }) = after(failing(JobError::retry("x")), options, 60) else { panic!() };
        assert!(check_due("delay", delay, NOW).is_ok());
    }

    #[test]
    fn a_strategy_that_nobody_knows_fails_the_job_with_both_reasons() {
        let backoff = Some(Backoff::custom("moon", Duration::ZERO));
        let options = JobOptions { attempts: 3, backoff, ..JobOptions::default() };
        let Some(Transition::Fail { failure, .. }) = after(failing(JobError::retry("boom")), options, 0) else {
            panic!()
        };
        assert!(failure.reason.contains("boom") && failure.reason.contains("moon"), "{}", failure.reason);
    }

    #[test]
    fn a_strategy_that_panics_fails_the_job_and_nothing_else() {
        let limits = Limits { backoff: Some(Strategy::new(|_| panic!("new moon"))), ..LIMITS };
        let backoff = Some(Backoff::custom("moon", Duration::ZERO));
        let options = JobOptions { attempts: 3, backoff, ..JobOptions::default() };
        let ended = failing(JobError::retry("boom"));
        let Some(Transition::Fail { failure, .. }) = transition(ended, &record(options, 0), &limits, NOW, 0.5) else {
            panic!()
        };
        assert!(failure.reason.contains("boom") && failure.reason.contains("panicked"), "{}", failure.reason);
    }

    #[test]
    fn a_stop_means_what_its_reason_says() {
        let stopped = |reason| after(Ended::Stopped(reason), JobOptions { attempts: 3, ..JobOptions::default() }, 0);
        assert!(matches!(stopped(CancelReason::TimedOut), Some(Transition::Retry { .. })));
        assert!(matches!(stopped(CancelReason::Requested("no".into())), Some(Transition::Fail { .. })));
        assert!(matches!(stopped(CancelReason::Closing), Some(Transition::PutBack)));
        assert!(matches!(stopped(CancelReason::LockLost(LossReason::Expired)), Some(Transition::PutBack)));
        assert!(stopped(CancelReason::LockLost(LossReason::Taken)).is_none());
        assert!(stopped(CancelReason::LockLost(LossReason::Missing)).is_none());
    }

    #[test]
    fn a_delay_beyond_the_last_due_time_is_the_handlers_fault() {
        let ended = Ended::Returned(Ok(Outcome::Delay(Duration::from_secs(u64::from(u32::MAX)))));
        let Some(Transition::Fail { failure, .. }) = after(ended, JobOptions::default(), 0) else { panic!() };
        assert!(failure.reason.contains("2^41"), "{}", failure.reason);
    }
}
