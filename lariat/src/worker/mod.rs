//! The consumer: takes jobs, runs handlers, hands in what became of them.
//!
//! [`slots`] decides, [`run`] carries out, [`handler`] runs one handler, [`lease`] is a run's hold on its job by a lock
//! ([`hold`]), which `join` lets end in a transaction of its handler's, [`backoff`] asks the user's strategy, [`store`] repeats calls until they are answered, [`recover`] looks
//! for what other workers left behind, [`health`] says whether all that gets anywhere, [`tell`] and [`renew`] write it to
//! the log. What may not be in this folder: key names, SQL or Lua; and anything that adds jobs.

mod backoff;
mod event;
mod handler;
mod health;
mod hold;
#[cfg(feature = "sqlite")]
mod join;
mod lease;
mod options;
mod recover;
mod renew;
mod run;
mod slots;
mod store;
pub(crate) mod tell;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lariat_lock::{LockManager, LockMetrics};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::backoff::FailedAttempt;
pub use self::event::{WorkerEvent, WorkerEvents};
pub use self::handler::Handler;
pub use self::health::{Health, HealthProblem};
pub use self::options::WorkerBuilder;

/// For what tests drain a queue with.
#[cfg(feature = "sqlite")]
pub(crate) use self::handler::run as run_handler;
/// For those who take jobs by hand.
pub(crate) use self::options::taking_options;
pub(crate) use self::{
    backoff::Strategy,
    event::Announcer,
    handler::{Ended, Limits, failed, transition},
    hold::Hold,
    lease::{EndTerms, Grant, Lease},
    options::Options,
    recover::Searcher,
    renew::ToldLocks,
    store::{Answered, Lane, StoreCalls},
};

use self::health::{Facts, Pulse};
use self::run::{Engine, Parts, Summary};
use self::slots::RunId;
use crate::error::{Error, ErrorKind};
use crate::id::{JobId, QueueName};
use crate::job::{CancelReason, Held};
use crate::store::Store;

/// Ten years: for ever, and still an instant that can be computed.
const LONGEST_GRACE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A running worker: up to `concurrency` handlers of one queue at a time, in the background of the Tokio runtime that
/// it was started in.
///
/// Dropping it closes it without grace, in the background: handlers are told to stop, and their jobs put back.
/// [`close`](Self::close) does the same and lets you wait.
///
/// Work that blocks its thread or computes for long belongs in [`tokio::task::spawn_blocking`]. Locks are renewed without
/// it, from a thread of their own; but a handler that blocks cannot be stopped or dropped before it comes to an `.await`.
/// With a concurrency of 1 a handler begins on the worker's own task: what it blocks before its first `.await` holds up
/// all that the worker does, its end by `close` included.
///
/// ```no_run
/// # async fn example() -> Result<(), lariat::Error> {
/// use std::time::Duration;
/// use lariat::{Job, JobError, Store, Worker};
///
/// async fn welcome(job: Job) -> Result<String, JobError> {
///     let address: String = job.data()?;
///     Ok(format!("sent to {address}"))
/// }
///
/// let store = Store::connect("redis://127.0.0.1").await?;
/// let worker = Worker::builder(&store, "mail").concurrency(10).start(welcome)?;
/// // … until it is time to go:
/// worker.close(Duration::from_secs(25)).await;
/// # Ok(()) }
/// ```
pub struct Worker {
    queue: Arc<str>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<Option<Closed>>,
    /// What closing may take beyond its grace.
    longest_close: Duration,
    locks: LockManager,
    pulse: Arc<Pulse>,
}

/// What a worker's handle and its task have in common.
struct Shared {
    say: Announcer,
    wishes: watch::Sender<Wish>,
    leases: Mutex<BTreeMap<RunId, Arc<Lease>>>,
    idle: AtomicBool,
}

/// What the handle's holder wants.
#[derive(Debug, Clone, Default)]
struct Wish {
    quiet: bool,
    concurrency: Option<usize>,
    close_by: Option<Instant>,
}

/// How a worker ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Jobs that were taken and not finished, put back to the front of the queue.
    pub handed_back: usize,
    /// Handlers that did not end: they block their thread. Their jobs are found stalled once their locks lapse.
    pub still_running: usize,
    /// Results that the store did not answer for in time. Their jobs run again once their locks lapse, unless the
    /// store did take them in.
    pub unsettled: usize,
    /// Why the worker stopped by itself; None where it was closed.
    pub why: Option<StopReason>,
}

/// Why a worker stopped by itself. Prints as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReason {
    kind: ErrorKind,
    message: String,
}

impl StopReason {
    /// The sort of reason: [`Denied`](ErrorKind::Denied) where the store does not let it work,
    /// [`Unsupported`](ErrorKind::Unsupported) where it met a job that it cannot continue,
    /// [`Closed`](ErrorKind::Closed) where its locks or its runtime ended.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A job that is being run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ActiveJob {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Which attempt this is.
    pub attempt: u32,
    /// How long it has been in this worker's hands.
    pub running_for: Duration,
    /// How long its lock is trusted if no renewal succeeds from here on.
    pub trust_left: Duration,
}

