//! Nodes and their owners, as the map describes them.

use dayfly_sorted::{SortedMap, SortedSet};
use serde::de::IgnoredAny;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tolerant::is_default;
use super::{Hostinfo, IpPrefix, Timestamp};
use crate::key::{DiscoPublic, MachinePublic, NodePublic};

/// A node of the tailnet: this one or a peer (tailcfg `Node`).
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
    /// WireGuard key, which is also the node's address at a relay.
    pub key: NodePublic,
    /// When the key expires; `None` or zero is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_expiry: Option<Timestamp>,
    /// The installation's key.
    #[serde(skip_serializing_if = "is_default")]
    pub machine: MachinePublic,
    /// Key of path discovery; zero where the node has none.
    #[serde(skip_serializing_if = "is_default")]
    pub disco_key: DiscoPublic,
    /// Its addresses in the tailnet.
    pub addresses: Vec<IpPrefix>,
    /// What may be sent to it and come from it; `None` is its addresses.
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
    /// What it tells of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// When it was added.
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
    /// When it was last connected to the server; absent while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Whether it is connected to the server; `None` is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// An administrator has let it in, or nobody has to. Go writes no `false`: absent is not let in.
    #[serde(skip_serializing_if = "is_default")]
    pub machine_authorized: bool,
    /// Capabilities and attributes that the server gives it.
    #[serde(skip_serializing_if = "CapSet::is_empty")]
    pub cap_map: CapSet,
    /// Its key has expired.
    #[serde(skip_serializing_if = "is_default")]
    pub expired: bool,
}

impl Node {
    /// The region through which the node is reached: `HomeDERP`, or the port of the old servers' fake address.
    #[must_use]
    pub fn home_region(&self) -> Option<u32> {
        let region = match self.home_derp {
            0 => self.legacy_derp.strip_prefix("127.3.3.40:")?.parse().ok()?,
            region => region,
        };
        (region != 0).then_some(region)
    }
}

/// Names of a node's capabilities (the keys of tailcfg `NodeCapMap`). Their values are not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapSet(SortedSet<String>);

impl CapSet {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the node has this capability.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

impl FromIterator<String> for CapSet {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for name in self.0.iter() {
            map.serialize_entry(name, &[(); 0])?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for CapSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(SortedMap::<String, IgnoredAny>::deserialize(deserializer)?
            .into_iter()
            .map(|(name, _)| name)
            .collect())
    }
}

/// The owner of a node (tailcfg `UserProfile`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UserProfile {
    /// Number.
    #[serde(rename = "ID")]
    pub id: i64,
    /// What the user logs in with, usually an e-mail address.
    pub login_name: String,
    /// Name for people.
    pub display_name: String,
    /// Address of a picture.
    #[serde(rename = "ProfilePicURL", skip_serializing_if = "String::is_empty")]
    pub profile_pic_url: String,
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
    fn capabilities_are_read_whatever_their_values() {
        let caps: CapSet = from_json(r#"{"a":null,"b":[],"c":[{"x":1},"y"]}"#.as_bytes()).unwrap();
        assert!(caps.contains("a") && caps.contains("b") && caps.contains("c") && !caps.contains("d"));
        assert_eq!(serde_json::to_string(&caps).unwrap(), r#"{"a":[],"b":[],"c":[]}"#);
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
