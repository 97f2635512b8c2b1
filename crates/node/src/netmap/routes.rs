//! The peer that packets to an address go to, and come from: WireGuard's cryptokey routing.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use dayfly_wire::control::{IpPrefix, Timestamp};
use dayfly_wire::key::NodePublic;

use super::NetMap;

/// All prefixes that lead to peers. Those of peers whose key has expired are left out, and so are `0.0.0.0/0` and `::/0`:
/// Tailscale sends all of the internet's addresses only to the exit node that a person has chosen
/// (`wgengine/wgcfg/nmcfg/nmcfg.go`), and here nobody can choose one.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    hosts: HashMap<IpAddr, NodePublic>,
    /// The most specific first.
    networks: Vec<(IpPrefix, NodePublic)>,
}

impl Routes {
    /// The routes of a map, at the server's time `control_time`. Of several peers with the same prefix the one with the
    /// highest number has it, as WireGuard gives it to whoever is configured last.
    pub(crate) fn new(map: &NetMap, control_time: Timestamp) -> Self {
        let mut routes = Self::default();
        for peer in map.peers().filter(|peer| !peer.expired(control_time)) {
            for prefix in peer.allowed_ips().iter().filter(|prefix| prefix.bits() > 0) {
                if prefix.is_host() {
                    routes.hosts.insert(prefix.address(), peer.key());
                } else {
                    routes.networks.push((*prefix, peer.key()));
                }
            }
        }
        routes.networks.reverse();
        routes.networks.sort_by_key(|(prefix, _)| Reverse(prefix.bits()));
        routes
    }

    /// The peer with the most specific prefix around `address`.
    pub(crate) fn find(&self, address: IpAddr) -> Option<NodePublic> {
        let network =
            || self.networks.iter().find(|(prefix, _)| prefix.contains(address)).map(|(_, key)| key);
        self.hosts.get(&address).or_else(network).copied()
    }

    /// Nothing leads to this peer any more.
    pub(crate) fn remove(&mut self, key: &NodePublic) {
        self.hosts.retain(|_, of| of != key);
        self.networks.retain(|(_, of)| of != key);
    }
}
