//! What a node tells of itself, and what others are told of it.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::IpPrefix;
use super::tolerant::is_default;

/// A node's description of itself (tailcfg `Hostinfo`), as far as anything here writes or reads it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Hostinfo {
    /// Version of the node's software.
    #[serde(rename = "IPNVersion", skip_serializing_if = "String::is_empty")]
    pub ipn_version: String,
    /// Identifies the installation in logs. Some servers refuse a node without one.
    #[serde(rename = "BackendLogID", skip_serializing_if = "String::is_empty")]
    pub backend_log_id: String,
    /// Go's name of the operating system: `linux`, `macOS`, `windows`, `js`, ...
    #[serde(rename = "OS", skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "OSVersion", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Name of the product that the node is part of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// How the node was installed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// Model of the device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_model: String,
    /// Name that the node would like to have.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The node takes no connections.
    #[serde(skip_serializing_if = "is_default")]
    pub shields_up: bool,
    /// Go's name of the processor architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go_arch: String,
    /// Prefixes that the node can route to.
    #[serde(rename = "RoutableIPs", skip_serializing_if = "Vec::is_empty")]
    pub routable_ips: Vec<IpPrefix>,
    /// Tags that the node asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_tags: Vec<String>,
    /// What the node serves to its peers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What the node knows of its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_info: Option<NetInfo>,
    /// SSH host keys as lines of `authorized_keys`. Not empty means that the node runs Tailscale SSH.
    #[serde(rename = "sshHostKeys", skip_serializing_if = "Vec::is_empty")]
    pub ssh_host_keys: Vec<String>,
    /// The node's tunnel is in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userspace: Option<bool>,
    /// The node's subnet router is in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userspace_router: Option<bool>,
}

/// A service of a node (tailcfg `Service`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Service {
    /// `tcp`, `udp`, `peerapi4`, `peerapi6` or `peerapi-dns-proxy`.
    pub proto: String,
    /// Port number.
    pub port: u16,
    /// What it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What a node knows of its network (tailcfg `NetInfo`). `None` is "unknown".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetInfo {
    /// The network's address translation gives each destination another mapping.
    #[serde(rename = "MappingVariesByDestIP", skip_serializing_if = "Option::is_none")]
    pub mapping_varies_by_dest_ip: Option<bool>,
    /// IPv6 reaches the internet.
    #[serde(rename = "WorkingIPv6", skip_serializing_if = "Option::is_none")]
    pub working_ipv6: Option<bool>,
    /// UDP reaches the internet.
    #[serde(rename = "WorkingUDP", skip_serializing_if = "Option::is_none")]
    pub working_udp: Option<bool>,
    /// Home relay region, 0 while unknown. Peers reach the node through it.
    #[serde(rename = "PreferredDERP", skip_serializing_if = "is_default")]
    pub preferred_derp: u32,
    /// Seconds to each region, by `<region>-v4` and `<region>-v6`.
    #[serde(rename = "DERPLatency", skip_serializing_if = "SortedMap::is_empty")]
    pub derp_latency: SortedMap<String, f64>,
}
