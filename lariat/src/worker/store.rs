//! A worker's calls to the store, repeated until they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, ErrorKind, chain};
use crate::store::QueueBackend;
use crate::store::exchange::{Exchange, Exchanged, LaneCall, Woken};
use crate::time::Timestamp;

use super::event::{Announcer, WorkerEvent};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The deadline of one sending of an exchange: a quarter of the lock's duration, within these.
const SHORTEST_DEADLINE: Duration = Duration::from_millis(500);
const LONGEST_DEADLINE: Duration = Duration::from_secs(5);

/// The way to the store, with the memory of whether it answers. Cheap to clone.
#[derive(Clone)]
pub(super) struct StoreCalls {
    queue: Arc<str>,
    backend: Arc<dyn QueueBackend>,
    base: Arc<str>,
    deadline: Duration,
    say: Announcer,
    lost: Arc<AtomicBool>,
}

/// An answered exchange.
pub(super) struct Answered {
    pub reply: Exchanged,
    /// When the sending that was answered was sent: the locks of its jobs count from here.
    pub sent: lariat_lock::Instant,
}

impl StoreCalls {
    pub(super) fn new(
        queue: Arc<str>,
        backend: Arc<dyn QueueBackend>,
        lock_duration: Duration,
        say: Announcer,
    ) -> StoreCalls {
        StoreCalls {
            queue,
            backend,
            base: uuid::Uuid::new_v4().to_string().into(),
            deadline: (lock_duration / 4).clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE),
            say,
            lost: Arc::new(AtomicBool::new(false)),
        }
    }

    pub(super) fn lane_call(&self, number: u64) -> LaneCall {
        LaneCall { base: Arc::clone(&self.base), number }
    }

    pub(super) fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::clone(&self.backend)
    }

    /// Whether the store lets us do what a worker does, asked once. Only what needs a change at the store is an error
    /// ([`Denied`](ErrorKind::Denied)); anything else shows when jobs are asked for.
    pub(super) async fn preflight(&self) -> Result<(), Error> {
        match self.backend.preflight().await {
            Err(error) if error.kind() == ErrorKind::Denied => {
                tracing::error!(queue = &*self.queue, error = chain(&error), "the worker may not work");
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Sends the exchange under its number until it is answered. The store knows a repeat from its number, so nothing
    /// happens twice.
    pub(super) async fn exchange(self, mut exchange: Exchange) -> Answered {
        let mut pause = FIRST_PAUSE;
        loop {
            exchange.now = Timestamp::now();
            let sent = lariat_lock::Instant::now();
            match self.backend.exchange(&exchange, self.deadline).await {
                Ok(reply) => {
                    self.answers();
                    return Answered { reply, sent };
                }
                Err(error) => self.fails(&error),
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for the marker. A wait that fails reads as timed out, after a pause: the exchange that follows finds out
    /// whether the store is there.
    pub(super) async fn wait(self, longest: Duration) -> Woken {
        match self.backend.wait(longest).await {
            Ok(woken) => woken,
            Err(error) => {
                self.fails(&error);
                tokio::time::sleep(jittered(Duration::from_millis(200))).await;
                Woken::TimedOut
            }
        }
    }

    /// Said once, when the store is lost; the repeats are debug lines.
    fn fails(&self, error: &Error) {
        let words = chain(error);
        if self.lost.swap(true, Ordering::Relaxed) {
            tracing::debug!(queue = &*self.queue, error = words, "the store still fails");
        } else {
            tracing::warn!(queue = &*self.queue, error = words, "the store fails; the worker keeps trying");
            self.say.say(|| WorkerEvent::StoreLost { error: words });
        }
    }

    fn answers(&self) {
        if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
            tracing::info!(queue = &*self.queue, "the store answers again");
            self.say.say(|| WorkerEvent::StoreBack);
        }
    }
}

/// Between half of the pause and the whole of it, so that workers do not come back in step.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
