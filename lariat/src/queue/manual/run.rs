//! Jobs taken by hand and run as a worker would run them, one at a time: what tests drain a queue with.

use std::sync::Arc;

use lariat_lock::LossReason;
use tracing::Instrument as _;

use super::hand::Received;
use super::taken::Then;
use super::{Manual, ManualBuilder, TakenJob};
use crate::error::Error;
use crate::store::change::Setting;
use crate::store::exchange::{Transition, Verdict};
use crate::telemetry;
use crate::time::Clock;
use crate::worker::{Handler, WorkerBuilder, run_handler, transition};

/// What running a job led to.
pub(crate) enum Ran {
    Ended(Transition),
    /// It was to wait for children and has none: it is to be run again.
    GoesOn(TakenJob),
}

impl ManualBuilder {
    /// One that takes jobs as this worker would.
    pub(crate) fn like(worker: WorkerBuilder) -> ManualBuilder {
        let (store, queue, options) = worker.into_parts();
        ManualBuilder { store, queue, options, renewed: true }
    }

    /// Whether its store has this clock.
    pub(crate) fn goes_by(&self, clock: &Clock) -> bool {
        self.store.clock().is(clock)
    }
}

impl Manual {
    /// One look for a job; with what to do next, where there is none. Not cancel safe: the job may be left locked.
    pub(crate) async fn next(&self) -> Result<Received, Error> {
        let answered = self.hand.exchange(Vec::new(), 1, false).await.ok_or_else(|| self.hand.silent())?;
        self.hand.received(answered).await.map_err(|e| e.in_queue(&self.hand.queue))
    }

    /// Counts no start so far towards a rate limit.
    pub(crate) async fn forget_starts(&self) -> Result<(), Error> {
        let forgotten = self.hand.calls.backend().configure(Setting::Limited(None)).await;
        forgotten.map_err(|e| e.in_queue(&self.hand.queue))
    }
}

impl TakenJob {
    /// Runs a handler over it as a worker does, and hands in what came of it. An error where that was not taken in.
    pub(crate) async fn run(mut self, handler: &dyn Handler) -> Result<Ran, Error> {
        let hand = Arc::clone(&self.hand);
        let record = self.job.record();
        let about = (record.id.as_str(), record.name.as_str(), record.attempts_made);
        let span = telemetry::process(hand.queue.as_str(), hand.name.as_deref(), about);
        let ended = run_handler(handler, self.job.clone(), &self.lease, &hand.limits).instrument(span).await;
        let to = transition(ended, self.job.record(), &hand.limits, hand.calls.now(), fastrand::f64());
        let Some(to) = to else {
            self.settled = true;
            return Err(self.lost(self.lease.loss().unwrap_or(LossReason::Missing)));
        };
        match self.hand_in(to.clone(), Then::Leave).await?.verdict {
            Verdict::Resume => self.retaken().map(Ran::GoesOn),
            verdict => self.judged(verdict).map(|()| Ran::Ended(to)),
        }
    }
}
