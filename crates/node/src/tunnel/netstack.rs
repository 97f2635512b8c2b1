//! TCP/IP in user space, by smoltcp.
//!
//! Packets come in and go out one at a time through [`Link`]: nothing is queued between the stack and the tunnel.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use dayfly_platform::time::Moment;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::TcpFault;

/// Longest IP packet in the tunnel, in bytes (Tailscale `net/tstun/mtu.go`).
pub(crate) const MTU: usize = 1280;
/// Bytes that a peer may send ahead of the reader, and a writer ahead of the peer.
const RECEIVE_BUFFER: usize = 1 << 20;
const SEND_BUFFER: usize = 256 << 10;
/// Connections of one node, closed ones that linger among them.
const MAX_SOCKETS: usize = 256;
/// How long nothing may have been exchanged before the other side is asked for a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long the other side may be silent: five minutes in which there is no network, and an exchange after them. A
/// retransmission is at most a minute after the one before (`RTTE_MAX_RTO` of smoltcp).
pub(crate) const SILENCE: Duration = Duration::from_secs(390);
/// The most that the stack's clock moves at once: so far apart are the timers of hidden pages. What is beyond it nobody
/// was awake for, and a machine that slept must get to ask before it takes the other side for dead.
const LONGEST_STEP: Duration = Duration::from_secs(60);
/// How long a connection that nobody holds any more may take to end.
const LINGER: Duration = Duration::from_secs(10);
/// Ports that connections are made from (RFC 6335, section 6).
const FIRST_PORT: u16 = 49152;

/// Where the stack's packets go.
pub(crate) trait Link {
    /// Whether one more packet may be made now.
    fn is_free(&self) -> bool;
    /// Takes a packet of `len` bytes that `fill` writes.
    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R;
}

/// The stack with its connections.
pub(crate) struct Netstack {
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    addresses: Vec<IpAddr>,
    /// When the stack was last told the time.
    told: Moment,
    /// How much its clock is behind: see [`LONGEST_STEP`].
    behind: Duration,
}

impl std::fmt::Debug for Netstack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netstack").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// What is kept beside a socket.
#[derive(Debug)]
struct Connection {
    handle: SocketHandle,
    local: SocketAddr,
    remote: SocketAddr,
    /// Why it is over, where that is known better than by its state.
    fault: Option<TcpFault>,
    /// It was open once.
    was_open: bool,
    /// It was not over when the stack was last let do what is due.
    lives: bool,
    /// Nobody holds it any more; it is cut at this time.
    linger_until: Option<Moment>,
}

/// Gives the stack one packet, and takes what it sends.
struct Device<'a, L> {
    packet: Option<&'a [u8]>,
    link: &'a mut L,
}

struct RxToken<'a>(&'a [u8]);
struct TxToken<'a, L>(&'a mut L);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl<L: Link> phy::TxToken for TxToken<'_, L> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.send(len, f)
    }
}

