//! The table of claims: when each is due, how long it is trusted, and what an answer means for it.
//!
//! No clock is read and nothing is sent here. A driver (the [manager](crate::LockManager), or one of your own) does
//!
//! 1. [`expire`](LockTable::expire), until it reports nothing;
//! 2. [`take_due`](LockTable::take_due), and if that gives a [`Chunk`], sends it, and brings the answer back by
//!    [`settle`](LockTable::settle), or [`unknown`](LockTable::unknown) when its deadline has passed or it failed;
//! 3. otherwise sleeps until [`next_wakeup`](LockTable::next_wakeup).
//!
//! Every method costs what it touches: a claim tracked or untracked a few look-ups, a tick the claims that are due.

mod audit;
mod claim;
mod rebuild;
mod slots;
mod view;

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::time::Duration;

pub use self::claim::{Chunk, ClaimView, Holder, Key, Loss, Lost, Settled};
use self::slots::{DUE, Entry, Slot, Slots, TRUST};
use crate::clock::{Instant, nanos};
use crate::error::{LossReason, TrackError};
use crate::index::{Link, NONE, TimeIndex};
use crate::store::{Claim, Verdict};
use crate::terms::{MAX_CLAIMS, Terms};

#[derive(Debug, Clone, Copy)]
struct Flight {
    serial: u64,
    deadline: Instant,
}

/// The claims of one manager. See the [module](self) for how to drive it.
#[derive(Debug, Clone)]
pub struct LockTable<H = ()> {
    terms: Terms,
    phase: u64,
    slots: Slots<H>,
    free: Vec<u32>,
    newest: HashMap<Arc<str>, u32>,
    due: TimeIndex<DUE>,
    trust: TimeIndex<TRUST>,
    flight: Option<Flight>,
    generations: u64,
    serials: u64,
    visited: u64,
}

impl<H: Holder> LockTable<H> {
    /// An empty table whose ticks lie at `phase` plus whole [ticks](Terms::tick) after the clock's zero.
    pub fn new(terms: Terms, phase: Duration) -> Self {
        Self {
            terms,
            phase: nanos(phase) % terms.tick_nanos(),
            slots: Slots(Vec::new()),
            free: Vec::new(),
            newest: HashMap::new(),
            due: TimeIndex::new(),
            trust: TimeIndex::new(),
            flight: None,
            generations: 0,
            serials: 0,
            visited: 0,
        }
    }

    /// Starts to keep a claim that was granted by a request sent at `since` (never later than `now`).
    ///
    /// An earlier claim of the same id, still tracked, goes on beside it under its own token.
    pub fn track(&mut self, claim: Claim, since: Instant, now: Instant, holder: H) -> Result<Key, TrackError> {
        let since = since.min(now);
        let trusted_until = since + self.terms.trust_window();
        if trusted_until <= now {
            return Err(TrackError::Expired);
        }
        let slot = self.vacant_slot();
        self.generations += 1;
        let generation = self.generations;
        let older = self.newest.insert(Arc::clone(&claim.id), slot).unwrap_or(NONE);
        holder.trust(trusted_until);
        self.slots.0[slot as usize].entry = Some(Entry {
            claim,
            generation,
            since,
            granted: since,
            attempted: since,
            flight: 0,
            failures: 0,
            settling: false,
            older,
            holder,
        });
        let due = self.due_tick(since);
        self.due.insert(&mut self.slots, slot, due);
        self.trust.insert(&mut self.slots, slot, trusted_until);
        Ok(Key { slot, generation })
    }

    /// Forgets a claim. What is in flight for it is ignored when it comes back. Gives back its holder.
    pub fn untrack(&mut self, key: Key) -> Option<H> {
        self.slots.find(key)?;
        self.remove(key.slot).map(|entry| entry.holder)
    }

    /// Forgets every claim of an id; says how many there were.
    pub fn untrack_id(&mut self, id: &str) -> usize {
        let mut forgotten = 0;
        while let Some(&slot) = self.newest.get(id) {
            self.remove(slot);
            forgotten += 1;
        }
        forgotten
    }

    /// Marks a claim whose outcome is being handed to the store: renewed as before, but neither a negative verdict
    /// nor the end of trust is reported any more. Trust that is over already is reported now, and nothing is marked.
    pub fn begin_settling(&mut self, key: Key, now: Instant) -> Option<Loss<H>> {
        if let Some(loss) = self.expire_one(key, now) {
            return Some(loss);
        }
        let entry = self.slots.find_mut(key)?;
        entry.settling = true;
        entry.holder.settling();
        self.trust.remove(&mut self.slots, key.slot);
        None
    }

