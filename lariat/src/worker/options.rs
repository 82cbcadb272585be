//! A worker's options, checked once.

use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use super::backoff::{FailedAttempt, Strategy};
use super::handler::Handler;
use crate::error::Error;
use crate::job::Keep;
use crate::retry::NextAttempt;
use crate::store::Store;
use crate::store::exchange::RateLimit;

/// What a worker is to be; made by [`Worker::builder`], and started with a handler.
#[derive(Debug, Clone)]
#[must_use = "a worker runs once it is started"]
pub struct WorkerBuilder {
    pub(super) store: Store,
    pub(super) queue: String,
    pub(super) options: Options,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub concurrency: usize,
    pub lock_duration: Duration,
    pub lock_renew_time: Option<Duration>,
    pub lock_thread: bool,
    pub stalled_interval: Duration,
    pub max_stalled: u32,
    pub timeout: Option<Duration>,
    pub cancel_grace: Duration,
    pub name: Option<Arc<str>>,
    pub metrics: Option<u32>,
    pub limiter: Option<RateLimit>,
    pub remove_on_complete: Keep,
    pub remove_on_fail: Keep,
    pub backoff: Option<Strategy>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            concurrency: 1,
            lock_duration: Duration::from_secs(30),
            lock_renew_time: None,
            lock_thread: true,
            stalled_interval: Duration::from_secs(30),
            max_stalled: 1,
            timeout: None,
            cancel_grace: Duration::from_secs(2),
            name: None,
            metrics: None,
            limiter: None,
            remove_on_complete: Keep::ALL,
            remove_on_fail: Keep::ALL,
            backoff: None,
        }
    }
}

/// The options of all who take jobs, with or without handlers.
macro_rules! taking_options {
    ($builder:ty) => {
        impl $builder {
            /// How long a job stays locked without a renewal; 30 s unless set, at least 100 ms (BullMQ's `lockDuration`).
            pub fn lock_duration(mut self, duration: Duration) -> Self {
                self.options.lock_duration = duration;
                self
            }

            /// How often stalled jobs are looked for, over all workers of the queue; 30 s unless set (BullMQ's `stalledInterval`).
            pub fn stalled_interval(mut self, interval: Duration) -> Self {
                self.options.stalled_interval = interval;
                self
            }

            /// How often a job may be found stalled and run again; 1 unless set (BullMQ's `maxStalledCount`).
            pub fn max_stalled(mut self, count: u32) -> Self {
                self.options.max_stalled = count;
                self
            }

            /// The name that is recorded with each job that is taken, and shown in lists of workers.
            pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
                self.options.name = Some(name.into());
                self
            }

            /// Starts at most `max` jobs in each window of `duration`, over all workers of the queue that say the same; a limit
            /// set on the queue itself goes first (BullMQ's `limiter`).
            pub fn rate_limit(mut self, max: u64, duration: Duration) -> Self {
                self.options.limiter = Some($crate::store::exchange::RateLimit { max, duration });
                self
            }

            /// Which completed jobs are kept where the job does not say; all unless set.
            pub fn remove_on_complete(mut self, keep: Keep) -> Self {
                self.options.remove_on_complete = keep;
                self
            }

            /// Which failed jobs are kept where the job does not say; all unless set.
            pub fn remove_on_fail(mut self, keep: Keep) -> Self {
                self.options.remove_on_fail = keep;
                self
            }

            /// How long jobs wait whose [backoff](crate::Backoff::custom) is neither fixed nor exponential (BullMQ's
            /// `settings.backoffStrategy`): asked after a failed attempt, when another one is left. It may say at once, or never.
            ///
            /// It is not to block. Without one, and when it panics, such a job fails for good with words that say so. Its answer
            /// is taken as it is: the backoff's delay and jitter are for it to use.
            ///
            /// BullMQ lets it return a promise; here it answers at once. It is asked when the handler, its timeout and its signal
            /// to stop are over, so nothing would end one that hangs, and its job would be held with it. What takes time to find
            /// out is for the handler: its error's words come here ([`FailedAttempt::error`]), and what the two share can be
            /// captured.
            ///
            /// ```no_run
            /// # fn example(builder: lariat::WorkerBuilder) -> lariat::WorkerBuilder {
            /// use std::time::Duration;
            /// use lariat::NextAttempt;
            ///
            /// builder.backoff_strategy(|attempt| match attempt.strategy {
            ///     "linear" => NextAttempt::After(Duration::from_secs(10) * attempt.attempts_made),
            ///     _ => NextAttempt::Never,
            /// })
            /// # }
            /// ```
            pub fn backoff_strategy(
                mut self,
                decide: impl Fn(&FailedAttempt<'_>) -> NextAttempt + Send + Sync + 'static,
            ) -> Self {
                self.options.backoff = Some(Strategy::new(decide));
                self
            }
        }
    };
}
pub(crate) use taking_options;

