//! Taking in the messages of the map stream, in the order of Go's `control/controlclient/map.go`.

use std::mem;

use dayfly_sorted::{SortedMap, SortedSet};
use dayfly_wire::control::{DerpMap, MapResponse, Node, PeerChange, Timestamp};
use dayfly_wire::key::NodePublic;

use super::NetMap;

/// Name of the packet filter that the unnamed field of old servers sets.
const BASE_FILTER: &str = "base";
/// With nothing, this name takes back all entries of a map of changes.
const ALL: &str = "*";

/// What a message changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Changes {
    /// This node itself.
    pub node: bool,
    /// Numbers of peers that are new or changed in any way.
    pub peers: SortedSet<i64>,
    /// Numbers of peers that are gone.
    pub removed: SortedSet<i64>,
    /// Node keys that no peer has any more: of peers that are gone, and old keys of those that have a new one.
    pub removed_keys: Vec<NodePublic>,
    /// The map of relays.
    pub derp_map: bool,
    /// The packet filter.
    pub filter: bool,
    /// Names and resolvers.
    pub dns: bool,
    /// Owners of nodes.
    pub users: bool,
    /// What the server says to a person.
    pub health: bool,
}

impl NetMap {
    /// Takes in a message of the map stream.
    ///
    /// `first` says that it is the first with content of its stream: peers and packet filters that it does not
    /// name are gone, whatever was known from a stream before. `now` is the wall clock.
    pub fn apply(&mut self, mut message: MapResponse, first: bool, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        if let Some(time) = message.control_time.filter(|time| !time.is_zero()) {
            self.clock_offset = time.unix().saturating_sub(now.unix());
        }
        self.as_of = self.control_time(now);
        if message.keep_alive {
            return changes;
        }
        self.apply_peers(&mut message, first, now, &mut changes);
        if let Some(node) = message.node {
            changes.node = self.node.as_ref() != Some(&node);
            self.node = Some(node);
        }
        for profile in message.user_profiles {
            changes.users = true;
            self.users.insert(profile.id, profile);
        }
        if let Some(update) = message.derp_map {
            changes.derp_map = self.apply_derp_map(update);
        }
        if first && !self.filters.is_empty() {
            self.filters.clear();
            changes.filter = true;
        }
        if let Some(rules) = message.packet_filter {
            self.filters.insert(BASE_FILTER.to_owned(), rules);
            changes.filter = true;
        }
        if !message.packet_filters.is_empty() {
            patch_map(&mut self.filters, message.packet_filters);
            changes.filter = true;
        }
        if let Some(dns) = message.dns_config {
            changes.dns = self.dns != dns;
            self.dns = dns;
        }
        if !message.domain.is_empty() {
            changes.node |= self.domain != message.domain;
            self.domain = message.domain;
        }
        if let Some(health) = message.health {
            changes.health = self.health != health;
            self.health = health;
        }
        if !message.display_messages.is_empty() {
            patch_map(&mut self.messages, message.display_messages);
            changes.health = true;
        }
        changes
    }

    fn apply_peers(&mut self, message: &mut MapResponse, first: bool, now: Timestamp, changes: &mut Changes) {
        if first || !message.peers.is_empty() {
            // A full list makes the message's other words about peers void.
            let kept = if message.peers.is_empty() { &message.peers_changed } else { &message.peers };
            let kept: SortedSet<i64> = kept.iter().map(|node| node.id).collect();
            let gone: Vec<i64> = self.peers.keys().filter(|id| !kept.contains(id)).copied().collect();
            for id in gone {
                self.remove_peer(id, changes);
            }
        }
        if !message.peers.is_empty() {
            for node in mem::take(&mut message.peers) {
                self.upsert_peer(node, changes);
            }
            return;
        }
        for &id in &message.peers_removed {
            self.remove_peer(id, changes);
        }
        for node in mem::take(&mut message.peers_changed) {
            self.upsert_peer(node, changes);
        }
        for (id, &seen) in &message.peer_seen_change {
            if let Some(node) = self.peers.get_mut(id) {
                node.last_seen = seen.then_some(now);
                changes.peers.insert(*id);
            }
        }
        for (id, &online) in &message.online_change {
            if let Some(node) = self.peers.get_mut(id) {
                node.online = Some(online);
                changes.peers.insert(*id);
            }
        }
        for patch in &message.peers_changed_patch {
            self.patch_peer(patch, changes);
        }
    }

