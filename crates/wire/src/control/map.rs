//! The map: `POST /machine/map`.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::tolerant::is_default;
use super::{
    CapMap, ClientVersion, ControlDialPlan, Deferred, DerpMap, DnsConfig, FilterRule, Hostinfo, Node,
    PingRequest, SshPolicy, TailnetLockInfo, Timestamp, UserProfile,
};
use crate::key::{DiscoPublic, NodePublic};

/// A node's request for the tailnet's state, or its report of changes (tailcfg `MapRequest`).
///
/// The proof of a key in hardware (`HardwareAttestationKey` and its signature) and `ConnectionHandleForTest` are not kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MapRequest {
    /// Capability version of the node.
    pub version: u16,
    /// `zstd`, or empty for bodies of plain JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compress: String,
    /// The server is to send keep-alives.
    pub keep_alive: bool,
    /// Key of the node.
    pub node_key: NodePublic,
    /// Key of path discovery.
    pub disco_key: DiscoPublic,
    /// The answer has no end, and a message for each change. The request reports nothing then, from version 68 on.
    #[serde(skip_serializing_if = "is_default")]
    pub stream: bool,
    /// Without `stream`: a report of changes, whose answer has no body.
    #[serde(skip_serializing_if = "is_default")]
    pub omit_peers: bool,
    /// Description that the node gives of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// `address:port` pairs of UDP under which the node may be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// Kind of each endpoint, in the same order: 0 unknown, 1 local, 2 STUN, 3 mapped port, 4 STUN with the local port,
    /// 5 configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoint_types: Vec<i32>,
    /// A stream of this name is to be resumed, where the server can.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub map_session_handle: String,
    /// Number of the last message of that stream that the node has.
    #[serde(skip_serializing_if = "is_default")]
    pub map_session_seq: i64,
    /// Hash of the node's state of the tailnet's lock.
    #[serde(rename = "TKAHead", skip_serializing_if = "String::is_empty")]
    pub tka_head: String,
    /// The request changes nothing; of old clients.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Flags for whoever debugs the server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debug_flags: Vec<String>,
}

/// A message of the map stream (tailcfg `MapResponse`). What is absent has not changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MapResponse {
    /// Name of this stream, in its first message, where the server can resume it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub map_session_handle: String,
    /// Number of this message in a stream that can be resumed.
    #[serde(skip_serializing_if = "is_default")]
    pub seq: i64,
    /// Keep-alive; of the rest only `ping_request`, `control_time`, `pop_browser_url`, `client_version` and
    /// `control_dial_plan` count then.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_alive: bool,
    /// A request to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_request: Option<PingRequest>,
    /// A page to show to the person, once for each value.
    #[serde(rename = "PopBrowserURL", skip_serializing_if = "String::is_empty")]
    pub pop_browser_url: String,
    /// This node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Box<Node>>,
    /// Relays. See [`DerpMap::regions`] for what stays.
    #[serde(rename = "DERPMap", skip_serializing_if = "Option::is_none")]
    pub derp_map: Option<DerpMap>,
    /// All peers. Empty means no change; not empty means that the fields of peer changes don't count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Node>,
    /// Peers that are new or changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers_changed: Vec<Node>,
    /// Numbers of peers that were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers_removed: Vec<i64>,
    /// Changed fields of known peers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers_changed_patch: Vec<PeerChange>,
    /// By peer: `true` when it was seen right now, `false` when the time of its being seen is unknown.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub peer_seen_change: SortedMap<i64, bool>,
    /// By peer: `true` when it is online.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub online_change: SortedMap<i64, bool>,
    /// Names and resolvers.
    #[serde(rename = "DNSConfig", skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Name of the tailnet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// The node is to report its services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collect_services: Option<bool>,
    /// The packet filter called `base`; `Some` of nothing admits nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_filter: Option<Vec<FilterRule>>,
    /// Packet filters by name; `None` deletes one, and `*` with `None` deletes all before the others are set.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub packet_filters: SortedMap<String, Option<Vec<FilterRule>>>,
    /// Owners of nodes, new or changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_profiles: Vec<UserProfile>,
    /// Troubles of the node, in sentences; `Some` of nothing is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Vec<String>>,
    /// Messages for a person, by key; `None` takes one back, and `*` with `None` takes all back.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub display_messages: SortedMap<String, Option<DisplayMessage>>,
    /// Policy of SSH sessions on this node. One without rules revokes all.
    #[serde(rename = "SSHPolicy", skip_serializing_if = "Option::is_none")]
    pub ssh_policy: Option<Deferred<SshPolicy>>,
    /// The server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_time: Option<Timestamp>,
    /// State of the tailnet's lock. Absent in a first message means that there is none.
    #[serde(rename = "TKAInfo", skip_serializing_if = "Option::is_none")]
    pub tka_info: Option<Deferred<TailnetLockInfo>>,
    /// Names the tailnet in the logs of the data plane.
    #[serde(rename = "DomainDataPlaneAuditLogID", skip_serializing_if = "String::is_empty")]
    pub domain_data_plane_audit_log_id: String,
    /// Orders to Go's client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<Debug>,
    /// Addresses at which the control server can be dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_dial_plan: Option<Deferred<ControlDialPlan>>,
    /// News about versions of the node's software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_version: Option<Deferred<ClientVersion>>,
    /// Nodes that say nothing about it update themselves; of old servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_auto_update: Option<bool>,
}

