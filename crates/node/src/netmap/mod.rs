//! The map: what a node knows of its tailnet, kept up to date by the messages of the map stream.
//!
//! [`NetMap::apply`] takes in each message; the rest answers questions: who is behind an address or a name
//! ([`NetMap::resolve`]), which relays there are, what the packet filter says. No I/O and no clock.

mod apply;
mod identity;
mod peer;
mod resolve;
mod routes;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;

use dayfly_sorted::SortedMap;
use dayfly_wire::control::{
    Deferred, DerpMap, DerpRegion, DisplayMessage, DnsConfig, FilterRule, Node, SshPolicy, Timestamp,
    UserProfile,
};
use dayfly_wire::key::NodePublic;

pub use identity::PeerIdentity;
pub use peer::Peer;
pub use resolve::{ResolveError, Target};
pub(crate) use routes::Routes;

/// The state of a tailnet as one of its nodes sees it.
#[derive(Debug, Default)]
pub struct NetMap {
    node: Option<Box<Node>>,
    peers: SortedMap<i64, Box<Node>>,
    by_key: HashMap<NodePublic, i64>,
    by_address: HashMap<IpAddr, i64>,
    derp_map: DerpMap,
    filters: SortedMap<String, Vec<FilterRule>>,
    users: SortedMap<i64, UserProfile>,
    ssh_policy: Option<Deferred<SshPolicy>>,
    /// Number of changes of the SSH policy.
    ssh_policy_changes: u64,
    dns: DnsConfig,
    domain: String,
    health: Vec<String>,
    messages: SortedMap<String, DisplayMessage>,
    /// Seconds to add to the wall clock to get the server's.
    clock_offset: i64,
    /// The server's clock at the last message.
    as_of: Timestamp,
}

impl NetMap {
    /// A map of nothing, before the first message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This node; `None` before the first message.
    #[must_use]
    pub fn self_node(&self) -> Option<Peer<'_>> {
        self.node.as_deref().map(|node| self.view(node))
    }

    /// Returns `true` while an administrator has yet to approve this node, which sees no peers until then (tailcfg
    /// `Node.MachineAuthorized`). Headscale, which knows no approval, says the same of a node whose key has expired: that
    /// is none.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.node.as_deref().is_some_and(|node| !node.machine_authorized && !node.expired)
    }

    /// All peers, by number.
    pub fn peers(&self) -> impl Iterator<Item = Peer<'_>> {
        self.peers.values().map(|node| self.view(node))
    }

    /// The number of peers.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// The peer with this number.
    #[must_use]
    pub fn peer(&self, id: i64) -> Option<Peer<'_>> {
        self.peers.get(&id).map(|node| self.view(node))
    }

    /// The peer with this node key.
    #[must_use]
    pub fn peer_by_key(&self, key: &NodePublic) -> Option<Peer<'_>> {
        self.peer(*self.by_key.get(key)?)
    }

    /// The peer that this tailnet address belongs to. Subnet routes don't count.
    #[must_use]
    pub fn peer_by_address(&self, address: IpAddr) -> Option<Peer<'_>> {
        self.peer(*self.by_address.get(&address)?)
    }

    /// The peer that packets to `address` go to: the one with the most specific of all allowed prefixes, but for those that
    /// hold every address. A peer whose key had expired at the last message is found by its own address only.
    #[must_use]
    pub fn route(&self, address: IpAddr) -> Option<Peer<'_>> {
        let found = Routes::new(self, self.as_of).find(address);
        found.and_then(|key| self.peer_by_key(&key)).or_else(|| self.peer_by_address(address))
    }

    /// The tailnet's relays. Regions that the server took back are not among them.
    pub fn derp_regions(&self) -> impl Iterator<Item = &DerpRegion> {
        self.derp_map.regions.iter().flatten().filter_map(|(_, region)| region.as_ref())
    }

    /// The relays of one region.
    #[must_use]
    pub fn derp_region(&self, id: u32) -> Option<&DerpRegion> {
        self.derp_map.regions.as_ref()?.get(&id)?.as_ref()
    }

    /// Returns the short name of a region, or its number where the map does not know it.
    #[must_use]
    pub fn region_code(&self, id: u32) -> String {
        let code =
            self.derp_region(id).map(|region| region.region_code.as_str()).filter(|code| !code.is_empty());
        code.map_or_else(|| id.to_string(), str::to_owned)
    }

    /// The map of relays, with the hints about choosing a home among them.
    #[must_use]
    pub fn derp_map(&self) -> &DerpMap {
        &self.derp_map
    }

    /// The packet filter's rules, in order. Without any, nothing comes in.
    pub fn filter_rules(&self) -> impl Iterator<Item = &FilterRule> {
        self.filters.values().flatten()
    }

    /// Returns who may open an SSH session on this node as whom. Without a policy, and without rules in it, nobody may.
    #[must_use]
    pub fn ssh_policy(&self) -> Option<&Deferred<SshPolicy>> {
        self.ssh_policy.as_ref()
    }

    /// Returns how often the SSH policy has changed so far.
    pub(crate) fn ssh_policy_changes(&self) -> u64 {
        self.ssh_policy_changes
    }

    /// The owner of nodes with this user number.
    #[must_use]
    pub fn user(&self, id: i64) -> Option<&UserProfile> {
        self.users.get(&id)
    }

    /// The name of the tailnet.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Names and resolvers.
    #[must_use]
    pub fn dns(&self) -> &DnsConfig {
        &self.dns
    }

    /// The domain that the nodes' names are in, without dots around it; from this node's own name.
    #[must_use]
    pub fn magic_dns_suffix(&self) -> &str {
        let name = self.node.as_deref().map_or("", |node| &node.name);
        name.split_once('.').map_or("", |(_, suffix)| suffix.trim_end_matches('.'))
    }

    /// Returns what the server says is wrong with this node, in sentences.
    #[must_use]
    pub fn health(&self) -> &[String] {
        &self.health
    }

    /// Returns messages of the server for people.
    pub fn messages(&self) -> impl Iterator<Item = &DisplayMessage> {
        self.messages.values()
    }

    /// The server's clock when the wall clock shows `now`.
    #[must_use]
    pub fn control_time(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_unix(now.unix().saturating_add(self.clock_offset))
    }

    fn view<'a>(&'a self, node: &'a Node) -> Peer<'a> {
        Peer::new(node, self.users.get(&node.user), self.magic_dns_suffix())
    }
}
