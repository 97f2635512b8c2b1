//! The clients that are connected, by key.

use std::array;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dayfly_wire::key::NodePublic;

use super::outbox::Outbox;

/// Parts of the table, so many that connections seldom wait for each other.
const SHARDS: usize = 32;
/// Connections that one key may have. derper has no bound; honest clients have one, and two for a moment.
const MAX_PER_KEY: usize = 8;
/// Notice to a connection whose key has come again (Tailscale `derp/derp.go`, `FrameHealth` (tailscale v1.102.5)).
const DUPLICATE: &str = "another connection with the same node key has come, and gets its packets";
/// From how many remembered receivers on those are looked for that have gone.
const REACHED_SWEEP: usize = 64;

/// One client's connection, as the others see it.
#[derive(Debug)]
pub(super) struct Peer {
    /// Number of the connection, which differs also among those of one key.
    pub(super) id: u64,
    pub(super) key: NodePublic,
    /// Set while packets for its key go to this connection.
    active: AtomicBool,
    pub(super) outbox: Outbox,
}

impl Peer {
    pub(super) fn new(id: u64, key: NodePublic) -> Self {
        Self { id, key, active: AtomicBool::new(false), outbox: Outbox::default() }
    }

    /// Returns `true` if packets for its key go to this connection.
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }
}

/// The connections that packets of one connection were given to, by number.
pub(super) type Reached = HashMap<u64, Weak<Peer>>;

/// The connections of one key.
#[derive(Debug, Default)]
struct Entry {
    /// In the order of their last activity; the last one is the active one.
    peers: Vec<Arc<Peer>>,
    /// Peers reached by connections of this key that have ended while others remain.
    reached: Reached,
    /// Length of `reached` at which those that have gone are looked for, so that each costs little on average.
    reached_sweep: usize,
}

impl Entry {
    /// Marks the last connection, which is the active one.
    fn mark(&self, active: bool) {
        if let Some(last) = self.peers.last() {
            last.active.store(active, Ordering::Release);
        }
    }
}

/// All connections, in parts by their keys.
#[derive(Debug)]
pub(super) struct Registry {
    shards: [Mutex<HashMap<NodePublic, Entry>>; SHARDS],
    hasher: RandomState,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { shards: array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    fn shard(&self, key: &NodePublic) -> MutexGuard<'_, HashMap<NodePublic, Entry>> {
        // Keys can be chosen by their owners, so the shard is found by a secret hash.
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that packets for `key` go to.
    pub(super) fn find(&self, key: &NodePublic) -> Option<Arc<Peer>> {
        self.shard(key).get(key)?.peers.last().cloned()
    }

    /// Adds a connection, which becomes the active one of its key, and notifies the one that was. Where there are too
    /// many, the one that was heard least recently is closed. Returns how many the key has now.
    pub(super) fn add(&self, peer: &Arc<Peer>) -> usize {
        let mut shard = self.shard(&peer.key);
        let entry = shard.entry(peer.key).or_default();
        entry.mark(false);
        if let Some(older) = entry.peers.last() {
            older.outbox.push_health(DUPLICATE);
        }
        if entry.peers.len() >= MAX_PER_KEY {
            // It is found no more, but its task still removes itself.
            entry.peers.remove(0).outbox.close_with(|_| {});
        }
        entry.peers.push(Arc::clone(peer));
        entry.mark(true);
        entry.peers.len()
    }

    /// Makes a connection the active one of its key, since it was heard.
    pub(super) fn activate(&self, peer: &Arc<Peer>) {
        let mut shard = self.shard(&peer.key);
        if let Some(entry) = shard.get_mut(&peer.key)
            && let Some(at) = entry.peers.iter().position(|other| other.id == peer.id)
        {
            entry.mark(false);
            entry.peers[at..].rotate_left(1);
            entry.mark(true);
        }
    }

    /// Removes a connection, which had reached `reached`. When it was its key's last, returns the peers that
    /// the key's connections reached, all of which are to be notified.
    pub(super) fn remove(&self, peer: &Arc<Peer>, reached: Reached) -> Option<Reached> {
        let mut shard = self.shard(&peer.key);
        peer.active.store(false, Ordering::Release);
        let entry = shard.get_mut(&peer.key)?;
        entry.peers.retain(|other| other.id != peer.id);
        entry.reached.extend(reached);
        if entry.reached.len() > entry.reached_sweep {
            entry.reached.retain(|_, peer| peer.strong_count() > 0);
            entry.reached_sweep = REACHED_SWEEP.max(2 * entry.reached.len());
        }
        if entry.peers.is_empty() {
            let reached = mem::take(&mut entry.reached);
            shard.remove(&peer.key);
            if shard.len() < shard.capacity() / 4 {
                shard.shrink_to_fit();
            }
            return Some(reached);
        }
        entry.mark(true);
        if let [only] = entry.peers.as_slice() {
            only.outbox.push_health("");
        }
        None
    }

    /// Calls `f` for each connection.
    pub(super) fn for_each(&self, mut f: impl FnMut(&Peer)) {
        for shard in &self.shards {
            for entry in shard.lock().unwrap_or_else(PoisonError::into_inner).values() {
                entry.peers.iter().for_each(|peer| f(peer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: NodePublic = NodePublic::from_bytes([1; 32]);

    fn three() -> (Registry, [Arc<Peer>; 3]) {
        let registry = Registry::new();
        let peers = [1, 2, 3].map(|id| Arc::new(Peer::new(id, KEY)));
        for peer in &peers {
            registry.add(peer);
        }
        (registry, peers)
    }

    fn active(registry: &Registry, peers: &[Arc<Peer>]) -> u64 {
        let active: Vec<_> = peers.iter().filter(|peer| peer.is_active()).map(|peer| peer.id).collect();
        assert_eq!(
            active,
            [registry.find(&KEY).unwrap().id],
            "one is active, and it is the one that is found"
        );
        active[0]
    }

    #[test]
    fn the_newest_connection_of_a_key_is_active() {
        let (registry, peers) = three();
        assert_eq!(active(&registry, &peers), 3);
    }

    #[test]
    fn the_one_heard_last_becomes_active_and_the_one_before_it_follows() {
        let (registry, peers) = three();
        registry.activate(&peers[0]);
        assert_eq!(active(&registry, &peers), 1);
        assert!(registry.remove(&peers[0], Reached::new()).is_none());
        assert_eq!(active(&registry, &peers), 3);
        assert!(registry.remove(&peers[1], Reached::new()).is_none());
        assert_eq!(active(&registry, &peers), 3);
    }

    #[test]
    fn the_last_to_leave_tells_whom_all_had_reached() {
        let (registry, peers) = three();
        let others = [10, 11].map(|id| Arc::new(Peer::new(id, NodePublic::from_bytes([2; 32]))));
        let reach = |peer: &Arc<Peer>| Reached::from([(peer.id, Arc::downgrade(peer))]);
        assert!(registry.remove(&peers[0], reach(&others[0])).is_none());
        assert!(registry.remove(&peers[1], Reached::new()).is_none());
        let mut notified: Vec<_> =
            registry.remove(&peers[2], reach(&others[1])).unwrap().into_keys().collect();
        notified.sort_unstable();
        assert_eq!(notified, [10, 11]);
        assert!(registry.find(&KEY).is_none());
    }

    #[test]
    fn a_connection_that_was_removed_is_not_activated_again() {
        let (registry, peers) = three();
        registry.remove(&peers[1], Reached::new());
        registry.activate(&peers[1]);
        assert_eq!(active(&registry, &peers), 3);
        assert!(registry.remove(&peers[1], Reached::new()).is_none());
    }
}
