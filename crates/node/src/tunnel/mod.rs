//! The data path, sans-IO: relays, WireGuard, disco, the packet filter and TCP/IP, put together.
//!
//! Input: [`Tunnel::update`] with each map, [`Tunnel::handle_relay`] with what a relay sent, [`Tunnel::handle_timeout`] once
//! [`Tunnel::poll_timeout`] has passed. Output: [`Tunnel::poll_event`], and [`Tunnel::take_transmit`] for what is to be written
//! to a relay. Every call that may depend on the time takes it as `now`, on any monotonic clock.

mod acks;
mod disco;
mod event;
mod home;
mod inbound;
pub(crate) mod netstack;
mod outbound;
pub(crate) mod peers;
pub(crate) mod relays;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use dayfly_platform::time::Moment;
use dayfly_wire::control::Timestamp;
use dayfly_wire::key::{DiscoPrivate, NodePrivate, NodePublic};
use dayfly_wireguard::{Device, PeerConfig};
use smoltcp::iface::SocketHandle;
use zeroize::Zeroizing;

use crate::derp::{DerpError, RelayError};
use crate::filter::Filter;
use crate::netmap::NetMap;
use acks::Acks;
use disco::Disco;
use home::{Home, Search};
use netstack::{Accepted, ListenError, ListenerId, Netstack};
use outbound::Outbound;
use peers::Peers;
use relays::Relays;

pub(crate) use event::TunnelEvent;
pub(crate) use netstack::TcpFault;
pub(crate) use outbound::Rng;

/// The data path of one node.
pub(crate) struct Tunnel {
    outbound: Outbound,
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
        f.debug_struct("Tunnel").field("home", &self.home()).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// Makes a tunnel without peers. `epoch` is the Unix time at which `now` is zero.
    pub(crate) fn new(
        node_key: NodePrivate,
        disco: DiscoPrivate,
        epoch: Duration,
        now: Moment,
        mut rng: Rng,
    ) -> Self {
        let stack = Netstack::new(rng.next_u64(), now);
        let outbound = Outbound {
            wireguard: Device::new(Zeroizing::new(*node_key.as_bytes()), epoch),
            peers: Peers::default(),
            relays: Relays::default(),
            disco: Disco::new(disco),
            home: Home::default(),
            events: VecDeque::new(),
            scratch: Vec::new(),
            rng,
        };
        Self {
            outbound,
            stack,
            acks: Acks::default(),
            filter: Filter::default(),
            caps: Vec::new(),
            node_key,
            epoch,
        }
    }

