//! The calls that renew locks, within a span.

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, LockStore, StoreError, Verdict};
use tracing::Instrument as _;

use crate::telemetry::{self, operation};

/// A queue's locks, whose renewals are told to `tracing`: on the lock thread, so only a global subscriber hears of them.
pub(crate) struct ToldLocks {
    pub queue: Arc<str>,
    pub locks: Arc<dyn LockStore>,
}

impl LockStore for ToldLocks {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        let queue = &*self.queue;
        let span = operation!(telemetry::EXTEND_LOCKS, queue, telemetry::LOCKS => claims.len());
        Box::pin(self.locks.extend(claims, lock_duration).instrument(span))
    }
}
