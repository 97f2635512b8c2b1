//! Taking in the messages of the map stream, in the order of Go's `control/controlclient/map.go`.

use std::mem;

use dayfly_sorted::{SortedMap, SortedSet};
use dayfly_wire::control::{DerpMap, MapResponse, Node, PeerChange, Timestamp};

use super::NetMap;

/// Name of the packet filter that the unnamed field of old servers sets.
const BASE_FILTER: &str = "base";
/// With nothing, this name takes back all entries of a map of changes.
const ALL: &str = "*";

impl NetMap {
    /// Takes in a message of the map stream.
    ///
    /// `first` says that it is the first with content of its stream: peers and packet filters that it does not
    /// name are removed, whatever was known from a stream before. `now` is the wall clock.
    pub fn apply(&mut self, mut message: MapResponse, first: bool, now: Timestamp) {
        if let Some(time) = message.control_time.filter(|time| !time.is_zero()) {
            self.clock_offset = time.unix().saturating_sub(now.unix());
        }
        self.as_of = self.control_time(now);
        if message.keep_alive {
            return;
        }
        self.apply_peers(&mut message, first, now);
        if message.node.is_some() {
            self.node = message.node;
        }
        for profile in message.user_profiles {
            self.users.insert(profile.id, profile);
        }
        if let Some(update) = message.derp_map {
            self.apply_derp_map(update);
        }
        if first {
            self.filters.clear();
        }
        if let Some(rules) = message.packet_filter {
            self.filters.insert(BASE_FILTER.to_owned(), rules);
        }
        patch_map(&mut self.filters, message.packet_filters);
        // A stream begins without a policy, as in Go's client.
        if (first || message.ssh_policy.is_some()) && self.ssh_policy != message.ssh_policy {
            self.ssh_policy = message.ssh_policy;
            self.ssh_policy_changes += 1;
        }
        if let Some(dns) = message.dns_config {
            self.dns = dns;
        }
        if !message.domain.is_empty() {
            self.domain = message.domain;
        }
        if let Some(health) = message.health {
            self.health = health;
        }
        patch_map(&mut self.messages, message.display_messages);
    }

    fn apply_peers(&mut self, message: &mut MapResponse, first: bool, now: Timestamp) {
        if first || !message.peers.is_empty() {
            // A full list makes the message's other words about peers void.
            let kept = if message.peers.is_empty() { &message.peers_changed } else { &message.peers };
            let kept: SortedSet<i64> = kept.iter().map(|node| node.id).collect();
            let removed: Vec<i64> = self.peers.keys().filter(|id| !kept.contains(id)).copied().collect();
            for id in removed {
                self.remove_peer(id);
            }
        }
        if !message.peers.is_empty() {
            for node in mem::take(&mut message.peers) {
                self.upsert_peer(node);
            }
            return;
        }
        for &id in &message.peers_removed {
            self.remove_peer(id);
        }
        for node in mem::take(&mut message.peers_changed) {
            self.upsert_peer(node);
        }
        for (id, &seen) in &message.peer_seen_change {
            if let Some(node) = self.peers.get_mut(id) {
                node.last_seen = seen.then_some(now);
            }
        }
        for (id, &online) in &message.online_change {
            if let Some(node) = self.peers.get_mut(id) {
                node.online = Some(online);
            }
        }
        for patch in &message.peers_changed_patch {
            self.patch_peer(patch);
        }
    }

    fn upsert_peer(&mut self, node: Node) {
        if node.id == 0 {
            return;
        }
        // A key belongs to one node: whoever had it under another number is removed.
        if let Some(&other) = self.by_key.get(&node.key)
            && other != node.id
        {
            self.remove_peer(other);
        }
        self.remove_peer(node.id);
        self.by_key.insert(node.key, node.id);
        for prefix in node.addresses.iter().filter(|prefix| prefix.is_host()) {
            self.by_address.insert(prefix.address(), node.id);
        }
        self.peers.insert(node.id, Box::new(node));
    }

    fn remove_peer(&mut self, id: i64) {
        let Some(node) = self.peers.remove(&id) else {
            return;
        };
        self.by_key.remove(&node.key);
        for prefix in &node.addresses {
            if self.by_address.get(&prefix.address()) == Some(&id) {
                self.by_address.remove(&prefix.address());
            }
        }
    }

    fn patch_peer(&mut self, patch: &PeerChange) {
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
        self.upsert_peer(node);
    }

    /// Without regions the ones known before stay, and only the hints change.
    fn apply_derp_map(&mut self, update: DerpMap) {
        let DerpMap { regions, home_params, omit_default_regions: _ } = update;
        if regions.is_some() {
            self.derp_map.regions = regions;
        }
        if home_params.is_some() {
            self.derp_map.home_params = home_params;
        }
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