    /// Takes over what `map` says, at the control server's time `control_time`.
    pub(crate) fn update(&mut self, map: &NetMap, control_time: Timestamp, now: Moment) {
        if let Some(node) = map.self_node() {
            self.stack.set_addresses(node.addresses());
        }
        let difference = self.outbound.peers.update(map, control_time, now);
        // Those that have started anew too, as `tailscaled` does: nothing waits for the old session to be found dead.
        self.outbound.forget(difference.removed.iter().chain(&difference.restarted));
        self.cut_off();
        for key in difference.added.into_iter().chain(difference.restarted) {
            self.outbound.wireguard.add_peer(peer_config(&key));
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
        self.outbound.home.update(map);
        self.search_home(now);
        self.outbound.note(TunnelEvent::Progress);
    }

    /// Ends the TCP connections that have lost their peer, rather than let them wait for it.
    fn cut_off(&mut self) {
        let Self { stack, outbound, .. } = self;
        stack.cut_off(|address| outbound.peers.route(address));
    }

    /// Replaces the node key: all WireGuard sessions and relay connections begin anew.
    pub(crate) fn set_node_key(&mut self, key: NodePrivate) {
        self.outbound.wireguard = Device::new(Zeroizing::new(*key.as_bytes()), self.epoch);
        for peer in self.outbound.peers.keys() {
            self.outbound.wireguard.add_peer(peer_config(peer));
        }
        self.node_key = key;
        self.outbound.disco.forget_all();
        self.outbound.relays.reset();
    }

    /// Sees to it that there is a good home, or that one is being looked for.
    fn search_home(&mut self, now: Moment) {
        match self.outbound.home.search(&self.outbound.relays) {
            Search::Rest => {}
            Search::Take(region) => self.set_home(region),
            Search::Dial(regions) => {
                regions.into_iter().for_each(|region| self.outbound.open_relay(region, now))
            }
        }
    }

    /// Makes a region this node's home.
    fn set_home(&mut self, region: u32) {
        let Outbound { home, relays, .. } = &mut self.outbound;
        let before = home.replace(region);
        if before != Some(region) {
            before.into_iter().for_each(|old| relays.note_home(old, false));
            relays.note_home(region, true);
            self.outbound.note(TunnelEvent::Home(region));
        }
    }

    /// Returns this node's home region.
    pub(crate) fn home(&self) -> Option<u32> {
        self.outbound.home.region()
    }

    /// Returns `true` while there is a home whose relay is connected: peers find this node there.
    pub(crate) fn home_is_ready(&self) -> bool {
        self.outbound.home.is_ready(&self.outbound.relays)
    }

    /// Returns the relay connections.
    pub(crate) fn relays(&self) -> &Relays {
        &self.outbound.relays
    }

    /// Returns the peers.
    pub(crate) fn peers(&self) -> &Peers {
        &self.outbound.peers
    }

    /// Returns the region over which a peer is sent to.
    pub(crate) fn region_of(&self, peer: &NodePublic) -> Option<u32> {
        self.outbound.region_of(peer)
    }

    /// Returns `true` while [`Tunnel::poll_event`] has something.
    pub(crate) fn has_events(&self) -> bool {
        !self.outbound.events.is_empty()
    }

    /// Returns the next event.
    pub(crate) fn poll_event(&mut self) -> Option<TunnelEvent> {
        self.outbound.events.pop_front()
    }

    /// Puts a region to use.
    pub(crate) fn open_relay(&mut self, region: u32, now: Moment) {
        self.outbound.open_relay(region, now);
    }

    /// Finds out soon which relay connections are dead.
    pub(crate) fn probe_relays(&mut self, now: Moment) {
        let Outbound { relays, rng, .. } = &mut self.outbound;
        let mut payload = [0; 8];
        rng.fill_bytes(&mut payload);
        relays.probe(payload, now);
    }

    /// Begins DERP's handshake on a connection to a region's relay that has just been opened.
    pub(crate) fn relay_connected(&mut self, region: u32, now: Moment) {
        self.outbound.relays.connected(region, self.node_key.clone(), now);
    }

    /// Takes note that the connection to a region is lost, or could not be made.
    pub(crate) fn relay_lost(&mut self, region: u32, failure: RelayError, now: Moment) {
        self.outbound.relays.lost(region, failure);
        self.outbound.disco.relay_lost(region);
        self.search_home(now);
        self.outbound.note(TunnelEvent::Progress);
    }

    /// Hands over what waits to be written to the relay of a region, in exchange for the empty buffer `out`. `waker` is
    /// woken when there is more. While `out` still holds what was taken before, nothing is taken.
    ///
    /// # Errors
    /// When the connection is of no use any more: it is to be closed.
    pub(crate) fn take_transmit(
        &mut self,
        region: u32,
        out: &mut BytesMut,
        waker: &Waker,
    ) -> Result<(), RelayError> {
        let link = self.outbound.relays.get_mut(region).ok_or(RelayError::NotNeeded)?;
        link.take_transmit(out, waker)
    }

    /// Takes note that a relay has taken so many bytes of what was handed over by [`Tunnel::take_transmit`]. The TCP stack,
    /// which waits while much is to be written, goes on.
    pub(crate) fn note_written(&mut self, region: u32, written: usize, now: Moment) {
        let was_busy = self.outbound.relays.is_busy(now);
        if let Some(link) = self.outbound.relays.get_mut(region) {
            link.note_written(written, now);
        }
        // While another relay is busy, the stack goes on waiting.
        if was_busy && !self.outbound.relays.is_busy(now) {
            self.transmit(now);
        }
    }

    /// Takes bytes that a relay sent, and returns how many of them are done with. The rest comes again, with more behind it.
    ///
    /// # Errors
    /// When the relay breaks the protocol: its connection is to be closed.
    pub(crate) fn handle_relay(
        &mut self,
        region: u32,
        bytes: &mut [u8],
        now: Moment,
    ) -> Result<usize, DerpError> {
        let mut done = 0;
        loop {
            let Some(client) = self.outbound.relays.get_mut(region).and_then(relays::RelayLink::client)
            else {
                return Ok(bytes.len());
            };
            let Some(rest) = bytes.get_mut(done..) else { break };
            let progress = client.handle(rest, now, &mut self.outbound.rng)?;
            if progress.consumed == 0 {
                break;
            }
            done += progress.consumed;
            if let Some(event) = progress.event {
                self.relay_event(region, event, now);
            }
        }
        if self.acks.may_wait(now) && self.stack.only_acknowledges() {
            self.outbound.flush_wireguard(now);
        } else {
            self.transmit(now);
        }
        Ok(done)
    }

    /// Starts WireGuard towards a peer, and puts its relay to use.
    pub(crate) fn connect_peer(&mut self, peer: &NodePublic, now: Moment) {
        if let Some(region) = self.outbound.peers.get(peer).and_then(peers::Peer::region) {
            self.open_relay(region, now);
        }
        let Outbound { wireguard, rng, .. } = &mut self.outbound;
        wireguard.connect(peer.as_bytes(), now, rng);
        self.outbound.flush_wireguard(now);
    }

    /// Returns `true` while packets for a peer can be encrypted.
    pub(crate) fn has_session(&self, peer: &NodePublic, now: Moment) -> bool {
        self.outbound.wireguard.status(peer.as_bytes(), now).is_some_and(|status| status.has_session)
    }

    /// Returns WireGuard's status of a peer.
    pub(crate) fn wireguard_status(
        &self,
        peer: &NodePublic,
        now: Moment,
    ) -> Option<dayfly_wireguard::PeerStatus> {
        self.outbound.wireguard.status(peer.as_bytes(), now)
    }

    /// Begins to open a TCP connection. `None` where this node has no address for it, or too many connections.
    pub(crate) fn connect_tcp(&mut self, address: IpAddr, port: u16, now: Moment) -> Option<SocketHandle> {
        let random = (self.outbound.rng.next_u32() & 0xffff) as u16;
        let handle = self.stack.connect(SocketAddr::new(address, port), random)?;
        self.transmit(now);
        Some(handle)
    }

    /// Returns this node's end of a TCP connection.
    pub(crate) fn local_addr(&self, handle: SocketHandle) -> Option<SocketAddr> {
        self.stack.local_addr(handle)
    }

    /// Listens on `port` of each of this node's addresses. What peers may connect to it is up to the packet filter.
    ///
    /// # Errors
    /// When the port is listened on already, or there are too many listeners.
    pub(crate) fn listen(&mut self, port: u16) -> Result<ListenerId, ListenError> {
        self.stack.listen(port)
    }

    /// Takes the next connection that a peer has opened to a listener. One that is not taken in half a minute is reset.
    pub(crate) fn poll_accept(
        &mut self,
        listener: ListenerId,
        context: &Context<'_>,
    ) -> Poll<Result<Accepted, TcpFault>> {
        self.stack.poll_accept(listener, context)
    }

    /// Ends a listener. Connections that were not accepted are reset.
    pub(crate) fn stop_listening(&mut self, listener: ListenerId, now: Moment) {
        self.stack.stop_listening(listener, now);
        self.transmit(now);
    }

    /// Completes when a TCP connection is open, or has failed.
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
            // There may be room again for which the other side waits. An acknowledgement that is to come reports it too.
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

    /// Sends FIN on a TCP connection: no more comes from this side.
    pub(crate) fn finish(&mut self, handle: SocketHandle, now: Moment) {
        self.stack.finish(handle);
        self.transmit(now);
    }

    /// Releases a TCP connection that nobody holds any more: it is closed, and reset after a while.
    pub(crate) fn release(&mut self, handle: SocketHandle, now: Moment) {
        self.stack.release(handle, now);
        self.transmit(now);
    }

    /// Resets all TCP connections and ends all listeners, for good.
    pub(crate) fn abort(&mut self, now: Moment) {
        self.stack.abort(now);
        self.transmit(now);
    }

    /// Sends what the TCP stack and WireGuard have to send.
    pub(crate) fn transmit(&mut self, now: Moment) {
        self.acks.sent();
        self.stack.transmit(now, &mut self.outbound.at(now));
        self.outbound.flush_wireguard(now);
    }

    /// Returns the moment at which [`Tunnel::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&mut self, now: Moment) -> Option<Moment> {
        let stack = match self.acks.due() {
            // While relays are busy the stack waits for them, not for a time.
            _ if self.outbound.relays.is_busy(now) => None,
            Some(due) if self.stack.only_acknowledges() => Some(due),
            _ => self.stack.poll_timeout(now),
        };
        let wireguard = self.outbound.wireguard.poll_timeout();
        let relays = self.outbound.relays.poll_timeout(self.outbound.home.region(), now);
        let pings = self.outbound.next_ping();
        let expiry = self.outbound.peers.next_expiry();
        stack.into_iter().chain(wireguard).chain(relays).chain(pings).chain(expiry).min()
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        let expired = self.outbound.peers.expire(now);
        if !expired.is_empty() {
            self.outbound.forget(expired.iter());
            self.cut_off();
            self.outbound.note(TunnelEvent::Progress);
        }
        let Outbound { wireguard, rng, relays, home, events, .. } = &mut self.outbound;
        wireguard.handle_timeout(now, rng);
        for region in relays.handle_timeout(home.region(), now) {
            relays.close(region);
            events.push_back(TunnelEvent::Close(region));
        }
        self.transmit(now);
    }
}

fn peer_config(key: &NodePublic) -> PeerConfig {
    PeerConfig { public_key: *key.as_bytes(), preshared_key: None, persistent_keepalive: None }
}
