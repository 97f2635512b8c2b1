//! The way out of a tunnel: from IP packets and WireGuard's own messages to relays.

use std::collections::VecDeque;
use std::net::IpAddr;

use dayfly_platform::time::Moment;
use dayfly_wire::key::NodePublic;
use dayfly_wire::tsmp;
use dayfly_wireguard::{DATA_OFFSET, Device, Event as WireGuardEvent, SealError, is_initiation, sealed_len};

use super::disco::Disco;
use super::netstack::Link as _;
use super::packet::{self, Packet};
use super::peers::{self, Peers};
use super::relays::Relays;
use super::{Rng, TunnelEvent, netstack};

/// The way out: from IP packets to relays.
pub(super) struct Path {
    pub(super) wireguard: Device,
    pub(super) peers: Peers,
    pub(super) relays: Relays,
    pub(super) disco: Disco,
    pub(super) home: Option<u32>,
    pub(super) events: VecDeque<TunnelEvent>,
    /// Where packets are made and sealed.
    pub(super) scratch: Vec<u8>,
    pub(super) rng: Rng,
    pub(super) now: Moment,
}

impl Path {
    /// Queues an event. Progress is told once, however much there was; of all else there is a bounded number for each
    /// connection to a relay.
    pub(super) fn note(&mut self, event: TunnelEvent) {
        if event != TunnelEvent::Progress || !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    /// Nothing is left of sessions with these peers.
    pub(super) fn forget<'a>(&mut self, peers: impl Iterator<Item = &'a NodePublic>) {
        for key in peers {
            self.wireguard.remove_peer(key.as_bytes());
            self.disco.forget(key);
        }
    }

    /// Seals the packet of `len` bytes that is in the scratch buffer, and sends it to its peer.
    fn send_scratch(&mut self, len: usize) {
        let Some(packet) = self.scratch.get(DATA_OFFSET..DATA_OFFSET + len) else { return };
        let Some(dst) = Packet::parse(packet).map(|packet| packet.dst) else { return };
        let Some(peer) = self.peers.route(dst) else { return };
        let Some(buffer) = self.scratch.get_mut(..sealed_len(len)) else { return };
        match self.wireguard.seal(peer.as_bytes(), buffer, len, self.now) {
            Ok(()) => {
                let scratch = std::mem::take(&mut self.scratch);
                if let Some(datagram) = scratch.get(..sealed_len(len)) {
                    self.send_to_peer(&peer, datagram);
                }
                self.scratch = scratch;
            }
            Err(SealError::NoSession) => {
                if let Some(packet) = self.scratch.get(DATA_OFFSET..DATA_OFFSET + len) {
                    self.wireguard.queue(peer.as_bytes(), packet, self.now, &mut self.rng);
                }
            }
            Err(error) => tracing::trace!(%error, "packet dropped"),
        }
    }

    /// Sends what WireGuard has made by itself, and the pings behind it, and tells what WireGuard has seen.
    pub(super) fn flush_wireguard(&mut self) {
        while let Some(transmit) = self.wireguard.poll_transmit() {
            let peer = NodePublic::from_bytes(transmit.peer);
            self.send_to_peer(&peer, &transmit.datagram);
            if is_initiation(&transmit.datagram) {
                self.probe_relay_of(&peer);
            }
            self.note_handshake(&peer);
        }
        self.send_pings();
        while let Some(event) = self.wireguard.poll_event() {
            match event {
                WireGuardEvent::Established { .. } | WireGuardEvent::Unreachable { .. } => {
                    self.note(TunnelEvent::Progress);
                }
            }
        }
    }

    /// The region over which a peer is sent to: its own, or this node's home where that is not known.
    pub(super) fn region_of(&self, peer: &NodePublic) -> Option<u32> {
        self.peers.get(peer).and_then(peers::Peer::region).or(self.home)
    }

    fn send_to_peer(&mut self, peer: &NodePublic, datagram: &[u8]) {
        if let Some(region) = self.region_of(peer) {
            self.send_to_relay(region, peer, datagram);
        }
    }

    /// A handshake gets no answer when the machine is away, and neither when the relay is: asks the relay, if it has been
    /// silent.
    fn probe_relay_of(&mut self, peer: &NodePublic) {
        if let Some(region) = self.region_of(peer) {
            let mut payload = [0; 8];
            self.rng.fill_bytes(&mut payload);
            self.relays.probe_silent(region, payload, self.now);
        }
    }

    pub(super) fn send_to_relay(&mut self, region: u32, peer: &NodePublic, datagram: &[u8]) {
        if self.relays.send(region, peer, datagram, self.now) {
            self.note(TunnelEvent::Dial(region));
        }
    }

    pub(super) fn send_tsmp(&mut self, src: IpAddr, dst: IpAddr, message: &tsmp::Message) {
        let mut payload = Vec::new();
        message.put(&mut payload);
        if let Some(packet) = packet::build(src, dst, tsmp::IP_PROTOCOL, &payload) {
            self.send(packet.len(), |out| out.copy_from_slice(&packet));
        }
    }
}

impl netstack::Link for Path {
    fn is_free(&self) -> bool {
        !self.relays.is_busy(self.now)
    }

    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let whole = sealed_len(len);
        if self.scratch.len() < whole {
            self.scratch.resize(whole, 0);
        }
        let packet = self.scratch.get_mut(DATA_OFFSET..DATA_OFFSET + len);
        let result = fill(packet.unwrap_or_default());
        self.send_scratch(len);
        result
    }
}
