//! What comes into a tunnel: from a relay's frames to TCP.

use std::net::SocketAddr;

use dayfly_wire::disco;
use dayfly_wire::key::{DiscoPublic, NodePublic};
use dayfly_wire::tsmp::{self, Reject, RejectReason};
use dayfly_wireguard::Received;

use super::packet::{self, Packet};
use super::path::Path;
use super::{TcpFault, Tunnel, TunnelEvent};
use crate::derp::Event as DerpEvent;
use crate::filter::Verdict;

impl Tunnel {
    pub(super) fn relay_event(&mut self, region: u32, event: DerpEvent<'_>) {
        match event {
            DerpEvent::Packet { src, data } => self.packet(region, &src, data),
            DerpEvent::Ready { .. } => {
                self.path.relays.ready(region, self.path.home == Some(region));
                self.path.note(TunnelEvent::Ready(region));
                self.path.note(TunnelEvent::Progress);
            }
            DerpEvent::PeerGone { peer, .. } => {
                let now = self.path.now;
                if let Some(peer) = self.path.peers.get_mut(&peer) {
                    peer.gone_from(region, now);
                    self.path.note(TunnelEvent::Progress);
                }
            }
            DerpEvent::Restarting { .. } => {
                if self.path.relays.restarting(region) {
                    self.path.note(TunnelEvent::Restarting(region));
                }
            }
            DerpEvent::Health(text) => tracing::debug!(region, text, "the relay reports its health"),
            DerpEvent::Pong(_) => {}
        }
    }

    /// A packet from a peer over a relay: disco or WireGuard. From anybody else it is dropped, as `tailscaled` does
    /// (`wgengine/magicsock/derp.go`): no work is done for strangers, and not even a cookie tells them of this node.
    pub(super) fn packet(&mut self, region: u32, src: &NodePublic, data: &mut [u8]) {
        if self.path.peers.get(src).is_none() {
            return;
        }
        if disco::looks_like_disco(data) {
            return self.path.disco_message(region, src, data);
        }
        let Path { wireguard, rng, now, peers, .. } = &mut self.path;
        match wireguard.handle(src.as_bytes(), data, *now, rng) {
            Ok(received) => {
                let from = match &received {
                    Received::Packet { peer, .. }
                    | Received::Keepalive { peer }
                    | Received::Handshake { peer } => Some(NodePublic::from_bytes(*peer)),
                    Received::Nothing => None,
                };
                if let Some(peer) = from.as_ref().and_then(|key| peers.get_mut(key)) {
                    peer.heard_at(region);
                }
                if let (Some(from), Received::Packet { packet, .. }) = (from, received) {
                    self.ip_packet(&from, packet);
                }
            }
            Err(error) => tracing::trace!(region, %error, "packet dropped"),
        }
        self.path.flush_wireguard();
    }

    /// A decrypted packet from a peer.
    pub(super) fn ip_packet(&mut self, from: &NodePublic, bytes: &[u8]) {
        let Some(packet) = Packet::parse(bytes) else { return };
        // Cryptokey routing: an address is taken from the one peer only that packets to it go to.
        if self.path.peers.route(packet.src) != Some(*from) {
            return;
        }
        let Self { filter, caps, stack, .. } = self;
        let has_cap = |name: &str| caps.iter().any(|(key, cap)| key == from && cap == name);
        match filter.check(&packet, |address| stack.is_own(address), has_cap) {
            Verdict::Accept if packet.protocol == tsmp::IP_PROTOCOL => self.tsmp(from, &packet),
            Verdict::Accept => {
                if packet.protocol == packet::protocol::TCP {
                    self.acks.received(bytes.len(), self.path.now);
                }
                self.stack.receive(bytes, self.path.now, &mut self.path);
            }
            Verdict::Drop => {}
            Verdict::Reject => {
                let Some((src_port, dst_port)) = packet.ports() else { return };
                let reject = tsmp::Message::Reject(Reject {
                    protocol: packet.protocol,
                    reason: RejectReason::ACL,
                    src_port,
                    dst_port,
                    maybe_broken: false,
                });
                self.path.send_tsmp(packet.dst, packet.src, &reject);
            }
        }
    }

    fn tsmp(&mut self, from: &NodePublic, packet: &Packet<'_>) {
        match tsmp::Message::parse(packet.payload) {
            Ok(tsmp::Message::Ping(data)) => {
                let pong = tsmp::Message::Pong { data, peer_api_port: 0 };
                self.path.send_tsmp(packet.dst, packet.src, &pong);
            }
            Ok(tsmp::Message::Reject(reject)) if reject.protocol == packet::protocol::TCP => {
                let local = SocketAddr::new(packet.dst, reject.src_port);
                let remote = SocketAddr::new(packet.src, reject.dst_port);
                self.stack.reject(local, remote, TcpFault::Rejected(reject.reason));
                self.path.note(TunnelEvent::Progress);
            }
            Ok(tsmp::Message::DiscoKey(key)) if !key.is_zero() => self.set_disco(from, key),
            _ => {}
        }
    }

    fn set_disco(&mut self, from: &NodePublic, key: DiscoPublic) {
        if let Some(peer) = self.path.peers.get_mut(from) {
            peer.set_disco(key);
            self.path.disco.forget(from);
        }
    }
}
