//! What a worker hands in and takes in one call, and the lane that makes asking again safe. Plain data.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::error::{Error, Refusal};
use crate::id::JobId;
use crate::job::{JobRecord, Keep};
use crate::time::Timestamp;

/// Most outcomes that one exchange carries, and most jobs that it takes.
pub(crate) const MOST_OUTCOMES: usize = 64;
/// Most bytes of outcomes that one exchange carries, unless a single one has more: all of a call is in memory at once, on
/// both sides.
pub(crate) const MOST_OUTCOME_BYTES: usize = 64 << 20;
/// Most jobs that one exchange takes.
pub(crate) const MOST_TAKEN: usize = 64;

/// One call of a lane: who calls, and the how-manieth call it is. A lane has one call in flight; it is repeated under
/// the same number until it is answered, and only then does the number grow.
///
/// The store keeps the last number and its answer, so a repeat has no second effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaneCall {
    /// A uuid. Also the base of the tokens that the lane's jobs are locked with.
    pub base: Arc<str>,
    /// 1 for the first call.
    pub number: u64,
}

/// What a worker wants of the store: take in what is done, hand out what is next.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub call: LaneCall,
    pub now: Timestamp,
    pub outcomes: Vec<Settle>,
    /// How many jobs to take at most; never more than the free slots.
    pub want: usize,
    pub lease: Lease,
    /// The worker's own rate limit, used where the queue sets none.
    pub limiter: Option<RateLimit>,
    /// Points of per-minute metrics to keep; None: no metrics.
    pub metrics: Option<u32>,
    /// The worker closes, is quiet or has no free slot, and may have popped the marker: wake another one where there is work.
    pub wake_another: bool,
}

/// How taken jobs are locked: job *i* of the call gets the token `<lane base>:<first + i>`.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub first: u64,
    pub lock_duration: Duration,
    /// The worker's name, recorded with the job.
    pub worker: Option<Arc<str>>,
}

/// The longest window of a rate limit.
const LONGEST_WINDOW: Duration = Duration::from_secs(366 * 24 * 3600);

/// At most `max` starts in each window of `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Starts in each window; 1 to 2^53.
    pub max: u64,
    /// The window, from its first start; 1 ms to 366 days.
    pub duration: Duration,
}

impl RateLimit {
    pub(crate) fn check(self) -> Result<(), Error> {
        if self.max == 0 || self.max > 1 << 53 {
            return Err(Error::invalid("rate limit", self.max, "must be 1 to 2^53; pause the queue to run none"));
        }
        if self.duration < Duration::from_millis(1) || self.duration > LONGEST_WINDOW {
            let words = "must be 1 ms to 366 days";
            return Err(Error::invalid("rate limit window", format!("{:?}", self.duration), words));
        }
        Ok(())
    }
}

/// One job's outcome, with the proof of holding it.
#[derive(Debug, Clone)]
pub(crate) struct Settle {
    pub id: JobId,
    pub token: Arc<str>,
    pub to: Transition,
}

/// An outcome that is handed in within a transaction of the caller's.
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettleIn<'a> {
    pub settle: &'a Settle,
    pub now: Timestamp,
    /// As in an [`Exchange`].
    pub metrics: Option<u32>,
}

/// Where a job goes from `active`. The names are those of the store's transitions.
#[derive(Debug, Clone)]
pub(crate) enum Transition {
    Complete { value: Box<RawValue>, keep: Keep },
    Fail { failure: Failure, keep: Keep, attempts: u32 },
    Retry { failure: Failure, lifo: bool },
    Delay { delay: Duration, attempt: DelayedAttempt },
    WaitForChildren,
    PutBack,
}

impl Transition {
    /// About how many bytes the store is sent for it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Transition::Complete { value, .. } => value.get().len(),
            Transition::Fail { failure, .. }
            | Transition::Retry { failure, .. }
            | Transition::Delay { attempt: DelayedAttempt::Failed(failure), .. } => failure.size(),
            Transition::Delay { .. } | Transition::WaitForChildren | Transition::PutBack => 0,
        }
    }
}

impl Failure {
    fn size(&self) -> usize {
        self.reason.len() + self.stacktrace.iter().map(String::len).sum::<usize>()
    }
}

/// Why an attempt failed, as it is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure {
    pub reason: String,
    /// All stack traces to keep, oldest first, this one included.
    pub stacktrace: Vec<String>,
}

/// Whether a move to `delayed` ends an attempt.
#[derive(Debug, Clone)]
pub(crate) enum DelayedAttempt {
    /// A failed attempt that waits for its backoff.
    Failed(Failure),
    /// The handler asked for it; no attempt is used.
    NotUsed,
}

/// The store's answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchanged {
    /// One for each outcome, in order.
    pub verdicts: Vec<Verdict>,
    pub jobs: Vec<Taken>,
    pub hint: Hint,
    /// Ids that were listed but could not be handed out (no record, or not a record), dropped from the queue.
    pub dropped: Vec<Dropped>,
}

/// The store's answer to one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    /// It waits for children, but none is pending: the job is still active, locked, and to be run again.
    Resume,
    Refused(Refusal),
    /// The store failed on this one (a key of the wrong type, say); the words are the store's.
    Broken(String),
}

/// A job handed out.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub id: JobId,
    pub token: Arc<str>,
    /// The record; or, where it does not decode, what is wrong with it. Such a job is active and locked, and is to be
    /// failed with those words.
    pub record: Result<Box<JobRecord>, String>,
}

/// An id that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub id: String,
    pub why: String,
}

/// What to do next when fewer jobs came than were wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hint {
    /// There may be more: ask again at once.
    Again,
    /// Nothing is ready; the next delayed job is due then.
    DueAt(Timestamp),
    /// The rate limit is reached for so long.
    LimitedFor(Duration),
    /// The queue is paused, or runs as many jobs as it may.
    Paused,
    /// Nothing is ready: wait for the marker.
    #[default]
    Wait,
}

/// How a wait for the marker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There may be something to take.
    Ready,
    /// The next delayed job is due then (it may be in the past).
    DueAt(Timestamp),
    /// Nothing came in time.
    TimedOut,
}

/// One slice of the search for stalled jobs.
#[derive(Debug, Clone)]
pub(crate) struct Recover {
    pub now: Timestamp,
    /// How often a job may be found stalled before it is to fail.
    pub max_stalled: u32,
    /// One search per queue and interval, over all workers.
    pub interval: Duration,
    /// None for the first slice; then what the slice before answered.
    pub after: Option<RecoverCursor>,
}

/// Where a search goes on; opaque to everybody but the store that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecoverCursor(pub(crate) String);

/// What one slice found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recovered {
    /// Jobs that were put back to the front of the queue.
    pub ids: Vec<JobId>,
    /// There is more: call again at once with this. None: done (or another worker has searched within the interval).
    pub more: Option<RecoverCursor>,
}
