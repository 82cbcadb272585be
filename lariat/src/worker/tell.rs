//! What a worker's task says in the log, and the figures that it keeps up.

use tracing::{Level, Span};

use crate::id::JobId;
use crate::store::exchange::{DelayedAttempt, Dropped, Transition};
use crate::telemetry::{self, Cause, TARGET};

static DROPPED: Cause = Cause::new();
static REFUSED: Cause = Cause::new();
static TOO_LATE: Cause = Cause::new();

/// An id was taken out of the queue.
pub(crate) fn dropped(queue: &str, dropped: &Dropped) {
    if let Some(unsaid) = DROPPED.may_say() {
        tracing::warn!(
            { telemetry::QUEUE } = queue,
            { telemetry::JOB_ID } = dropped.id,
            { telemetry::WHY } = dropped.why,
            { telemetry::UNSAID } = unsaid,
            "dropped a job that cannot be run"
        );
    }
}

/// The store did not take a job's outcome.
pub(super) fn refused(queue: &str, id: &JobId, why: &str) {
    if let Some(unsaid) = REFUSED.may_say() {
        tracing::warn!(
            { telemetry::QUEUE } = queue,
            { telemetry::JOB_ID } = id.as_str(),
            { telemetry::WHY } = why,
            { telemetry::UNSAID } = unsaid,
            "the store refused a job's result"
        );
    }
}

/// A handler failed although its job is completed.
pub(super) fn failed_after_commit(queue: &str, id: &JobId, why: &str) {
    if let Some(unsaid) = TOO_LATE.may_say() {
        tracing::warn!(
            { telemetry::QUEUE } = queue,
            { telemetry::JOB_ID } = id.as_str(),
            { telemetry::WHY } = why,
            { telemetry::UNSAID } = unsaid,
            "a handler failed after it had committed its job's completion; the job stays completed"
        );
    }
}

/// The worker ends by itself. Once in its life.
pub(super) fn stops(queue: &str, why: &str) {
    tracing::error!({ telemetry::QUEUE } = queue, { telemetry::WHY } = why, "the worker stops");
}

/// A handler has ended, within its span.
pub(super) fn run_ended(queue: &str, name: &str, state: &str, since: lariat_lock::Instant) {
    // Asked first: the look at the clock and the way to the current span cost most of what an unheard job would.
    if !tracing::enabled!(target: TARGET, Level::DEBUG) {
        return;
    }
    Span::current().record(telemetry::JOB_STATE, state);
    tracing::event!(
        target: TARGET,
        Level::DEBUG,
        { telemetry::DURATION } = since.elapsed().as_secs_f64() * 1000.0,
        { telemetry::QUEUE } = queue,
        { telemetry::JOB_NAME } = name,
    );
}

/// What became of the run's job; None where it was not ours to decide any more.
pub(super) fn state(to: Option<&Transition>) -> &'static str {
    let Some(to) = to else { return "dropped" };
    match to {
        Transition::Complete { .. } => "completed",
        Transition::Fail { .. } => "failed",
        Transition::Retry { .. } | Transition::Delay { attempt: DelayedAttempt::Failed(_), .. } => "retried",
        Transition::Delay { attempt: DelayedAttempt::NotUsed, .. } => "delayed",
        Transition::WaitForChildren => "waiting-children",
        Transition::PutBack => "put-back",
    }
}

/// A job is completed.
pub(super) fn completed(queue: &str) {
    tracing::event!(target: TARGET, Level::DEBUG, { telemetry::COMPLETED } = 1_u64, { telemetry::QUEUE } = queue);
}

/// The store has taken in an outcome.
pub(crate) fn accepted(queue: &str, to: &Transition) {
    macro_rules! count {
        ($name:expr) => {
            tracing::event!(target: TARGET, Level::DEBUG, { $name } = 1_u64, { telemetry::QUEUE } = queue)
        };
    }
    match to {
        Transition::Complete { .. } => completed(queue),
        Transition::Fail { .. } => count!(telemetry::FAILED),
        Transition::Retry { .. } | Transition::Delay { attempt: DelayedAttempt::Failed(_), .. } => {
            count!(telemetry::RETRIED);
        }
        Transition::Delay { attempt: DelayedAttempt::NotUsed, .. } => count!(telemetry::DELAYED),
        Transition::WaitForChildren => count!(telemetry::WAITING_CHILDREN),
        Transition::PutBack => {}
    }
}
