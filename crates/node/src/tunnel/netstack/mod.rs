//! TCP/IP in user space, by smoltcp.
//!
//! Packets come in and go out one at a time through a [`PacketSink`]: nothing is queued between the stack and the tunnel.

mod device;
mod listen;

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use dayfly_platform::time::Moment;
use dayfly_wire::key::NodePublic;
use dayfly_wire::tsmp::RejectReason;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

pub(crate) use self::device::PacketSink;
pub use self::listen::ListenError;
#[cfg(test)]
pub(crate) use self::listen::{ACCEPT_LIMIT, BACKLOG, HANDSHAKE_LIMIT};
pub(crate) use self::listen::{Accepted, ListenerId};

use self::device::{Device, NoSink};
use self::listen::Listeners;
use crate::packet::Packet;

/// Longest IP packet in the tunnel, in bytes (`net/tstun/mtu.go`, `DefaultTUNMTU` (tailscale v1.102.5)).
pub(crate) const MTU: usize = 1280;
/// Bytes that a peer may send ahead of the reader, and a writer ahead of the peer.
const RECEIVE_BUFFER: usize = 1 << 20;
const SEND_BUFFER: usize = 256 << 10;
/// Connections of one node, closed ones that linger among them.
const MAX_SOCKETS: usize = 256;
/// Time without any exchange after which the other side is asked for a keep-alive.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Time for which the other side may be silent: five minutes in which there is no network, and an exchange after them. A
/// retransmission is at most a minute after the one before (`RTTE_MAX_RTO` of smoltcp).
pub(crate) const SILENCE: Duration = Duration::from_secs(390);
/// The most that the stack's clock moves at once: so far apart are the timers of hidden pages. What is beyond it nobody
/// was awake for, and a machine that slept must get to ask before it takes the other side for dead.
const LONGEST_STEP: Duration = Duration::from_secs(60);
/// Time that a connection which nobody holds any more may take to end.
const LINGER: Duration = Duration::from_secs(10);
/// Ports that connections are made from (RFC 6335, section 6).
const FIRST_PORT: u16 = 49152;

/// Reason why a TCP connection failed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TcpFault {
    /// The machine answered that nothing listens there.
    Refused,
    /// The machine's packet filter reported that it does not admit this.
    Rejected(RejectReason),
    /// The other side reset it.
    Reset,
    /// The other side was silent for [`SILENCE`], though it was asked.
    TimedOut,
    /// No peer has the address any more: it was removed from the tailnet, is kept from this node, or its key has expired.
    NoRoute,
    /// It was ended here: the node or the listener has ended.
    Aborted,
}

/// The stack with its connections.
pub(crate) struct Netstack {
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    addresses: Vec<IpAddr>,
    listeners: Listeners,
    /// Latest moment that the stack was given.
    latest: Moment,
    /// Time that the stack's clock is behind: see [`LONGEST_STEP`].
    behind: Duration,
}

impl std::fmt::Debug for Netstack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netstack").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Connection of a socket, as far as the socket does not know it.
#[derive(Debug)]
struct Connection {
    handle: SocketHandle,
    local: SocketAddr,
    remote: SocketAddr,
    /// The peer that opened it; `None` for a connection that this node opened, whose address may move to another peer, as
    /// those behind subnet routers do.
    peer: Option<NodePublic>,
    /// Reason why it is over, where that is known better than by its state.
    fault: Option<TcpFault>,
    /// It was open once.
    was_open: bool,
    /// It was not over when the stack was last let do what is due.
    lives: bool,
    /// Nobody holds it any more; it is removed at this moment.
    linger_until: Option<Moment>,
}

impl Connection {
    fn new(handle: SocketHandle, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            handle,
            local,
            remote,
            peer: None,
            fault: None,
            was_open: false,
            lives: true,
            linger_until: None,
        }
    }
}

