//! The peers as the data path needs them: keys, addresses and the relays to find them at.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use dayfly_platform::time::Moment;
use dayfly_wire::control::Timestamp;
use dayfly_wire::key::{DiscoPrivate, DiscoPublic, NodePublic};
use dayfly_wire::nacl::SharedKey;

use crate::netmap::{NetMap, Routes};

/// All peers that packets may be exchanged with. Peers whose key has expired are not among them: those that had when the map
/// came, and from [`Peers::expire`] on those whose key has expired since.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_key: HashMap<NodePublic, Peer>,
    routes: Routes,
    /// Moment at which the next key expires.
    next_expiry: Option<Moment>,
}

/// One peer.
pub(crate) struct Peer {
    /// Disco key of the peer, from the map or from itself, whichever came last; `None` where it has none.
    pub(crate) disco: Option<DiscoPublic>,
    /// Disco key of the peer in the last map, which learns of a new one later than a peer that is talked to.
    mapped_disco: Option<DiscoPublic>,
    /// Key that seals disco messages with it; made when the first one comes.
    shared: Option<SharedKey>,
    /// Home region of the peer.
    pub(crate) home: Option<u32>,
    /// Region at which it was heard last.
    heard: Option<u32>,
    /// Moment at which a relay said that it is not there, if it was not heard since.
    pub(crate) gone: Option<Moment>,
    /// Moment at which its key expires.
    expires: Option<Moment>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("home", &self.home).field("heard", &self.heard).finish_non_exhaustive()
    }
}

/// Difference that an update made.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) added: Vec<NodePublic>,
    pub(crate) removed: Vec<NodePublic>,
    /// Peers with a new disco key: they have started anew, and know nothing of sessions before.
    pub(crate) restarted: Vec<NodePublic>,
}

impl Peers {
    /// Takes over the peers of `map`, at the server's time `control_time`, which is `now` on the tunnel's clock.
    pub(crate) fn update(&mut self, map: &NetMap, control_time: Timestamp, now: Moment) -> Difference {
        let mut difference = Difference::default();
        let mut old = std::mem::take(&mut self.by_key);
        self.routes = Routes::new(map, control_time);
        for peer in map.peers().filter(|peer| !peer.expired(control_time)) {
            let key = peer.key();
            let before = old.remove(&key);
            if before.is_none() {
                difference.added.push(key);
            }
            let mut entry = before.unwrap_or_else(Peer::new);
            let disco = peer.disco_key();
            if std::mem::replace(&mut entry.mapped_disco, disco) != disco && entry.disco != disco {
                if entry.disco.is_some() {
                    difference.restarted.push(key);
                }
                entry.disco = disco;
                entry.shared = None;
                // The one that was not there was the one before.
                entry.gone = None;
            }
            if entry.home != peer.home_region() {
                entry.home = peer.home_region();
                entry.gone = None;
            }
            entry.expires = peer.expires_in(control_time).map(|left| now + left);
            self.by_key.insert(key, entry);
        }
        self.next_expiry = self.by_key.values().filter_map(|peer| peer.expires).min();
        difference.removed.extend(old.into_keys());
        difference
    }

    /// Returns the moment at which [`Peers::expire`] is due.
    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        self.next_expiry
    }

    /// Removes the peers whose key has expired since the map came, and returns their keys.
    pub(crate) fn expire(&mut self, now: Moment) -> Vec<NodePublic> {
        if self.next_expiry.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let due = |peer: &Peer| peer.expires.is_some_and(|at| at <= now);
        let expired: Vec<_> = self.by_key.iter().filter(|(_, peer)| due(peer)).map(|(key, _)| *key).collect();
        for key in &expired {
            self.by_key.remove(key);
            self.routes.remove(key);
        }
        self.next_expiry = self.by_key.values().filter_map(|peer| peer.expires).min();
        expired
    }

    pub(crate) fn get(&self, key: &NodePublic) -> Option<&Peer> {
        self.by_key.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &NodePublic) -> Option<&mut Peer> {
        self.by_key.get_mut(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodePublic> {
        self.by_key.keys()
    }

    /// Returns the peer that packets to `address` go to.
    pub(crate) fn route(&self, address: IpAddr) -> Option<NodePublic> {
        self.routes.find(address)
    }
}

impl Peer {
    fn new() -> Self {
        Self {
            disco: None,
            mapped_disco: None,
            shared: None,
            home: None,
            heard: None,
            gone: None,
            expires: None,
        }
    }

    /// Returns the region to send to: its home, where it is always connected, or else where it was heard.
    pub(crate) fn region(&self) -> Option<u32> {
        self.home.or(self.heard)
    }

    /// Takes note that it was heard at this region.
    pub(crate) fn heard_at(&mut self, region: u32) {
        self.heard = Some(region);
        self.gone = None;
    }

    /// Takes note that the relay of this region does not have it.
    pub(crate) fn gone_from(&mut self, region: u32, now: Moment) {
        if self.heard == Some(region) {
            self.heard = None;
        }
        if self.region().is_none_or(|to| to == region) {
            self.gone = Some(now);
        }
    }

    /// Returns the key that seals disco messages with `sender`, if that is this peer's disco key.
    pub(crate) fn disco_key(&mut self, own: &DiscoPrivate, sender: &DiscoPublic) -> Option<&SharedKey> {
        if self.disco.as_ref() != Some(sender) {
            return None;
        }
        Some(self.shared.get_or_insert_with(|| own.shared(sender)))
    }

    /// Takes over a disco key that the peer has sent itself.
    pub(crate) fn set_disco(&mut self, key: DiscoPublic) {
        if self.disco != Some(key) {
            self.disco = Some(key);
            self.shared = None;
        }
    }
}
