//! What a worker tells those who listen. Listeners are never waited for.

use std::time::Duration;

use lariat_lock::LossReason;
use tokio::sync::broadcast;

use crate::id::JobId;

/// How many events a slow listener may be behind before it misses the oldest.
const KEPT: usize = 1024;

/// Something that happened in a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// A job was taken and its handler begins.
    #[non_exhaustive]
    Active { id: JobId, name: String, attempt: u32 },
    /// The store has taken in the job's result.
    #[non_exhaustive]
    Completed { id: JobId },
    /// The job has failed for good.
    #[non_exhaustive]
    Failed { id: JobId, reason: String },
    /// The attempt failed; the job will be tried again after `delay`.
    #[non_exhaustive]
    Retrying { id: JobId, reason: String, delay: Duration },
    /// The handler asked to run again later.
    #[non_exhaustive]
    Delayed { id: JobId, delay: Duration },
    /// The job waits for its children.
    #[non_exhaustive]
    WaitingForChildren { id: JobId },
    /// The job was put back in front of the queue, as if it had not been taken.
    #[non_exhaustive]
    PutBack { id: JobId },
    /// The job's lock is lost, or could not be renewed in time; its handler is being stopped and its result will not be
    /// sent.
    #[non_exhaustive]
    LockLost { id: JobId, reason: LossReason },
    /// The store refused the job's outcome: somebody else has decided about the job meanwhile.
    #[non_exhaustive]
    ResultRefused { id: JobId, why: String },
    /// Jobs whose worker is gone were put back to the front of the queue by this worker's search.
    #[non_exhaustive]
    Stalled { ids: Vec<JobId> },
    /// An id was listed in the queue but could not be run (its record is missing or no record); it was taken out.
    #[non_exhaustive]
    Dropped { id: String, why: String },
    /// The last job was handed in, and nothing is ready.
    Drained,
    /// The store does not answer, or refuses a call as a whole; the worker keeps trying.
    #[non_exhaustive]
    StoreLost { error: String },
    /// The store answers again.
    StoreBack,
    /// The worker has ended.
    #[non_exhaustive]
    Stopped { why: String },
}

/// A worker's events, from the moment that this was made. Bounded: whoever reads too slowly misses the oldest.
#[derive(Debug)]
pub struct WorkerEvents {
    receiver: broadcast::Receiver<WorkerEvent>,
    missed: u64,
}

impl WorkerEvents {
    /// The next event; None once the worker is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<WorkerEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => self.missed += missed,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// How many events were missed so far because they were not read in time.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The worker's end. An event is only built when somebody listens.
#[derive(Debug, Clone)]
pub(super) struct Announcer(broadcast::Sender<WorkerEvent>);

impl Announcer {
    pub(super) fn new() -> Announcer {
        Announcer(broadcast::Sender::new(KEPT))
    }

    pub(super) fn say(&self, event: impl FnOnce() -> WorkerEvent) {
        if self.0.receiver_count() > 0 {
            // Nobody listening any more is no failure.
            drop(self.0.send(event()));
        }
    }

    pub(super) fn listen(&self) -> WorkerEvents {
        WorkerEvents { receiver: self.0.subscribe(), missed: 0 }
    }
}
