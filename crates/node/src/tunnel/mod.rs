//! The data path, sans-IO: relays, WireGuard, disco, the packet filter and TCP/IP, put together.
//!
//! Bytes of relay connections go in by [`Tunnel::handle_relay`], and what is to be written to them waits in their
//! [`relays::Link`]s. Time goes in as `now`, on any monotonic clock. What happens comes out of [`Tunnel::poll_event`].

mod acks;
pub(crate) mod netstack;
pub(crate) mod packet;
pub(crate) mod peers;
pub(crate) mod relays;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use dayfly_wire::control::Timestamp;
use dayfly_wire::disco::{self, Envelope};
use dayfly_wire::key::{DiscoPrivate, DiscoPublic, NodePrivate, NodePublic};
use dayfly_wire::tsmp::{self, Reject, RejectReason};
use dayfly_wireguard::{
    DATA_OFFSET, Device, Event as WireGuardEvent, PeerConfig, Received, SealError, sealed_len,
};
use rand_core::CryptoRng;
use smoltcp::iface::SocketHandle;
use zeroize::Zeroizing;

use crate::derp::{ClientError, Event as DerpEvent};
use crate::filter::{Filter, Verdict};
use crate::netmap::NetMap;
use acks::Acks;
use netstack::{Link as _, Netstack};
use packet::Packet;
use peers::Peers;
use relays::Relays;

/// Randomness for keys and nonces.
pub(crate) type Rng = Box<dyn CryptoRng + Send>;

/// Why a TCP connection failed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TcpFault {
    /// The machine answered that nothing listens there.
    Refused,
    /// The machine's packet filter told that it does not let this in.
    Rejected(RejectReason),
    /// The other side cut it.
    Reset,
    /// It was cut here: the node has ended.
    Aborted,
}

/// What happened in the tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TunnelEvent {
    /// This region is wanted: open a connection to it.
    Dial(u32),
    /// This region is connected.
    Ready(u32),
    /// The relay of this region is about to restart.
    Restarting(u32),
    /// The relay says that something is wrong, or, with an empty text, that it is well again.
    Health(u32, String),
    /// This region is no longer needed: its connection is to be closed.
    Close(u32),
    /// Something that a connection in the making waits for may have happened.
    Progress,
}

/// The data path of one node.
pub(crate) struct Tunnel {
    path: Path,
    stack: Netstack,
    acks: Acks,
    filter: Filter,
    /// Capabilities that filters ask for, by peer.
    caps: Vec<(NodePublic, String)>,
    disco: DiscoPrivate,
    node_key: NodePrivate,
    epoch: Duration,
}

/// The way out: from IP packets to relays.
struct Path {
    wireguard: Device,
    peers: Peers,
    relays: Relays,
    home: Option<u32>,
    events: VecDeque<TunnelEvent>,
    /// Where packets are made and sealed.
    scratch: Vec<u8>,
    rng: Rng,
    now: Duration,
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").field("home", &self.path.home).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// A tunnel to nobody. `epoch` is the Unix time at which `now` is zero.
    pub(crate) fn new(
        node_key: NodePrivate,
        disco: DiscoPrivate,
        epoch: Duration,
        now: Duration,
        mut rng: Rng,
    ) -> Self {
        let stack = Netstack::new(rng.next_u64(), now);
        let path = Path {
            wireguard: Device::new(Zeroizing::new(*node_key.as_bytes()), epoch),
            peers: Peers::default(),
            relays: Relays::default(),
            home: None,
            events: VecDeque::new(),
            scratch: Vec::new(),
            rng,
            now,
        };
        Self {
            path,
            stack,
            acks: Acks::default(),
            filter: Filter::default(),
            caps: Vec::new(),
            disco,
            node_key,
            epoch,
        }
    }

