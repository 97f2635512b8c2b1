//! The state of a node's connections, for diagnosis.

use std::time::Duration;

use super::node_core::NodeCore;
use crate::derp::RelayError;

/// State of a node's connections at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// The region at which peers find this node.
    pub home: Option<u32>,
    /// The regions in use.
    pub relays: Vec<RelayStatus>,
    /// Peers with which packets have been exchanged, or are about to be.
    pub peers: Vec<PeerStatus>,
}

/// State of a relay connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// Number of its region.
    pub region: u32,
    /// Short name of the region.
    pub code: String,
    /// Packets can be sent.
    pub connected: bool,
    /// Failure of the last attempt, until one succeeds.
    pub failure: Option<RelayError>,
}

/// The tunnel to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer's name.
    pub name: String,
    /// Packets can be encrypted for it.
    pub has_session: bool,
    /// Time since the last handshake.
    pub last_handshake: Option<Duration>,
    /// The region over which it is sent to.
    pub region: Option<u32>,
}

pub(super) fn status(core: &NodeCore) -> NodeStatus {
    let map = core.map();
    core.with(|tunnel, now| {
        let home = tunnel.home();
        let relays = tunnel.relays().iter().map(|(region, link)| RelayStatus {
            region,
            code: map.region_code(region),
            connected: link.is_ready(),
            failure: link.failure().cloned(),
        });
        let relays = relays.collect();
        let peers = map.peers().filter_map(|peer| {
            let key = peer.key();
            let status = tunnel.wireguard_status(&key, now)?;
            if !status.has_session && status.last_handshake.is_none() {
                return None;
            }
            Some(PeerStatus {
                name: peer.short_name().to_owned(),
                has_session: status.has_session,
                last_handshake: status.last_handshake.map(|at| now - at),
                region: tunnel.peers().get(&key).and_then(|peer| peer.region()),
            })
        });
        NodeStatus { home, relays, peers: peers.collect() }
    })
}
