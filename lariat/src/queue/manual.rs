//! Taking jobs and settling them by hand, for programs that have a loop of their own.
//!
//! [`hand`] has the lane and takes, [`taken`] is a job in the user's hands. Both go by the worker's calls, lease and
//! decisions: there is one way to take a job. [`run`] runs a handler over taken jobs, for tests.

mod hand;
#[cfg(feature = "sqlite")]
mod run;
mod taken;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{LockManager, Terms};
use tokio::runtime::Handle as Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::hand::Hand;
pub use self::taken::TakenJob;
#[cfg(feature = "sqlite")]
pub(crate) use self::{hand::Received, run::Ran};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::job::Keep;
use crate::retry::NextAttempt;
use crate::store::Store;
use crate::telemetry::{self, operation};
use crate::worker::{
    Announcer, FailedAttempt, Limits, Options, Searcher, StoreCalls, Strategy, ToldLocks, taking_options,
};

/// A consumer without handlers: takes jobs one by one, and lets you say what became of each (BullMQ's `getNextJob`,
/// `moveToCompleted`, `moveToFailed`, …). Cheap to clone; clones share their calls.
///
/// While a taken job is held its lock is renewed, as a [`Worker`](crate::Worker) does it. As a worker does, it looks for
/// jobs whose worker is gone, and puts them back. Timeouts of jobs are left to you.
///
/// ```no_run
/// # async fn example() -> Result<(), lariat::Error> {
/// use std::time::Duration;
/// use lariat::{Manual, Store};
///
/// let store = Store::connect("redis://127.0.0.1").await?;
/// let mail = Manual::builder(&store, "mail").start()?;
/// while let Some(taken) = mail.take_or_wait(Duration::from_secs(60)).await? {
///     match taken.job().data::<String>() {
///         Ok(address) => taken.complete(&format!("sent to {address}")).await?,
///         Err(error) => taken.fail(error.to_string()).await?,
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Manual {
    hand: Arc<Hand>,
}

/// What a [`Manual`] is to be.
#[derive(Debug, Clone)]
#[must_use = "nothing can be taken until it is started"]
pub struct ManualBuilder {
    store: Store,
    queue: String,
    options: Options,
    renewed: bool,
}

impl Manual {
    /// Taking by hand from this queue, with the options to be set.
    pub fn builder(store: &Store, queue: &str) -> ManualBuilder {
        ManualBuilder { store: store.clone(), queue: queue.to_owned(), options: Options::default(), renewed: true }
    }

    /// Takes the next job, if one is ready.
    ///
    /// None also where the queue is paused or a limit is reached. A job that cannot be run (its record cannot be read, or
    /// it is to fail without being run) is failed on the way, and the next one taken. An error where the store has not
    /// answered for 5 s. Cancel safe: a job that is taken for a call that was dropped goes back to the front of the queue.
    pub async fn take(&self) -> Result<Option<TakenJob>, Error> {
        self.take_or_wait(Duration::ZERO).await
    }

    /// Takes the next job; waits for one, for `longest` at most. Otherwise as [`take`](Self::take). Cancel safe.
    ///
    /// Several may wait at a time; each job wakes one.
    pub async fn take_or_wait(&self, longest: Duration) -> Result<Option<TakenJob>, Error> {
        let queue = self.hand.queue.as_str();
        let span = operation!(telemetry::GET_NEXT_JOB, queue);
        let until = Instant::now() + longest.min(hand::FOR_EVER);
        hand::take(&self.hand, until).instrument(span).await.map_err(|e| e.in_queue(queue))
    }

    /// The queue that it takes from.
    pub fn queue(&self) -> &QueueName {
        &self.hand.queue
    }
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manual({})", self.hand.queue)
    }
}

taking_options!(ManualBuilder);

impl ManualBuilder {
    /// Leaves locks alone: a job has to be settled within the lock's duration, or is found stalled and run again. For
    /// those who renew locks themselves ([`Store::locks`]), or who know that they are quick.
    pub fn without_renewal(mut self) -> Self {
        self.renewed = false;
        self
    }

    /// Checks the options. No I/O yet; it needs a Tokio runtime, in which its calls run from then on.
    pub fn start(self) -> Result<Manual, Error> {
        let ManualBuilder { store, queue, options, renewed } = self;
        options.check().map_err(|e| e.in_queue(&queue))?;
        let runtime = Runtime::try_current()
            .map_err(|e| Error::new(ErrorKind::Invalid, "taking jobs needs a Tokio runtime").because(e))?;
        let queue = QueueName::new(queue)?;
        let invalid = |e: lariat_lock::ConfigError| Error::new(ErrorKind::Invalid, e.to_string()).in_queue(&queue);
        let terms = Terms::new(options.lock_duration, None).map_err(invalid)?;
        let shared_name: Arc<str> = queue.as_str().into();
        let locks = if renewed {
            let locks = ToldLocks { queue: Arc::clone(&shared_name), locks: store.lock_store(&queue)? };
            Some(LockManager::builder(locks).lock_duration(options.lock_duration).start().map_err(invalid)?)
        } else {
            None
        };
        let backend = store.queue(&queue, options.name.as_deref())?;
        let (say, stop) = (Announcer::new(), CancellationToken::new());
        let searcher = Searcher {
            queue: Arc::clone(&shared_name),
            backend: Arc::clone(&backend),
            clock: store.clock().clone(),
            interval: options.stalled_interval,
            max_stalled: options.max_stalled,
            say: say.clone(),
            stop: stop.clone(),
        };
        runtime.spawn(searcher.run());
        let limits = Limits {
            // These three count only where a handler is run over the jobs.
            timeout: options.timeout,
            cancel_grace: options.cancel_grace,
            lost_grace: options.cancel_grace.min(options.lock_duration.saturating_sub(terms.trust_window())),
            remove_on_complete: options.remove_on_complete,
            remove_on_fail: options.remove_on_fail,
            backoff: options.backoff,
        };
        let clock = store.clock().clone();
        let calls = StoreCalls::new(shared_name, backend, clock, options.lock_duration, say);
        Ok(Manual {
            hand: Arc::new(Hand {
                queue,
                calls,
                locks,
                terms,
                limits,
                limiter: options.limiter,
                name: options.name,
                runtime,
                calling: tokio::sync::Mutex::new(hand::Calling::new()),
                waiting: tokio::sync::Mutex::default(),
                allowed: tokio::sync::OnceCell::new(),
                _stop: stop.drop_guard(),
            }),
        })
    }
}
