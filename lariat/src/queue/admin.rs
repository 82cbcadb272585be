//! How a queue is worked by all its workers: pause, limits.

use std::time::Duration;

use tracing::Instrument as _;

use super::Queue;
use crate::error::Error;
use crate::store::change::Setting;
use crate::store::exchange::RateLimit;
use crate::telemetry::{self, operation};

/// Settings of the queue, in force for all its workers. Repeating one has no second effect, save that a pause or resume is
/// announced again.
impl Queue {
    /// Hands out no job until [`resume`](Self::resume); jobs that run go on, and jobs may be added.
    pub async fn pause(&self) -> Result<(), Error> {
        self.configure(Setting::Pause).await
    }

    /// Hands out jobs again. Jobs that a BullMQ 5 client put aside while the queue was paused come first.
    pub async fn resume(&self) -> Result<(), Error> {
        self.configure(Setting::Resume).await
    }

    /// Lets at most so many jobs be active at a time, over all workers (at least 1); None: no limit (BullMQ's
    /// `setGlobalConcurrency`).
    pub async fn set_global_concurrency(&self, most: Option<u64>) -> Result<(), Error> {
        if most == Some(0) {
            return Err(Error::invalid("global concurrency", 0, "must be at least 1; pause the queue to run none")
                .in_queue(&self.name));
        }
        self.configure(Setting::Concurrency(most)).await
    }

    /// Lets at most `max` jobs start in each window of `duration`, over all workers; None: no limit (BullMQ's
    /// `setGlobalRateLimit`). It goes before what a worker sets for itself.
    pub async fn set_global_rate_limit(&self, limit: Option<RateLimit>) -> Result<(), Error> {
        if let Some(limit) = limit {
            limit.check().map_err(|e| e.in_queue(&self.name))?;
        }
        self.configure(Setting::RateLimit(limit)).await
    }

    /// Lets no job start for so long (BullMQ's `rateLimit`). As with BullMQ, this binds workers only where a rate limit is
    /// set, for the queue or for the worker; [`pause`](Self::pause) needs none.
    pub async fn rate_limit_for(&self, duration: Duration) -> Result<(), Error> {
        if duration < Duration::from_millis(1) {
            let words = "must be at least 1 ms";
            return Err(Error::invalid("duration", format!("{duration:?}"), words).in_queue(&self.name));
        }
        self.configure(Setting::Limited(Some(duration))).await
    }

    /// Forgets what was counted towards the rate limit (BullMQ's `removeRateLimitKey`).
    pub async fn forget_rate_limit(&self) -> Result<(), Error> {
        self.configure(Setting::Limited(None)).await
    }

    /// Deletes what a queue without jobs has left in the store: settings, counters, events, figures. False, and nothing is
    /// deleted, where it has jobs or schedulers. Numbers of jobs that are added later begin with 1 again, so nobody should
    /// remember the old ones. Repeating it has no second effect.
    pub async fn forget(&self) -> Result<bool, Error> {
        self.backend.forget().await.map_err(|e| e.in_queue(&self.name))
    }

    async fn configure(&self, setting: Setting) -> Result<(), Error> {
        let queue = self.name.as_str();
        let span = match setting {
            Setting::Pause => operation!(telemetry::PAUSE, queue),
            Setting::Resume => operation!(telemetry::RESUME, queue),
            Setting::Concurrency(_) => operation!(telemetry::SET_GLOBAL_CONCURRENCY, queue),
            Setting::RateLimit(_) => operation!(telemetry::SET_GLOBAL_RATE_LIMIT, queue),
            Setting::Limited(_) => operation!(telemetry::RATE_LIMIT, queue),
        };
        self.backend.configure(setting).instrument(span).await.map_err(|e| e.in_queue(&self.name))
    }
}
