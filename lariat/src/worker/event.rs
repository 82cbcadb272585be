//! What a worker tells those who listen. Listeners are never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    Active {
        /// The job.
        id: JobId,
        /// Its name.
        name: String,
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// The store has taken in the job's result.
    Completed {
        /// The job.
        id: JobId,
    },
    /// The job has failed for good.
    Failed {
        /// The job.
        id: JobId,
        /// Why.
        reason: String,
    },
    /// The attempt failed; the job will be tried again.
    Retrying {
        /// The job.
        id: JobId,
        /// Why the attempt failed.
        reason: String,
        /// How long until the job may run again; zero: at once.
        delay: Duration,
    },
    /// The handler asked to run again later.
    Delayed {
        /// The job.
        id: JobId,
        /// How much later.
        delay: Duration,
    },
    /// The job waits for its children.
    WaitingForChildren {
        /// The job.
        id: JobId,
    },
    /// The job was put back in front of the queue, as if it had not been taken.
    PutBack {
        /// The job.
        id: JobId,
    },
    /// The job's lock is lost, or could not be renewed in time; its handler is being stopped and its result will not be
    /// sent.
    LockLost {
        /// The job.
        id: JobId,
        /// How it was lost.
        reason: LossReason,
    },
    /// The store refused the job's outcome: somebody else has decided about the job meanwhile.
    ResultRefused {
        /// The job.
        id: JobId,
        /// The store's words.
        why: String,
    },
    /// Jobs whose worker is gone were put back to the front of the queue by this worker's search.
    Stalled {
        /// The jobs.
        ids: Vec<JobId>,
    },
    /// An id was listed in the queue but cannot be run: its record is missing or no record, or the id is no text. It is
    /// no longer among the waiting jobs.
    Dropped {
        /// The id as it was listed.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// The last job was handed in, and nothing is ready.
    Drained,
    /// The store does not answer, or refuses a call as a whole; the worker keeps trying.
    StoreLost {
        /// What the store, or the way to it, says.
        error: String,
    },
    /// The store answers again.
    StoreBack,
    /// The worker has ended.
    Stopped {
        /// Why.
        why: String,
    },
}

/// A worker's events, from the moment that this was made. Bounded: whoever reads too slowly misses the oldest.
#[derive(Debug)]
pub struct WorkerEvents {
    receiver: broadcast::Receiver<WorkerEvent>,
    missed: u64,
    /// Nothing comes any more, though the way that it would come is still open.
    over: bool,
}

impl WorkerEvents {
    /// The next event; None after [`Stopped`](WorkerEvent::Stopped), which is the last. Cancel safe.
    pub async fn next(&mut self) -> Option<WorkerEvent> {
        while !self.over {
            match self.receiver.recv().await {
                Ok(event) => {
                    self.over = matches!(event, WorkerEvent::Stopped { .. });
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => self.missed += missed,
                Err(broadcast::error::RecvError::Closed) => self.over = true,
            }
        }
        None
    }

    /// How many events were missed so far because they were not read in time.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The worker's end. An event is only built when somebody listens.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    sender: broadcast::Sender<WorkerEvent>,
    /// Set before the last event is sent.
    over: Arc<AtomicBool>,
}

impl Announcer {
    pub(crate) fn new() -> Announcer {
        Announcer { sender: broadcast::Sender::new(KEPT), over: Arc::default() }
    }

    pub(super) fn say(&self, event: impl FnOnce() -> WorkerEvent) {
        if self.sender.receiver_count() > 0 {
            // Nobody listening any more is no failure.
            drop(self.sender.send(event()));
        }
    }

    /// The last event: those who listen, and those who come later, need not wait for another.
    pub(super) fn stopped(&self, why: &str) {
        self.over.store(true, Ordering::Release);
        self.say(|| WorkerEvent::Stopped { why: why.to_owned() });
    }

    pub(super) fn listen(&self) -> WorkerEvents {
        // In this order: whoever finds it open is there before the last event is sent.
        let receiver = self.sender.subscribe();
        WorkerEvents { receiver, missed: 0, over: self.over.load(Ordering::Acquire) }
    }
}
