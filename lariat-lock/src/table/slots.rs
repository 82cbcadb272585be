//! Where the claims of a table lie.

use super::Key;
use crate::clock::Instant;
use crate::index::{Link, Links};
use crate::store::Claim;

/// The index of what is due.
pub(super) const DUE: usize = 0;
/// The index of what is trusted, by the end of trust.
pub(super) const TRUST: usize = 1;

#[derive(Debug, Clone)]
pub(super) struct Entry<H> {
    pub(super) claim: Claim,
    pub(super) generation: u64,
    pub(super) since: Instant,
    pub(super) granted: Instant,
    pub(super) attempted: Instant,
    /// Serial of the chunk that carries it, 0 for none.
    pub(super) flight: u64,
    pub(super) failures: u32,
    pub(super) settling: bool,
    /// The slot of an earlier, still tracked claim of the same id.
    pub(super) older: u32,
    pub(super) holder: H,
}

#[derive(Debug, Clone)]
pub(super) struct Slot<H> {
    pub(super) links: [Link; 2],
    pub(super) entry: Option<Entry<H>>,
}

#[derive(Debug, Clone)]
pub(super) struct Slots<H>(pub(super) Vec<Slot<H>>);

impl<H> Links for Slots<H> {
    fn link(&self, slot: u32, index: usize) -> &Link {
        &self.0[slot as usize].links[index]
    }

    fn link_mut(&mut self, slot: u32, index: usize) -> &mut Link {
        &mut self.0[slot as usize].links[index]
    }
}

impl<H> Slots<H> {
    pub(super) fn get(&self, slot: u32) -> Option<&Entry<H>> {
        self.0.get(slot as usize)?.entry.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry<H>> {
        self.0.get_mut(slot as usize)?.entry.as_mut()
    }

    /// The entry a key means, unless another generation has its place.
    pub(super) fn find(&self, key: Key) -> Option<&Entry<H>> {
        self.get(key.slot).filter(|entry| entry.generation == key.generation)
    }

    pub(super) fn find_mut(&mut self, key: Key) -> Option<&mut Entry<H>> {
        self.get_mut(key.slot).filter(|entry| entry.generation == key.generation)
    }
}
