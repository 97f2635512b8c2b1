//! Names and resolvers that a tailnet's nodes use.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::tolerant::is_default;

/// DNS settings of a tailnet (tailcfg `DNSConfig`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DnsConfig {
    /// Resolvers for names that no route covers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<DnsResolver>,
    /// Resolvers by domain suffix; without any the node answers by itself.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub routes: SortedMap<String, Option<Vec<DnsResolver>>>,
    /// Resolvers where the system has none and `resolvers` are not to be used for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback_resolvers: Vec<DnsResolver>,
    /// Search domains, without trailing dots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Names of nodes resolve (MagicDNS).
    #[serde(skip_serializing_if = "is_default")]
    pub proxied: bool,
    /// Addresses of resolvers, for old nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Names for which the server helps a node to a certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cert_domains: Vec<String>,
    /// Names besides those of nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_records: Vec<DnsRecord>,
    /// Suffixes of names that a node does not answer as an exit node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exit_node_filtered_set: Vec<String>,
}

/// A resolver (dnstype `Resolver`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DnsResolver {
    /// An address, an address with a port, or the URL of a DNS-over-HTTPS server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    /// Addresses of the server where `addr` has a name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bootstrap_resolution: Vec<String>,
    /// It is to be used while an exit node is, too.
    #[serde(skip_serializing_if = "is_default")]
    pub use_with_exit_node: bool,
}

/// A name besides those of nodes (tailcfg `DNSRecord`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DnsRecord {
    /// Fully qualified name.
    pub name: String,
    /// `A`, `AAAA`, or empty for whichever fits the value.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The address.
    pub value: String,
}
