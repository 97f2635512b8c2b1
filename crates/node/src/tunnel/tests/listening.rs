//! Connections that peers open to ports that a node listens on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use smoltcp::iface::SocketHandle;

use super::*;
use crate::tunnel::netstack::{ACCEPT_LIMIT, BACKLOG, HANDSHAKE_LIMIT, ListenError};

/// Begins a connection from the first side, without waiting for it.
fn begin(world: &mut World, to: IpAddr, port: u16) -> SocketHandle {
    let now = world.now;
    world.sides[0].tunnel.connect_tcp(to, port, now).unwrap()
}

/// Lets connections be opened: the last acknowledgement of a handshake waits for a moment.
fn open(world: &mut World) {
    world.run_for(Duration::from_millis(10));
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_connection_is_handed_over_with_the_address_and_the_key_of_its_peer() {
    for (own, other) in [(address(1), address(0)), (address6(1), address6(0))] {
        let mut world = World::connected(open_filter());
        let listener = world.listen();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let context = Context::from_waker(&waker);
        assert!(world.sides[1].tunnel.poll_accept(listener, &context).is_pending());
        let handle = begin(&mut world, own, PORT);
        open(&mut world);
        assert_eq!(world.poll_connected(handle), Some(Ok(())));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        let accepted = world.accept().unwrap();
        assert_eq!((accepted.peer, accepted.local), (world.sides[0].key, SocketAddr::new(own, PORT)));
        assert_eq!(accepted.remote.ip(), other);
        assert!(world.accept().is_none(), "it is handed over once");
        world.transfer((0, handle), accepted.handle, 10_000, SECOND);
        world.transfer((1, accepted.handle), handle, 10_000, SECOND);
    }
}

#[test]
fn each_listener_has_its_own_queue_in_order() {
    let mut world = World::connected(open_filter());
    let first = world.listen();
    let second = world.sides[1].tunnel.listen(PORT + 1).unwrap();
    for port in [PORT, PORT + 1, PORT] {
        begin(&mut world, address(1), port);
        open(&mut world);
    }
    let context = Context::from_waker(Waker::noop());
    let mut ports = |listener| {
        let next = || match world.sides[1].tunnel.poll_accept(listener, &context) {
            Poll::Ready(accepted) => Some(accepted.unwrap()),
            Poll::Pending => None,
        };
        std::iter::from_fn(next).map(|accepted| (accepted.local.port(), accepted.remote.port())).collect()
    };
    let (at_first, at_second): (Vec<_>, Vec<_>) = (ports(first), ports(second));
    assert_eq!(at_first.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [PORT, PORT]);
    assert_eq!(at_second.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [PORT + 1]);
}

#[test]
fn a_full_backlog_drops_what_opens_more_until_there_is_room() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handles: Vec<_> = (0..BACKLOG).map(|_| begin(&mut world, address(1), PORT)).collect();
    open(&mut world);
    let late = begin(&mut world, address(1), PORT);
    open(&mut world);
    assert!(handles.iter().all(|handle| world.poll_connected(*handle) == Some(Ok(()))));
    world.run_for(5 * SECOND);
    assert_eq!(world.poll_connected(late), None, "it is neither refused nor taken");
    world.accept().unwrap();
    assert_eq!(world.run_until(10 * SECOND, |world| world.poll_connected(late)), Ok(()));
}

#[test]
fn a_connection_that_nobody_accepts_is_reset_and_makes_room() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = begin(&mut world, address(1), PORT);
    open(&mut world);
    assert_eq!(world.poll_connected(handle), Some(Ok(())));
    world.run_for(ACCEPT_LIMIT - SECOND);
    assert_eq!(world.fault(handle), None);
    world.run_for(2 * SECOND);
    assert_eq!(world.fault(handle), Some(TcpFault::Reset));
    assert!(world.accept().is_none());
    world.run_for(20 * SECOND);
    assert_eq!(world.sides[1].tunnel.stack.sockets(), 0);
}

#[test]
fn a_handshake_that_is_not_completed_is_given_up() {
    let mut world = World::connected(open_filter());
    world.listen();
    begin(&mut world, address(1), PORT);
    // The answer gets lost with the relay of the first side.
    world.run_until(SECOND, |world| (world.sides[1].tunnel.stack.sockets() == 1).then_some(()));
    world.sides[0].cut = true;
    world.disconnect_relay(0);
    world.run_for(HANDSHAKE_LIMIT + ACCEPT_LIMIT + 30 * SECOND);
    assert_eq!(world.sides[1].tunnel.stack.sockets(), 0);
}

#[test]
fn what_the_filter_does_not_admit_gets_to_no_listener() {
    let mut world = World::connected(Vec::new());
    world.listen();
    let handle = begin(&mut world, address(1), PORT);
    open(&mut world);
    assert_eq!(world.poll_connected(handle), Some(Err(TcpFault::Rejected(RejectReason::ACL))));
    assert_eq!(world.sides[1].tunnel.stack.sockets(), 0);
}

#[test]
fn a_listener_that_ends_resets_what_it_has_not_accepted_and_frees_its_port() {
    let mut world = World::connected(open_filter());
    let listener = world.listen();
    let handle = begin(&mut world, address(1), PORT);
    open(&mut world);
    assert_eq!(world.poll_connected(handle), Some(Ok(())));
    let now = world.now;
    world.sides[1].tunnel.stop_listening(listener, now);
    open(&mut world);
    assert_eq!(world.fault(handle), Some(TcpFault::Reset));
    let context = Context::from_waker(Waker::noop());
    assert_eq!(world.sides[1].tunnel.poll_accept(listener, &context), Poll::Ready(Err(TcpFault::Aborted)));
    assert_eq!(world.connect(address(1)), Err(TcpFault::Refused));
    world.listen();
    world.connect(address(1)).unwrap();
    world.accepted();
}

#[test]
fn ports_are_listened_on_once_and_their_number_is_bounded() {
    let mut world = World::connected(open_filter());
    let tunnel = &mut world.sides[1].tunnel;
    assert_eq!(tunnel.listen(0), Err(ListenError::NoPort));
    tunnel.listen(1).unwrap();
    assert_eq!(tunnel.listen(1), Err(ListenError::InUse { port: 1 }));
    let refused = (2..200).map(|port| tunnel.listen(port)).find_map(Result::err);
    assert_eq!(refused, Some(ListenError::TooMany));
}

#[test]
fn the_end_of_the_node_ends_its_listeners() {
    let mut world = World::connected(open_filter());
    let listener = world.listen();
    let now = world.now;
    world.sides[1].tunnel.abort(now);
    let context = Context::from_waker(Waker::noop());
    assert_eq!(world.sides[1].tunnel.poll_accept(listener, &context), Poll::Ready(Err(TcpFault::Aborted)));
    assert_eq!(world.sides[1].tunnel.listen(PORT), Err(ListenError::TooMany));
}

/// The peer was identified when the connection was opened: nobody else may go on with it.
#[test]
fn a_connection_ends_when_its_address_goes_to_another_peer() {
    let mut world = World::connected(open_filter());
    world.listen();
    world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    let key = NodePrivate::generate(&mut SystemRng).public();
    let other = node(0, key, &DiscoPrivate::generate(&mut SystemRng));
    tell(&mut world, 1, vec![other]);
    let (now, context) = (world.now, Context::from_waker(Waker::noop()));
    let read = world.sides[1].tunnel.poll_read(accepted, &context, &mut [0; 8], now);
    assert_eq!(read, Poll::Ready(Err(TcpFault::NoRoute)));
}
