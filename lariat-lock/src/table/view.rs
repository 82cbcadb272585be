//! A table looked at without touching it.

use super::slots::DUE;
use super::{ClaimView, Holder, Key, LockTable};
use crate::clock::Instant;
use crate::index::Links;
use crate::terms::Terms;

impl<H: Holder> LockTable<H> {
    /// How many claims are tracked.
    pub fn len(&self) -> usize {
        self.slots.0.len() - self.free.len()
    }

    /// Whether no claim is tracked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any claim of this id is tracked.
    pub fn contains(&self, id: &str) -> bool {
        self.newest.contains_key(id)
    }

    /// Whether this very claim is tracked.
    pub fn contains_key(&self, key: Key) -> bool {
        self.slots.find(key).is_some()
    }

    /// The terms given to [`new`](Self::new).
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How many entries ticks and expiries have looked at so far: the work of the table, for tests and benches.
    pub const fn visited(&self) -> u64 {
        self.visited
    }

    /// How many claims are due at `now` and not yet taken. Costs a look at each of them.
    pub fn due_count(&self, now: Instant) -> usize {
        self.due.count_until(&self.slots, now)
    }

    /// All claims, in no particular order.
    pub fn claims(&self) -> impl Iterator<Item = ClaimView<'_>> {
        self.claims_in(0, usize::MAX)
    }

    /// The claims of up to `places` places of the table from `first` on: a listing in pieces, for a table behind a
    /// lock. Past the last place, see [`places`](Self::places), there are none.
    pub fn claims_in(&self, first: usize, places: usize) -> impl Iterator<Item = ClaimView<'_>> {
        (first..self.places()).take(places).filter_map(|place| self.view(u32::try_from(place).ok()?))
    }

    /// How many places the table has: as many as were ever tracked at once.
    pub fn places(&self) -> usize {
        self.slots.0.len()
    }

    fn view(&self, slot: u32) -> Option<ClaimView<'_>> {
        let entry = self.slots.get(slot)?;
        Some(ClaimView {
            key: Key { slot, generation: entry.generation },
            claim: &entry.claim,
            since: entry.since,
            granted: entry.granted,
            attempted: entry.attempted,
            trusted_until: entry.granted + self.terms.trust_window(),
            due: self.slots.link(slot, DUE).at(),
            in_flight: entry.flight != 0,
            settling: entry.settling,
            failures: entry.failures,
        })
    }
}
