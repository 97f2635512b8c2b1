//! Identity of a peer, which a server asks for of whoever connects to it.

use std::net::IpAddr;

use dayfly_wire::control::{CapMap, UserProfile};
use dayfly_wire::key::NodePublic;

use super::{NetMap, Peer};

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
}

impl Peer<'_> {
    /// Returns a copy of what identifies the node.
    #[must_use]
    pub fn identity(&self) -> PeerIdentity {
        PeerIdentity {
            key: self.key(),
            id: self.id(),
            stable_id: self.stable_id().to_owned(),
            name: self.name().to_owned(),
            short_name: self.short_name().to_owned(),
            addresses: self.addresses().collect(),
            user: self.user().filter(|_| self.tags().is_empty()).cloned(),
            tags: self.tags().to_vec(),
            capabilities: self.capabilities().clone(),
        }
    }
}

impl NetMap {
    /// Returns the identity of the peer that has the tailnet address `address`, or that routes to it.
    #[must_use]
    pub fn whois(&self, address: IpAddr) -> Option<PeerIdentity> {
        self.route(address).map(|peer| peer.identity())
    }
}
