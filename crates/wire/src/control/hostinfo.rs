//! A node's description of itself.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::tolerant::is_default;
use super::{IpPrefix, RawJson};

/// A node's description of itself (tailcfg `Hostinfo`): all keys that Tailscale 1.102.5 has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Hostinfo {
    /// Version of the node's software.
    #[serde(rename = "IPNVersion", skip_serializing_if = "String::is_empty")]
    pub ipn_version: String,
    /// Identifies the user interface in logs.
    #[serde(rename = "FrontendLogID", skip_serializing_if = "String::is_empty")]
    pub frontend_log_id: String,
    /// Identifies the installation in logs. Some servers reject a node without one.
    #[serde(rename = "BackendLogID", skip_serializing_if = "String::is_empty")]
    pub backend_log_id: String,
    /// Go's name of the operating system: `linux`, `macOS`, `windows`, `js`, ...
    #[serde(rename = "OS", skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "OSVersion", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// The node runs in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<bool>,
    /// Kind of environment that the node runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub env: String,
    /// Name of the Linux distribution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub distro: String,
    /// Version of the Linux distribution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub distro_version: String,
    /// Code name of the Linux distribution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub distro_code_name: String,
    /// Name of the product that the node is part of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// The system has a desktop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desktop: Option<bool>,
    /// Package that the node was installed from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// Model of the device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_model: String,
    /// Token for notifications to the device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub push_device_token: String,
    /// Name that the node would like to have.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The node takes no connections.
    #[serde(skip_serializing_if = "is_default")]
    pub shields_up: bool,
    /// The node is in the map because something is shared with its user.
    #[serde(skip_serializing_if = "is_default")]
    pub sharee_node: bool,
    /// The user sends no logs and gets no support.
    #[serde(skip_serializing_if = "is_default")]
    pub no_logs_no_support: bool,
    /// The control server may change the node's settings.
    #[serde(skip_serializing_if = "is_default")]
    pub remote_config: bool,
    /// The node would take connections from the internet (Funnel).
    #[serde(skip_serializing_if = "is_default")]
    pub wire_ingress: bool,
    /// The node takes connections from the internet (Funnel).
    #[serde(skip_serializing_if = "is_default")]
    pub ingress_enabled: bool,
    /// An administrator may have the node updated.
    #[serde(skip_serializing_if = "is_default")]
    pub allows_update: bool,
    /// Kind of the machine, as `uname -m` prints it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// Go's name of the processor architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go_arch: String,
    /// Variant of the processor architecture that the node was built for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go_arch_var: String,
    /// Version of Go that the node was built with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go_version: String,
    /// Prefixes that the node can route to.
    #[serde(rename = "RoutableIPs", skip_serializing_if = "Vec::is_empty")]
    pub routable_ips: Vec<IpPrefix>,
    /// Tags that the node asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_tags: Vec<String>,
    /// Hardware addresses that wake the machine.
    #[serde(rename = "WoLMACs", skip_serializing_if = "Vec::is_empty")]
    pub wol_macs: Vec<String>,
    /// Services of the node for its peers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Findings of the node about its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_info: Option<NetInfo>,
    /// SSH host keys as lines of `authorized_keys`. Not empty means that the node runs Tailscale SSH.
    #[serde(rename = "sshHostKeys", skip_serializing_if = "Vec::is_empty")]
    pub ssh_host_keys: Vec<String>,
    /// Name of the cloud that the machine is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cloud: String,
    /// The node's tunnel is in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userspace: Option<bool>,
    /// The node's subnet router is in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userspace_router: Option<bool>,
    /// The node connects to applications for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_connector: Option<bool>,
    /// Hash of the tailnet services that the node offers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub services_hash: String,
    /// The node relays for its peers.
    #[serde(skip_serializing_if = "is_default")]
    pub peer_relay: bool,
    /// Stable ID of the exit node in use.
    #[serde(rename = "ExitNodeID", skip_serializing_if = "String::is_empty")]
    pub exit_node_id: String,
    /// Place of the machine (tailcfg `Location`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<RawJson>,
    /// Trusted platform module of the machine (tailcfg `TPMInfo`).
    #[serde(rename = "TPM", skip_serializing_if = "Option::is_none")]
    pub tpm: Option<RawJson>,
    /// The node's state is stored encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_encrypted: Option<bool>,
}

/// A service of a node (tailcfg `Service`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Service {
    /// `tcp`, `udp`, `peerapi4`, `peerapi6` or `peerapi-dns-proxy`.
    pub proto: String,
    /// Port number.
    pub port: u16,
    /// Text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Findings of a node about its network (tailcfg `NetInfo`). `None` is "unknown".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetInfo {
    /// The network's address translation gives each destination another mapping.
    #[serde(rename = "MappingVariesByDestIP", skip_serializing_if = "Option::is_none")]
    pub mapping_varies_by_dest_ip: Option<bool>,
    /// IPv6 reaches the internet.
    #[serde(rename = "WorkingIPv6", skip_serializing_if = "Option::is_none")]
    pub working_ipv6: Option<bool>,
    /// The operating system has IPv6.
    #[serde(rename = "OSHasIPv6", skip_serializing_if = "Option::is_none")]
    pub os_has_ipv6: Option<bool>,
    /// UDP reaches the internet.
    #[serde(rename = "WorkingUDP", skip_serializing_if = "Option::is_none")]
    pub working_udp: Option<bool>,
    /// ICMP reaches the internet over IPv4.
    #[serde(rename = "WorkingICMPv4", skip_serializing_if = "Option::is_none")]
    pub working_icmp_v4: Option<bool>,
    /// The router maps a port to the node.
    #[serde(skip_serializing_if = "is_default")]
    pub have_port_map: bool,
    /// The router speaks UPnP.
    #[serde(rename = "UPnP", skip_serializing_if = "Option::is_none")]
    pub upnp: Option<bool>,
    /// The router speaks NAT-PMP.
    #[serde(rename = "PMP", skip_serializing_if = "Option::is_none")]
    pub pmp: Option<bool>,
    /// The router speaks PCP.
    #[serde(rename = "PCP", skip_serializing_if = "Option::is_none")]
    pub pcp: Option<bool>,
    /// Home relay region, 0 while unknown. Peers reach the node through it.
    #[serde(rename = "PreferredDERP", skip_serializing_if = "is_default")]
    pub preferred_derp: u32,
    /// `wired`, `wifi` or `mobile`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub link_type: String,
    /// Seconds to each region, by `<region>-v4` and `<region>-v6`.
    #[serde(rename = "DERPLatency", skip_serializing_if = "SortedMap::is_empty")]
    pub derp_latency: SortedMap<String, f64>,
    /// Mode of the firewall, and how it was chosen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firewall_mode: String,
}
