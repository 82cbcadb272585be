//! A worker's calls to the store, repeated until they are answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, chain};
use crate::store::QueueBackend;
use crate::store::exchange::{Exchange, Exchanged, LaneCall, Woken};
use crate::telemetry::{self, Cause};
use crate::time::{Clock, Timestamp};

use super::event::{Announcer, WorkerEvent};
use super::health::Pulse;

static LOST: Cause = Cause::new();
static BACK: Cause = Cause::new();

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often to look whether a test has moved its clock.
const LOOK_AT_CLOCK: Duration = Duration::from_millis(20);
/// The deadline of one sending of an exchange: a quarter of the lock's duration, within these.
const SHORTEST_DEADLINE: Duration = Duration::from_millis(500);
const LONGEST_DEADLINE: Duration = Duration::from_secs(5);

/// The way to the store, with the memory of whether it answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StoreCalls {
    queue: Arc<str>,
    backend: Arc<dyn QueueBackend>,
    clock: Clock,
    deadline: Duration,
    say: Announcer,
    lost: Arc<AtomicBool>,
    /// What the last call failed with, until one succeeds.
    failure: Arc<Mutex<Option<Error>>>,
    pulse: Arc<Pulse>,
}

/// A lane and its last call: one call at a time.
pub(crate) struct Lane {
    base: Arc<str>,
    number: u64,
}

impl Lane {
    pub(crate) fn new() -> Lane {
        let [lane] = Lane::of_one_worker();
        lane
    }

    /// Lanes whose bases begin alike, with the uuid of their worker, so that stores can tell who is who.
    pub(super) fn of_one_worker<const N: usize>() -> [Lane; N] {
        let worker = uuid::Uuid::new_v4().to_string();
        std::array::from_fn(|n| {
            let base = if n == 0 { worker.as_str().into() } else { format!("{worker}-{}", n + 1).into() };
            Lane { base, number: 0 }
        })
    }

    /// The call that follows.
    pub(crate) fn next(&mut self) -> LaneCall {
        self.number += 1;
        LaneCall { base: Arc::clone(&self.base), number: self.number }
    }
}

/// An answered exchange.
pub(crate) struct Answered {
    pub reply: Exchanged,
    /// When the sending that was answered was sent: the locks of its jobs count from here.
    pub sent: lariat_lock::Instant,
}

impl StoreCalls {
    pub(crate) fn new(
        queue: Arc<str>,
        backend: Arc<dyn QueueBackend>,
        clock: Clock,
        lock_duration: Duration,
        say: Announcer,
    ) -> StoreCalls {
        StoreCalls {
            queue,
            backend,
            clock,
            deadline: (lock_duration / 4).clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE),
            say,
            lost: Arc::new(AtomicBool::new(false)),
            failure: Arc::default(),
            pulse: Arc::default(),
        }
    }

    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    pub(crate) fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::clone(&self.backend)
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn announcer(&self) -> Announcer {
        self.say.clone()
    }

    /// Whether the store lets us do what a worker does, asked once. Only what needs a change at the store is an error
    /// ([`Denied`](ErrorKind::Denied)); anything else shows when jobs are asked for.
    pub(crate) async fn preflight(&self) -> Result<(), Error> {
        match self.backend.preflight().await {
            Err(error) if error.kind() == ErrorKind::Denied => {
                tracing::error!(
                    { telemetry::QUEUE } = &*self.queue,
                    { telemetry::ERROR } = chain(&error),
                    "the worker may not work"
                );
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Sends the exchange under its number until it is answered. The store knows a repeat from its number, so nothing
    /// happens twice.
    pub(crate) async fn exchange(self, mut exchange: Exchange) -> Answered {
        let mut pause = FIRST_PAUSE;
        let question = self.pulse.ask(self.deadline);
        loop {
            exchange.now = self.now();
            let sent = lariat_lock::Instant::now();
            match self.backend.exchange(&exchange, self.deadline).await {
                Ok(reply) => {
                    question.answered();
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
    pub(crate) async fn wait(self, longest: Duration) -> Woken {
        let stands = self.clock.stands();
        let longest = if stands { longest.min(LOOK_AT_CLOCK) } else { longest };
        let question = self.pulse.ask(longest + self.deadline);
        match self.backend.wait(longest).await {
            Ok(woken) => {
                question.answered();
                if stands && matches!(woken, Woken::DueAt(_)) {
                    // The store goes by the wall clock, to which nothing is due here.
                    tokio::time::sleep(longest).await;
                    return Woken::TimedOut;
                }
                woken
            }
            Err(error) => {
                self.fails(&error);
                tokio::time::sleep(jittered(Duration::from_millis(200))).await;
                Woken::TimedOut
            }
        }
    }

    /// What the last call failed with; None where it did not.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Error::echo)
    }

    /// Said once, when the store is lost; the repeats are debug lines.
    fn fails(&self, error: &Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.echo());
        let words = chain(error);
        let first = !self.lost.swap(true, Ordering::Relaxed);
        if let Some(unsaid) = first.then(|| LOST.may_say()).flatten() {
            tracing::warn!(
                { telemetry::QUEUE } = &*self.queue,
                { telemetry::ERROR } = words,
                { telemetry::UNSAID } = unsaid,
                "the store fails; trying on"
            );
        } else {
            tracing::debug!({ telemetry::QUEUE } = &*self.queue, { telemetry::ERROR } = words, "the store still fails");
        }
        if first {
            self.say.say(|| WorkerEvent::StoreLost { error: words });
        }
    }

    fn answers(&self) {
        if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if let Some(unsaid) = BACK.may_say() {
                let queue = &*self.queue;
                tracing::info!({ telemetry::QUEUE } = queue, { telemetry::UNSAID } = unsaid, "the store answers again");
            }
            self.say.say(|| WorkerEvent::StoreBack);
        }
    }
}

/// Between half of the pause and the whole of it, so that workers do not come back in step.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