    /// Takes over what `map` says, at the server's time `control_time`.
    pub(crate) fn update(&mut self, map: &NetMap, control_time: Timestamp, now: Duration) {
        self.path.now = now;
        if let Some(node) = map.self_node() {
            self.stack.set_addresses(node.addresses());
        }
        let difference = self.path.peers.update(map, control_time);
        for key in difference.removed {
            self.path.wireguard.remove_peer(key.as_bytes());
        }
        // As `tailscaled` does, so that nothing waits for the old session to be found dead.
        for key in &difference.restarted {
            self.path.wireguard.remove_peer(key.as_bytes());
        }
        for key in difference.added.into_iter().chain(difference.restarted) {
            self.path.wireguard.add_peer(peer_config(&key));
        }
        self.filter = Filter::compile(map.filter_rules());
        let wanted: Vec<&str> = map
            .filter_rules()
            .flat_map(|rule| rule.src_ips.iter().filter_map(|source| source.strip_prefix("cap:")))
            .collect();
        self.caps = map
            .peers()
            .flat_map(|peer| {
                let has = wanted.iter().filter(move |cap| peer.has_cap(cap));
                has.map(move |cap| (peer.key(), (*cap).to_owned()))
            })
            .collect();
        self.path.note(TunnelEvent::Progress);
    }

    /// Goes on under another node key: all WireGuard sessions and relay connections begin anew.
    pub(crate) fn set_node_key(&mut self, key: NodePrivate, now: Duration) {
        self.path.now = now;
        self.path.wireguard = Device::new(Zeroizing::new(*key.as_bytes()), self.epoch);
        for peer in self.path.peers.keys() {
            self.path.wireguard.add_peer(peer_config(peer));
        }
        self.node_key = key;
        self.path.relays.reset();
    }

    /// Makes a region this node's home.
    pub(crate) fn set_home(&mut self, region: Option<u32>) {
        let before = std::mem::replace(&mut self.path.home, region);
        if before != region {
            before.into_iter().for_each(|old| self.path.relays.note_home(old, false));
            region.into_iter().for_each(|new| self.path.relays.note_home(new, true));
        }
    }

    /// This node's home region.
    pub(crate) fn home(&self) -> Option<u32> {
        self.path.home
    }

    /// The relay connections.
    pub(crate) fn relays(&mut self) -> &mut Relays {
        &mut self.path.relays
    }

    /// The peers.
    pub(crate) fn peers(&self) -> &Peers {
        &self.path.peers
    }

    /// Whether [`Tunnel::poll_event`] has something.
    pub(crate) fn has_events(&self) -> bool {
        !self.path.events.is_empty()
    }

    /// What happened.
    pub(crate) fn poll_event(&mut self) -> Option<TunnelEvent> {
        self.path.events.pop_front()
    }

    /// Puts a region to use.
    pub(crate) fn open_relay(&mut self, region: u32, now: Duration) {
        self.path.now = now;
        if self.path.relays.open(region, now) {
            self.path.note(TunnelEvent::Dial(region));
        }
    }

    /// Finds out soon which relay connections are dead.
    pub(crate) fn probe_relays(&mut self, now: Duration) {
        let Path { relays, rng, .. } = &mut self.path;
        let mut payload = [0; 8];
        rng.fill_bytes(&mut payload);
        relays.probe(payload, now);
    }

    /// A connection to a region's relay has been opened.
    pub(crate) fn relay_connected(&mut self, region: u32, now: Duration) {
        self.path.relays.connected(region, self.node_key.clone(), now);
    }

    /// The connection to a region is lost, or could not be made.
    pub(crate) fn relay_lost(&mut self, region: u32, failure: Option<String>) {
        self.path.relays.lost(region, failure);
        self.path.note(TunnelEvent::Progress);
    }

    /// Takes the bytes that a relay sent; how many of them are done with. The rest comes again, with more behind it.
    pub(crate) fn handle_relay(
        &mut self,
        region: u32,
        bytes: &mut [u8],
        now: Duration,
    ) -> Result<usize, ClientError> {
        self.path.now = now;
        let mut done = 0;
        loop {
            let Some(client) = self.path.relays.get_mut(region).and_then(relays::Link::client) else {
                return Ok(bytes.len());
            };
            let Some(rest) = bytes.get_mut(done..) else { break };
            let progress = client.handle(rest, now, &mut self.path.rng)?;
            if progress.consumed == 0 {
                break;
            }
            done += progress.consumed;
            if let Some(event) = progress.event {
                self.relay_event(region, event);
            }
        }
        if self.acks.may_wait(now) && self.stack.only_acknowledges() {
            self.path.flush_wireguard();
        } else {
            self.transmit(now);
        }
        Ok(done)
    }

