//! What goes into a table and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

#[cfg(doc)]
use super::LockTable;
use crate::clock::Instant;
use crate::error::LossReason;
use crate::store::Claim;

/// Which claim: a place in the table, and the generation that must be found there.
///
/// Every tracking gets a generation of its own, so what belongs to an earlier one (a late answer, a late untrack)
/// finds another number and does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub(super) slot: u32,
    pub(super) generation: u64,
}

impl Key {
    /// The number of this tracking, counted up by each [`LockTable::track`].
    pub const fn generation(self) -> u64 {
        self.generation
    }
}

/// Who wants to know how a claim fares, without asking the table. Called inside the table: set a flag, no more.
pub trait Holder {
    /// Trust now ends at `until`.
    fn trust(&self, until: Instant);
    /// The claim is settling: it can no longer be lost.
    fn settling(&self);
    /// The claim is lost. Called once, and nothing after it.
    fn lost(&self, reason: LossReason);
}

impl Holder for () {
    fn trust(&self, _: Instant) {}
    fn settling(&self) {}
    fn lost(&self, _: LossReason) {}
}

/// A claim that is no longer ours, as it stood when that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// What was locked.
    pub id: Arc<str>,
    /// Which tracking of it.
    pub generation: u64,
    /// Why it is lost.
    pub reason: LossReason,
    /// Time since it was first granted.
    pub age: Duration,
    /// Time since the last confirmed grant was asked for.
    pub unconfirmed: Duration,
    /// Renewals in a row that brought no answer.
    pub failures: u32,
}

/// A loss to report, and whom to report it to.
#[derive(Debug)]
pub struct Loss<H> {
    /// What is reported.
    pub lost: Lost,
    /// The holder given to [`LockTable::track`], which already knows.
    pub holder: H,
}

/// The claims of one call to the store. No other is given out until it is settled.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// What to send.
    pub claims: Vec<Claim>,
    /// When it counts as sent: a grant begins here.
    pub sent: Instant,
    /// When to give up waiting and call it unknown.
    pub deadline: Instant,
    /// When the most overdue of the claims was due.
    pub due: Instant,
    /// How many of the claims repeat a call that brought no answer.
    pub retries: usize,
    /// The smallest trust left among the claims that are not settling.
    pub trust_left: Option<Duration>,
    pub(super) keys: Vec<Key>,
    pub(super) serial: u64,
}

/// What came of a call.
#[derive(Debug)]
pub struct Settled<H> {
    /// The claims that are ours for another lock duration.
    pub renewed: Vec<Claim>,
    /// The claims that are not, except those that were untracked meanwhile or are settling.
    pub losses: Vec<Loss<H>>,
}

/// A claim as [`LockTable::claims`] shows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimView<'a> {
    /// Which claim.
    pub key: Key,
    /// Id and token.
    pub claim: &'a Claim,
    /// When it was first granted.
    pub since: Instant,
    /// When the last confirmed grant was asked for.
    pub granted: Instant,
    /// When it was last tried to renew it (the first grant counts).
    pub attempted: Instant,
    /// When trust ends.
    pub trusted_until: Instant,
    /// When the next renewal is due; none while one is in flight, or when a settling claim was refused.
    pub due: Option<Instant>,
    /// Whether a renewal is in flight.
    pub in_flight: bool,
    /// Whether the outcome is on its way to the store.
    pub settling: bool,
    /// Renewals in a row that brought no answer.
    pub failures: u32,
}