taking_options!(WorkerBuilder);

impl WorkerBuilder {
    pub(super) fn new(store: &Store, queue: &str) -> WorkerBuilder {
        WorkerBuilder { store: store.clone(), queue: queue.to_owned(), options: Options::default() }
    }

    /// The store, the queue and the options that it would go by.
    #[cfg(feature = "sqlite")]
    pub(crate) fn into_parts(self) -> (Store, String, Options) {
        (self.store, self.queue, self.options)
    }

    /// How many handlers may run at a time; 1 unless set. At least 1.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.options.concurrency = concurrency;
        self
    }

    /// How old a lock may grow before it is renewed; half of the lock's duration unless set (BullMQ's `lockRenewTime`).
    pub fn lock_renew_time(mut self, time: Duration) -> Self {
        self.options.lock_renew_time = Some(time);
        self
    }

    /// Whether locks are renewed on a thread and connection of their own, so that a handler that blocks the runtime
    /// loses no lock. On unless switched off.
    pub fn lock_thread(mut self, own: bool) -> Self {
        self.options.lock_thread = own;
        self
    }

    /// How long one attempt may take where the job does not say; without limit unless set.
    ///
    /// At its end the handler is cancelled, given its [`cancel_grace`](Self::cancel_grace), and dropped; the attempt has
    /// failed. A handler that blocks its thread cannot be dropped and keeps its slot until it ends.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.timeout = timeout.into();
        self
    }

    /// How long a cancelled handler may go on before its future is dropped; 2 s unless set. A handler whose lock is lost
    /// has no longer than the lock itself could last once its trust has ended: a tenth of its duration, as a rule.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.options.cancel_grace = grace;
        self
    }

    /// Keeps per-minute counts of completed and failed jobs, this many minutes back (BullMQ's `metrics.maxDataPoints`).
    pub fn metrics(mut self, minutes: u32) -> Self {
        self.options.metrics = Some(minutes);
        self
    }

    /// Starts the worker in the background of the current Tokio runtime. No I/O has happened when this returns: a store
    /// that cannot be reached is announced as an event, and tried again.
    ///
    /// The handler is any `async fn(Job) -> Result<T, E>`, with `T` serialisable or an [`Outcome`](crate::Outcome), and
    /// `E` any error, a `String`, or a [`JobError`](crate::JobError).
    pub fn start<H: Handler>(self, handler: H) -> Result<Worker, Error> {
        self.options.check().map_err(|e| e.in_queue(&self.queue))?;
        Worker::start(self, Arc::new(handler))
    }
}

impl Options {
    pub(super) fn lock_renew_time(&self) -> Duration {
        self.lock_renew_time.unwrap_or(self.lock_duration / 2)
    }

    /// Rules of the lock's times are the lock manager's own.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.concurrency == 0 {
            return Err(Error::invalid("concurrency", 0, "must be at least 1"));
        }
        if self.concurrency > 1_000_000 {
            return Err(Error::invalid("concurrency", self.concurrency, "must be at most 1000000"));
        }
        let longest = Duration::from_secs(7 * 24 * 3600);
        for (field, value) in [
            ("lock_duration", self.lock_duration),
            ("stalled_interval", self.stalled_interval),
            ("cancel_grace", self.cancel_grace),
        ] {
            if value > longest {
                return Err(Error::invalid(field, format!("{value:?}"), "must be at most 7 days"));
            }
        }
        if self.stalled_interval < Duration::from_millis(1) {
            return Err(Error::invalid(
                "stalled_interval",
                format!("{:?}", self.stalled_interval),
                "must be at least 1 ms",
            ));
        }
        if self.timeout.is_some_and(|t| t.as_millis() == 0) {
            return Err(Error::invalid("timeout", "0s", "must be at least 1 ms"));
        }
        if self.metrics == Some(0) {
            return Err(Error::invalid("metrics", 0, "must keep at least 1 minute"));
        }
        if let Some(limit) = self.limiter {
            limit.check()?;
        }
        if let Some(name) = &self.name
            && (name.is_empty() || name.chars().any(char::is_control))
        {
            return Err(Error::invalid("worker name", name, "must not be empty or contain control characters"));
        }
        Ok(())
    }
}
