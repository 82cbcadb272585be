//! A table put in order again.

use std::sync::Arc;

use super::slots::DUE;
use super::{Holder, LockTable};
use crate::clock::Instant;
use crate::index::{Link, NONE};

impl<H: Holder> LockTable<H> {
    /// Builds every index anew from the claims themselves, after a panic may have left them half done. What was in
    /// flight counts as unknown.
    pub fn rebuild(&mut self, now: Instant, spread: f64) {
        self.due.clear();
        self.trust.clear();
        self.newest.clear();
        self.free.clear();
        self.flight = None;
        let mut kept = Vec::new();
        for (slot, place) in (0..NONE).zip(&mut self.slots.0) {
            let due = place.links[DUE].at();
            place.links = [Link::LOOSE; 2];
            match &place.entry {
                Some(entry) => kept.push((entry.generation, slot, due)),
                None => self.free.push(slot),
            }
        }
        kept.sort_unstable();
        for (_, slot, due) in kept {
            self.refile(slot, due, now, spread);
        }
    }

    /// Files one claim into the cleared indexes; called in order of generation, with the time it was due before.
    fn refile(&mut self, slot: u32, due: Option<Instant>, now: Instant, spread: f64) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        entry.older = self.newest.insert(Arc::clone(&entry.claim.id), slot).unwrap_or(NONE);
        let (trusted_until, settling) = (entry.granted + self.terms.trust_window(), entry.settling);
        let in_flight = std::mem::take(&mut entry.flight) != 0;
        entry.failures = entry.failures.saturating_add(u32::from(in_flight));
        let retry = now + self.terms.retry_delay(entry.failures, trusted_until - now, spread);
        let due = if in_flight { retry } else { due.unwrap_or(now) };
        self.due.insert(&mut self.slots, slot, due);
        if !settling {
            self.trust.insert(&mut self.slots, slot, trusted_until);
        }
    }
}
