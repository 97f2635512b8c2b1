//! Two tunnels with a relay between them, on a clock that only the test moves.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use dayfly_platform::random::SystemRng;
use dayfly_platform::time::Moment;
use dayfly_wire::control::{FilterRule, IpPrefix, MapResponse, NetPortRange, Node, PortRange, Timestamp};
use dayfly_wire::derp::{self, Decoded, Frame, PeerGoneReason, Receiver, ServerInfo};
use dayfly_wire::disco;
use dayfly_wire::key::{DiscoPrivate, NodePrivate, NodePublic};
use smoltcp::iface::SocketHandle;

use crate::derp::RelayError;
use crate::netmap::NetMap;
use crate::tunnel::netstack::{Accepted, ListenerId};
use crate::tunnel::{TcpFault, Tunnel, TunnelEvent};

pub(super) const REGION: u32 = 7;
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const PORT: u16 = 22;
pub(super) const INITIATION: u8 = 1;
pub(super) const DISCO: u8 = disco::MAGIC[0];

/// One side.
pub(super) struct Side {
    pub(super) tunnel: Tunnel,
    pub(super) key: NodePublic,
    pub(super) private: NodePrivate,
    pub(super) disco: DiscoPrivate,
    /// Bytes on their way from the relay.
    pub(super) inbox: Vec<u8>,
    pub(super) connected: bool,
    /// Its connection to the relay is half open: nothing gets through, and neither end is told.
    pub(super) cut: bool,
    pub(super) events: Vec<TunnelEvent>,
}

/// Both sides and the relay.
pub(super) struct World {
    pub(super) sides: [Side; 2],
    pub(super) server: NodePrivate,
    pub(super) now: Moment,
    /// Of so many packets one is lost; 0 loses none.
    pub(super) lose_one_in: u64,
    pub(super) seed: u64,
    pub(super) relayed: usize,
    /// When each packet was sent, from which side, and its first byte: the type of WireGuard's, [`DISCO`] of disco's.
    pub(super) log: Vec<(Moment, usize, u8)>,
    /// How long a packet takes from side to side.
    pub(super) one_way: Duration,
    /// Packets on their way: when they arrive at which side, as the relay's frames.
    transit: VecDeque<(Moment, usize, Vec<u8>)>,
    listener: Option<ListenerId>,
}

pub(super) fn address(side: usize) -> IpAddr {
    format!("100.64.0.{}", side + 1).parse().unwrap()
}

pub(super) fn address6(side: usize) -> IpAddr {
    format!("fd7a:115c:a1e0::{}", side + 1).parse().unwrap()
}

pub(super) fn node(side: usize, key: NodePublic, disco: &DiscoPrivate) -> Node {
    Node {
        id: side as i64 + 1,
        name: format!("side{side}.test."),
        key,
        disco_key: disco.public(),
        addresses: vec![IpPrefix::host(address(side)), IpPrefix::host(address6(side))],
        home_derp: REGION,
        machine_authorized: true,
        ..Node::default()
    }
}

pub(super) fn open_filter() -> Vec<FilterRule> {
    let any = NetPortRange { ip: "*".to_owned(), ports: PortRange { first: 0, last: 65535 } };
    vec![FilterRule { src_ips: vec!["*".to_owned()], dst_ports: vec![any], ..FilterRule::default() }]
}

/// The nodes of both sides.
pub(super) fn nodes(world: &World) -> [Node; 2] {
    [0, 1].map(|side| node(side, world.sides[side].key, &world.sides[side].disco))
}

/// The control server reports its peers to a side.
pub(super) fn tell(world: &mut World, side: usize, peers: Vec<Node>) {
    let own = &nodes(world)[side];
    let now = world.now;
    world.sides[side].tunnel.update(&map_of(own, peers, Vec::new()), Timestamp::from_unix(0), now);
}

/// The tunnel of the first of two nodes.
pub(super) fn tunnel(
    [own, peer]: [&Node; 2],
    key: &NodePrivate,
    disco: &DiscoPrivate,
    filter: Vec<FilterRule>,
    now: Moment,
) -> Tunnel {
    let epoch = Duration::from_secs(1_700_000_000);
    let mut tunnel = Tunnel::new(key.clone(), disco.clone(), epoch, now, Box::new(SystemRng));
    tunnel.update(&map([own, peer], filter), Timestamp::from_unix(0), now);
    tunnel.open_relay(REGION, now);
    tunnel.set_home(REGION);
    tunnel
}

/// What the first of two nodes knows.
pub(super) fn map([own, peer]: [&Node; 2], filter: Vec<FilterRule>) -> NetMap {
    map_of(own, vec![peer.clone()], filter)
}

/// What a node with these peers knows.
pub(super) fn map_of(own: &Node, peers: Vec<Node>, filter: Vec<FilterRule>) -> NetMap {
    let mut map = NetMap::new();
    let message = MapResponse {
        node: Some(Box::new(own.clone())),
        peers,
        packet_filter: Some(filter),
        ..MapResponse::default()
    };
    map.apply(message, true, Timestamp::from_unix(0));
    map
}

