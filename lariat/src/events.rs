//! What happens in a queue, whoever does it: the tail of its event stream.
//!
//! What may not be in this file: anything that changes a queue.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::error::Error;
use crate::id::{JobId, QueueName};
use crate::job::JobState;
use crate::store::view::StoredEvent;
use crate::store::{EventStore, Store};
use crate::time::Timestamp;

/// How many events one call brings.
const AT_A_TIME: usize = 500;
/// How long one call waits for the first.
const WAIT: Duration = Duration::from_secs(10);

/// The events of a queue, from all its producers and workers, in their order (BullMQ's `QueueEvents`). A connection of its
/// own waits for them.
///
/// The store keeps the newest events only (about 10,000 unless the queue says otherwise): whoever reads on from an older
/// id, or reads too slowly, misses those between without a sign.
///
/// ```no_run
/// # async fn example() -> Result<(), lariat::Error> {
/// use lariat::{EventKind, QueueEvents, Store};
///
/// let store = Store::connect("redis://127.0.0.1").await?;
/// let mut events = QueueEvents::from_now(&store, "mail").await?;
/// loop {
///     let event = events.next().await?;
///     if let EventKind::Failed { job, reason } = &event.kind {
///         eprintln!("job {job} failed at {}: {reason}", event.at);
///     }
/// }
/// # }
/// ```
pub struct QueueEvents {
    queue: QueueName,
    store: Arc<dyn EventStore>,
    after: String,
    ready: VecDeque<StoredEvent>,
}

impl QueueEvents {
    /// The events that come from now on: everything that happens after this returned is seen.
    pub async fn from_now(store: &Store, queue: &str) -> Result<QueueEvents, Error> {
        let mut events = QueueEvents::after(store, queue, "0-0")?;
        let now = events.store.events(None, 0, Duration::ZERO).await.map_err(|e| e.in_queue(&events.queue))?;
        events.after = now.upto;
        Ok(events)
    }

    /// The events behind this one, as far as they are kept: to read on where an earlier reader ended. `0-0` stands before
    /// the first. No I/O.
    pub fn after(store: &Store, queue: &str, event: &str) -> Result<QueueEvents, Error> {
        let queue = QueueName::new(queue)?;
        let id = well_formed(event).map_err(|e| e.in_queue(&queue))?;
        Ok(QueueEvents { store: store.event_store(&queue)?, queue, after: id.to_owned(), ready: VecDeque::new() })
    }

    /// The next event. It waits as long as it takes; an error (the store does not answer, say) leaves it where it was, so
    /// that it can be called again. Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Result<QueueEvent, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after.clone_from(&event.id);
                return Ok(QueueEvent::from_stored(event));
            }
            let read = self.store.events(Some(&self.after), AT_A_TIME, WAIT).await;
            self.ready = read.map_err(|e| e.in_queue(&self.queue))?.events.into();
        }
    }

    /// The id of the event that was read last, to read on from there later.
    pub fn last_id(&self) -> &str {
        &self.after
    }
}

impl fmt::Debug for QueueEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueEvents({}, after {})", self.queue, self.after)
    }
}

/// An event id is a time in ms, a dash and a number.
fn well_formed(id: &str) -> Result<&str, Error> {
    let number =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok();
    match id.split_once('-') {
        Some((ms, n)) if number(ms) && number(n) => Ok(id),
        _ => Err(Error::invalid("event id", id, "must be a time in ms, a dash and a number, like 1700000000000-0")),
    }
}

/// Something that happened in a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueueEvent {
    /// Its id: larger than those before.
    pub id: String,
    /// When the store wrote it, by the store's clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The event as it is stored: its name, then names and values in turn.
    pub raw: (String, Vec<(String, String)>),
}

