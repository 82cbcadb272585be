//! What Lariat tells [`tracing`]: every name of a span, a field and a figure, once.
//!
//! Names are those of BullMQ's telemetry where it has one, so that traces of both look alike. Spans and figures have the
//! target `lariat`, and level debug; with a layer like `tracing-opentelemetry` they become OpenTelemetry's (`otel.name`,
//! `otel.kind`, and the figures' fields are its conventions). Log lines are info for a worker's life, debug for what
//! repeats, warn for what is lost, error for what ends a worker; at most one a second for each cause, with how many were
//! [`UNSAID`] since the last. No payload, no result and no URL is ever among them.
//!
//! | span | around |
//! |---|---|
//! | [`ADD`], [`ADD_BULK`] | adding jobs, up to the store's answer |
//! | [`PROCESS`] | a handler's run, its grace included |
//! | [`GET_NEXT_JOB`], [`COMPLETE`], [`FAIL`], [`RETRY`], [`DELAY`], [`WAIT_FOR_CHILDREN`], [`PUT_BACK`] | taking and settling by hand |
//! | [`EXTEND_LOCKS`] | one call that renews locks; on the lock thread, where only a global subscriber hears of it |
//! | [`MOVE_STALLED_JOBS_TO_WAIT`] | one search for stalled jobs |
//! | [`PAUSE`], [`RESUME`], [`RATE_LIMIT`], [`SET_GLOBAL_CONCURRENCY`], [`SET_GLOBAL_RATE_LIMIT`] | settings of a queue |
//! | [`UPDATE_PROGRESS`], [`UPDATE_DATA`], [`LOG`], [`PROMOTE`], [`CHANGE_DELAY`], [`CHANGE_PRIORITY`], [`REPROCESS`], [`REMOVE`] | changes to one job |

mod cause;

use tracing::Span;

pub(crate) use self::cause::Cause;

macro_rules! names {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal;)*) => {$(
        $(#[doc = $doc])*
        pub const $name: &str = $value;
    )*};
}

// Spans.
names! {
    /// Adds a job; kind producer.
    ADD = "add";
    /// Adds many jobs; kind producer.
    ADD_BULK = "addBulk";
    /// Runs a handler; kind consumer.
    PROCESS = "process";
    /// Takes a job by hand.
    GET_NEXT_JOB = "getNextJob";
    /// Completes a job that was taken by hand.
    COMPLETE = "complete";
    /// Fails a job for good that was taken by hand.
    FAIL = "fail";
    /// Hands in a failed attempt of a job that was taken by hand.
    RETRY = "retry";
    /// Delays a job that was taken by hand.
    DELAY = "delay";
    /// Lets a job that was taken by hand wait for its children.
    WAIT_FOR_CHILDREN = "moveToWaitingChildren";
    /// Puts back a job that was taken by hand.
    PUT_BACK = "moveToWait";
    /// Searches for stalled jobs.
    MOVE_STALLED_JOBS_TO_WAIT = "moveStalledJobsToWait";
    /// Renews locks, many in one call.
    EXTEND_LOCKS = "extendLocks";
    /// Pauses a queue.
    PAUSE = "pause";
    /// Resumes a queue.
    RESUME = "resume";
    /// Suspends starts for a while, or forgets what was counted.
    RATE_LIMIT = "rateLimit";
    /// Sets how many jobs of a queue may be active.
    SET_GLOBAL_CONCURRENCY = "setGlobalConcurrency";
    /// Sets how many jobs of a queue may start in a window.
    SET_GLOBAL_RATE_LIMIT = "setGlobalRateLimit";
    /// Sets a job's progress.
    UPDATE_PROGRESS = "updateJobProgress";
    /// Replaces a job's payload.
    UPDATE_DATA = "updateJobData";
    /// Appends to a job's log, or trims it.
    LOG = "log";
    /// Makes a delayed job ready.
    PROMOTE = "promote";
    /// Changes when a job is due.
    CHANGE_DELAY = "changeDelay";
    /// Changes a job's priority.
    CHANGE_PRIORITY = "changePriority";
    /// Makes a finished job ready again.
    REPROCESS = "reprocessJob";
    /// Deletes a job.
    REMOVE = "remove";
}

