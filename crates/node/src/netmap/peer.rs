//! One node as people and the data path see it.

use std::net::IpAddr;
use std::time::Duration;

use dayfly_wire::control::{CapMap, IpPrefix, Node, Timestamp, UserProfile};
use dayfly_wire::key::{DiscoPublic, NodePublic};

/// View of a node of the map.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    node: &'a Node,
    user: Option<&'a UserProfile>,
    suffix: &'a str,
}

impl<'a> Peer<'a> {
    pub(super) fn new(node: &'a Node, user: Option<&'a UserProfile>, suffix: &'a str) -> Self {
        Self { node, user, suffix }
    }

    /// The node as the server describes it.
    #[must_use]
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Number of the node. It may not fit into a JavaScript number.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.node.id
    }

    /// Opaque text, unique forever.
    #[must_use]
    pub fn stable_id(&self) -> &'a str {
        &self.node.stable_id
    }

    /// Fully qualified name without the trailing dot.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.node.name.trim_end_matches('.')
    }

    /// The name as people use it: without the tailnet's domain. Nodes of other tailnets keep theirs.
    #[must_use]
    pub fn short_name(&self) -> &'a str {
        let name = self.name();
        if self.suffix.is_empty() {
            return name;
        }
        let label = name.len().checked_sub(self.suffix.len()).and_then(|at| name.split_at_checked(at));
        match label.and_then(|(label, suffix)| Some((label.strip_suffix('.')?, suffix))) {
            Some((label, suffix)) if suffix.eq_ignore_ascii_case(self.suffix) => label,
            _ => name,
        }
    }

    /// Its addresses in the tailnet.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        self.node.addresses.iter().filter(|prefix| prefix.is_host()).map(IpPrefix::address)
    }

    /// Its first IPv4 address.
    #[must_use]
    pub fn ipv4(&self) -> Option<IpAddr> {
        self.addresses().find(IpAddr::is_ipv4)
    }

    /// Its first IPv6 address.
    #[must_use]
    pub fn ipv6(&self) -> Option<IpAddr> {
        self.addresses().find(IpAddr::is_ipv6)
    }

    /// Returns the prefixes of what may be sent to it and come from it.
    #[must_use]
    pub fn allowed_ips(&self) -> &'a [IpPrefix] {
        self.node.allowed_ips.as_deref().unwrap_or(&self.node.addresses)
    }

    /// Returns `true` where it is connected to the control server; `None` is unknown.
    #[must_use]
    pub fn online(&self) -> Option<bool> {
        self.node.online
    }

    /// Returns the time at which it was last connected to the server, as far as that is known; none while it is.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.node.last_seen.filter(|time| !time.is_zero())
    }

    /// Go's name of its operating system (`linux`, `macOS`, `windows`, `js`, ...), or nothing.
    #[must_use]
    pub fn os(&self) -> &'a str {
        self.node.hostinfo.as_ref().map_or("", |info| &info.os)
    }

    /// SSH host keys that it publishes, as lines of `authorized_keys`.
    #[must_use]
    pub fn ssh_host_keys(&self) -> &'a [String] {
        self.node.hostinfo.as_ref().map_or(&[], |info| &info.ssh_host_keys)
    }

    /// Returns `true` where it runs Tailscale SSH: nodes that do publish their host keys.
    #[must_use]
    pub fn offers_ssh(&self) -> bool {
        !self.ssh_host_keys().is_empty()
    }

    /// The region through which it is reached.
    #[must_use]
    pub fn home_region(&self) -> Option<u32> {
        self.node.home_region()
    }

    /// WireGuard key, which is also its address at a relay.
    #[must_use]
    pub fn key(&self) -> NodePublic {
        self.node.key
    }

    /// Key of path discovery; `None` where it has none.
    #[must_use]
    pub fn disco_key(&self) -> Option<DiscoPublic> {
        Some(self.node.disco_key).filter(|key| !key.is_zero())
    }

    /// Returns its owner, as far as the server has described that user.
    #[must_use]
    pub fn user(&self) -> Option<&'a UserProfile> {
        self.user
    }

    /// Its tags; a tagged node belongs to nobody.
    #[must_use]
    pub fn tags(&self) -> &'a [String] {
        &self.node.tags
    }

    /// Returns its capabilities and attributes.
    #[must_use]
    pub fn capabilities(&self) -> &'a CapMap {
        &self.node.cap_map
    }

    /// Returns `true` where it has this capability or attribute.
    #[must_use]
    pub fn has_cap(&self, name: &str) -> bool {
        self.node.cap_map.contains(name)
    }

    /// Returns `true` where its key has expired when the server's clock shows `control_time`. Nothing is sent to it then.
    #[must_use]
    pub fn expired(&self, control_time: Timestamp) -> bool {
        let past = |expiry: Timestamp| !expiry.is_zero() && expiry < control_time;
        self.node.expired || self.node.key_expiry.is_some_and(past)
    }

    /// Returns the time until [`Peer::expired`], in whole seconds, when the server's clock shows `control_time`; `None`
    /// is never.
    #[must_use]
    pub fn expires_in(&self, control_time: Timestamp) -> Option<Duration> {
        let expiry = self.node.key_expiry.filter(|expiry| !expiry.is_zero())?;
        let left = expiry.unix().saturating_sub(control_time.unix()).saturating_add(1);
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }
}