/// What happened. An entry that lacks a field, or is of a kind that this version does not know, is
/// [`Other`](EventKind::Other).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EventKind {
    /// A job was added.
    Added {
        /// The job.
        job: JobId,
        /// Its name.
        name: String,
    },
    /// A job is ready to run.
    Waiting {
        /// The job.
        job: JobId,
        /// Where it came from; None where it was just added.
        from: Option<JobState>,
    },
    /// A job waits for its time.
    Delayed {
        /// The job.
        job: JobId,
        /// When it is due.
        due: Timestamp,
    },
    /// A parent waits for its children.
    WaitingChildren {
        /// The job.
        job: JobId,
    },
    /// A worker took a job.
    Active {
        /// The job.
        job: JobId,
    },
    /// A job reports how far it is.
    Progress {
        /// The job.
        job: JobId,
        /// The progress.
        progress: Box<RawValue>,
    },
    /// A job ended well.
    Completed {
        /// The job.
        job: JobId,
        /// What its handler returned.
        value: Box<RawValue>,
    },
    /// A job failed for good.
    Failed {
        /// The job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// A job has failed as often as it may; follows on [`Failed`](EventKind::Failed).
    RetriesExhausted {
        /// The job.
        job: JobId,
        /// The attempts made.
        attempts_made: u32,
    },
    /// A job whose worker is gone was put back.
    Stalled {
        /// The job.
        job: JobId,
    },
    /// A job was deleted.
    Removed {
        /// The job.
        job: JobId,
    },
    /// A job was not added, since one with its id exists.
    Duplicated {
        /// The job that exists.
        job: JobId,
    },
    /// A job was not added, or took the place of another, by its deduplication id.
    Deduplicated {
        /// The job that stays.
        job: JobId,
        /// The deduplication id.
        deduplication_id: String,
        /// The job that was dropped.
        dropped: String,
    },
    /// Old jobs were deleted.
    Cleaned {
        /// How many.
        count: u64,
    },
    /// The queue was paused.
    Paused,
    /// The queue was resumed.
    Resumed,
    /// The last ready job has ended.
    Drained,
    /// Something else; see [`QueueEvent::raw`].
    Other,
}

impl EventKind {
    /// The job that it is about, where it is about one.
    pub fn job(&self) -> Option<&JobId> {
        use EventKind::{
            Active, Added, Completed, Deduplicated, Delayed, Duplicated, Failed, Progress, Removed, RetriesExhausted,
            Stalled, Waiting, WaitingChildren,
        };
        match self {
            Added { job, .. }
            | Waiting { job, .. }
            | Delayed { job, .. }
            | WaitingChildren { job }
            | Active { job }
            | Progress { job, .. }
            | Completed { job, .. }
            | Failed { job, .. }
            | RetriesExhausted { job, .. }
            | Stalled { job }
            | Removed { job }
            | Duplicated { job }
            | Deduplicated { job, .. } => Some(job),
            EventKind::Cleaned { .. }
            | EventKind::Paused
            | EventKind::Resumed
            | EventKind::Drained
            | EventKind::Other => None,
        }
    }
}

impl QueueEvent {
    pub(crate) fn from_stored(event: StoredEvent) -> QueueEvent {
        let ms = event.id.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or(0);
        QueueEvent {
            at: Timestamp::from_millis(ms),
            kind: kind(&event).unwrap_or(EventKind::Other),
            raw: (event.name, event.fields),
            id: event.id,
        }
    }
}

fn kind(event: &StoredEvent) -> Option<EventKind> {
    let field = |name: &str| event.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let job = || JobId::existing(field("jobId")?).ok();
    let json = |name| serde_json::from_str::<Box<RawValue>>(field(name)?).ok();
    Some(match event.name.as_str() {
        "added" => EventKind::Added { job: job()?, name: field("name").unwrap_or_default().to_owned() },
        "waiting" => EventKind::Waiting { job: job()?, from: field("prev").and_then(state) },
        "delayed" => EventKind::Delayed { job: job()?, due: Timestamp::from_millis(field("delay")?.parse().ok()?) },
        "waiting-children" => EventKind::WaitingChildren { job: job()? },
        "active" => EventKind::Active { job: job()? },
        "progress" => EventKind::Progress { job: job()?, progress: json("data")? },
        "completed" => EventKind::Completed { job: job()?, value: json("returnvalue")? },
        "failed" => EventKind::Failed { job: job()?, reason: field("failedReason")?.to_owned() },
        "retries-exhausted" => {
            EventKind::RetriesExhausted { job: job()?, attempts_made: field("attemptsMade")?.parse().ok()? }
        }
        "stalled" => EventKind::Stalled { job: job()? },
        "removed" => EventKind::Removed { job: job()? },
        "duplicated" => EventKind::Duplicated { job: job()? },
        "deduplicated" => EventKind::Deduplicated {
            job: job()?,
            deduplication_id: field("deduplicationId")?.to_owned(),
            dropped: field("deduplicatedJobId")?.to_owned(),
        },
        "cleaned" => EventKind::Cleaned { count: field("count")?.parse().ok()? },
        "paused" => EventKind::Paused,
        "resumed" => EventKind::Resumed,
        "drained" => EventKind::Drained,
        _ => return None,
    })
}

/// `prev` names a state, or the list that stands for one.
fn state(name: &str) -> Option<JobState> {
    let name = if matches!(name, "wait" | "paused") { "waiting" } else { name };
    JobState::ALL.into_iter().find(|state| state.as_str() == name)
}
