//! The numbers by which messages name sessions and handshakes.

use dayfly_sorted::SortedMap;
use rand_core::CryptoRng;

use crate::crypto::Key;

/// Attempts to draw a number that is not in use. There are 2^32 and each peer uses four at most.
const DRAWS: usize = 16;

/// Peers by the number of the handshake or session with them.
#[derive(Debug, Default)]
pub(crate) struct Indices(SortedMap<u32, Key>);

impl Indices {
    /// Draws a number for a handshake of `peer` and of the session that it becomes.
    pub(crate) fn allocate(&mut self, peer: Key, rng: &mut (impl CryptoRng + ?Sized)) -> Option<u32> {
        for _ in 0..DRAWS {
            let index = rng.next_u32();
            if !self.0.contains_key(&index) {
                self.0.insert(index, peer);
                return Some(index);
            }
        }
        None
    }

    pub(crate) fn free(&mut self, index: u32) {
        self.0.remove(&index);
    }

    pub(crate) fn peer(&self, index: u32) -> Option<Key> {
        self.0.get(&index).copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
