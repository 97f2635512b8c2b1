//! The outer half of a tunnel: from IP packets and WireGuard's own messages to what carries them.
//!
//! There is one carrier, DERP relays. [`Outbound::send_to_peer`] is the one place that chooses what carries a datagram to a
//! peer, and [`Tunnel::datagram`](super::Tunnel) the one place where a datagram of a peer comes in, with the region that it
//! came over. A second carrier, such as UDP addresses that disco pings have proved, is chosen in the first and reports to the
//! second; WireGuard, disco's sealing, the filter and TCP/IP know of no carrier.

use std::collections::VecDeque;
use std::net::IpAddr;

use dayfly_platform::time::Moment;
use dayfly_wire::key::NodePublic;
use dayfly_wire::tsmp;
use dayfly_wireguard::{DATA_OFFSET, Device, Event as WireGuardEvent, SealError, is_initiation, sealed_len};
use rand_core::CryptoRng;

use super::disco::{Answer, Disco};
use super::event::TunnelEvent;
use super::home::Home;
use super::netstack::PacketSink;
use super::peers::{self, Peers};
use super::relays::Relays;
use crate::packet::{self, Packet};

/// Randomness for keys and nonces.
pub(crate) type Rng = Box<dyn CryptoRng + Send>;

/// State of everything between IP packets and relays.
pub(super) struct Outbound {
    pub(super) wireguard: Device,
    pub(super) peers: Peers,
    pub(super) relays: Relays,
    pub(super) disco: Disco,
    pub(super) home: Home,
    pub(super) events: VecDeque<TunnelEvent>,
    /// Buffer in which packets are made and sealed.
    pub(super) scratch: Vec<u8>,
    pub(super) rng: Rng,
}

impl Outbound {
    /// Queues an event. Progress is queued once, however much there was; of all else there is a bounded number for each
    /// connection to a relay.
    pub(super) fn note(&mut self, event: TunnelEvent) {
        if event != TunnelEvent::Progress || !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    /// Drops all sessions with these peers, and the pings to them.
    pub(super) fn forget<'a>(&mut self, peers: impl Iterator<Item = &'a NodePublic>) {
        for key in peers {
            self.wireguard.remove_peer(key.as_bytes());
            self.disco.forget(key);
        }
    }

    /// Marks a region as in use, and has it dialled if it was not.
    pub(super) fn open_relay(&mut self, region: u32, now: Moment) {
        if self.relays.open(region, now) {
            self.note(TunnelEvent::Dial(region));
        }
    }

