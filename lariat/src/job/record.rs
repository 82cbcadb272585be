//! A job as it is stored.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::options::JobOptions;
use super::state::JobState;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::time::Timestamp;

/// A job as found in the store at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobRecord {
    /// Its id within the queue.
    pub id: JobId,
    /// Its name, which says what sort of work it is.
    pub name: String,
    /// The payload, as the producer wrote it.
    pub data: Box<RawValue>,
    /// The options as given when it was added; delay and priority as they are now are [`delay`](Self::delay) and
    /// [`priority`](Self::priority).
    pub options: JobOptions,
    /// When it was added, by the producer's clock.
    pub timestamp: Timestamp,
    /// The delay in force, from its last start.
    pub delay: Duration,
    /// The priority in force.
    pub priority: u32,
    /// Attempts that ended: completed, failed, or to be retried.
    pub attempts_made: u32,
    /// Times it was handed to a worker. It grows with every run: a fencing value.
    pub attempts_started: u32,
    /// Times it was found stalled.
    pub stalled_counter: u32,
    /// When it last became active.
    pub processed_on: Option<Timestamp>,
    /// When it ended.
    pub finished_on: Option<Timestamp>,
    /// What the handler returned.
    pub return_value: Option<Box<RawValue>>,
    /// Why the last attempt failed.
    pub failed_reason: Option<String>,
    /// One entry for each failed attempt, oldest first.
    pub stacktrace: Vec<String>,
    /// The progress last reported.
    pub progress: Option<Box<RawValue>>,
    /// The name of the worker that last ran it.
    pub processed_by: Option<String>,
    /// The parent that waits for it.
    pub parent: Option<ParentRef>,
    /// The job scheduler that made it.
    pub scheduler: Option<String>,
    /// Its deduplication id.
    pub deduplication_id: Option<String>,
    /// Set when the job is to fail without being run (stalled too often, or a child failed): the reason.
    pub deferred_failure: Option<String>,
}

/// Where a job's parent is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentRef {
    /// The parent's id.
    pub id: String,
    /// The parent's queue, with its prefix: `prefix:name`.
    pub queue_key: String,
}

/// A record and the state it was in when it was read, in one look.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredJob {
    /// The record.
    pub record: JobRecord,
    /// The state; None for a record that is in none (left by an interrupted client).
    pub state: Option<JobState>,
}

impl JobRecord {
    /// The payload, as a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.data.get()).map_err(|e| {
            Error::new(ErrorKind::Data, "its data does not have the expected form").for_job(&self.id).because(e)
        })
    }
}