// Fields.
names! {
    /// The queue.
    QUEUE = "bullmq.queue.name";
    /// What is done; the same as the span's name.
    OPERATION = "bullmq.queue.operation";
    /// How many jobs are added.
    BULK_COUNT = "bullmq.job.bulk.count";
    /// The job; recorded once it is known.
    JOB_ID = "bullmq.job.id";
    /// Its name.
    JOB_NAME = "bullmq.job.name";
    /// The attempts that had ended before this one.
    ATTEMPTS_MADE = "bullmq.job.attempts.made";
    /// What became of the job: completed, failed, retried, delayed, waiting-children, put-back, or dropped (its lock was
    /// lost).
    JOB_STATE = "bullmq.job.state";
    /// The worker.
    WORKER_NAME = "bullmq.worker.name";
    /// How many stalled jobs were found.
    STALLED_JOBS = "bullmq.worker.stalled.jobs";
    /// How many locks are renewed.
    LOCKS = "bullmq.worker.jobs.to.extend.locks";
    /// What went wrong, with its causes.
    ERROR = "error";
    /// Why something is done.
    WHY = "why";
    /// How many lines of this sort were not said since the last.
    UNSAID = "unsaid";
}

// Figures: counters of what the store has taken in, and one histogram. Each comes with the queue's name.
names! {
    /// Jobs that completed.
    COMPLETED = "monotonic_counter.bullmq.jobs.completed";
    /// Jobs that failed for good.
    FAILED = "monotonic_counter.bullmq.jobs.failed";
    /// Jobs whose attempt failed and that will be tried again.
    RETRIED = "monotonic_counter.bullmq.jobs.retried";
    /// Jobs that were delayed by their handler.
    DELAYED = "monotonic_counter.bullmq.jobs.delayed";
    /// Jobs that wait for their children.
    WAITING_CHILDREN = "monotonic_counter.bullmq.jobs.waiting_children";
    /// How long a job's run took, in ms.
    DURATION = "histogram.bullmq.job.duration";
}

/// The target of spans and figures.
pub const TARGET: &str = "lariat";

/// A span of our own making: `operation!(PAUSE, queue)`, `operation!(REMOVE, queue, job)`.
macro_rules! operation {
    ($name:expr, $queue:expr $(, $field:expr => $value:expr)*) => {
        tracing::debug_span!(
            target: $crate::telemetry::TARGET,
            $name,
            "otel.name" = format!("{} {}", $name, $queue),
            "otel.kind" = "internal",
            { $crate::telemetry::QUEUE } = $queue,
            { $crate::telemetry::OPERATION } = $name,
            $({ $field } = $value,)*
        )
    };
}
pub(crate) use operation;

/// Around an add.
pub(crate) fn add(queue: &str, job: &str) -> Span {
    tracing::debug_span!(
        target: TARGET,
        ADD,
        "otel.name" = format!("{ADD} {queue}.{job}"),
        "otel.kind" = "producer",
        { QUEUE } = queue,
        { OPERATION } = ADD,
        { JOB_NAME } = job,
        { JOB_ID } = tracing::field::Empty,
    )
}

/// Around an add of many.
pub(crate) fn add_bulk(queue: &str, count: usize) -> Span {
    tracing::debug_span!(
        target: TARGET,
        ADD_BULK,
        "otel.name" = format!("{ADD_BULK} {queue}"),
        "otel.kind" = "producer",
        { QUEUE } = queue,
        { OPERATION } = ADD_BULK,
        { BULK_COUNT } = count,
    )
}

/// Around a handler's run.
pub(crate) fn process(queue: &str, worker: Option<&str>, (id, name, attempts_made): (&str, &str, u32)) -> Span {
    tracing::debug_span!(
        target: TARGET,
        PROCESS,
        "otel.name" = format!("{PROCESS} {queue}"),
        "otel.kind" = "consumer",
        { QUEUE } = queue,
        { OPERATION } = PROCESS,
        { WORKER_NAME } = worker,
        { JOB_ID } = id,
        { JOB_NAME } = name,
        { ATTEMPTS_MADE } = attempts_made,
        { JOB_STATE } = tracing::field::Empty,
    )
}
