//! Changing a job from outside its handler.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::{Instrument as _, Span};

use super::Queue;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{JobState, MAX_PRIORITY, check_due};
use crate::store::change::{Change, ChangeJob, Changed};
use crate::telemetry::{self, operation};

/// One job of a queue, to be changed; made by [`Queue::edit`].
///
/// Each change is one call. A job that does not exist is refused with [`MissingJob`](crate::Refusal::MissingJob), one in
/// another state with [`NotInState`](crate::Refusal::NotInState). Nothing is sent twice: an error that
/// [`is_unknown`](Error::is_unknown) leaves open whether the change was made, and reading the job tells. Not cancel safe,
/// for the same reason.
#[derive(Debug, Clone)]
#[must_use = "nothing is changed until one of its methods is called"]
pub struct JobEdit<'a> {
    queue: &'a Queue,
    id: &'a JobId,
    holder: Option<Arc<str>>,
}

impl<'a> JobEdit<'a> {
    pub(super) fn new(queue: &'a Queue, id: &'a JobId) -> JobEdit<'a> {
        JobEdit { queue, id, holder: None }
    }

    /// Only while this token holds the job's lock: for a helper of the handler that knows its token. Otherwise refused
    /// with [`MissingLock`](crate::Refusal::MissingLock) or [`LockTaken`](crate::Refusal::LockTaken).
    pub fn held_by(mut self, token: impl Into<Arc<str>>) -> JobEdit<'a> {
        self.holder = Some(token.into());
        self
    }

    /// Sets its progress, and announces it (BullMQ's `updateProgress`).
    pub async fn progress<T: Serialize + ?Sized>(&self, progress: &T) -> Result<(), Error> {
        let progress = self.as_json("progress", progress)?;
        self.change(Change::Progress(progress)).await.map(drop)
    }

    /// Replaces its payload (BullMQ's `updateData`). A handler that runs now keeps the one that it has.
    pub async fn data<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), Error> {
        let data = self.as_json("data", data)?;
        self.change(Change::Data(data)).await.map(drop)
    }

    /// Appends rows to its log, and keeps the newest `keep` of all, where that is given. How many rows it has then.
    pub async fn log(&self, rows: Vec<String>, keep: Option<u64>) -> Result<u64, Error> {
        self.change(Change::Log { rows, keep }).await.map(|changed| changed.log_rows)
    }

    /// Drops the rows of its log but the newest `keep` (BullMQ's `clearLogs`). How many rows it has then.
    pub async fn trim_log(&self, keep: u64) -> Result<u64, Error> {
        self.change(Change::TrimLog { keep }).await.map(|changed| changed.log_rows)
    }

    /// Makes a delayed job ready now (BullMQ's `promote`).
    pub async fn promote(&self) -> Result<(), Error> {
        self.change(Change::Promote).await.map(drop)
    }

    /// Lets a delayed job be due so much after now (BullMQ's `changeDelay`).
    pub async fn delay(&self, delay: Duration) -> Result<(), Error> {
        check_due("delay", delay, self.queue.clock.now()).map_err(|e| self.about(e))?;
        self.change(Change::Delay(delay)).await.map(drop)
    }

    /// Changes its priority, 0 (none) to 2,097,151 (BullMQ's `changePriority`). A job that is ready goes behind the others
    /// of its new priority, or before them with `first`; one in another state keeps the number for later.
    pub async fn priority(&self, priority: u32, first: bool) -> Result<(), Error> {
        if priority > MAX_PRIORITY {
            return Err(self.about(Error::invalid("priority", priority, "must be 0 to 2097151")));
        }
        self.change(Change::Priority { priority, lifo: first }).await.map(drop)
    }

    /// Makes a finished job ready again, with a clean slate but for its counters (BullMQ's `retry`).
    pub async fn retry(&self) -> Result<(), Error> {
        self.retry_with(Reprocess::default()).await
    }

    /// [`retry`](Self::retry), with more said.
    pub async fn retry_with(&self, how: Reprocess) -> Result<(), Error> {
        let Reprocess { from, reset_attempts_made: reset_made, reset_attempts_started: reset_started } = how;
        if let Some(state) = from.filter(|state| !matches!(state, JobState::Completed | JobState::Failed)) {
            return Err(self.about(Error::invalid("state", state, "must be completed or failed")));
        }
        self.change(Change::Reprocess { from, reset_made, reset_started }).await.map(drop)
    }

    /// Deletes it and what belongs to it, with all jobs below it in a flow; a parent waits for it no longer.
    ///
    /// Refused with [`LockTaken`](crate::Refusal::LockTaken) while a worker holds it or one of the jobs below, and with
    /// [`SchedulerJob`](crate::Refusal::SchedulerJob) when it is the next run of a job scheduler.
    pub async fn remove(&self) -> Result<(), Error> {
        self.change(Change::Remove { children: true }).await.map(drop)
    }

    /// [`remove`](Self::remove) without the jobs below it.
    pub async fn remove_keep_children(&self) -> Result<(), Error> {
        self.change(Change::Remove { children: false }).await.map(drop)
    }

    async fn change(&self, change: Change) -> Result<Changed, Error> {
        let span = self.span(&change);
        let change =
            ChangeJob { id: self.id.clone(), now: self.queue.clock.now(), holder: self.holder.clone(), change };
        self.queue.backend.change(&change).instrument(span).await.map_err(|e| self.about(e))
    }

    fn span(&self, change: &Change) -> Span {
        let (queue, job) = (self.queue.name.as_str(), self.id.as_str());
        match change {
            Change::Progress(_) => operation!(telemetry::UPDATE_PROGRESS, queue, telemetry::JOB_ID => job),
            Change::Data(_) => operation!(telemetry::UPDATE_DATA, queue, telemetry::JOB_ID => job),
            Change::Log { .. } | Change::TrimLog { .. } => operation!(telemetry::LOG, queue, telemetry::JOB_ID => job),
            Change::Promote => operation!(telemetry::PROMOTE, queue, telemetry::JOB_ID => job),
            Change::Delay(_) => operation!(telemetry::CHANGE_DELAY, queue, telemetry::JOB_ID => job),
            Change::Priority { .. } => operation!(telemetry::CHANGE_PRIORITY, queue, telemetry::JOB_ID => job),
            Change::Reprocess { .. } => operation!(telemetry::REPROCESS, queue, telemetry::JOB_ID => job),
            Change::Remove { .. } => operation!(telemetry::REMOVE, queue, telemetry::JOB_ID => job),
        }
    }

    fn about(&self, error: Error) -> Error {
        error.in_queue(&self.queue.name).for_job(self.id)
    }

    fn as_json<T: Serialize + ?Sized>(&self, what: &str, value: &T) -> Result<Box<RawValue>, Error> {
        let written = to_raw_value(value);
        written.map_err(|e| {
            self.about(Error::new(ErrorKind::Data, format!("the {what} cannot be written as JSON")).because(e))
        })
    }
}

/// How a finished job is made ready again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Reprocess {
    from: Option<JobState>,
    reset_attempts_made: bool,
    reset_attempts_started: bool,
}

impl Reprocess {
    /// Only when it is in this state: completed or failed. Either, unless set.
    #[must_use]
    pub fn from(mut self, state: JobState) -> Reprocess {
        self.from = Some(state);
        self
    }

    /// Gives back all its attempts.
    #[must_use]
    pub fn reset_attempts_made(mut self) -> Reprocess {
        self.reset_attempts_made = true;
        self
    }

    /// Counts its starts from 0 again. They no longer serve as a fencing value then.
    #[must_use]
    pub fn reset_attempts_started(mut self) -> Reprocess {
        self.reset_attempts_started = true;
        self
    }
}