    /// Returns the sink that seals packets at `now` and sends them to their peers.
    pub(super) fn at(&mut self, now: Moment) -> SealingSink<'_> {
        SealingSink { outbound: self, now }
    }

    /// Seals the packet of `len` bytes that is in the scratch buffer, and sends it to its peer.
    fn send_scratch(&mut self, len: usize, now: Moment) {
        let Some(packet) = self.scratch.get(DATA_OFFSET..DATA_OFFSET + len) else { return };
        let Some(dst) = Packet::parse(packet).map(|packet| packet.dst) else { return };
        let Some(peer) = self.peers.route(dst) else { return };
        let Some(buffer) = self.scratch.get_mut(..sealed_len(len)) else { return };
        match self.wireguard.seal(peer.as_bytes(), buffer, len, now) {
            Ok(()) => {
                let scratch = std::mem::take(&mut self.scratch);
                if let Some(datagram) = scratch.get(..sealed_len(len)) {
                    self.send_to_peer(&peer, datagram, now);
                }
                self.scratch = scratch;
            }
            Err(SealError::NoSession) => {
                if let Some(packet) = self.scratch.get(DATA_OFFSET..DATA_OFFSET + len) {
                    self.wireguard.queue(peer.as_bytes(), packet, now, &mut self.rng);
                }
            }
            Err(error) => tracing::trace!(%error, "packet dropped"),
        }
    }

    /// Sends what WireGuard has made by itself, and the pings behind it, and reports what WireGuard has seen.
    pub(super) fn flush_wireguard(&mut self, now: Moment) {
        while let Some(transmit) = self.wireguard.poll_transmit() {
            let peer = NodePublic::from_bytes(transmit.peer);
            self.send_to_peer(&peer, &transmit.datagram, now);
            if is_initiation(&transmit.datagram) {
                self.probe_relay_of(&peer, now);
            }
            self.disco.note_handshake(&self.wireguard, &peer, now);
        }
        // Behind WireGuard's messages, so that an initiation is ahead of its ping.
        let Self { wireguard, peers, relays, home, rng, disco, .. } = self;
        disco.send_pings(wireguard, peers, relays, home.region(), rng, now);
        while let Some(event) = self.wireguard.poll_event() {
            match event {
                WireGuardEvent::Established { .. } | WireGuardEvent::Unreachable { .. } => {
                    self.note(TunnelEvent::Progress);
                }
            }
        }
    }

    /// Takes a disco message that came from `src` over a relay.
    pub(super) fn disco_message(&mut self, region: u32, src: &NodePublic, data: &[u8], now: Moment) {
        let Self { wireguard, peers, rng, disco, .. } = self;
        let Some(peer) = peers.get_mut(src) else { return };
        match disco.handle(region, src, data, peer, rng) {
            Some(Answer::Pong(pong)) => {
                peer.heard_at(region);
                self.send_to_relay(region, src, &pong, now);
            }
            Some(Answer::PingSent(sent)) => {
                peer.heard_at(region);
                wireguard.peer_answers(src.as_bytes(), now - sent, now);
            }
            None => {}
        }
    }

    /// Returns the moment at which the next ping is due.
    pub(super) fn next_ping(&self) -> Option<Moment> {
        self.disco.poll_timeout(&self.peers, &self.relays, self.home.region())
    }

    /// Returns the region over which a peer is sent to: its own, or this node's home where that is not known.
    pub(super) fn region_of(&self, peer: &NodePublic) -> Option<u32> {
        self.peers.get(peer).and_then(peers::Peer::region).or(self.home.region())
    }

    /// Sends a datagram to a peer, over what carries those of that peer.
    fn send_to_peer(&mut self, peer: &NodePublic, datagram: &[u8], now: Moment) {
        if let Some(region) = self.region_of(peer) {
            self.send_to_relay(region, peer, datagram, now);
        }
    }

    /// Asks the relay of a peer for a keep-alive, if it has been silent: a handshake gets no answer when the machine is
    /// away, and neither when the relay is.
    fn probe_relay_of(&mut self, peer: &NodePublic, now: Moment) {
        if let Some(region) = self.region_of(peer) {
            let mut payload = [0; 8];
            self.rng.fill_bytes(&mut payload);
            self.relays.probe_silent(region, payload, now);
        }
    }

    fn send_to_relay(&mut self, region: u32, peer: &NodePublic, datagram: &[u8], now: Moment) {
        if self.relays.send(region, peer, datagram, now) {
            self.note(TunnelEvent::Dial(region));
        }
    }

    /// Sends a TSMP message in the tunnel.
    pub(super) fn send_tsmp(&mut self, src: IpAddr, dst: IpAddr, message: &tsmp::Message, now: Moment) {
        let mut payload = Vec::new();
        message.put(&mut payload);
        if let Some(packet) = packet::build(src, dst, tsmp::IP_PROTOCOL, &payload) {
            self.at(now).send(packet.len(), |out| out.copy_from_slice(&packet));
        }
    }
}

/// Sink of the TCP/IP stack: seals each packet, and sends it to its peer.
pub(super) struct SealingSink<'a> {
    outbound: &'a mut Outbound,
    now: Moment,
}

impl PacketSink for SealingSink<'_> {
    fn is_free(&self) -> bool {
        !self.outbound.relays.is_busy(self.now)
    }

    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let whole = sealed_len(len);
        let scratch = &mut self.outbound.scratch;
        if scratch.len() < whole {
            scratch.resize(whole, 0);
        }
        let packet = scratch.get_mut(DATA_OFFSET..DATA_OFFSET + len);
        let result = fill(packet.unwrap_or_default());
        self.outbound.send_scratch(len, self.now);
        result
    }
}