    /// Takes note of a grant seen by other means, asked for at `since`: trust and the next renewal count from there.
    pub fn confirm(&mut self, key: Key, since: Instant, now: Instant) {
        if self.slots.find(key).is_some_and(|entry| entry.granted < since.min(now)) {
            self.grant(key.slot, since.min(now));
            let entry = self.slots.get_mut(key.slot).filter(|entry| entry.flight == 0);
            if let Some(entry) = entry {
                entry.attempted = entry.attempted.max(since.min(now));
                let due = self.due_tick(since.min(now));
                self.due.insert(&mut self.slots, key.slot, due);
            }
        }
    }

    /// The claims to renew now, at most [`MAX_CLAIMS`]: those that the grid says would otherwise go longer than the
    /// renew time without an attempt. None while a chunk is out.
    pub fn take_due(&mut self, now: Instant) -> Option<Chunk> {
        let first = self.due.first()?;
        if self.flight.is_some() || first > now || self.next_expiry().is_some_and(|end| end <= now) {
            return None;
        }
        let serial = self.serials + 1;
        let mut chunk = Chunk {
            claims: Vec::new(),
            sent: now,
            deadline: now,
            due: first,
            retries: 0,
            trust_left: None,
            keys: Vec::new(),
            serial,
        };
        while chunk.keys.len() < MAX_CLAIMS {
            let Some((_, slot)) = self.due.pop_until(&mut self.slots, now) else { break };
            self.visited += 1;
            let trust_window = self.terms.trust_window();
            let Some(entry) = self.slots.get_mut(slot) else { continue };
            entry.flight = serial;
            entry.attempted = now;
            chunk.retries += usize::from(entry.failures > 0);
            chunk.claims.push(entry.claim.clone());
            chunk.keys.push(Key { slot, generation: entry.generation });
            if !entry.settling {
                let left = (entry.granted + trust_window) - now;
                chunk.trust_left = Some(chunk.trust_left.map_or(left, |least| least.min(left)));
            }
        }
        // Settling claims alone are not urgent: no end of trust is reported for them.
        let limit = self.terms.call_limit(chunk.trust_left.unwrap_or(self.terms.trust_window()));
        chunk.deadline = now + limit;
        self.serials = serial;
        self.flight = Some(Flight { serial, deadline: chunk.deadline });
        Some(chunk)
    }

    /// The store's verdicts, one for each claim of the chunk, in order; fewer count as unknown for the rest.
    ///
    /// A chunk that is no longer out (it was called unknown before) changes nothing.
    pub fn settle(&mut self, chunk: Chunk, verdicts: &[Verdict], now: Instant) -> Settled<H> {
        let Chunk { mut claims, keys, serial, sent, .. } = chunk;
        self.land(serial);
        let mut losses = Vec::new();
        let mut place = 0;
        claims.retain(|_| {
            let key = keys[place];
            let verdict = verdicts.get(place).copied();
            place += 1;
            self.judge(key, serial, verdict, sent, now, &mut losses)
        });
        Settled { renewed: claims, losses }
    }

    /// No answer, or none that can be read: every claim of the chunk is tried again after a delay, while trust lasts.
    /// `spread` from 0 to 1 is the jitter of that delay, which is returned.
    pub fn unknown(&mut self, chunk: &Chunk, now: Instant, spread: f64) -> Duration {
        self.land(chunk.serial);
        let trust_window = self.terms.trust_window();
        // One delay for the whole chunk keeps it together: claims with as many failures are repeated by one call.
        let live = chunk.keys.iter().filter_map(|key| self.slots.find(*key));
        let lefts = live.map(|entry| (entry.granted + trust_window) - now).filter(|left| !left.is_zero());
        let trust_left = lefts.min().unwrap_or(trust_window);
        let mut soonest = self.terms.lock_renew_time();
        for key in &chunk.keys {
            let Some(entry) = self.slots.find_mut(*key).filter(|entry| entry.flight == chunk.serial) else { continue };
            entry.flight = 0;
            entry.failures = entry.failures.saturating_add(1);
            let delay = self.terms.retry_delay(entry.failures, trust_left, spread);
            soonest = soonest.min(delay);
            self.due.insert(&mut self.slots, key.slot, now + delay);
        }
        soonest
    }

    /// Reports up to `max` claims whose trust is over. They are forgotten, whatever is in flight for them.
    pub fn expire(&mut self, now: Instant, max: usize) -> Vec<Loss<H>> {
        let mut losses = Vec::new();
        while losses.len() < max {
            let Some((_, slot)) = self.trust.pop_until(&mut self.slots, now) else { break };
            self.visited += 1;
            losses.extend(self.lose(slot, LossReason::Expired, now));
        }
        losses
    }

    /// Reports this claim if its trust is over; for whoever finds it out before the driver does.
    pub fn expire_one(&mut self, key: Key, now: Instant) -> Option<Loss<H>> {
        let entry = self.slots.find(key)?;
        let over = !entry.settling && entry.granted + self.terms.trust_window() <= now;
        if over { self.lose(key.slot, LossReason::Expired, now) } else { None }
    }

