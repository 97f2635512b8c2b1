//! What comes into a tunnel: from a relay's frames to TCP.

use std::net::SocketAddr;

use dayfly_platform::time::Moment;
use dayfly_wire::disco;
use dayfly_wire::key::{DiscoPublic, NodePublic};
use dayfly_wire::tsmp::{self, Reject, RejectReason};
use dayfly_wireguard::Received;

use super::Tunnel;
use super::event::TunnelEvent;
use super::netstack::TcpFault;
use super::outbound::Outbound;
use crate::derp::Event as DerpEvent;
use crate::filter::Verdict;
use crate::packet::{self, Packet};

impl Tunnel {
    /// Takes what a relay reported.
    pub(super) fn relay_event(&mut self, region: u32, event: DerpEvent<'_>, now: Moment) {
        match event {
            DerpEvent::Packet { src, data } => self.datagram(region, &src, data, now),
            DerpEvent::Ready { .. } => {
                let is_home = self.outbound.home.region() == Some(region);
                self.outbound.relays.ready(region, is_home, now);
                if self.outbound.home.wants(region, &self.outbound.relays) {
                    self.set_home(region);
                }
                self.outbound.note(TunnelEvent::Ready(region));
                self.outbound.note(TunnelEvent::Progress);
            }
            DerpEvent::PeerGone { peer, .. } => {
                if let Some(peer) = self.outbound.peers.get_mut(&peer) {
                    peer.gone_from(region, now);
                    self.outbound.note(TunnelEvent::Progress);
                }
            }
            DerpEvent::Restarting { .. } => {
                if self.outbound.relays.restarting(region) {
                    self.outbound.note(TunnelEvent::Restarting(region));
                }
            }
            DerpEvent::Health(text) => tracing::debug!(region, text, "the relay reports its health"),
            DerpEvent::Pong(_) => {}
        }
    }

    /// Takes a datagram of a peer that came over a relay: disco or WireGuard. From anybody else it is dropped, as
    /// `wgengine/magicsock/derp.go`, `Conn.processDERPReadResult` (tailscale v1.102.5) does: no work is done for strangers,
    /// and not even a cookie shows them that this node is here.
    pub(super) fn datagram(&mut self, region: u32, src: &NodePublic, data: &mut [u8], now: Moment) {
        if self.outbound.peers.get(src).is_none() {
            return;
        }
        if disco::looks_like_disco(data) {
            return self.outbound.disco_message(region, src, data, now);
        }
        let Outbound { wireguard, rng, peers, .. } = &mut self.outbound;
        match wireguard.handle(src.as_bytes(), data, now, rng) {
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
                    self.ip_packet(&from, packet, now);
                }
            }
            Err(error) => tracing::trace!(region, %error, "packet dropped"),
        }
        self.outbound.flush_wireguard(now);
    }

    /// Takes a decrypted IP packet of a peer.
    pub(super) fn ip_packet(&mut self, from: &NodePublic, bytes: &[u8], now: Moment) {
        let Some(packet) = Packet::parse(bytes) else { return };
        // Cryptokey routing: an address is taken from the one peer only that packets to it go to.
        if self.outbound.peers.route(packet.src) != Some(*from) {
            return;
        }
        let Self { filter, caps, stack, .. } = self;
        let has_cap = |name: &str| caps.iter().any(|(key, cap)| key == from && cap == name);
        match filter.check(&packet, |address| stack.is_own(address), has_cap) {
            Verdict::Accept if packet.protocol == tsmp::IP_PROTOCOL => self.tsmp(from, &packet, now),
            Verdict::Accept => {
                if packet.protocol == packet::protocol::TCP {
                    self.acks.received(bytes.len(), now);
                }
                self.stack.receive(&packet, bytes, *from, now, &mut self.outbound.at(now));
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
                self.outbound.send_tsmp(packet.dst, packet.src, &reject, now);
            }
        }
    }

    fn tsmp(&mut self, from: &NodePublic, packet: &Packet<'_>, now: Moment) {
        match tsmp::Message::parse(packet.payload) {
            Ok(tsmp::Message::Ping(data)) => {
                let pong = tsmp::Message::Pong { data, peer_api_port: 0 };
                self.outbound.send_tsmp(packet.dst, packet.src, &pong, now);
            }
            Ok(tsmp::Message::Reject(reject)) if reject.protocol == packet::protocol::TCP => {
                let local = SocketAddr::new(packet.dst, reject.src_port);
                let remote = SocketAddr::new(packet.src, reject.dst_port);
                self.stack.reject(local, remote, TcpFault::Rejected(reject.reason));
                self.outbound.note(TunnelEvent::Progress);
            }
            Ok(tsmp::Message::DiscoKey(key)) if !key.is_zero() => self.set_disco(from, key),
            _ => {}
        }
    }

    fn set_disco(&mut self, from: &NodePublic, key: DiscoPublic) {
        if let Some(peer) = self.outbound.peers.get_mut(from) {
            peer.set_disco(key);
            self.outbound.disco.forget(from);
        }
    }
}
