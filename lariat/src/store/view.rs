//! What is read from a queue. Plain data.

use std::time::Duration;

use super::exchange::RateLimit;
use crate::id::JobId;
use crate::job::{JobRecord, JobState};
use crate::time::Timestamp;

/// A queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Overview {
    /// No job is handed out until the queue is resumed.
    pub paused: bool,
    /// Jobs in each state.
    pub counts: Counts,
    /// Most jobs active at a time over all workers, where a limit is set.
    pub concurrency: Option<u64>,
    /// Most starts per window over all workers, where a limit is set.
    pub rate_limit: Option<RateLimit>,
    /// How long no job starts because the rate limit is reached, or because starts were suspended by hand.
    pub limited_for: Option<Duration>,
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Ready to run, without priority. Includes jobs that a BullMQ 5 client left in its list of paused jobs.
    pub waiting: u64,
    /// Being run.
    pub active: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// Ready to run, with priority.
    pub prioritized: u64,
    /// Ended well, and kept.
    pub completed: u64,
    /// Ended badly, and kept.
    pub failed: u64,
    /// Parents waiting for children.
    pub waiting_children: u64,
}

impl Counts {
    /// The count of one state.
    pub fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Waiting => self.waiting,
            JobState::Active => self.active,
            JobState::Delayed => self.delayed,
            JobState::Prioritized => self.prioritized,
            JobState::Completed => self.completed,
            JobState::Failed => self.failed,
            JobState::WaitingChildren => self.waiting_children,
        }
    }

    /// Jobs that are still to be run or being run: waiting, prioritized, delayed and active. Parents that wait for
    /// children are not among them.
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.active + self.delayed + self.prioritized
    }
}

/// Which jobs of one state to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub state: JobState,
    /// How many to skip, in the order asked for.
    pub from: u64,
    pub count: u64,
    /// The order in which they will run, or came to be in that state; else the reverse.
    pub oldest_first: bool,
}

/// Some jobs of one state.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct JobPage {
    /// The jobs, in the order asked for.
    pub jobs: Vec<JobRecord>,
    /// Jobs of the page whose record cannot be read.
    pub damaged: Vec<DamagedJob>,
    /// Where the next page begins: behind the last entry that was looked at, also where entries without a record were
    /// passed over.
    pub next: u64,
}

/// A job whose record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedJob {
    /// Its id as it is listed.
    pub id: String,
    /// What is wrong with it.
    pub why: String,
}

/// Rows of a job's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPage {
    /// The rows asked for, oldest first.
    pub rows: Vec<String>,
    /// How many rows the log has.
    pub total: u64,
}

/// An active job and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldJob {
    /// The job.
    pub id: JobId,
    /// Its name, where it has a record.
    pub name: Option<String>,
    /// The token that holds its lock, masked but for its last four characters; None: nobody does, and a search for
    /// stalled jobs will put it back.
    pub token: Option<String>,
    /// The name of the worker that took it, where that worker has one.
    pub worker: Option<String>,
    /// When it was taken.
    pub since: Option<Timestamp>,
    /// How long its lock lasts without a renewal.
    pub left: Option<Duration>,
}

/// A worker that waits for jobs of the queue, or runs some, as the store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Where its connection comes from.
    pub address: String,
    /// How long it has been connected.
    pub connected_for: Duration,
    /// How long since it last asked for anything on that connection.
    pub idle_for: Duration,
}

/// How many jobs ended in each minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Jobs that ended so since metrics were first kept.
    pub total: u64,
    /// Jobs by minute, the newest whole minute first.
    pub per_minute: Vec<u64>,
    /// When the last minute was written.
    pub written: Option<Timestamp>,
}

/// An entry of a queue's event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    pub id: String,
    pub name: String,
    /// The other fields, in their order.
    pub fields: Vec<(String, String)>,
}

/// Entries of a queue's event stream, and where to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvents {
    pub events: Vec<StoredEvent>,
    /// Pass it to the next read.
    pub upto: String,
}

/// Characters of a token that are shown.
const SHOWN: usize = 4;

/// A token but for its end. One that is short is not shown at all: so much of it would help to guess it.
pub(crate) fn masked(token: &str) -> String {
    let characters = token.chars().count();
    let hidden = if characters < 3 * SHOWN { characters } else { characters - SHOWN };
    token.chars().enumerate().map(|(place, character)| if place < hidden { '*' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_show_their_end_only() {
        assert_eq!(masked("0b9f7a52-6c1e:17"), "************e:17");
        assert_eq!(masked("secret"), "******");
        assert_eq!(masked("äöüäöüäöüäöü"), "********äöüä".replace("äöüä", "üäöü"));
        assert_eq!(masked(""), "");
    }
}