impl World {
    /// Two sides that know each other; the second one lets in what `filter` says.
    pub(super) fn new(filter: Vec<FilterRule>) -> Self {
        let now = Moment::from_start(Duration::from_secs(1000));
        let made =
            [0, 1].map(|_| (NodePrivate::generate(&mut SystemRng), DiscoPrivate::generate(&mut SystemRng)));
        let nodes: Vec<Node> =
            made.iter().enumerate().map(|(side, (key, disco))| node(side, key.public(), disco)).collect();
        let mut index = 0;
        let sides = made.map(|(private, disco)| {
            let rules = if index == 1 { filter.clone() } else { Vec::new() };
            let tunnel = tunnel([&nodes[index], &nodes[1 - index]], &private, &disco, rules, now);
            index += 1;
            let key = private.public();
            Side {
                tunnel,
                key,
                private,
                disco,
                inbox: Vec::new(),
                connected: false,
                cut: false,
                events: Vec::new(),
            }
        });
        let server = NodePrivate::generate(&mut SystemRng);
        let (log, transit) = (Vec::new(), VecDeque::new());
        Self {
            sides,
            server,
            now,
            lose_one_in: 0,
            seed: 1,
            relayed: 0,
            log,
            one_way: Duration::ZERO,
            transit,
            listener: None,
        }
    }

    pub(super) fn connected(filter: Vec<FilterRule>) -> Self {
        let mut world = Self::new(filter);
        world.connect_relay(0);
        world.connect_relay(1);
        world
    }

    pub(super) fn connect_relay(&mut self, side: usize) {
        let now = self.now;
        let side = &mut self.sides[side];
        side.tunnel.relay_connected(REGION, now);
        (side.connected, side.cut) = (true, false);
        derp::put_server_key(&mut side.inbox, &self.server.public());
        self.settle();
    }

    pub(super) fn disconnect_relay(&mut self, side: usize) {
        let now = self.now;
        self.sides[side].tunnel.relay_lost(REGION, RelayError::Closed, now);
        self.sides[side].connected = false;
        self.sides[side].inbox.clear();
    }

    /// Takes what a side has to write to the relay, instead of carrying it.
    pub(super) fn waiting(&mut self, side: usize) -> BytesMut {
        let (now, mut out) = (self.now, BytesMut::new());
        let tunnel = &mut self.sides[side].tunnel;
        tunnel.take_transmit(REGION, &mut out, Waker::noop()).unwrap();
        tunnel.note_written(REGION, out.len(), now);
        out
    }

    pub(super) fn loses(&mut self) -> bool {
        // Numerical Recipes' generator: any will do that is the same each time.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.lose_one_in != 0 && (self.seed >> 33).is_multiple_of(self.lose_one_in)
    }

    /// Carries what waits, once. Whether there was anything.
    pub(super) fn carry(&mut self) -> bool {
        let mut any = false;
        while let Some((_, to, frame)) = self.transit.pop_front_if(|(at, ..)| *at <= self.now) {
            self.sides[to].inbox.extend(frame);
        }
        for from in 0..2 {
            let now = self.now;
            let side = &mut self.sides[from];
            while let Some(event) = side.tunnel.poll_event() {
                side.events.push(event);
            }
            if !side.connected {
                continue;
            }
            if !side.inbox.is_empty() {
                any = true;
                let done = side.tunnel.handle_relay(REGION, &mut side.inbox, now).unwrap();
                side.inbox.drain(..done);
            }
            let mut written = BytesMut::new();
            if side.tunnel.take_transmit(REGION, &mut written, Waker::noop()).is_err() {
                side.connected = false;
                continue;
            }
            side.tunnel.note_written(REGION, written.len(), now);
            if side.cut {
                continue;
            }
            let mut rest = &written[..];
            while let Some(Decoded { frame, consumed }) = derp::decode(rest, Receiver::Server).unwrap() {
                any = true;
                self.frame(from, frame);
                rest.advance(consumed);
            }
            assert!(rest.is_empty());
        }
        any
    }

    pub(super) fn frame(&mut self, from: usize, frame: Frame<'_>) {
        match frame {
            Frame::ClientInfo { key, .. } => {
                assert_eq!(key, self.sides[from].key);
                let shared = self.server.shared(&key);
                let info = ServerInfo::default();
                derp::put_server_info(&mut self.sides[from].inbox, &shared, &info, &mut SystemRng).unwrap();
            }
            Frame::Ping(payload) => derp::put_pong(&mut self.sides[from].inbox, payload),
            Frame::SendPacket { dst, data } => {
                self.relayed += 1;
                self.log.push((self.now, from, data[0]));
                let src = self.sides[from].key;
                let lost = self.loses();
                let to = &mut self.sides[1 - from];
                if to.key != dst || !to.connected {
                    let inbox = &mut self.sides[from].inbox;
                    derp::put_peer_gone(inbox, &dst, PeerGoneReason::NOT_HERE);
                } else if !lost && !to.cut {
                    let mut frame = Vec::new();
                    derp::put_recv_packet(&mut frame, &src, data).unwrap();
                    if self.one_way.is_zero() {
                        to.inbox.extend(frame);
                    } else {
                        self.transit.push_back((self.now + self.one_way, 1 - from, frame));
                    }
                }
            }
            _ => {}
        }
    }

