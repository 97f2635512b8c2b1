//! The map of relays that a tailnet uses.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::tolerant::is_default;

/// The relays of a tailnet (tailcfg `DERPMap`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DerpMap {
    /// Weights by which nodes choose their home region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_params: Option<DerpHomeParams>,
    /// Regions by number, which are 1 to 65535 in practice. In an update `None` keeps the regions known before;
    /// a region of `None` does not exist.
    pub regions: Option<SortedMap<u32, Option<DerpRegion>>>,
    /// The regions built into the node's software are not to be used besides these.
    #[serde(rename = "omitDefaultRegions", skip_serializing_if = "is_default")]
    pub omit_default_regions: bool,
}

/// Weights by which nodes choose their home region (tailcfg `DERPHomeParams`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DerpHomeParams {
    /// Factor on a region's latency; at or below 0 there is none.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub region_score: SortedMap<u32, f64>,
}

/// A region: relays that are meshed, so that any of them will do (tailcfg `DERPRegion`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DerpRegion {
    /// The region's number.
    #[serde(rename = "RegionID")]
    pub region_id: u32,
    /// Short name.
    pub region_code: String,
    /// Name for people.
    pub region_name: String,
    /// Latitude in degrees.
    #[serde(skip_serializing_if = "is_default")]
    pub latitude: f64,
    /// Longitude in degrees.
    #[serde(skip_serializing_if = "is_default")]
    pub longitude: f64,
    /// No node should make this its home without need.
    #[serde(skip_serializing_if = "is_default")]
    pub avoid: bool,
    /// No node should measure this region or make it its home.
    #[serde(skip_serializing_if = "is_default")]
    pub no_measure_no_home: bool,
    /// The region's relays, the preferred first.
    pub nodes: Vec<DerpNode>,
}

/// One relay (tailcfg `DERPNode`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DerpNode {
    /// Name, unique over all regions.
    pub name: String,
    /// The number of its region.
    #[serde(rename = "RegionID")]
    pub region_id: u32,
    /// Host name to dial.
    pub host_name: String,
    /// Name that its certificate is expected to have, or `sha256-raw:` and the certificate's hash.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_name: String,
    /// IPv4 address to dial instead of resolving the name; any other text disables IPv4.
    #[serde(rename = "IPv4", skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// As `ipv4`, for IPv6.
    #[serde(rename = "IPv6", skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// Port of its STUN server: 0 is 3478, -1 is none.
    #[serde(rename = "STUNPort", skip_serializing_if = "is_default")]
    pub stun_port: i32,
    /// It serves STUN only.
    #[serde(rename = "STUNOnly", skip_serializing_if = "is_default")]
    pub stun_only: bool,
    /// Port of DERP over TLS: 0 is 443.
    #[serde(rename = "DERPPort", skip_serializing_if = "is_default")]
    pub derp_port: u16,
    /// Its certificate is not to be verified.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure_for_tests: bool,
    /// Address of its STUN server in tests.
    #[serde(rename = "STUNTestIP", skip_serializing_if = "String::is_empty")]
    pub stun_test_ip: String,
    /// Its port 80 can be used to look for captive portals.
    #[serde(rename = "CanPort80", skip_serializing_if = "is_default")]
    pub can_port_80: bool,
}