    fn relay_event(&mut self, region: u32, event: DerpEvent<'_>) {
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
            DerpEvent::Restarting { .. } => self.path.note(TunnelEvent::Restarting(region)),
            DerpEvent::Health(text) => self.path.note(TunnelEvent::Health(region, text)),
            DerpEvent::Pong(_) => {}
        }
    }

    /// A packet from a peer over a relay: disco or WireGuard. From anybody else it is dropped, as `tailscaled` does
    /// (`wgengine/magicsock/derp.go`): no work is done for strangers, and not even a cookie tells them of this node.
    fn packet(&mut self, region: u32, src: &NodePublic, data: &mut [u8]) {
        if self.path.peers.get(src).is_none() {
            return;
        }
        if disco::looks_like_disco(data) {
            return self.disco(region, src, data);
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

    /// Answers a ping, so that `tailscale ping` works. Nothing else of disco matters to a node without UDP.
    fn disco(&mut self, region: u32, src: &NodePublic, data: &[u8]) {
        let Ok(envelope) = Envelope::parse(data) else { return };
        let sender = envelope.sender;
        let Some(peer) = self.path.peers.get_mut(src) else { return };
        let Some(shared) = peer.disco_key(&self.disco, &sender) else { return };
        let Ok(disco::Message::Ping { tx_id, .. }) = envelope.open(shared) else { return };
        let Ok(port) = u16::try_from(region) else { return };
        let pong = disco::Message::Pong { tx_id, src: disco::derp_address(port) };
        let pong = pong.seal(&self.disco.public(), shared, &mut self.path.rng);
        peer.heard_at(region);
        self.path.send_to_relay(region, src, &pong);
    }

    /// A decrypted packet from a peer.
    fn ip_packet(&mut self, from: &NodePublic, bytes: &[u8]) {
        let Some(packet) = Packet::parse(bytes) else { return };
        if !self.path.peers.may_send_from(from, packet.src) {
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
        }
    }

    /// Starts WireGuard towards a peer, and puts its relay to use.
    pub(crate) fn connect_peer(&mut self, peer: &NodePublic, now: Duration) {
        if let Some(region) = self.path.peers.get(peer).and_then(peers::Peer::region) {
            self.open_relay(region, now);
        }
        let Path { wireguard, rng, .. } = &mut self.path;
        wireguard.connect(peer.as_bytes(), now, rng);
        self.path.flush_wireguard();
    }

    /// Whether packets for a peer can be encrypted now.
    pub(crate) fn has_session(&self, peer: &NodePublic, now: Duration) -> bool {
        self.path.wireguard.status(peer.as_bytes(), now).is_some_and(|status| status.has_session)
    }

    /// What WireGuard knows of a peer.
    pub(crate) fn wireguard_status(
        &self,
        peer: &NodePublic,
        now: Duration,
    ) -> Option<dayfly_wireguard::PeerStatus> {
        self.path.wireguard.status(peer.as_bytes(), now)
    }

    /// Begins to open a TCP connection. `None` where this node has no address for it, or too many connections.
    pub(crate) fn connect_tcp(&mut self, address: IpAddr, port: u16, now: Duration) -> Option<SocketHandle> {
        let random = (self.path.rng.next_u32() & 0xffff) as u16;
        let handle = self.stack.connect(SocketAddr::new(address, port), random)?;
        self.transmit(now);
        Some(handle)
    }

    /// Waits for a TCP connection to `port`.
    #[cfg(test)]
    pub(crate) fn listen(&mut self, port: u16) -> SocketHandle {
        self.stack.listen(port)
    }

    /// Whether a TCP connection is open.
    pub(crate) fn poll_connected(
        &mut self,
        handle: SocketHandle,
        context: &Context<'_>,
    ) -> Poll<Result<(), TcpFault>> {
        self.stack.poll_connected(handle, context)
    }

    /// Reads from a TCP connection.
    pub(crate) fn poll_read(
        &mut self,
        handle: SocketHandle,
        context: &Context<'_>,
        out: &mut [u8],
        now: Duration,
    ) -> Poll<Result<usize, TcpFault>> {
        let read = self.stack.poll_read(handle, context, out);
        if matches!(read, Poll::Ready(Ok(1..))) && self.acks.due().is_none() {
            // There may be room again for which the other side waits. An acknowledgement that is to come tells it too.
            self.transmit(now);
        }
        read
    }

    /// Writes to a TCP connection. What fits is on its way to the relay when this returns.
    pub(crate) fn poll_write(
        &mut self,
        handle: SocketHandle,
        context: &Context<'_>,
        bytes: &[u8],
        now: Duration,
    ) -> Poll<Result<usize, TcpFault>> {
        let written = self.stack.poll_write(handle, context, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.transmit(now);
        }
        written
    }

    /// Tells the other side of a TCP connection that no more comes.
    pub(crate) fn finish(&mut self, handle: SocketHandle, now: Duration) {
        self.stack.finish(handle);
        self.transmit(now);
    }

    /// Nobody holds a TCP connection any more.
    pub(crate) fn release(&mut self, handle: SocketHandle, now: Duration) {
        self.stack.release(handle, now);
        self.transmit(now);
    }

    /// Cuts all TCP connections.
    pub(crate) fn abort(&mut self, now: Duration) {
        self.stack.abort();
        self.transmit(now);
    }

    /// Sends what the TCP stack and WireGuard have to send.
    pub(crate) fn transmit(&mut self, now: Duration) {
        self.path.now = now;
        self.acks.sent();
        self.stack.transmit(now, &mut self.path);
        self.path.flush_wireguard();
    }

    /// When [`Tunnel::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&mut self, now: Duration) -> Option<Duration> {
        let stack = match self.acks.due() {
            // While relays are busy the stack waits for them, not for a time.
            _ if !self.path.is_free() => None,
            Some(due) if self.stack.only_acknowledges() => Some(due),
            _ => self.stack.poll_timeout(now),
        };
        let wireguard = self.path.wireguard.poll_timeout();
        let relays = self.path.relays.poll_timeout(self.path.home);
        stack.into_iter().chain(wireguard).chain(relays).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        self.path.now = now;
        let Path { wireguard, rng, relays, home, events, .. } = &mut self.path;
        wireguard.handle_timeout(now, rng);
        for region in relays.handle_timeout(*home, now) {
            relays.close(region);
            events.push_back(TunnelEvent::Close(region));
        }
        self.transmit(now);
    }
}

