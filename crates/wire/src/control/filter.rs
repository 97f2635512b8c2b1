//! Packet filter rules as the server sends them; their meaning is the node's business.

use serde::{Deserialize, Serialize};

use super::CapGrant;

/// Admits some sources to some destinations, or grants them capabilities there (tailcfg `FilterRule`).
///
/// `SrcBits` and the `Bits` of a destination, which no server may send to a client of today, are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FilterRule {
    /// Sources: an address, a prefix, a range `a-b`, `*`, or `cap:` and a capability that the source node has.
    #[serde(rename = "SrcIPs")]
    pub src_ips: Vec<String>,
    /// Destinations with their ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dst_ports: Vec<NetPortRange>,
    /// IP protocol numbers; empty is TCP, UDP and ICMP. Numbers outside 0 to 255 are to be ignored.
    #[serde(rename = "IPProto", skip_serializing_if = "Vec::is_empty")]
    pub ip_proto: Vec<i32>,
    /// Capabilities that the sources have; a rule has these or `dst_ports`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_grant: Vec<CapGrant>,
}

/// Destination of a rule (tailcfg `NetPortRange`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetPortRange {
    /// An address, a prefix, a range `a-b`, or `*`.
    #[serde(rename = "IP")]
    pub ip: String,
    /// The ports.
    pub ports: PortRange,
}

/// Ports, both ends included (tailcfg `PortRange`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}