impl Netstack {
    /// Makes a stack without addresses. `seed` makes its sequence numbers unpredictable.
    pub(crate) fn new(seed: u64, now: Moment) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut device = Device { packet: None, sink: &mut NoSink };
        Self {
            interface: Interface::new(config, &mut device, instant(now.since_start())),
            sockets: SocketSet::new(Vec::new()),
            connections: Vec::new(),
            addresses: Vec::new(),
            listeners: Listeners::default(),
            latest: now,
            behind: Duration::ZERO,
        }
    }

    /// This node's addresses: at most one of each family is used.
    pub(crate) fn set_addresses(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        let mut kept: Vec<IpAddr> = Vec::new();
        for address in addresses {
            let unicast = !address.is_multicast() && !address.is_unspecified();
            if unicast && !kept.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
                kept.push(address);
            }
        }
        if kept == self.addresses {
            return;
        }
        self.interface.update_ip_addrs(|list| {
            list.clear();
            for address in &kept {
                // Two fit, and there are at most two.
                let _ = list.push(IpCidr::new((*address).into(), if address.is_ipv4() { 32 } else { 128 }));
            }
        });
        let routes = self.interface.routes_mut();
        for address in &kept {
            // All of the tailnet is behind the tunnel; the gateway's address only has to be there.
            let _ = match address {
                IpAddr::V4(own) => routes.add_default_ipv4_route(*own),
                IpAddr::V6(own) => routes.add_default_ipv6_route(*own),
            };
        }
        self.addresses = kept;
    }

    /// Returns the time on the stack's clock.
    fn instant(&mut self, now: Moment) -> Instant {
        self.behind += (now - self.latest).saturating_sub(LONGEST_STEP);
        self.latest = self.latest.max(now);
        instant(now.since_start().saturating_sub(self.behind))
    }

    /// Returns `true` for this node's addresses.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// This node's address of the family of `other`.
    pub(crate) fn own_for(&self, other: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|own| own.is_ipv4() == other.is_ipv4())
    }

    /// Begins to open a connection. `random` picks its port. `None` where this node has no address for it, or has too
    /// many connections.
    pub(crate) fn connect(&mut self, remote: SocketAddr, random: u16) -> Option<SocketHandle> {
        let address = self.own_for(remote.ip())?;
        if self.connections.len() >= MAX_SOCKETS {
            return None;
        }
        let span = u16::MAX - FIRST_PORT;
        let taken = |port: u16| {
            self.listeners.has_port(port)
                || self.connections.iter().any(|connection| connection.local.port() == port)
        };
        let port =
            (0..span).map(|step| FIRST_PORT + (random % span + step) % span).find(|port| !taken(*port))?;
        let local = SocketAddr::new(address, port);
        let mut socket = new_socket();
        let to = (IpAddress::from(remote.ip()), remote.port());
        socket.connect(self.interface.context(), to, (IpAddress::from(local.ip()), local.port())).ok()?;
        let handle = self.sockets.add(socket);
        self.connections.push(Connection::new(handle, local, remote));
        Some(handle)
    }

    /// Listens on `port`, of each of this node's addresses, for connections that peers open.
    ///
    /// # Errors
    /// When the port is listened on already, or there are too many listeners.
    pub(crate) fn listen(&mut self, port: u16) -> Result<ListenerId, ListenError> {
        self.listeners.open(port)
    }

    /// Takes the oldest connection to a listener that is open and was not accepted yet.
    pub(crate) fn poll_accept(
        &mut self,
        listener: ListenerId,
        context: &Context<'_>,
    ) -> Poll<Result<Accepted, TcpFault>> {
        self.listeners.poll_accept(listener, context).map(|handle| {
            let connection = handle.and_then(|handle| self.connection(handle));
            let accepted = connection.and_then(|connection| {
                let Connection { handle, local, remote, peer, .. } = *connection;
                connection.was_open = true;
                Some(Accepted { handle, local, remote, peer: peer? })
            });
            accepted.ok_or(TcpFault::Aborted)
        })
    }

    /// Ends a listener. Connections that it has not accepted are reset.
    pub(crate) fn stop_listening(&mut self, listener: ListenerId, now: Moment) {
        for handle in self.listeners.close(listener) {
            self.sockets.get_mut::<Socket<'_>>(handle).abort();
            self.release(handle, now);
        }
    }

    /// Makes a socket for a segment that opens a connection to a listener's port. Returns `false` where the segment is to
    /// be dropped, for the backlog is full or there are too many connections.
    fn prepare_incoming(&mut self, packet: &Packet<'_>, from: NodePublic, now: Moment) -> bool {
        let Some((src_port, port)) = packet.ports() else { return true };
        if !self.listeners.has_port(port) {
            return true;
        }
        let (local, remote) = (SocketAddr::new(packet.dst, port), SocketAddr::new(packet.src, src_port));
        let is_known = self.connections.iter().any(|connection| {
            let socket = self.sockets.get::<Socket<'_>>(connection.handle);
            (connection.local, connection.remote) == (local, remote) && socket.state() != State::Closed
        });
        if is_known {
            return true;
        }
        if !self.listeners.has_room(port) || self.connections.len() >= MAX_SOCKETS {
            return false;
        }
        let mut socket = new_socket();
        if socket.listen((IpAddress::from(local.ip()), port)).is_err() {
            return false;
        }
        let handle = self.sockets.add(socket);
        self.connections.push(Connection { peer: Some(from), ..Connection::new(handle, local, remote) });
        self.listeners.begun(port, handle, now);
        true
    }

    /// Takes note of what has become of connections that were not accepted, and removes those that came to nothing.
    fn review_listeners(&mut self, now: Moment) {
        let Self { connections, sockets, listeners, .. } = self;
        listeners.review(sockets, now, |handle| {
            if let Some(connection) = connections.iter_mut().find(|connection| connection.handle == handle) {
                connection.linger_until = Some(now + LINGER);
            }
        });
    }

    /// Gives the stack a packet that has come from a peer. `bytes` is what `packet` was read from. What the stack answers
    /// goes to `sink`.
    pub(crate) fn receive(
        &mut self,
        packet: &Packet<'_>,
        bytes: &[u8],
        from: NodePublic,
        now: Moment,
        sink: &mut impl PacketSink,
    ) {
        if packet.opens_tcp() && !self.prepare_incoming(packet, from, now) {
            return;
        }
        let at = self.instant(now);
        let mut device = Device { packet: Some(bytes), sink };
        let _ = self.interface.poll_ingress_single(at, &mut device, &mut self.sockets);
        self.review_listeners(now);
    }

    /// Lets the stack send what it has to: data, acknowledgements, retransmissions.
    pub(crate) fn transmit(&mut self, now: Moment, sink: &mut impl PacketSink) {
        self.remove_ended(now);
        self.review_listeners(now);
        let now = self.instant(now);
        let mut device = Device { packet: None, sink };
        while device.sink.is_free() {
            let result = self.interface.poll_egress(now, &mut device, &mut self.sockets);
            if matches!(result, smoltcp::iface::PollResult::None) {
                break;
            }
        }
        for connection in self.connections.iter_mut().filter(|connection| connection.lives) {
            // Nothing has come in, so it is the silence that has ended it.
            if self.sockets.get::<Socket<'_>>(connection.handle).state() == State::Closed {
                connection.fault.get_or_insert(TcpFault::TimedOut);
            }
        }
    }

    /// Returns `true` while the stack has nothing to send but acknowledgements.
    pub(crate) fn only_acknowledges(&self) -> bool {
        self.connections.iter().all(|connection| {
            let socket = self.sockets.get::<Socket<'_>>(connection.handle);
            match socket.state() {
                State::Established => socket.send_queue() == 0,
                state => matches!(state, State::Closed | State::TimeWait | State::Listen),
            }
        })
    }

    /// Returns the moment at which [`Netstack::transmit`] is due.
    pub(crate) fn poll_timeout(&mut self, now: Moment) -> Option<Moment> {
        let at = self.instant(now);
        let next = self.interface.poll_at(at, &self.sockets);
        let next = next.map(|at| {
            let on_stack = Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0));
            Moment::from_start(on_stack) + self.behind
        });
        let linger = self.connections.iter().filter_map(|connection| connection.linger_until).min();
        next.into_iter().chain(linger).chain(self.listeners.poll_timeout()).min()
    }

    /// Removes connections that are over and that nobody holds.
    fn remove_ended(&mut self, now: Moment) {
        let Self { connections, sockets, .. } = self;
        connections.retain_mut(|connection| {
            let socket = sockets.get_mut::<Socket<'_>>(connection.handle);
            let state = socket.state();
            connection.lives = !matches!(state, State::Closed | State::TimeWait);
            let Some(until) = connection.linger_until else { return true };
            // A reset that is still to be sent goes out first.
            let is_over = !connection.lives && (state != State::Closed || socket.remote_endpoint().is_none());
            if !is_over && until > now {
                return true;
            }
            sockets.remove(connection.handle);
            false
        });
    }

    /// Returns the number of sockets, those that linger among them.
    #[cfg(test)]
    pub(crate) fn sockets(&self) -> usize {
        self.connections.len()
    }

    /// Returns this node's end of a connection.
    pub(crate) fn local_addr(&self, handle: SocketHandle) -> Option<SocketAddr> {
        let found = self.connections.iter().find(|connection| connection.handle == handle);
        found.map(|connection| connection.local)
    }

    fn connection(&mut self, handle: SocketHandle) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.handle == handle)
    }

    /// Completes when a connection is open or has failed: `Pending` while the other side has not answered.
    pub(crate) fn poll_connected(
        &mut self,
        handle: SocketHandle,
        context: &Context<'_>,
    ) -> Poll<Result<(), TcpFault>> {
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        match socket.state() {
            State::SynSent | State::SynReceived => {
                socket.register_send_waker(context.waker());
                Poll::Pending
            }
            State::Closed => Poll::Ready(Err(self.fault(handle))),
            _ => {
                if let Some(connection) = self.connection(handle) {
                    connection.was_open = true;
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    fn fault(&mut self, handle: SocketHandle) -> TcpFault {
        let Some(connection) = self.connection(handle) else { return TcpFault::Aborted };
        connection.fault.unwrap_or(if connection.was_open { TcpFault::Reset } else { TcpFault::Refused })
    }

    /// Reads what has come into `out`; `Ok(0)` at the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        handle: SocketHandle,
        context: &Context<'_>,
        out: &mut [u8],
    ) -> Poll<Result<usize, TcpFault>> {
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        if socket.can_recv() {
            return Poll::Ready(socket.recv_slice(out).map_err(|_| TcpFault::Aborted));
        }
        if socket.may_recv() {
            socket.register_recv_waker(context.waker());
            return Poll::Pending;
        }
        match socket.state() {
            State::SynSent | State::SynReceived => {
                socket.register_recv_waker(context.waker());
                Poll::Pending
            }
            // The other side has said that no more comes.
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait => Poll::Ready(Ok(0)),
            State::Closed if self.connection(handle).is_some_and(|c| c.fault.is_none() && c.was_open) => {
                Poll::Ready(Err(TcpFault::Reset))
            }
            _ => Poll::Ready(Err(self.fault(handle))),
        }
    }

    /// Takes bytes to send, as many as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        handle: SocketHandle,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, TcpFault>> {
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        if !socket.may_send() {
            return Poll::Ready(Err(self.fault(handle)));
        }
        match socket.send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => {
                socket.register_send_waker(context.waker());
                Poll::Pending
            }
            Ok(sent) => Poll::Ready(Ok(sent)),
            Err(_) => Poll::Ready(Err(TcpFault::Aborted)),
        }
    }

    /// Sends FIN: no more comes from this side.
    pub(crate) fn finish(&mut self, handle: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(handle).close();
    }

    /// Releases a connection that nobody holds any more: it ends by itself, or is removed after a while.
    pub(crate) fn release(&mut self, handle: SocketHandle, now: Moment) {
        self.sockets.get_mut::<Socket<'_>>(handle).close();
        if let Some(connection) = self.connection(handle) {
            connection.linger_until = Some(now + LINGER);
        }
    }

    /// Ends a connection that the other side rejected by a message of its own.
    pub(crate) fn reject(&mut self, local: SocketAddr, remote: SocketAddr, fault: TcpFault) {
        let found = self.connections.iter_mut().find(|c| c.local == local && c.remote == remote);
        if let Some(connection) = found
            && !connection.was_open
        {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            if matches!(socket.state(), State::SynSent) {
                connection.fault = Some(fault);
                socket.abort();
            }
        }
    }

    /// Resets connections to addresses that no peer has any more, those of peers whose address another one has now, and
    /// those from addresses that this node has no longer. `route` names the peer that an address belongs to.
    pub(crate) fn cut_off(&mut self, route: impl Fn(IpAddr) -> Option<NodePublic>) {
        let Self { connections, sockets, addresses, .. } = self;
        for connection in connections {
            let socket = sockets.get_mut::<Socket<'_>>(connection.handle);
            let Some((local, remote)) = socket.local_endpoint().zip(socket.remote_endpoint()) else {
                continue;
            };
            let owner = route(remote.addr.into());
            let moved = connection.peer.is_some_and(|peer| Some(peer) != owner);
            if !addresses.contains(&local.addr.into()) || owner.is_none() || moved {
                connection.fault.get_or_insert(TcpFault::NoRoute);
                socket.abort();
            }
        }
    }

    /// Resets all connections and ends all listeners, for good.
    pub(crate) fn abort(&mut self, now: Moment) {
        for handle in self.listeners.close_all() {
            self.release(handle, now);
        }
        for connection in &mut self.connections {
            connection.fault = Some(TcpFault::Aborted);
            self.sockets.get_mut::<Socket<'_>>(connection.handle).abort();
        }
    }
}

fn new_socket() -> Socket<'static> {
    let buffer = |size| SocketBuffer::new(vec![0; size]);
    let mut socket = Socket::new(buffer(RECEIVE_BUFFER), buffer(SEND_BUFFER));
    socket.set_nagle_enabled(false);
    // Acknowledgements are made once for each batch of packets already; a timer would only delay them.
    socket.set_ack_delay(None);
    socket.set_congestion_control(CongestionControl::Cubic);
    socket.set_keep_alive(Some(KEEP_ALIVE.into()));
    socket.set_timeout(Some(SILENCE.into()));
    socket
}

fn instant(time: Duration) -> Instant {
    Instant::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
