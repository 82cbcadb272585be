//! Adding jobs, and changing one. Plain data.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::exchange::LaneCall;
use crate::id::JobId;
use crate::job::JobOptions;
use crate::time::Timestamp;

/// Most jobs that one add carries.
pub(crate) const MOST_ADDED: usize = 500;
/// Bytes of payload after which an add carries no further job.
pub(crate) const MOST_ADDED_BYTES: usize = 1 << 20;

/// One call of a producer's lane.
#[derive(Debug, Clone)]
pub(crate) struct Add {
    pub call: LaneCall,
    pub jobs: Vec<AddJob>,
}

/// A job to add, checked.
#[derive(Debug, Clone)]
pub(crate) struct AddJob {
    pub name: String,
    pub data: Box<RawValue>,
    pub options: JobOptions,
    /// When it was added; its delay counts from here.
    pub timestamp: Timestamp,
}

/// A change to one job.
#[derive(Debug, Clone)]
pub(crate) struct ChangeJob {
    pub id: JobId,
    /// When given, the change is made only while this token holds the job's lock; else it is refused.
    pub holder: Option<Arc<str>>,
    pub change: Change,
}

/// What to change.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Sets the progress and announces it.
    Progress(Box<RawValue>),
    /// Replaces the payload.
    Data(Box<RawValue>),
    /// Appends log rows; keeps the newest `keep`, or all.
    Log { rows: Vec<String>, keep: Option<u64> },
}

/// What a change left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Log rows that the job now has; 0 for other changes.
    pub log_rows: u64,
}