impl<L: Link> phy::Device for Device<'_, L> {
    type RxToken<'t>
        = RxToken<'t>
    where
        Self: 't;
    type TxToken<'t>
        = TxToken<'t, L>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_, L>)> {
        Some((RxToken(self.packet.take()?), TxToken(self.link)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_, L>> {
        self.link.is_free().then_some(TxToken(self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ip;
    capabilities.max_transmission_unit = MTU;
    // WireGuard has authenticated what comes in: a sum adds nothing.
    let mut checksum = ChecksumCapabilities::default();
    checksum.ipv4 = Checksum::Tx;
    checksum.tcp = Checksum::Tx;
    checksum.icmpv4 = Checksum::Tx;
    checksum.icmpv6 = Checksum::Tx;
    capabilities.checksum = checksum;
    capabilities
}

/// For making the interface, which only asks what a device can do.
struct NoLink;

impl Link for NoLink {
    fn is_free(&self) -> bool {
        false
    }

    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        fill(&mut vec![0; len])
    }
}

impl Netstack {
    /// A stack without addresses. `seed` makes its sequence numbers unpredictable.
    pub(crate) fn new(seed: u64, now: Moment) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut device = Device { packet: None, link: &mut NoLink };
        Self {
            interface: Interface::new(config, &mut device, instant(now.since_start())),
            sockets: SocketSet::new(Vec::new()),
            connections: Vec::new(),
            addresses: Vec::new(),
            told: now,
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

    /// The time on the stack's clock.
    fn instant(&mut self, now: Moment) -> Instant {
        self.behind += (now - self.told).saturating_sub(LONGEST_STEP);
        self.told = self.told.max(now);
        instant(now.since_start().saturating_sub(self.behind))
    }

    /// Whether this is one of this node's addresses.
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
        let taken = |port: u16| self.connections.iter().any(|connection| connection.local.port() == port);
        let port =
            (0..span).map(|step| FIRST_PORT + (random % span + step) % span).find(|port| !taken(*port))?;
        let local = SocketAddr::new(address, port);
        let mut socket =
            Socket::new(SocketBuffer::new(vec![0; RECEIVE_BUFFER]), SocketBuffer::new(vec![0; SEND_BUFFER]));
        socket.set_nagle_enabled(false);
        // Acknowledgements are made once for each batch of packets already; a timer would only delay them.
        socket.set_ack_delay(None);
        socket.set_congestion_control(CongestionControl::Cubic);
        socket.set_keep_alive(Some(KEEP_ALIVE.into()));
        socket.set_timeout(Some(SILENCE.into()));
        let to = (IpAddress::from(remote.ip()), remote.port());
        socket.connect(self.interface.context(), to, (IpAddress::from(local.ip()), local.port())).ok()?;
        let handle = self.sockets.add(socket);
        let fault = None;
        self.connections.push(Connection {
            handle,
            local,
            remote,
            fault,
            was_open: false,
            lives: true,
            linger_until: None,
        });
        Some(handle)
    }

    /// Waits for a connection to `port`.
    #[cfg(test)]
    pub(crate) fn listen(&mut self, port: u16) -> SocketHandle {
        let buffer = |size| SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(RECEIVE_BUFFER), buffer(SEND_BUFFER));
        socket.set_ack_delay(None);
        socket.listen(port).unwrap();
        let handle = self.sockets.add(socket);
        let local = SocketAddr::from(([0; 4], port));
        let (fault, linger_until) = (None, None);
        self.connections.push(Connection {
            handle,
            local,
            remote: local,
            fault,
            was_open: true,
            lives: true,
            linger_until,
        });
        handle
    }

    /// Gives the stack a packet that has come in. What it answers goes to `link`.
    pub(crate) fn receive(&mut self, packet: &[u8], now: Moment, link: &mut impl Link) {
        let now = self.instant(now);
        let mut device = Device { packet: Some(packet), link };
        let _ = self.interface.poll_ingress_single(now, &mut device, &mut self.sockets);
    }

    /// Lets the stack send what it has to: data, acknowledgements, retransmissions.
    pub(crate) fn transmit(&mut self, now: Moment, link: &mut impl Link) {
        self.bury(now);
        let now = self.instant(now);
        let mut device = Device { packet: None, link };
        while device.link.is_free() {
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

    /// Whether the stack has nothing to send but acknowledgements.
    pub(crate) fn only_acknowledges(&self) -> bool {
        self.connections.iter().all(|connection| {
            let socket = self.sockets.get::<Socket<'_>>(connection.handle);
            match socket.state() {
                State::Established => socket.send_queue() == 0,
                state => matches!(state, State::Closed | State::TimeWait | State::Listen),
            }
        })
    }

    /// When [`Netstack::transmit`] is due.
    pub(crate) fn poll_timeout(&mut self, now: Moment) -> Option<Moment> {
        let at = self.instant(now);
        let next = self.interface.poll_at(at, &self.sockets);
        let next = next.map(|at| {
            let on_stack = Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0));
            Moment::from_start(on_stack) + self.behind
        });
        let linger = self.connections.iter().filter_map(|connection| connection.linger_until).min();
        next.into_iter().chain(linger).min()
    }

    /// Removes connections that are over and that nobody holds.
    fn bury(&mut self, now: Moment) {
        let Self { connections, sockets, .. } = self;
        connections.retain_mut(|connection| {
            let socket = sockets.get_mut::<Socket<'_>>(connection.handle);
            connection.lives = !matches!(socket.state(), State::Closed | State::TimeWait);
            let Some(until) = connection.linger_until else { return true };
            if connection.lives && until > now {
                return true;
            }
            sockets.remove(connection.handle);
            false
        });
    }

    fn connection(&mut self, handle: SocketHandle) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.handle == handle)
    }

    /// Whether a connection is open: `Pending` while the other side has not answered.
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

    /// Tells the other side that no more comes.
    pub(crate) fn finish(&mut self, handle: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(handle).close();
    }

    /// Nobody holds the connection any more: it ends by itself, or is cut after a while.
    pub(crate) fn release(&mut self, handle: SocketHandle, now: Moment) {
        self.sockets.get_mut::<Socket<'_>>(handle).close();
        if let Some(connection) = self.connection(handle) {
            connection.linger_until = Some(now + LINGER);
        }
    }

    /// The other side refused the connection from this port by a message of its own.
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

    /// Cuts the connections to addresses that nothing leads to any more, and from those that this node has no longer.
    pub(crate) fn cut_off(&mut self, leads: impl Fn(IpAddr) -> bool) {
        let Self { connections, sockets, addresses, .. } = self;
        for connection in connections {
            let socket = sockets.get_mut::<Socket<'_>>(connection.handle);
            let Some((local, remote)) = socket.local_endpoint().zip(socket.remote_endpoint()) else {
                continue;
            };
            if !addresses.contains(&local.addr.into()) || !leads(remote.addr.into()) {
                connection.fault.get_or_insert(TcpFault::NoRoute);
                socket.abort();
            }
        }
    }

    /// Cuts all connections.
    pub(crate) fn abort(&mut self) {
        for connection in &mut self.connections {
            connection.fault = Some(TcpFault::Aborted);
            self.sockets.get_mut::<Socket<'_>>(connection.handle).abort();
        }
    }
}

fn instant(time: Duration) -> Instant {
    Instant::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
