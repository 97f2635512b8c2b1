//! The choice of this node's home: the region at which peers find it.
//!
//! A page cannot measure distances by UDP, so the candidates are dialled at once, and the first to answer becomes home. It
//! stays home until it fails: others that answer change nothing. A home that fails is replaced by a candidate that is
//! connected already, or the candidates are dialled again. There is no search while an administrator has yet to approve the
//! node: relays may reject it, and it has nobody to talk to.

use std::cmp::Reverse;

use dayfly_sorted::SortedMap;
use dayfly_wire::control::DerpRegion;

use super::relays::{RelayLink, Relays};
use crate::netmap::NetMap;

/// Regions that are tried at once for a home.
pub(super) const CANDIDATES: usize = 12;

/// The home, and where to look for one.
#[derive(Debug, Default)]
pub(super) struct Home {
    region: Option<u32>,
    /// Regions to look for a home in, the best first.
    candidates: Vec<u32>,
    /// There is a map, and it says that the node is approved.
    is_approved: bool,
}

/// Next step towards a good home.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Nothing is to be done: the home is good, or none may be looked for.
    Rest,
    /// A region that is connected is to be home.
    Take(u32),
    /// Connections to these regions are to be opened.
    Dial(Vec<u32>),
}

impl Home {
    /// Returns the home region.
    pub(super) fn region(&self) -> Option<u32> {
        self.region
    }

    /// Makes a region home, and returns the one that was.
    pub(super) fn replace(&mut self, region: u32) -> Option<u32> {
        self.region.replace(region)
    }

    /// Takes over the candidates of `map`, and whether the node is approved.
    pub(super) fn update(&mut self, map: &NetMap) {
        self.is_approved = !map.needs_approval();
        self.candidates = candidates(map);
    }

    /// Returns `true` while the home's relay is connected.
    pub(super) fn is_ready(&self, relays: &Relays) -> bool {
        self.region.and_then(|region| relays.get(region)).is_some_and(RelayLink::is_ready)
    }

    /// Returns what is to be done for there to be a good home.
    pub(super) fn search(&self, relays: &Relays) -> Search {
        if !self.is_approved || !self.is_lost(relays) {
            return Search::Rest;
        }
        // A connection that is there reports no connection again.
        let is_ready = |region: &&u32| relays.get(**region).is_some_and(RelayLink::is_ready);
        match self.candidates.iter().find(is_ready) {
            Some(region) => Search::Take(*region),
            None => Search::Dial(self.candidates.clone()),
        }
    }

    /// Returns `true` where a region that has just been connected is to be home.
    pub(super) fn wants(&self, region: u32, relays: &Relays) -> bool {
        self.is_approved && self.region != Some(region) && self.is_lost(relays)
    }

    fn is_lost(&self, relays: &Relays) -> bool {
        self.region.and_then(|region| relays.get(region)).is_none_or(RelayLink::is_failing)
    }
}

/// Returns the regions to look for a home in. Those where online peers are come first: that is where packets go.
fn candidates(map: &NetMap) -> Vec<u32> {
    let usable = |region: &&DerpRegion| region.nodes.iter().any(|node| !node.stun_only);
    let good = |region: &&DerpRegion| !region.avoid && !region.no_measure_no_home;
    let mut regions: Vec<&DerpRegion> = map.derp_regions().filter(usable).filter(good).collect();
    if regions.is_empty() {
        regions = map.derp_regions().filter(usable).collect();
    }
    let mut peers: SortedMap<u32, usize> = SortedMap::new();
    for peer in map.peers().filter(|peer| peer.online() != Some(false)) {
        *peers.get_or_insert_with(peer.home_region().unwrap_or_default(), || 0) += 1;
    }
    regions.sort_by_key(|region| Reverse(peers.get(&region.region_id).copied().unwrap_or_default()));
    regions.into_iter().take(CANDIDATES).map(|region| region.region_id).collect()
}
