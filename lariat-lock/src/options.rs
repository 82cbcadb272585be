//! What a manager is built from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ConfigError;
use crate::manager::LockManager;
use crate::relay::Callbacks;
use crate::store::LockStore;
use crate::table::Lost;
use crate::terms::Terms;

/// Options of a [`LockManager`], checked by [`start`](Self::start).
#[must_use = "nothing runs before start()"]
pub struct Builder {
    store: Arc<dyn LockStore>,
    lock_duration: Duration,
    lock_renew_time: Option<Duration>,
    callbacks: Callbacks,
    dedicated_thread: bool,
}

impl Builder {
    pub(crate) fn new(store: impl LockStore) -> Self {
        Self {
            store: Arc::new(store),
            lock_duration: Duration::from_secs(30),
            lock_renew_time: None,
            callbacks: Callbacks::default(),
            dedicated_thread: true,
        }
    }

    /// How long the store keeps a lock after a grant or a renewal; 30 s unless set, at least 100 ms. The time in
    /// which a crashed holder's work is free for others, and the longest outage of the store that work survives.
    pub fn lock_duration(mut self, lock_duration: Duration) -> Self {
        self.lock_duration = lock_duration;
        self
    }

    /// Longest time a lock goes without an attempt to renew it; half the lock duration unless set. At least 1 ms, and
    /// below the [trust window](Terms::trust_window).
    pub fn lock_renew_time(mut self, lock_renew_time: Duration) -> Self {
        self.lock_renew_time = Some(lock_renew_time);
        self
    }

    /// Called with the claims that were lost, those found by one call together.
    ///
    /// Runs on the Tokio runtime that [`start`](Self::start) was called in, and may be slow: past 1,024 waiting calls
    /// the oldest are dropped and counted. Guards learn of a loss by themselves, never through this.
    pub fn on_lock_renewal_failed(mut self, callback: impl Fn(&[Lost]) + Send + Sync + 'static) -> Self {
        self.callbacks.lost = Some(Box::new(callback));
        self
    }

    /// Called with the ids that one call renewed. Runs where [`on_lock_renewal_failed`](Self::on_lock_renewal_failed)
    /// runs, under the same bound.
    pub fn on_locks_renewed(mut self, callback: impl Fn(&[Arc<str>]) + Send + Sync + 'static) -> Self {
        self.callbacks.renewed = Some(Box::new(callback));
        self
    }

    /// Whether renewals run on the lock thread of this process, shared by all its managers; true unless set. Without
    /// it they run as a task of the runtime that [`start`](Self::start) is called in: one thread fewer, but whatever
    /// blocks that runtime then blocks renewal.
    pub fn dedicated_thread(mut self, dedicated_thread: bool) -> Self {
        self.dedicated_thread = dedicated_thread;
        self
    }

    /// Checks the options and starts the manager. Must be called within a Tokio runtime (with its timer on), where
    /// callbacks run and events are sent from.
    pub fn start(self) -> Result<LockManager, ConfigError> {
        let terms = Terms::new(self.lock_duration, self.lock_renew_time)?;
        LockManager::start(terms, self.store, self.callbacks, self.dedicated_thread)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("lock_duration", &self.lock_duration)
            .field("lock_renew_time", &self.lock_renew_time)
            .field("dedicated_thread", &self.dedicated_thread)
            .finish_non_exhaustive()
    }
}
