//! Requests of the control server that a node answers: pings of several kinds, and requests to the node itself (c2n).

use serde::{Deserialize, Serialize};

use super::tolerant::is_default;

/// A request of the server for an answer (tailcfg `PingRequest`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PingRequest {
    /// URL that the answer goes to. A value seen before is to be ignored.
    #[serde(rename = "URL")]
    pub url: String,
    /// The answer goes through ts2021 instead of plain HTTPS.
    #[serde(rename = "URLIsNoise", skip_serializing_if = "is_default")]
    pub url_is_noise: bool,
    /// The node is to log the request.
    #[serde(skip_serializing_if = "is_default")]
    pub log: bool,
    /// Kinds of answer, separated by commas: `disco`, `TSMP`, `ICMP`, `peerapi`, `c2n`; empty is a `HEAD` request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub types: String,
    /// Address to ping, for kinds that do.
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// For the kind `c2n`: an HTTP/1.1 request in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub payload: String,
}

/// A node's answer to a [`PingRequest`] that names an address (tailcfg `PingResponse`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PingResponse {
    /// Kind of ping.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Address that was pinged.
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Address of the node that has answered.
    #[serde(rename = "NodeIP", skip_serializing_if = "String::is_empty")]
    pub node_ip: String,
    /// Name of the node that has answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Reason why there was no answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub err: String,
    /// Seconds until the answer.
    #[serde(skip_serializing_if = "is_default")]
    pub latency_seconds: f64,
    /// `address:port` of a direct path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// Address of the peer that relayed, with its virtual network.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer_relay: String,
    /// Region of the relay that relayed.
    #[serde(rename = "DERPRegionID", skip_serializing_if = "is_default")]
    pub derp_region_id: u32,
    /// Short name of that region.
    #[serde(rename = "DERPRegionCode", skip_serializing_if = "String::is_empty")]
    pub derp_region_code: String,
    /// Port of the peer API, where a ping asked for it.
    #[serde(rename = "PeerAPIPort", skip_serializing_if = "is_default")]
    pub peer_api_port: u16,
    /// The address is the pinging node's own.
    #[serde(rename = "IsLocalIP", skip_serializing_if = "is_default")]
    pub is_local_ip: bool,
}