impl Worker {
    /// A worker for this queue, with its options to be set; nothing happens until it is started.
    pub fn builder(store: &Store, queue: &str) -> WorkerBuilder {
        WorkerBuilder::new(store, queue)
    }

    fn start(builder: WorkerBuilder, handler: Arc<dyn Handler>) -> Result<Worker, Error> {
        let WorkerBuilder { store, queue, options } = builder;
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|e| Error::new(ErrorKind::Invalid, "a worker needs a Tokio runtime to run in").because(e))?;
        let name = QueueName::new(queue)?;
        let backend = store.queue(&name, options.name.as_deref())?;
        let queue: Arc<str> = name.as_str().into();
        let locks = ToldLocks { queue: Arc::clone(&queue), locks: store.lock_store(&name)? };
        let locks = LockManager::builder(locks)
            .lock_duration(options.lock_duration)
            .lock_renew_time(options.lock_renew_time())
            .dedicated_thread(options.lock_thread)
            .start()
            .map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()).in_queue(&name))?;
        let margin = options.lock_duration.saturating_sub(locks.terms().trust_window());
        let say = Announcer::new();
        let shared = Arc::new(Shared {
            say: say.clone(),
            wishes: watch::Sender::new(Wish::default()),
            leases: Mutex::default(),
            idle: AtomicBool::new(true),
        });
        let stop = CancellationToken::new();
        let searcher = Searcher {
            queue: Arc::clone(&queue),
            backend: Arc::clone(&backend),
            clock: store.clock().clone(),
            interval: options.stalled_interval,
            max_stalled: options.max_stalled,
            say: say.clone(),
            stop: stop.clone(),
        };
        let clock = store.clock().clone();
        let calls = StoreCalls::new(Arc::clone(&queue), backend, clock, options.lock_duration, say.clone());
        let pulse = calls.pulse();
        let engine = Engine::new(Parts {
            queue: Arc::clone(&queue),
            handler,
            calls,
            locks: locks.clone(),
            shared: Arc::clone(&shared),
            limits: Limits {
                timeout: options.timeout,
                cancel_grace: options.cancel_grace,
                lost_grace: options.cancel_grace.min(margin),
                remove_on_complete: options.remove_on_complete,
                remove_on_fail: options.remove_on_fail,
                backoff: options.backoff,
            },
            concurrency: options.concurrency,
            lock_duration: options.lock_duration,
            worker_name: options.name,
            limiter: options.limiter,
            metrics: options.metrics,
        });
        let longest_close = options.cancel_grace + options.lock_duration + 2 * run::LAST_WAIT;
        let (done, stopped) = watch::channel(None);
        runtime.spawn(searcher.run());
        let renewing = locks.clone();
        runtime.spawn(async move {
            let stop = stop.drop_guard();
            let summary = engine.run().await;
            drop(stop);
            renewing.stop(Duration::ZERO).await;
            let closed = Closed::from(summary);
            say.stopped(closed.why.as_ref().map_or("it was closed", |why| &why.message));
            done.send_replace(Some(closed));
        });
        Ok(Worker { queue, shared, stopped, longest_close, locks, pulse })
    }

    /// The name of the queue that it works on.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Its events, from now on, to its end.
    pub fn events(&self) -> WorkerEvents {
        self.shared.say.listen()
    }

    /// Takes no new jobs until [`resume`](Self::resume); those that run go on, and so do those that a call brings which was on
    /// its way.
    pub fn quiet(&self) {
        self.shared.wishes.send_modify(|wish| wish.quiet = true);
    }

    /// Takes jobs again.
    pub fn resume(&self) {
        self.shared.wishes.send_modify(|wish| wish.quiet = false);
    }

    /// Whether it was told to take no new jobs.
    pub fn is_quiet(&self) -> bool {
        self.shared.wishes.borrow().quiet
    }

    /// How many handlers may run at a time from now on (at least 1). With fewer than now run, none is stopped.
    pub fn set_concurrency(&self, concurrency: usize) {
        self.shared.wishes.send_modify(|wish| wish.concurrency = Some(concurrency.max(1)));
    }

    /// Whether nothing runs here and nothing is to be handed in.
    pub fn is_idle(&self) -> bool {
        self.shared.idle.load(Ordering::Relaxed)
    }

    /// The jobs in this worker's hands, in the order in which they were taken.
    pub fn active(&self) -> Vec<ActiveJob> {
        let now = lariat_lock::Instant::now();
        let describe = |lease: &Arc<Lease>| ActiveJob {
            id: lease.id.clone(),
            name: lease.name.clone(),
            attempt: lease.attempt,
            running_for: now.saturating_duration_since(lease.since),
            trust_left: lease.lock_left(),
        };
        self.shared.leases().iter().map(describe).collect()
    }

    /// The smallest time for which one of its locks is still trusted; None when it holds none.
    pub fn smallest_trust(&self) -> Option<Duration> {
        self.shared.leases().iter().filter(|lease| !lease.is_committed()).map(|lease| lease.lock_left()).min()
    }

    /// The figures of its lock manager since it was started: how many locks were renewed in how many calls, the smallest
    /// trust left at a renewal, locks lost. They stay when the worker has ended. No I/O; it does not need a runtime.
    pub fn lock_metrics(&self) -> LockMetrics {
        self.locks.metrics()
    }

    /// How it is, by what came back from the store: for a liveness probe. No I/O; it does not need a runtime, and so may be
    /// asked from a thread of its own, which a handler that blocks the runtime does not hold up.
    pub fn health(&self) -> Health {
        let (answered_ago, overdue) = self.pulse.read(std::time::Instant::now());
        let (now, terms) = (lariat_lock::Instant::now(), self.locks.terms());
        // Its trust ends a trust window after the grant that it counts from.
        let age = |until| (now + terms.trust_window()).saturating_duration_since(until);
        let oldest_renewal = self.shared.leases().iter().filter_map(|lease| lease.trusted_until()).map(age).max();
        let ended = match (&*self.stopped.borrow(), self.stopped.has_changed()) {
            (Some(closed), _) => {
                Some(closed.why.as_ref().map_or_else(|| "it was closed".to_owned(), ToString::to_string))
            }
            (None, Err(_)) => Some("its runtime ended".to_owned()),
            (None, Ok(_)) => None,
        };
        let lock_restarts = self.locks.metrics().restarts;
        Facts { ended, answered_ago, overdue, oldest_renewal, lock_restarts }.judge(terms)
    }

    /// Tells the handler of a job to stop; the job fails for good with this reason once the handler has ended. False
    /// where this worker does not run the job, or its handler was told to stop before.
    pub fn cancel(&self, id: &JobId, reason: impl Into<String>) -> bool {
        let reason = CancelReason::Requested(reason.into());
        // A run whose lock is lost may still be coming to its end while the job runs here once more.
        let runs = self.shared.leases().into_iter().filter(|lease| lease.id == *id);
        runs.filter(|lease| lease.cancel(reason.clone())).count() > 0
    }

    /// Ends the worker: takes no new jobs, keeps renewing the locks of those that run, and waits up to `grace` for
    /// them. Then handlers are told to stop ([`CancelReason::Closing`]), dropped after their cancel grace, and their
    /// jobs put back to the front of the queue, unspent and in their old order.
    ///
    /// May be called again, also at the same time, with a shorter grace: the shortest counts. Cancel safe: the worker
    /// goes on closing.
    pub async fn close(&self, grace: Duration) -> Closed {
        let grace = grace.min(LONGEST_GRACE);
        self.shared.close(grace);
        // The worker's task gives up by itself, unless a handler blocks the very thread that it would run on.
        let at_the_latest = Instant::now() + grace + self.longest_close;
        match tokio::time::timeout_at(at_the_latest, self.stopped()).await {
            Ok(closed) => closed,
            Err(_) => Closed { still_running: self.shared.leases().len(), ..Closed::default() },
        }
    }

    /// Resolves when the worker has ended, by [`close`](Self::close) or by itself. Cancel safe.
    pub async fn stopped(&self) -> Closed {
        let mut stopped = self.stopped.clone();
        let closed = stopped.wait_for(Option::is_some).await.ok().and_then(|closed| closed.clone());
        closed.unwrap_or_else(|| Closed {
            still_running: self.shared.leases().len(),
            why: Some(StopReason { kind: ErrorKind::Closed, message: "its runtime ended".to_owned() }),
            ..Closed::default()
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.close(Duration::ZERO);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("queue", &self.queue)
            .field("active", &self.shared.leases().len())
            .finish_non_exhaustive()
    }
}

impl From<Summary> for Closed {
    fn from(summary: Summary) -> Closed {
        Closed {
            handed_back: summary.handed_back,
            still_running: summary.still_running,
            unsettled: summary.unsettled,
            why: summary.why,
        }
    }
}

impl Shared {
    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, Arc<Lease>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, lease: Arc<Lease>) {
        self.idle.store(false, Ordering::Relaxed);
        self.table().insert(lease.run, lease);
    }

    /// The run is over: its lock is no longer renewed.
    fn end(&self, run: RunId) {
        let lease = self.table().remove(&run);
        if let Some(lease) = lease {
            lease.release();
        }
    }

    fn lease(&self, run: RunId) -> Option<Arc<Lease>> {
        self.table().get(&run).cloned()
    }

    fn leases(&self) -> Vec<Arc<Lease>> {
        self.table().values().cloned().collect()
    }

    fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Relaxed);
    }

    fn close(&self, grace: Duration) {
        let by = Instant::now() + grace;
        self.wishes.send_modify(|wish| wish.close_by = Some(wish.close_by.map_or(by, |known| known.min(by))));
    }
}