impl Path {
    /// Queues an event. Progress is told once, however much there was.
    fn note(&mut self, event: TunnelEvent) {
        if event != TunnelEvent::Progress || self.events.back() != Some(&event) {
            self.events.push_back(event);
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

    /// Sends what WireGuard has made by itself, and tells what it has seen.
    fn flush_wireguard(&mut self) {
        while let Some(transmit) = self.wireguard.poll_transmit() {
            self.send_to_peer(&NodePublic::from_bytes(transmit.peer), &transmit.datagram);
        }
        while let Some(event) = self.wireguard.poll_event() {
            match event {
                WireGuardEvent::Established { .. } | WireGuardEvent::Unreachable { .. } => {
                    self.note(TunnelEvent::Progress);
                }
            }
        }
    }

    fn send_to_peer(&mut self, peer: &NodePublic, datagram: &[u8]) {
        if let Some(region) = self.peers.get(peer).and_then(peers::Peer::region).or(self.home) {
            self.send_to_relay(region, peer, datagram);
        }
    }

    fn send_to_relay(&mut self, region: u32, peer: &NodePublic, datagram: &[u8]) {
        if self.relays.send(region, peer, datagram, self.now) {
            self.note(TunnelEvent::Dial(region));
        }
    }

    fn send_tsmp(&mut self, src: IpAddr, dst: IpAddr, message: &tsmp::Message) {
        let mut payload = Vec::new();
        message.put(&mut payload);
        if let Some(packet) = packet::build(src, dst, tsmp::IP_PROTOCOL, &payload) {
            self.send(packet.len(), |out| out.copy_from_slice(&packet));
        }
    }
}

impl netstack::Link for Path {
    fn is_free(&self) -> bool {
        !self.relays.is_busy()
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

fn peer_config(key: &NodePublic) -> PeerConfig {
    PeerConfig { public_key: *key.as_bytes(), preshared_key: None, persistent_keepalive: None }
}