    /// When the driver must look again: at the next due claim (or, while a chunk is out, its deadline), and never
    /// after the end of anybody's trust. None when there is nothing to wait for.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let work = self.flight.map_or_else(|| self.due.first(), |flight| Some(flight.deadline));
        [work, self.next_expiry()].into_iter().flatten().min()
    }

    /// When the next trust ends, unless a renewal comes first.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.trust.first()
    }

    /// When this claim first needs the driver; what [`track`](Self::track) may have moved forward.
    pub fn wakeup_of(&self, key: Key) -> Option<Instant> {
        self.slots.find(key)?;
        let links = &self.slots.0[key.slot as usize].links;
        links.iter().filter_map(Link::at).min()
    }

    /// The last tick at which a claim granted or tried at `base` is still within its renew time. Always more than
    /// half a renew time after `base`, so that nothing is renewed twice for one grant.
    fn due_tick(&self, base: Instant) -> Instant {
        let latest = base + self.terms.lock_renew_time();
        let past_tick = latest.as_nanos().saturating_sub(self.phase) % self.terms.tick_nanos();
        latest - Duration::from_nanos(past_tick)
    }

    fn vacant_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.0.push(Slot { links: [Link::LOOSE; 2], entry: None });
            u32::try_from(self.slots.0.len() - 1).unwrap_or(NONE)
        })
    }

    /// The chunk with this serial is no longer out.
    fn land(&mut self, serial: u64) {
        if self.flight.is_some_and(|flight| flight.serial == serial) {
            self.flight = None;
        }
    }

    /// What one verdict does; true if it renewed the claim. Nothing, unless the claim is still in this very flight.
    fn judge(
        &mut self,
        key: Key,
        serial: u64,
        verdict: Option<Verdict>,
        sent: Instant,
        now: Instant,
        losses: &mut Vec<Loss<H>>,
    ) -> bool {
        let Some(entry) = self.slots.find_mut(key).filter(|entry| entry.flight == serial) else { return false };
        entry.flight = 0;
        let reason = match verdict {
            Some(Verdict::Extended) => {
                let granted = self.grant(key.slot, sent);
                let due = self.due_tick(granted);
                self.due.insert(&mut self.slots, key.slot, due);
                return true;
            }
            Some(Verdict::Missing) => LossReason::Missing,
            Some(Verdict::Taken) => LossReason::Taken,
            None => {
                entry.failures = entry.failures.saturating_add(1);
                let delay = self.terms.retry_delay(entry.failures, self.terms.trust_window(), 0.0);
                self.due.insert(&mut self.slots, key.slot, now + delay);
                return false;
            }
        };
        // A settling claim stays until its outcome is answered; a negative verdict is final, so it is not asked again.
        if !entry.settling {
            losses.extend(self.lose(key.slot, reason, now));
        }
        false
    }

    /// Moves trust forward to a grant asked for at `since`; says which grant counts now.
    fn grant(&mut self, slot: u32, since: Instant) -> Instant {
        let trust_window = self.terms.trust_window();
        let Some(entry) = self.slots.get_mut(slot) else { return since };
        entry.failures = 0;
        entry.granted = entry.granted.max(since);
        let granted = entry.granted;
        entry.holder.trust(granted + trust_window);
        if !entry.settling {
            self.trust.insert(&mut self.slots, slot, granted + trust_window);
        }
        granted
    }

    fn lose(&mut self, slot: u32, reason: LossReason, now: Instant) -> Option<Loss<H>> {
        let entry = self.remove(slot)?;
        entry.holder.lost(reason);
        let lost = Lost {
            id: entry.claim.id,
            generation: entry.generation,
            reason,
            age: now - entry.since,
            unconfirmed: now - entry.granted,
            failures: entry.failures,
        };
        Some(Loss { lost, holder: entry.holder })
    }

    fn remove(&mut self, slot: u32) -> Option<Entry<H>> {
        let entry = self.slots.0.get_mut(slot as usize)?.entry.take()?;
        self.due.remove(&mut self.slots, slot);
        self.trust.remove(&mut self.slots, slot);
        self.free.push(slot);
        if let MapEntry::Occupied(mut newest) = self.newest.entry(Arc::clone(&entry.claim.id)) {
            if *newest.get() != slot {
                let mut newer = *newest.get();
                while let Some(other) = self.slots.get_mut(newer) {
                    if other.older == slot {
                        other.older = entry.older;
                        break;
                    }
                    newer = other.older;
                }
            } else if entry.older == NONE {
                newest.remove();
            } else {
                newest.insert(entry.older);
            }
        }
        Some(entry)
    }
}
