//! Adding jobs, changing one, and changing how a queue is worked. Plain data.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::exchange::{LaneCall, RateLimit};
use crate::id::JobId;
use crate::job::{JobOptions, JobState};
use crate::time::Timestamp;

/// Most jobs that one add carries, where the store does not say otherwise.
pub(crate) const MOST_ADDED: usize = 500;
/// Bytes of payload after which an add carries no further job.
pub(crate) const MOST_ADDED_BYTES: usize = 1 << 20;

/// One call of a producer's lane.
#[derive(Debug, Clone)]
pub(crate) struct Add {
    pub call: LaneCall,
    pub jobs: Arc<[AddJob]>,
}

/// A job to add, checked.
#[derive(Debug, Clone)]
pub(crate) struct AddJob {
    pub name: String,
    pub data: Box<RawValue>,
    /// Jobs that are added together may share them.
    pub options: Arc<JobOptions>,
    /// When it was added; its delay counts from here.
    pub timestamp: Timestamp,
}

/// A change to one job.
#[derive(Debug, Clone)]
pub(crate) struct ChangeJob {
    pub id: JobId,
    pub now: Timestamp,
    /// When given, the change is made only while this token holds the job's lock; else it is refused.
    pub holder: Option<Arc<str>>,
    pub change: Change,
}

/// What to change. Refusals are BullMQ's codes, where a job that is not in the state that the change starts from is
/// [`NotInState`](crate::Refusal::NotInState), and one that is locked [`LockTaken`](crate::Refusal::LockTaken).
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Sets the progress and announces it.
    Progress(Box<RawValue>),
    /// Replaces the payload.
    Data(Box<RawValue>),
    /// Appends log rows; keeps the newest `keep`, or all.
    Log { rows: Vec<String>, keep: Option<u64> },
    /// Drops log rows but the newest `keep`.
    TrimLog { keep: u64 },
    /// A delayed job is due so much after `now`.
    Delay(Duration),
    /// The priority from here on; 0 is none. A job that is ready goes behind its new equals, or before them.
    Priority { priority: u32, lifo: bool },
    /// A delayed job becomes ready.
    Promote,
    /// A finished job becomes ready again. `from`: only when it is in that state; None: completed or failed.
    Reprocess { from: Option<JobState>, reset_made: bool, reset_started: bool },
    /// Deletes it and its records; with `children` also those below it. Refused where one of them is locked.
    Remove { children: bool },
}

/// What a change left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Log rows that the job now has; 0 for changes of another kind.
    pub log_rows: u64,
}

/// How a queue is worked by all its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// No job is handed out.
    Pause,
    /// Jobs are handed out again; what older clients put aside while it was paused comes first.
    Resume,
    /// Most jobs active at a time, over all workers; None: no limit.
    Concurrency(Option<u64>),
    /// Most starts per window, over all workers; None: no limit.
    RateLimit(Option<RateLimit>),
    /// Counts the present window as used up for so long; None: forgets what was counted.
    Limited(Option<Duration>),
}
