//! Identity of a peer, which a server asks for of whoever connects to it.

use std::net::IpAddr;

use dayfly_wire::control::{CapMap, FilterRule, UserProfile};
use dayfly_wire::key::NodePublic;

use super::{NetMap, Peer};
use crate::filter;

/// Identity of a peer as the map had it at one moment, as `tailscale whois` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Node key, which WireGuard has authenticated.
    pub key: NodePublic,
    /// Number of the node.
    pub id: i64,
    /// Opaque text, unique forever.
    pub stable_id: String,
    /// Fully qualified name without the trailing dot.
    pub name: String,
    /// Name without the tailnet's domain.
    pub short_name: String,
    /// Addresses in the tailnet.
    pub addresses: Vec<IpAddr>,
    /// Owner; a tagged node has none.
    pub user: Option<UserProfile>,
    /// Tags.
    pub tags: Vec<String>,
    /// Capabilities and attributes that the control server gives the node.
    pub capabilities: CapMap,
    /// Capabilities that the packet filter grants the peer with applications of this node (tailcfg `FilterRule.CapGrant`).
    pub grants: CapMap,
}

impl NetMap {
    /// Returns the identity of the peer that has the tailnet address `address`, or that routes to it.
    #[must_use]
    pub fn whois(&self, address: IpAddr) -> Option<PeerIdentity> {
        self.route(address).map(|peer| self.identity(&peer))
    }

    /// Returns the identity of the peer with this node key.
    #[must_use]
    pub fn whois_key(&self, key: &NodePublic) -> Option<PeerIdentity> {
        self.peer_by_key(key).map(|peer| self.identity(&peer))
    }

    fn identity(&self, peer: &Peer<'_>) -> PeerIdentity {
        PeerIdentity {
            key: peer.key(),
            id: peer.id(),
            stable_id: peer.stable_id().to_owned(),
            name: peer.name().to_owned(),
            short_name: peer.short_name().to_owned(),
            addresses: peer.addresses().collect(),
            user: peer.user().filter(|_| peer.tags().is_empty()).cloned(),
            tags: peer.tags().to_vec(),
            capabilities: peer.capabilities().clone(),
            grants: self.grants(peer),
        }
    }

    /// Returns what the packet filter's rules grant a peer towards this node.
    fn grants(&self, peer: &Peer<'_>) -> CapMap {
        let own: Vec<IpAddr> = self.self_node().map(|node| node.addresses().collect()).unwrap_or_default();
        let is_source = |rule: &&FilterRule| {
            peer.addresses().any(|address| filter::is_source(rule, address, |name| peer.has_cap(name)))
        };
        let rules = self.filter_rules().filter(|rule| !rule.cap_grant.is_empty()).filter(is_source);
        let mut all = CapMap::default();
        for grant in rules.flat_map(|rule| &rule.cap_grant) {
            if !grant.dsts.iter().any(|prefix| own.iter().any(|address| prefix.contains(*address))) {
                continue;
            }
            let names = grant.caps.iter().map(|name| (name.as_str(), &[][..]));
            for (name, values) in names.chain(grant.cap_map.iter()) {
                let before = all.values(name).unwrap_or_default();
                all.insert(name, [before, values].concat());
            }
        }
        all
    }
}