    fn upsert_peer(&mut self, node: Node, changes: &mut Changes) {
        if node.id == 0 || self.peers.get(&node.id).is_some_and(|known| **known == node) {
            return;
        }
        // A key belongs to one node: whoever had it under another number is gone.
        if let Some(&other) = self.by_key.get(&node.key)
            && other != node.id
        {
            self.remove_peer(other, changes);
        }
        if let Some(before) = self.peers.remove(&node.id) {
            self.unindex(&before);
            if before.key != node.key {
                changes.removed_keys.push(before.key);
            }
        }
        changes.removed.remove(&node.id);
        changes.removed_keys.retain(|key| *key != node.key);
        changes.peers.insert(node.id);
        self.by_key.insert(node.key, node.id);
        for prefix in node.addresses.iter().filter(|prefix| prefix.is_host()) {
            self.by_address.insert(prefix.address(), node.id);
        }
        self.peers.insert(node.id, Box::new(node));
    }

    fn remove_peer(&mut self, id: i64, changes: &mut Changes) {
        if let Some(node) = self.peers.remove(&id) {
            self.unindex(&node);
            changes.removed_keys.push(node.key);
            changes.peers.remove(&id);
            changes.removed.insert(id);
        }
    }

    fn unindex(&mut self, node: &Node) {
        self.by_key.remove(&node.key);
        for prefix in &node.addresses {
            if self.by_address.get(&prefix.address()) == Some(&node.id) {
                self.by_address.remove(&prefix.address());
            }
        }
    }

    fn patch_peer(&mut self, patch: &PeerChange, changes: &mut Changes) {
        let Some(before) = self.peers.get(&patch.node_id) else {
            return;
        };
        // A disco key that was learned before the node went away must not replace one learned since.
        let stale = patch.disco_key.is_some()
            && patch.online == Some(false)
            && patch.last_seen.zip(before.last_seen).is_some_and(|(patched, known)| patched < known);
        if stale {
            return;
        }
        let mut node = Node::clone(before);
        if patch.derp_region != 0 {
            node.home_derp = patch.derp_region;
        }
        if patch.cap != 0 {
            node.cap = patch.cap;
        }
        if let Some(caps) = &patch.cap_map {
            node.cap_map = caps.clone();
        }
        if let Some(endpoints) = &patch.endpoints {
            node.endpoints.clone_from(endpoints);
        }
        if let Some(key) = patch.key {
            node.key = key;
        }
        if let Some(key) = patch.disco_key {
            node.disco_key = key;
        }
        if patch.online.is_some() {
            node.online = patch.online;
        }
        if patch.last_seen.is_some() {
            node.last_seen = patch.last_seen;
        }
        if patch.key_expiry.is_some() {
            node.key_expiry = patch.key_expiry;
        }
        self.upsert_peer(node, changes);
    }

    /// Without regions the ones known before stay, and only the hints change.
    fn apply_derp_map(&mut self, update: DerpMap) -> bool {
        let known = self.derp_map.regions.take();
        let before = DerpMap { home_params: self.derp_map.home_params.take(), regions: known };
        self.derp_map.regions = update.regions.or_else(|| before.regions.clone());
        self.derp_map.home_params = update.home_params.or_else(|| before.home_params.clone());
        self.derp_map != before
    }
}

/// Applies a map of changes: nothing under [`ALL`] takes back all entries first, nothing elsewhere just that one.
fn patch_map<T>(map: &mut SortedMap<String, T>, patch: SortedMap<String, Option<T>>) {
    if matches!(patch.get(ALL), Some(None)) {
        map.clear();
    }
    for (name, value) in patch {
        match value {
            Some(value) => map.insert(name, value),
            None => map.remove(&name),
        };
    }
}
