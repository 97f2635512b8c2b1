//! The data path, sans-IO: relays, WireGuard, disco, the packet filter and TCP/IP, put together.
//!
//! Bytes of relay connections go in by [`Tunnel::handle_relay`], and what is to be written to them waits in their
//! [`relays::Link`]s. Time goes in as `now`, on any monotonic clock. What happens comes out of [`Tunnel::poll_event`].

mod acks;
mod disco;
mod inbound;
pub(crate) mod netstack;
pub(crate) mod packet;
mod path;
pub(crate) mod peers;
pub(crate) mod relays;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use dayfly_platform::time::Moment;
use dayfly_wire::control::Timestamp;
use dayfly_wire::key::{DiscoPrivate, NodePrivate, NodePublic};
use dayfly_wire::tsmp::RejectReason;
use dayfly_wireguard::{Device, PeerConfig};
use rand_core::CryptoRng;
use smoltcp::iface::SocketHandle;
use zeroize::Zeroizing;

use crate::derp::ClientError;
use crate::filter::Filter;
use crate::netmap::NetMap;
use acks::Acks;
use disco::Disco;
use netstack::Netstack;
use path::Path;
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
    /// The other side was silent for [`netstack::SILENCE`], though it was asked.
    TimedOut,
    /// No peer has the address any more: it was removed from the tailnet, is kept from this node, or its key has expired.
    NoRoute,
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
    /// The relay of this region is about to restart. Told once in a connection.
    Restarting(u32),
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
    node_key: NodePrivate,
    epoch: Duration,
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
        now: Moment,
        mut rng: Rng,
    ) -> Self {
        let stack = Netstack::new(rng.next_u64(), now);
        let path = Path {
            wireguard: Device::new(Zeroizing::new(*node_key.as_bytes()), epoch),
            peers: Peers::default(),
            relays: Relays::default(),
            disco: Disco::new(disco),
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
            node_key,
            epoch,
        }
    }

    /// Takes over what `map` says, at the server's time `control_time`.
    pub(crate) fn update(&mut self, map: &NetMap, control_time: Timestamp, now: Moment) {
        self.path.now = now;
        if let Some(node) = map.self_node() {
            self.stack.set_addresses(node.addresses());
        }
        let difference = self.path.peers.update(map, control_time, now);
        // Those that have started anew too, as `tailscaled` does: nothing waits for the old session to be found dead.
        self.path.forget(difference.removed.iter().chain(&difference.restarted));
        self.cut_off();
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

    /// Ends the connections that have lost their peer, rather than let them wait for it.
    fn cut_off(&mut self) {
        let Self { stack, path, .. } = self;
        stack.cut_off(|address| path.peers.route(address).is_some());
    }

    /// Goes on under another node key: all WireGuard sessions and relay connections begin anew.
    pub(crate) fn set_node_key(&mut self, key: NodePrivate, now: Moment) {
        self.path.now = now;
        self.path.wireguard = Device::new(Zeroizing::new(*key.as_bytes()), self.epoch);
        for peer in self.path.peers.keys() {
            self.path.wireguard.add_peer(peer_config(peer));
        }
        self.node_key = key;
        self.path.disco.forget_all();
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

    /// The region over which a peer is sent to.
    pub(crate) fn region_of(&self, peer: &NodePublic) -> Option<u32> {
        self.path.region_of(peer)
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
    pub(crate) fn open_relay(&mut self, region: u32, now: Moment) {
        self.path.now = now;
        if self.path.relays.open(region, now) {
            self.path.note(TunnelEvent::Dial(region));
        }
    }

    /// Finds out soon which relay connections are dead.
    pub(crate) fn probe_relays(&mut self, now: Moment) {
        let Path { relays, rng, .. } = &mut self.path;
        let mut payload = [0; 8];
        rng.fill_bytes(&mut payload);
        relays.probe(payload, now);
    }

    /// A connection to a region's relay has been opened.
    pub(crate) fn relay_connected(&mut self, region: u32, now: Moment) {
        self.path.relays.connected(region, self.node_key.clone(), now);
    }

    /// The connection to a region is lost, or could not be made.
    pub(crate) fn relay_lost(&mut self, region: u32, failure: Option<String>) {
        self.path.relays.lost(region, failure);
        self.path.disco.relay_lost(region);
        self.path.note(TunnelEvent::Progress);
    }

    /// Takes the bytes that a relay sent; how many of them are done with. The rest comes again, with more behind it.
    pub(crate) fn handle_relay(
        &mut self,
        region: u32,
        bytes: &mut [u8],
        now: Moment,
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

    /// Starts WireGuard towards a peer, and puts its relay to use.
    pub(crate) fn connect_peer(&mut self, peer: &NodePublic, now: Moment) {
        self.path.now = now;
        if let Some(region) = self.path.peers.get(peer).and_then(peers::Peer::region) {
            self.open_relay(region, now);
        }
        let Path { wireguard, rng, .. } = &mut self.path;
        wireguard.connect(peer.as_bytes(), now, rng);
        self.path.flush_wireguard();
    }

    /// Whether packets for a peer can be encrypted now.
    pub(crate) fn has_session(&self, peer: &NodePublic, now: Moment) -> bool {
        self.path.wireguard.status(peer.as_bytes(), now).is_some_and(|status| status.has_session)
    }

    /// What WireGuard knows of a peer.
    pub(crate) fn wireguard_status(
        &self,
        peer: &NodePublic,
        now: Moment,
    ) -> Option<dayfly_wireguard::PeerStatus> {
        self.path.wireguard.status(peer.as_bytes(), now)
    }

    /// Begins to open a TCP connection. `None` where this node has no address for it, or too many connections.
    pub(crate) fn connect_tcp(&mut self, address: IpAddr, port: u16, now: Moment) -> Option<SocketHandle> {
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
        now: Moment,
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
        now: Moment,
    ) -> Poll<Result<usize, TcpFault>> {
        let written = self.stack.poll_write(handle, context, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.transmit(now);
        }
        written
    }

    /// Tells the other side of a TCP connection that no more comes.
    pub(crate) fn finish(&mut self, handle: SocketHandle, now: Moment) {
        self.stack.finish(handle);
        self.transmit(now);
    }

    /// Nobody holds a TCP connection any more.
    pub(crate) fn release(&mut self, handle: SocketHandle, now: Moment) {
        self.stack.release(handle, now);
        self.transmit(now);
    }

    /// Cuts all TCP connections.
    pub(crate) fn abort(&mut self, now: Moment) {
        self.stack.abort();
        self.transmit(now);
    }

    /// Sends what the TCP stack and WireGuard have to send.
    pub(crate) fn transmit(&mut self, now: Moment) {
        self.path.now = now;
        self.acks.sent();
        self.stack.transmit(now, &mut self.path);
        self.path.flush_wireguard();
    }

    /// When [`Tunnel::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&mut self, now: Moment) -> Option<Moment> {
        let stack = match self.acks.due() {
            // While relays are busy the stack waits for them, not for a time.
            _ if self.path.relays.is_busy(now) => None,
            Some(due) if self.stack.only_acknowledges() => Some(due),
            _ => self.stack.poll_timeout(now),
        };
        let wireguard = self.path.wireguard.poll_timeout();
        let relays = self.path.relays.poll_timeout(self.path.home, now);
        let pings = self.path.next_ping();
        let expiry = self.path.peers.next_expiry();
        stack.into_iter().chain(wireguard).chain(relays).chain(pings).chain(expiry).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.path.now = now;
        let expired = self.path.peers.expire(now);
        if !expired.is_empty() {
            self.path.forget(expired.iter());
            self.cut_off();
            self.path.note(TunnelEvent::Progress);
        }
        let Path { wireguard, rng, relays, home, events, .. } = &mut self.path;
        wireguard.handle_timeout(now, rng);
        for region in relays.handle_timeout(*home, now) {
            relays.close(region);
            events.push_back(TunnelEvent::Close(region));
        }
        self.transmit(now);
    }
}

fn peer_config(key: &NodePublic) -> PeerConfig {
    PeerConfig { public_key: *key.as_bytes(), preshared_key: None, persistent_keepalive: None }
}
