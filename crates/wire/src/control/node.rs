//! Nodes and their owners, as the map describes them.

use serde::{Deserialize, Serialize};

use super::tolerant::is_default;
use super::{CapMap, DnsResolver, Hostinfo, IpPrefix, Timestamp};
use crate::key::{DiscoPublic, MachinePublic, NodePublic};

/// A node of the tailnet: this one or a peer (tailcfg `Node`).
///
/// `ComputedName` and `ComputedNameWithHost`, which Go's client computes for itself, are not kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Node {
    /// Number, unique forever, greater than 0. It may not fit into a JavaScript number.
    #[serde(rename = "ID")]
    pub id: i64,
    /// Opaque text, unique forever.
    #[serde(rename = "StableID")]
    pub stable_id: String,
    /// Fully qualified name with a trailing dot.
    pub name: String,
    /// Number of the user that owns it; tagged nodes have a pseudo-user.
    pub user: i64,
    /// Number of the user who shares it; 0 when nobody does.
    #[serde(skip_serializing_if = "is_default")]
    pub sharer: i64,
    /// WireGuard key, which is also the node's address at a relay.
    pub key: NodePublic,
    /// Moment at which the key expires; `None` or zero is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_expiry: Option<Timestamp>,
    /// Signature of the key by the tailnet's lock, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_signature: Option<String>,
    /// The installation's key.
    #[serde(skip_serializing_if = "is_default")]
    pub machine: MachinePublic,
    /// Key of path discovery; zero where the node has none.
    #[serde(skip_serializing_if = "is_default")]
    pub disco_key: DiscoPublic,
    /// Its addresses in the tailnet.
    pub addresses: Vec<IpPrefix>,
    /// Prefixes of what may be sent to it and come from it; `None` is its addresses.
    #[serde(rename = "AllowedIPs", skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<IpPrefix>>,
    /// `address:port` pairs of UDP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// Home region in the form of old servers: `127.3.3.40:<region>`. See [`Node::home_region`].
    #[serde(rename = "DERP", skip_serializing_if = "String::is_empty")]
    pub legacy_derp: String,
    /// Home region, through which it is reached; 0 while it has none.
    #[serde(rename = "HomeDERP", skip_serializing_if = "is_default")]
    pub home_derp: u32,
    /// Description that it gives of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// Moment at which it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Capability version of its software.
    #[serde(skip_serializing_if = "is_default")]
    pub cap: i32,
    /// Tags; not empty means that it belongs to nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Prefixes that it is the router of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub primary_routes: Vec<IpPrefix>,
    /// Moment at which it was last connected to the server; absent while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Connected to the server; `None` is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// An administrator has admitted it, or nobody has to. Go writes no `false`: absent is not admitted.
    #[serde(skip_serializing_if = "is_default")]
    pub machine_authorized: bool,
    /// Names of capabilities, as old servers write them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Capabilities and attributes that the server gives it.
    #[serde(skip_serializing_if = "CapMap::is_empty")]
    pub cap_map: CapMap,
    /// It is not signed by the tailnet's lock, and gets no traffic but to its peer API.
    #[serde(rename = "UnsignedPeerAPIOnly", skip_serializing_if = "is_default")]
    pub unsigned_peer_api_only: bool,
    /// Names this node in the logs of the data plane.
    #[serde(rename = "DataPlaneAuditLogID", skip_serializing_if = "String::is_empty")]
    pub data_plane_audit_log_id: String,
    /// Its key has expired.
    #[serde(skip_serializing_if = "is_default")]
    pub expired: bool,
    /// IPv4 address by which this peer knows the node that the map is for.
    #[serde(rename = "SelfNodeV4MasqAddrForThisPeer", skip_serializing_if = "Option::is_none")]
    pub self_node_v4_masq_addr_for_this_peer: Option<String>,
    /// IPv6 address by which this peer knows the node that the map is for.
    #[serde(rename = "SelfNodeV6MasqAddrForThisPeer", skip_serializing_if = "Option::is_none")]
    pub self_node_v6_masq_addr_for_this_peer: Option<String>,
    /// It speaks WireGuard and neither disco nor DERP.
    #[serde(rename = "IsWireGuardOnly", skip_serializing_if = "is_default")]
    pub is_wireguard_only: bool,
    /// It may not open connections to the node that the map is for.
    #[serde(skip_serializing_if = "is_default")]
    pub is_jailed: bool,
    /// Resolvers to use while this is the exit node.
    #[serde(rename = "ExitNodeDNSResolvers", skip_serializing_if = "Vec::is_empty")]
    pub exit_node_dns_resolvers: Vec<DnsResolver>,
}

impl Node {
    /// Returns the region through which the node is reached: `HomeDERP`, or the port of the old servers' fake address.
    #[must_use]
    pub fn home_region(&self) -> Option<u32> {
        let region = match self.home_derp {
            0 => self.legacy_derp.strip_prefix("127.3.3.40:")?.parse().ok()?,
            region => region,
        };
        (region != 0).then_some(region)
    }
}

/// The owner of a node (tailcfg `UserProfile`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UserProfile {
    /// Number.
    #[serde(rename = "ID")]
    pub id: i64,
    /// Name that the user logs in with, usually an e-mail address.
    pub login_name: String,
    /// Name for people.
    pub display_name: String,
    /// Address of a picture.
    #[serde(rename = "ProfilePicURL", skip_serializing_if = "String::is_empty")]
    pub profile_pic_url: String,
    /// Groups of the user that rules of the node name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::from_json;

    #[test]
    fn home_region_is_read_in_both_forms() {
        let mut node = Node { legacy_derp: "127.3.3.40:17".to_owned(), ..Node::default() };
        assert_eq!(node.home_region(), Some(17));
        node.home_derp = 900;
        assert_eq!(node.home_region(), Some(900));
        assert_eq!(Node::default().home_region(), None);
        assert_eq!(Node { legacy_derp: "127.3.3.40:0".to_owned(), ..Node::default() }.home_region(), None);
    }

    #[test]
    fn null_is_the_empty_value_of_slices_maps_and_pointers() {
        let node: Node = from_json(
            r#"{"ID":7,"Addresses":null,"AllowedIPs":null,"Endpoints":null,"Hostinfo":null,"Tags":null,
                "CapMap":null,"Online":null,"LastSeen":null,"KeyExpiry":null,"Unknown":{"a":[1]}}"#
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(node, Node { id: 7, ..Node::default() });
    }
}
