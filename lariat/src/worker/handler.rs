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

use super::lease::Lease;
use crate::job::{CancelReason, Held, IntoOutcome, Job, JobError, JobRecord, Keep, Outcome, check_due};
use crate::retry::{self, Decision};
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
pub(super) enum Ended {
    /// The handler returned, or panicked (which reads as a failed attempt).
    Returned(Result<Outcome, JobError>),
    /// It was stopped, and returned nothing that counts.
    Stopped(CancelReason),
}

/// What of a worker's options a run needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub timeout: Option<Duration>,
    pub cancel_grace: Duration,
    pub remove_on_complete: Keep,
    pub remove_on_fail: Keep,
}

/// Runs the handler until it ends or has to be dropped.
///
/// A stopped handler is polled on for `cancel_grace`, and less where its lock is lost: then there is nothing that it
/// could still do for its job.
pub(super) async fn run(
    handler: &dyn Handler,
    job: Job,
    lease: &Lease,
    timeout: Option<Duration>,
    grace: Duration,
) -> Ended {
    // A handler may panic before it returns its future, too.
    let mut future = match catch_unwind(AssertUnwindSafe(|| handler.call(job))) {
        Ok(future) => future,
        Err(panic) => return Ended::Returned(Err(panicked(&*panic))),
    };
    let reason = {
        let mut guarded = catching(&mut future);
        tokio::select! {
            biased;
            ended = &mut guarded => return ended,
            reason = lease.lost() => CancelReason::LockLost(reason),
            reason = lease.cancelled() => reason,
            () = expired(timeout) => CancelReason::TimedOut,
        }
    };
    lease.cancel(reason);
    let reason = lease.cancel_reason().unwrap_or(CancelReason::Closing);
    let ended = stopping(&mut future, lease, &reason, grace).await;
    drop_quietly(future);
    match (ended, lease.loss()) {
        // Whatever it returned: without the lock it does not count.
        (_, Some(loss)) => Ended::Stopped(CancelReason::LockLost(loss)),
        (Some(ended), None) if reason == CancelReason::Closing => ended,
        _ => Ended::Stopped(reason),
    }
}

/// Lets a stopped handler go on for its grace.
async fn stopping(future: &mut HandlerFuture, lease: &Lease, reason: &CancelReason, grace: Duration) -> Option<Ended> {
    let lost = matches!(reason, CancelReason::LockLost(_));
    tokio::select! {
        biased;
        ended = catching(future) => Some(ended),
        () = tokio::time::sleep(grace) => None,
        _ = lease.lost(), if !lost => {
            // Lost while it was being stopped: it has as long as a handler whose lock was lost in the first place.
            tokio::time::timeout(grace, catching(future)).await.ok()
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
pub(super) fn transition(
    ended: Ended,
    record: &JobRecord,
    limits: &Limits,
    now: Timestamp,
    chance: f64,
) -> Option<Transition> {
    match ended {
        Ended::Returned(Ok(outcome)) => Some(success(outcome, record, limits, now)),
        Ended::Returned(Err(error)) => Some(failure(&error, record, limits, now, chance)),
        Ended::Stopped(CancelReason::TimedOut) => {
            let timeout = record.options.timeout.or(limits.timeout).unwrap_or_default();
            let error = JobError::retry(format!("timed out after {timeout:?}"));
            Some(failure(&error, record, limits, now, chance))
        }
        Ended::Stopped(CancelReason::Requested(reason)) => Some(failed(reason, record, limits)),
        Ended::Stopped(CancelReason::Closing) => Some(Transition::PutBack),
        // After expiry the job may still be ours; it is put back with its token, and the store judges.
        Ended::Stopped(CancelReason::LockLost(LossReason::Expired)) => Some(Transition::PutBack),
        Ended::Stopped(CancelReason::LockLost(_)) => None,
    }
}

fn success(outcome: Outcome, record: &JobRecord, limits: &Limits, now: Timestamp) -> Transition {
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
    }
}

fn failure(error: &JobError, record: &JobRecord, limits: &Limits, now: Timestamp, chance: f64) -> Transition {
    let reason = error.reason().to_owned();
    match retry::decide(&record.options, record.attempts_made, error.may_retry(), chance) {
        Ok(Decision::Never) => failed(reason, record, limits),
        Ok(Decision::Now) => Transition::Retry { failure: noted(reason, record), lifo: record.options.lifo },
        Ok(Decision::After(delay)) => {
            // A doubling backoff outgrows what a store accepts; it then waits as long as one can.
            let longest = Timestamp::FIRST_REFUSED_DUE.since(now).saturating_sub(Duration::from_millis(1));
            let attempt = DelayedAttempt::Failed(noted(reason, record));
            Transition::Delay { delay: delay.min(longest), attempt }
        }
        Err(problem) => failed(format!("{reason} ({problem})"), record, limits),
    }
}

/// Failed for good.
pub(super) fn failed(reason: String, record: &JobRecord, limits: &Limits) -> Transition {
    Transition::Fail {
        failure: noted(reason, record),
        keep: record.options.remove_on_fail.unwrap_or(limits.remove_on_fail),
        attempts: record.options.attempts,
    }
}

/// The reason, and the stack traces with this one, cut to the newest.
fn noted(reason: String, record: &JobRecord) -> Failure {
    let mut stacktrace = record.stacktrace.clone();
    stacktrace.push(reason.clone());
    if let Some(limit) = record.options.stack_trace_limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        stacktrace.drain(..stacktrace.len().saturating_sub(limit));
    }
    Failure { reason, stacktrace }
}

/// The timeout of one run.
pub(super) fn timeout_of(record: &JobRecord, limits: &Limits) -> Option<Duration> {
    record.options.timeout.or(limits.timeout)
}

pub(super) type SharedHandler = Arc<dyn Handler>;
