//! The handle that people hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle as Runtime;

use crate::clock::Instant;
use crate::driver::{Core, Stage, supervise, watch};
use crate::error::{ConfigError, TrackError};
use crate::event::LockEvents;
use crate::guard::LockGuard;
use crate::metrics::LockMetrics;
use crate::options::Builder;
use crate::relay::{Callbacks, relay};
use crate::store::{Claim, LockStore, token_tail};
use crate::terms::Terms;
use crate::thread::LockThread;

/// Places of the table that a listing looks at under one hold of the lock.
const PAGE: usize = 1024;

/// What managers and guards share; the driver ends with the last of them.
pub(crate) struct Handle {
    core: Arc<Core>,
    terms: Terms,
    /// Keeps the shared lock thread alive.
    _thread: Option<LockThread>,
}

impl Handle {
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.advance(Stage::Ended);
        self.core.hub().close();
        self.core.let_go();
    }
}

/// Keeps locks alive: tracks them, renews them in batches before they lapse, and says which were lost.
///
/// A clone is another handle to the same manager. It runs until [`stop`](Self::stop), or until its last handle and
/// the last guard are dropped.
#[derive(Clone)]
pub struct LockManager {
    handle: Arc<Handle>,
}

/// A tracked claim, as [`LockManager::tracked_job_ids`] lists it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrackedJob {
    /// What is locked.
    pub id: Arc<str>,
    /// Which tracking of it.
    pub generation: u64,
    /// Time since it was first granted.
    pub age: Duration,
    /// How long trust lasts if no renewal is confirmed any more.
    pub trust_left: Duration,
    /// The last four characters of its token.
    pub token_tail: String,
    /// Whether its outcome is on its way.
    pub settling: bool,
    /// Renewals in a row that brought no answer.
    pub failures: u32,
}

impl LockManager {
    /// Options for a manager of the locks in `store`.
    pub fn builder(store: impl LockStore) -> Builder {
        Builder::new(store)
    }

    pub(crate) fn start(
        terms: Terms,
        store: Arc<dyn LockStore>,
        callbacks: Callbacks,
        dedicated_thread: bool,
    ) -> Result<Self, ConfigError> {
        let runtime = Runtime::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let thread = if dedicated_thread { Some(LockThread::shared().map_err(ConfigError::Thread)?) } else { None };
        let core = Arc::new(Core::new(terms, store));
        runtime.spawn(relay(core.hub().subscribe(callbacks.renewed.is_some()), callbacks));
        runtime.spawn(watch(Arc::clone(&core)));
        let driver = supervise(Arc::clone(&core));
        match &thread {
            Some(thread) => drop(thread.spawn(driver)),
            None => drop(runtime.spawn(driver)),
        }
        Ok(Self { handle: Arc::new(Handle { core, terms, _thread: thread }) })
    }

    /// Keeps a lock alive that was granted by a request sent at `since`, until the guard is dropped.
    ///
    /// Take `since` before the request is sent: trust is counted from there, and then errs on the safe side only.
    /// Never waits for I/O. An id that is tracked already is tracked once more, under its own token.
    pub fn track_job(
        &self,
        id: impl Into<Arc<str>>,
        token: impl Into<Arc<str>>,
        since: Instant,
    ) -> Result<LockGuard, TrackError> {
        let (held, key) = self.handle.core.track(Claim::new(id, token), since)?;
        Ok(LockGuard::new(Arc::clone(&self.handle), held, key))
    }

    /// Forgets every claim of this id, and says whether there was one. Their guards stay, but are told nothing more.
    ///
    /// Dropping the guard is the better way: it cannot hit a later claim of the same id.
    pub fn untrack_job(&self, id: &str) -> bool {
        self.handle.core.untrack_id(id)
    }

    /// Whether a claim of this id is tracked. Never waits for I/O.
    pub fn is_tracked(&self, id: &str) -> bool {
        self.handle.core.look(|table| table.contains(id))
    }

    /// How many claims are tracked. One atomic read.
    pub fn active_job_count(&self) -> usize {
        self.handle.core.tracked()
    }

    /// The tracked claims, in no particular order. Read in pieces, so that a long list holds nobody up: a claim that
    /// comes or goes meanwhile may be in it or not.
    pub fn tracked_job_ids(&self) -> Vec<TrackedJob> {
        let now = Instant::now();
        let mut jobs = Vec::with_capacity(self.active_job_count());
        for page in 0.. {
            let more = self.handle.core.look(|table| {
                jobs.extend(table.claims_in(page * PAGE, PAGE).map(|view| TrackedJob {
                    id: Arc::clone(&view.claim.id),
                    generation: view.key.generation(),
                    age: now - view.since,
                    trust_left: view.trusted_until - now,
                    token_tail: token_tail(&view.claim.token),
                    settling: view.settling,
                    failures: view.failures,
                }));
                (page + 1) * PAGE < table.places()
            });
            if !more {
                break;
            }
        }
        jobs
    }

    /// A receiver of everything that happens from now on.
    pub fn events(&self) -> LockEvents {
        LockEvents::new(self.handle.core.hub().subscribe(true))
    }

    /// The manager's figures.
    pub fn metrics(&self) -> LockMetrics {
        self.handle.core.metrics()
    }

    /// The durations this manager goes by.
    pub fn terms(&self) -> &Terms {
        &self.handle.terms
    }

    /// Stops: nothing new is tracked from here on, what is tracked is renewed until its guards are dropped, at most
    /// for `deadline`. After that nothing is renewed; guards still held learn of the end of their trust in time.
    ///
    /// Returns how many claims were still tracked. May be called again, also at once: the earliest deadline counts.
    /// A call that is dropped leaves the manager renewing and refusing new claims.
    pub async fn stop(&self, deadline: Duration) -> usize {
        let core = &self.handle.core;
        core.advance(Stage::Draining);
        let _ = tokio::time::timeout(deadline, core.drained()).await;
        core.advance(Stage::Lapsing);
        core.tracked()
    }
}

impl fmt::Debug for LockManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockManager")
            .field("terms", &self.handle.terms)
            .field("tracked", &self.active_job_count())
            .finish_non_exhaustive()
    }
}
