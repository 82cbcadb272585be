//! A tracked claim in the hands of whoever works under it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Instant;
use crate::error::LossReason;
use crate::manager::Handle;
use crate::store::{Claim, token_tail};
use crate::table::{Holder, Key};

const SETTLING: u8 = 0x80;

/// What a guard and the table share, so that a guard answers without the table's lock.
#[derive(Debug)]
pub(crate) struct Held {
    claim: Claim,
    trusted_until: AtomicU64,
    /// A loss (1 missing, 2 taken, 3 expired), or [`SETTLING`], or 0.
    mark: AtomicU8,
    told: Notify,
}

impl Held {
    pub(crate) fn new(claim: Claim) -> Self {
        Self { claim, trusted_until: AtomicU64::new(0), mark: AtomicU8::new(0), told: Notify::new() }
    }

    /// Wakes those who wait for the loss. Apart from [`Holder::lost`], since a waker may do as it likes.
    pub(crate) fn wake(&self) {
        self.told.notify_waiters();
    }

    fn loss(&self) -> Option<LossReason> {
        match self.mark.load(Ordering::Acquire) {
            1 => Some(LossReason::Missing),
            2 => Some(LossReason::Taken),
            3 => Some(LossReason::Expired),
            _ => None,
        }
    }

    fn trusted_until(&self) -> Instant {
        Instant::from_nanos(self.trusted_until.load(Ordering::Acquire))
    }
}

impl Holder for Arc<Held> {
    fn trust(&self, until: Instant) {
        self.trusted_until.store(until.as_nanos(), Ordering::Release);
    }

    fn settling(&self) {
        self.mark.store(SETTLING, Ordering::Release);
    }

    fn lost(&self, reason: LossReason) {
        let mark = match reason {
            LossReason::Missing => 1,
            LossReason::Taken => 2,
            LossReason::Expired => 3,
        };
        self.mark.store(mark, Ordering::Release);
    }
}

/// A claim that is kept alive for as long as this value lives. Dropping it untracks the claim, and no other.
///
/// The guard does not release the lock in the store: settle the work there, then drop the guard.
#[must_use = "dropping the guard ends the renewal of the lock"]
pub struct LockGuard {
    handle: Arc<Handle>,
    held: Arc<Held>,
    key: Key,
}

impl LockGuard {
    pub(crate) fn new(handle: Arc<Handle>, held: Arc<Held>, key: Key) -> Self {
        Self { handle, held, key }
    }

    /// What is locked.
    pub fn id(&self) -> &Arc<str> {
        &self.held.claim.id
    }

    /// The proof of holding it.
    pub fn token(&self) -> &Arc<str> {
        &self.held.claim.token
    }

    /// The number of this tracking: counts up within a manager, never reused.
    pub fn generation(&self) -> u64 {
        self.key.generation()
    }

    /// Resolves with the reason when the claim is lost or its trust is over.
    ///
    /// Owned, so it may outlive the guard; cancel safe; any number may wait. It never resolves for a claim that was
    /// untracked, or is settling, before it was lost.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static + use<> {
        let held = Arc::clone(&self.held);
        async move {
            loop {
                let mut told = std::pin::pin!(held.told.notified());
                // Registered before the look, so that a loss in between is not missed.
                told.as_mut().enable();
                if let Some(reason) = held.loss() {
                    return reason;
                }
                told.await;
            }
        }
    }

    /// Why the claim is lost, if it was found to be.
    pub fn loss(&self) -> Option<LossReason> {
        self.held.loss()
    }

    /// Whether to go on: an error once the claim is lost or its trust is over. Asked before every write that the
    /// store does not guard by itself; no I/O.
    ///
    /// The clock is read here, so the answer does not depend on any other thread; and it is kept: trust found over
    /// here is reported as expired like any other. A settling claim that was not lost before stays `Ok`.
    pub fn check(&self) -> Result<(), LossReason> {
        if let Some(reason) = self.held.loss() {
            return Err(reason);
        }
        let settling = self.held.mark.load(Ordering::Acquire) == SETTLING;
        if settling || Instant::now() < self.held.trusted_until() {
            return Ok(());
        }
        self.handle.core().expire_now(self.key);
        self.verdict()
    }

    /// Enters *settling*: the outcome is about to be handed to the store. The claim is renewed as before, but from
    /// here on neither a negative verdict nor the end of trust is reported: the store's answer to the outcome is what
    /// counts. Keep the guard until that answer is in.
    ///
    /// An error if the claim is lost already: then the outcome must not be sent.
    pub fn settle(&self) -> Result<(), LossReason> {
        self.handle.core().begin_settling(self.key);
        self.verdict()
    }

    /// How long trust lasts if no renewal is confirmed any more. Zero once lost.
    pub fn trust_left(&self) -> Duration {
        if self.held.loss().is_some() { Duration::ZERO } else { self.held.trusted_until() - Instant::now() }
    }

    /// When trust ends if no renewal is confirmed any more.
    pub fn trusted_until(&self) -> Instant {
        self.held.trusted_until()
    }

    /// Tells of a grant seen by other means (a reply that extended the lock), whose request was sent at `since`.
    /// Trust is counted from there, and the next renewal too. Does nothing for a lost claim or an older grant.
    pub fn confirm(&self, since: Instant) {
        self.handle.core().confirm(self.key, since);
    }

    /// The loss, also when the clock alone tells it (the claim was untracked by id, say).
    fn verdict(&self) -> Result<(), LossReason> {
        match self.held.loss() {
            Some(reason) => Err(reason),
            None if self.held.mark.load(Ordering::Acquire) == SETTLING => Ok(()),
            None if Instant::now() < self.held.trusted_until() => Ok(()),
            None => Err(LossReason::Expired),
        }
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.handle.core().untrack(self.key);
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("id", self.id())
            .field("token", &token_tail(self.token()))
            .field("generation", &self.generation())
            .field("loss", &self.loss())
            .field("trust_left", &self.trust_left())
            .finish_non_exhaustive()
    }
}
