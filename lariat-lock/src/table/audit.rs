//! Whether the parts of a table agree with each other; for tests, which ask after every step.

use super::LockTable;
use super::slots::{DUE, TRUST};
use crate::index::NONE;

impl<H> LockTable<H> {
    /// Says what is wrong inside the table, if anything is. Walks all of it.
    #[doc(hidden)]
    pub fn audit(&self) -> Result<(), String> {
        let due = self.due.audit(&self.slots)?;
        let trust = self.trust.audit(&self.slots)?;
        let window = self.terms.trust_window();
        let mut tracked = 0;
        for (slot, place) in (0..NONE).zip(&self.slots.0) {
            let links = [place.links[DUE].at(), place.links[TRUST].at()];
            if links != [due.get(&slot).copied(), trust.get(&slot).copied()] {
                return Err(format!("slot {slot} says it is filed under {links:?}, the indexes disagree"));
            }
            let Some(entry) = &place.entry else {
                if links != [None, None] || !self.free.contains(&slot) {
                    return Err(format!("slot {slot} is empty but in use"));
                }
                continue;
            };
            tracked += 1;
            let expected = (!entry.settling).then(|| entry.granted + window);
            if links[TRUST] != expected {
                return Err(format!("trust of slot {slot} is filed under {:?}, not {expected:?}", links[TRUST]));
            }
            if links[DUE].is_some() == (entry.flight != 0) && !entry.settling {
                return Err(format!("slot {slot} must be due or in flight, and not both"));
            }
            let mut other = self.newest.get(&entry.claim.id).copied().unwrap_or(NONE);
            while other != slot {
                let Some(newer) = self.slots.get(other).filter(|newer| newer.generation > entry.generation) else {
                    return Err(format!("slot {slot} cannot be found by its id"));
                };
                other = newer.older;
            }
        }
        if tracked + self.free.len() != self.slots.0.len() || self.newest.len() > tracked {
            return Err(format!("{tracked} tracked, {} free, {} ids", self.free.len(), self.newest.len()));
        }
        Ok(())
    }
}
