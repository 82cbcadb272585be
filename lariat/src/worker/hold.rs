//! What keeps a run's lock: a lock manager's guard, or nothing but the time that it was granted for.

use std::time::Duration;

use lariat_lock::{Instant, LockGuard, LossReason};

/// A lock while its job is in our hands.
#[derive(Debug)]
pub(crate) enum Hold {
    /// Renewed until this is dropped, and told of when it is lost.
    Renewed(LockGuard),
    /// Granted until then, and nobody renews it here: whether it is still ours is for the store to say.
    Lent { until: Instant },
}

impl Hold {
    /// The loss of the lock, told when it is found out.
    pub(super) fn lost(&self) -> Option<impl Future<Output = LossReason> + Send + 'static + use<>> {
        match self {
            Hold::Renewed(guard) => Some(guard.lost()),
            Hold::Lent { .. } => None,
        }
    }

    pub(super) fn loss(&self) -> Option<LossReason> {
        match self {
            Hold::Renewed(guard) => guard.loss(),
            Hold::Lent { .. } => None,
        }
    }

    /// Whether to write under this lock: an error where it is known to be over.
    pub(super) fn check(&self) -> Result<(), LossReason> {
        match self {
            Hold::Renewed(guard) => guard.check(),
            Hold::Lent { .. } => Ok(()),
        }
    }

    /// See [`LockGuard::settle`].
    pub(super) fn settle(&self) -> Result<(), LossReason> {
        match self {
            Hold::Renewed(guard) => guard.settle(),
            Hold::Lent { .. } => Ok(()),
        }
    }

    pub(super) fn trust_left(&self) -> Duration {
        match self {
            Hold::Renewed(guard) => guard.trust_left(),
            Hold::Lent { until } => *until - Instant::now(),
        }
    }

    pub(super) fn trusted_until(&self) -> Instant {
        match self {
            Hold::Renewed(guard) => guard.trusted_until(),
            Hold::Lent { until } => *until,
        }
    }
}