/// Changed fields of a peer (tailcfg `PeerChange`). What is absent has not changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PeerChange {
    /// Number of the peer.
    #[serde(rename = "NodeID")]
    pub node_id: i64,
    /// Home region; 0 is no change.
    #[serde(rename = "DERPRegion", skip_serializing_if = "is_default")]
    pub derp_region: u32,
    /// Capability version; 0 is no change.
    #[serde(skip_serializing_if = "is_default")]
    pub cap: i32,
    /// All capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_map: Option<CapMap>,
    /// All UDP endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// WireGuard key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<NodePublic>,
    /// Signature of the key by the tailnet's lock, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_signature: Option<String>,
    /// Key of path discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disco_key: Option<DiscoPublic>,
    /// Connected to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// Moment at which it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Moment at which its key expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_expiry: Option<Timestamp>,
}

/// A message for a person (tailcfg `DisplayMessage`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DisplayMessage {
    /// Title of a few words.
    pub title: String,
    /// Text of some sentences.
    pub text: String,
    /// `high`, `medium` or `low`.
    pub severity: String,
    /// The node's connections suffer.
    #[serde(skip_serializing_if = "is_default")]
    pub impacts_connectivity: bool,
    /// Button beside the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_action: Option<DisplayMessageAction>,
}

/// Button beside a [`DisplayMessage`] (tailcfg `DisplayMessageAction`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DisplayMessageAction {
    /// Page that it opens.
    #[serde(rename = "URL")]
    pub url: String,
    /// Text on the button.
    pub label: String,
}

/// Orders to Go's client (tailcfg `Debug`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Debug {
    /// The client stops for so many seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub sleep_seconds: f64,
    /// Stops uploading logs for as long as the process lives.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_log_tail: bool,
    /// The client exits with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::from_json;

    #[test]
    fn keep_alive_is_written_as_go_caches_it() {
        let message = MapResponse { keep_alive: true, ..MapResponse::default() };
        assert_eq!(serde_json::to_string(&message).unwrap(), r#"{"KeepAlive":true}"#);
    }

    #[test]
    fn keys_that_are_numbers_are_decimal_strings() {
        let json = r#"{"OnlineChange":{"9007199254740995":true,"2":false},"PeerSeenChange":{"3":true}}"#;
        let message: MapResponse = from_json(json.as_bytes()).unwrap();
        assert!(message.online_change[&9_007_199_254_740_995]);
        assert!(message.peer_seen_change[&3]);
    }

    #[test]
    fn absent_null_and_empty_filters_differ() {
        let message: MapResponse = from_json(
            r#"{"PacketFilter":[],"PacketFilters":{"*":null,"base":[],"a":[{"SrcIPs":["*"]}]}}"#.as_bytes(),
        )
        .unwrap();
        assert_eq!(message.packet_filter, Some(vec![]));
        assert_eq!(message.packet_filters["*"], None);
        assert_eq!(message.packet_filters["base"], Some(vec![]));
        assert_eq!(message.packet_filters["a"].as_ref().unwrap()[0].src_ips, ["*"]);
        let message: MapResponse =
            from_json(r#"{"PacketFilter":null,"PacketFilters":null}"#.as_bytes()).unwrap();
        assert_eq!(message, MapResponse::default());
    }

    #[test]
    fn a_first_message_of_headscale_is_read() {
        let json = include_str!("testdata/headscale-0.29.3-first-map.json");
        let message: MapResponse = from_json(json.as_bytes()).unwrap();
        let node = message.node.unwrap();
        assert_eq!((node.id, &*node.name, node.machine_authorized), (7, "rusty.tail.test.", true));
        assert!(node.cap_map.contains("https://tailscale.com/cap/ssh"));
        let [peer] = &message.peers[..] else { panic!() };
        assert_eq!((peer.home_region(), peer.online), (Some(999), Some(true)));
        assert_eq!(peer.addresses[1].to_string(), "fd7a:115c:a1e0::1/128");
        let info = peer.hostinfo.as_ref().unwrap();
        assert_eq!((&*info.os, info.ssh_host_keys.len()), ("linux", 1));
        assert_eq!(info.net_info.as_ref().unwrap().preferred_derp, 999);
        let regions = message.derp_map.unwrap().regions.unwrap();
        assert_eq!(regions[&999].as_ref().unwrap().nodes[0].derp_port, 18080);
        assert_eq!(message.packet_filters["base"].as_ref().unwrap()[0].dst_ports[0].ports.last, 65535);
        assert_eq!(message.user_profiles[0].login_name, "ada");
        assert!(message.dns_config.unwrap().proxied);
        assert!(message.control_time.unwrap().unix() > 1_700_000_000);
    }

    #[test]
    fn a_map_request_names_what_go_always_names() {
        let json = serde_json::to_value(MapRequest { version: 130, ..MapRequest::default() }).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["DiscoKey", "KeepAlive", "NodeKey", "Version"]);
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = from_json::<MapResponse>(&bytes);
        }
    }
}