    /// Carries until nothing happens without time passing.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.carry() {
                return;
            }
        }
        panic!("this never comes to rest");
    }

    /// Lets time pass up to the next thing that is due, at most until `end`.
    pub(super) fn sleep(&mut self, end: Moment) {
        let now = self.now;
        let timers = self.sides.iter_mut().filter_map(|side| side.tunnel.poll_timeout(now));
        let due = timers.chain(self.transit.front().map(|(at, ..)| *at)).min();
        self.now = due.unwrap_or(end).clamp(now, end);
        if due.is_some_and(|due| due <= now) {
            // Something that is due and stays due would stop the clock.
            self.now += Duration::from_millis(1);
        }
        for side in &mut self.sides {
            side.tunnel.handle_timeout(self.now);
        }
        self.settle();
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while self.now < end {
            self.sleep(end);
        }
    }

    /// Lets time pass, in which the relay tells those who are connected that it is there.
    pub(super) fn live_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for side in self.sides.iter_mut().filter(|side| side.connected && !side.cut) {
                derp::put_keep_alive(&mut side.inbox);
            }
            self.run_for((end - self.now).min(60 * SECOND));
        }
    }

    /// Lets time pass until `done`.
    pub(super) fn run_until<T>(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let end = self.now + limit;
        loop {
            self.settle();
            if let Some(value) = done(self) {
                return value;
            }
            assert!(self.now < end, "not within {limit:?}");
            self.sleep(end);
        }
    }

    /// The second side listens.
    pub(super) fn listen(&mut self) -> ListenerId {
        let listener = self.sides[1].tunnel.listen(PORT).unwrap();
        self.listener = Some(listener);
        listener
    }

    /// Connects the first side to the second.
    pub(super) fn connect(&mut self, to: IpAddr) -> Result<SocketHandle, TcpFault> {
        let now = self.now;
        let handle = self.sides[0].tunnel.connect_tcp(to, PORT, now).unwrap();
        self.run_until(30 * SECOND, |world| world.poll_connected(handle)).map(|()| handle)
    }

    /// Takes the next connection to the second side.
    pub(super) fn accept(&mut self) -> Option<Accepted> {
        let context = Context::from_waker(Waker::noop());
        match self.sides[1].tunnel.poll_accept(self.listener?, &context) {
            Poll::Ready(accepted) => Some(accepted.unwrap()),
            Poll::Pending => None,
        }
    }

    /// The second side's end of the connection that was made last. It is open when the acknowledgement of its handshake
    /// has come, which waits for a moment.
    pub(super) fn accepted(&mut self) -> SocketHandle {
        self.run_until(SECOND, Self::accept).handle
    }

    pub(super) fn poll_connected(&mut self, handle: SocketHandle) -> Option<Result<(), TcpFault>> {
        match self.sides[0].tunnel.poll_connected(handle, &Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    pub(super) fn write(&mut self, side: usize, handle: SocketHandle, bytes: &[u8]) -> usize {
        let now = self.now;
        match self.sides[side].tunnel.poll_write(handle, &Context::from_waker(Waker::noop()), bytes, now) {
            Poll::Ready(written) => written.unwrap(),
            Poll::Pending => 0,
        }
    }

    /// What can be read now; `None` at the end.
    pub(super) fn read(&mut self, side: usize, handle: SocketHandle) -> Option<Vec<u8>> {
        let now = self.now;
        let mut out = vec![0; 64 << 10];
        match self.sides[side].tunnel.poll_read(handle, &Context::from_waker(Waker::noop()), &mut out, now) {
            Poll::Ready(Ok(0)) => None,
            Poll::Ready(Ok(read)) => Some(out[..read].to_vec()),
            Poll::Ready(Err(fault)) => panic!("{fault:?}"),
            Poll::Pending => Some(Vec::new()),
        }
    }

    /// Why the first side's connection is over, once all that came is read.
    pub(super) fn fault(&mut self, handle: SocketHandle) -> Option<TcpFault> {
        let (now, context) = (self.now, Context::from_waker(Waker::noop()));
        match self.sides[0].tunnel.poll_read(handle, &context, &mut [0; 64], now) {
            Poll::Ready(Err(fault)) => Some(fault),
            _ => None,
        }
    }

    /// Sends `length` bytes from one side to the other and checks each of them.
    pub(super) fn transfer(
        &mut self,
        (from, out): (usize, SocketHandle),
        into: SocketHandle,
        length: usize,
        limit: Duration,
    ) {
        let data: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        let (mut sent, mut received) = (0, Vec::new());
        self.run_until(limit, |world| {
            loop {
                let before = (sent, received.len());
                sent += world.write(from, out, &data[sent..]);
                received.extend(world.read(1 - from, into).unwrap());
                world.settle();
                if before == (sent, received.len()) {
                    break;
                }
            }
            (received.len() >= length).then_some(())
        });
        assert!(received == data);
    }
}
