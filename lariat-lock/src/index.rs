//! Claims in order of time: a map of moments, each with a linked list of the claims that share it.
//!
//! Claims share moments a lot: all that fall due at one tick share its time, all that were renewed by one call share
//! the end of their trust. So the map stays small (a few ticks, a few hundred calls) however many claims there are,
//! joining and leaving cost a look-up in that small map and two links, and leaving leaves nothing behind.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::clock::Instant;

/// No slot: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// A claim's place in one index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    at: Instant,
    prev: u32,
    next: u32,
    linked: bool,
}

impl Link {
    pub(crate) const LOOSE: Self = Self { at: Instant::from_nanos(0), prev: NONE, next: NONE, linked: false };

    /// The moment the claim is filed under, if it is.
    pub(crate) const fn at(&self) -> Option<Instant> {
        if self.linked { Some(self.at) } else { None }
    }
}

/// What holds the links of both indexes, found by slot number.
pub(crate) trait Links {
    fn link(&self, slot: u32, index: usize) -> &Link;
    fn link_mut(&mut self, slot: u32, index: usize) -> &mut Link;
}

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

/// An index over the links numbered `INDEX`.
#[derive(Debug, Clone)]
pub(crate) struct TimeIndex<const INDEX: usize> {
    moments: BTreeMap<Instant, List>,
}

impl<const INDEX: usize> TimeIndex<INDEX> {
    pub(crate) const fn new() -> Self {
        Self { moments: BTreeMap::new() }
    }

    /// The earliest moment at which any claim is filed.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.moments.first_key_value().map(|(at, _)| *at)
    }

    /// Files a slot under `at`, behind those already there; one that is filed elsewhere moves.
    pub(crate) fn insert(&mut self, links: &mut impl Links, slot: u32, at: Instant) {
        self.remove(links, slot);
        let prev = match self.moments.entry(at) {
            Entry::Vacant(place) => {
                place.insert(List { head: slot, tail: slot });
                NONE
            }
            Entry::Occupied(mut place) => {
                let last = std::mem::replace(&mut place.get_mut().tail, slot);
                links.link_mut(last, INDEX).next = slot;
                last
            }
        };
        *links.link_mut(slot, INDEX) = Link { at, prev, next: NONE, linked: true };
    }

    /// Takes a slot out, if it is filed.
    pub(crate) fn remove(&mut self, links: &mut impl Links, slot: u32) {
        let Link { at, prev, next, linked } = std::mem::replace(links.link_mut(slot, INDEX), Link::LOOSE);
        if !linked {
            return;
        }
        if prev != NONE {
            links.link_mut(prev, INDEX).next = next;
        }
        if next != NONE {
            links.link_mut(next, INDEX).prev = prev;
        }
        if prev == NONE && next == NONE {
            self.moments.remove(&at);
        } else if (prev == NONE || next == NONE)
            && let Some(list) = self.moments.get_mut(&at)
        {
            if prev == NONE {
                list.head = next;
            } else {
                list.tail = prev;
            }
        }
    }

    /// Takes out the first slot whose moment is not after `now`.
    pub(crate) fn pop_until(&mut self, links: &mut impl Links, now: Instant) -> Option<(Instant, u32)> {
        let (at, list) = self.moments.first_key_value().map(|(at, list)| (*at, *list))?;
        if at > now {
            return None;
        }
        self.remove(links, list.head);
        Some((at, list.head))
    }

    /// How many slots are filed at or before `now`; walks them.
    pub(crate) fn count_until(&self, links: &impl Links, now: Instant) -> usize {
        let mut count = 0;
        for list in self.moments.range(..=now).map(|(_, list)| list) {
            let mut slot = list.head;
            while slot != NONE {
                count += 1;
                slot = links.link(slot, INDEX).next;
            }
        }
        count
    }

    /// Where each filed slot is found by walking the lists, or what is wrong with them.
    pub(crate) fn audit(&self, links: &impl Links) -> Result<BTreeMap<u32, Instant>, String> {
        let mut found = BTreeMap::new();
        for (at, list) in &self.moments {
            let (mut prev, mut slot) = (NONE, list.head);
            while slot != NONE {
                let link = links.link(slot, INDEX);
                if !link.linked || link.prev != prev || link.at != *at || found.insert(slot, *at).is_some() {
                    return Err(format!("index {INDEX}: slot {slot} at {at:?} has the link {link:?}"));
                }
                (prev, slot) = (slot, link.next);
            }
            if prev == NONE || list.tail != prev {
                return Err(format!("index {INDEX}: the list at {at:?} ends at {prev}, not {}", list.tail));
            }
        }
        Ok(found)
    }

    /// Forgets everything; the links must be loosened by the caller.
    pub(crate) fn clear(&mut self) {
        self.moments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Links for Vec<[Link; 1]> {
        fn link(&self, slot: u32, index: usize) -> &Link {
            &self[slot as usize][index]
        }

        fn link_mut(&mut self, slot: u32, index: usize) -> &mut Link {
            &mut self[slot as usize][index]
        }
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn pops_in_order_of_time_then_of_arrival() {
        let mut links = vec![[Link::LOOSE]; 6];
        let mut index = TimeIndex::<0>::new();
        for (slot, time) in [(0, 20), (1, 10), (2, 20), (3, 10), (4, 20), (5, 30)] {
            index.insert(&mut links, slot, at(time));
        }
        index.remove(&mut links, 2);
        index.insert(&mut links, 3, at(20));
        assert_eq!(index.first(), Some(at(10)));
        assert_eq!(links.link(4, 0).at(), Some(at(20)));
        let order: Vec<_> = std::iter::from_fn(|| index.pop_until(&mut links, at(20))).map(|(_, slot)| slot).collect();
        assert_eq!(order, [1, 0, 4, 3]);
        assert_eq!(index.first(), Some(at(30)));
    }

    #[test]
    fn leaving_leaves_nothing_behind() {
        let mut links = vec![[Link::LOOSE]; 3];
        let mut index = TimeIndex::<0>::new();
        for slot in 0..3 {
            index.insert(&mut links, slot, at(7));
        }
        for slot in [1, 0, 2] {
            index.remove(&mut links, slot);
            index.remove(&mut links, slot);
            assert_eq!(links.link(slot, 0).at(), None);
        }
        assert_eq!(index.moments.len(), 0);
    }
}
