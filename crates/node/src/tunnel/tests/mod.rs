//! What two tunnels do to each other.

mod disco_pings;
mod endings;
mod home;
mod links;
mod listening;
mod routing;
mod world;

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use dayfly_platform::random::SystemRng;
use dayfly_wire::control::Timestamp;
use dayfly_wire::derp::{self, Decoded, Frame, Receiver};
use dayfly_wire::disco;
use dayfly_wire::key::{DiscoPrivate, NodePrivate};
use dayfly_wire::tsmp::{self, RejectReason};

use self::world::*;
use super::netstack::PacketSink as _;
use super::{TcpFault, TunnelEvent};
use crate::derp::RelayError;
use crate::packet;

#[test]
fn tcp_carries_bytes_both_ways_over_either_family() {
    for to in [address(1), address6(1)] {
        let mut world = World::connected(open_filter());
        world.listen();
        let handle = world.connect(to).unwrap();
        let accepted = world.accepted();
        world.transfer((0, handle), accepted, 3 << 20, 60 * SECOND);
        world.transfer((1, accepted), handle, 3 << 20, 60 * SECOND);
        let now = world.now;
        world.sides[1].tunnel.finish(accepted, now);
        world.settle();
        assert_eq!(world.read(0, handle), None);
    }
}

#[test]
fn one_acknowledgement_stands_for_many_packets() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    world.run_for(SECOND);
    let before = world.relayed;
    let length = 3 << 20;
    world.transfer((1, accepted), handle, length, 60 * SECOND);
    let data = length / 1200;
    assert!(world.relayed - before < data + data / 4, "{} packets", world.relayed - before);
}

#[test]
fn an_acknowledgement_waits_for_a_moment_only_and_goes_with_an_answer() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    world.run_for(SECOND);

    let before = world.relayed;
    world.write(1, accepted, b"output");
    world.settle();
    assert_eq!(world.relayed - before, 1, "it is acknowledged at once");
    world.run_for(Duration::from_millis(6));
    assert_eq!(world.relayed - before, 2, "it is not acknowledged soon");

    let before = world.relayed;
    world.write(1, accepted, b"output");
    world.settle();
    world.write(0, handle, b"answer");
    world.settle();
    assert_eq!(world.relayed - before, 2);
    world.run_for(Duration::from_millis(6));
    assert_eq!(world.relayed - before, 3, "only the answer is still to be acknowledged");
}

#[test]
fn tcp_gets_through_a_relay_that_loses_packets() {
    for lose_one_in in [50, 12] {
        let mut world = World::connected(open_filter());
        world.listen();
        let handle = world.connect(address(1)).unwrap();
        let accepted = world.accepted();
        world.lose_one_in = lose_one_in;
        world.transfer((0, handle), accepted, 300 << 10, 3000 * SECOND);
        world.transfer((1, accepted), handle, 300 << 10, 3000 * SECOND);
    }
}

#[test]
fn what_is_sent_before_the_relay_is_connected_waits_for_it() {
    let mut world = World::new(open_filter());
    world.listen();
    let now = world.now;
    let handle = world.sides[0].tunnel.connect_tcp(address(1), PORT, now).unwrap();
    world.connect_relay(1);
    assert_eq!(world.poll_connected(handle), None);
    world.connect_relay(0);
    assert_eq!(world.poll_connected(handle), Some(Ok(())), "without any time passing");
    assert!(world.sides[0].events.contains(&TunnelEvent::Dial(REGION)));
    assert!(world.sides[0].events.contains(&TunnelEvent::Ready(REGION)));
}

#[test]
fn a_connection_outlives_the_loss_of_a_relay() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    world.transfer((0, handle), accepted, 1000, SECOND);
    world.disconnect_relay(0);
    world.write(0, handle, b"typed meanwhile");
    world.run_for(20 * SECOND);
    world.connect_relay(0);
    let mut received = Vec::new();
    world.run_until(60 * SECOND, |world| {
        received.extend(world.read(1, accepted).unwrap());
        (received.len() >= 15).then_some(())
    });
    assert_eq!(received, b"typed meanwhile");
}

#[test]
fn a_connection_outlives_hours_of_silence_and_of_use() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    world.live_for(3 * 3600 * SECOND);
    world.transfer((0, handle), accepted, 100, 10 * SECOND);
    let before = world.relayed;
    for _ in 0..400 {
        world.live_for(30 * SECOND);
        world.transfer((1, accepted), handle, 10, 10 * SECOND);
    }
    assert!(world.relayed - before < 400 * 12, "{} packets", world.relayed - before);
}

#[test]
fn a_peer_that_starts_anew_is_reached_as_soon_as_that_is_known() {
    let mut world = World::connected(open_filter());
    world.listen();
    world.connect(address(1)).unwrap();

    world.disconnect_relay(1);
    let disco = DiscoPrivate::generate(&mut SystemRng);
    let nodes = [node(0, world.sides[0].key, &world.sides[0].disco), node(1, world.sides[1].key, &disco)];
    let (now, private) = (world.now, world.sides[1].private.clone());
    world.sides[1].tunnel = tunnel([&nodes[1], &nodes[0]], &private, &disco, open_filter(), now);
    world.connect_relay(1);
    world.listen();
    let start = world.now;
    let known = map([&nodes[0], &nodes[1]], Vec::new());
    world.sides[0].tunnel.update(&known, Timestamp::from_unix(0), start);
    world.connect(address(1)).unwrap();
    assert_eq!(world.now, start, "the old session was not waited for");
}

#[test]
fn a_relay_that_falls_silent_is_given_up() {
    let mut world = World::connected(open_filter());
    world.run_for(121 * SECOND);
    assert!(!world.sides[0].tunnel.relays().get(REGION).unwrap().is_ready());
}

#[test]
fn the_packet_filter_rejects_at_once_and_says_so() {
    let mut world = World::connected(Vec::new());
    world.listen();
    let start = world.now;
    assert_eq!(world.connect(address(1)), Err(TcpFault::Rejected(RejectReason::ACL)));
    assert_eq!(world.now, start);
}

#[test]
fn a_port_on_which_nothing_listens_refuses() {
    let mut world = World::connected(open_filter());
    let start = world.now;
    assert_eq!(world.connect(address(1)), Err(TcpFault::Refused));
    assert_eq!(world.now, start);
}

#[test]
fn a_peer_that_is_not_there_is_known_to_be_gone() {
    let mut world = World::new(open_filter());
    world.connect_relay(0);
    let (now, peer) = (world.now, world.sides[1].key);
    world.sides[0].tunnel.connect_peer(&peer, now);
    world.settle();
    assert_eq!(world.sides[0].tunnel.peers().get(&peer).unwrap().gone, Some(now));
    world.connect_relay(1);
    world.run_for(10 * SECOND);
    assert!(world.sides[0].tunnel.has_session(&peer, world.now));
    assert_eq!(world.sides[0].tunnel.peers().get(&peer).unwrap().gone, None);
}

#[test]
fn pings_of_disco_and_of_tsmp_are_answered() {
    let mut world = World::connected(Vec::new());
    let (one, other) = (world.sides[1].key, world.sides[0].key);
    let shared = world.sides[1].disco.shared(&world.sides[0].disco.public());
    let ping = disco::Message::Ping { tx_id: [5; 12], node: Some(one) };
    let ping = ping.seal(&world.sides[1].disco.public(), &shared, &mut SystemRng);
    let now = world.now;
    world.sides[0].tunnel.datagram(REGION, &one, &mut ping.clone(), now);
    let written = world.waiting(0);
    let Some(Decoded { frame: Frame::SendPacket { dst, data }, .. }) =
        derp::decode(&written, Receiver::Server).unwrap()
    else {
        panic!("no pong");
    };
    assert_eq!(dst, one);
    let pong = disco::Envelope::parse(data).unwrap().open(&shared).unwrap();
    assert_eq!(pong, disco::Message::Pong { tx_id: [5; 12], src: disco::derp_address(REGION as u16) });
    // A stranger's ping, and one that claims another's key, get none.
    let stranger = DiscoPrivate::generate(&mut SystemRng);
    let forged = disco::Message::Ping { tx_id: [6; 12], node: Some(one) }.seal(
        &stranger.public(),
        &stranger.shared(&world.sides[0].disco.public()),
        &mut SystemRng,
    );
    world.sides[0].tunnel.datagram(REGION, &one, &mut { forged }, now);
    world.sides[0].tunnel.datagram(REGION, &other, &mut { ping }, now);
    assert!(world.waiting(0).is_empty());

    // TSMP goes through the tunnel: what comes back is one more packet than an unknown message gets.
    let count = |world: &mut World, message: &[u8]| {
        let packet = packet::build(address(1), address(0), tsmp::IP_PROTOCOL, message).unwrap();
        world.settle();
        let before = world.relayed;
        let outbound = &mut world.sides[1].tunnel.outbound;
        outbound.at(now).send(packet.len(), |out| out.copy_from_slice(&packet));
        outbound.flush_wireguard(now);
        world.settle();
        world.relayed - before
    };
    let mut ping = Vec::new();
    tsmp::Message::Ping([1; 8]).put(&mut ping);
    count(&mut world, b"?");
    assert_eq!((count(&mut world, b"?"), count(&mut world, &ping)), (1, 2));
}

#[test]
fn a_new_node_key_begins_anew() {
    let mut world = World::connected(open_filter());
    let key = NodePrivate::generate(&mut SystemRng);
    world.sides[0].tunnel.set_node_key(key.clone());
    assert!(!world.sides[0].tunnel.relays().get(REGION).unwrap().is_ready());
    let mut out = BytesMut::new();
    let taken = world.sides[0].tunnel.take_transmit(REGION, &mut out, Waker::noop());
    assert_eq!(taken, Err(RelayError::KeyChanged), "the connection is to end");
    world.sides[0].key = key.public();
    world.sides[0].inbox.clear();
    world.connect_relay(0);
    assert!(world.sides[0].tunnel.relays().get(REGION).unwrap().is_ready());
}

#[test]
fn packets_from_addresses_that_are_not_the_peers_are_dropped() {
    let mut world = World::connected(open_filter());
    world.listen();
    let forged = packet::build(address(0), address(0), 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]).unwrap();
    let honest = packet::build(address(0), address(1), 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]).unwrap();
    let answers = |world: &mut World, packet: &[u8]| {
        world.settle();
        let before = world.relayed;
        let from = world.sides[0].key;
        let now = world.now;
        world.sides[1].tunnel.ip_packet(&from, packet, now);
        world.sides[1].tunnel.outbound.flush_wireguard(now);
        world.settle();
        world.relayed - before
    };
    answers(&mut world, &honest);
    assert_eq!((answers(&mut world, &forged), answers(&mut world, &honest)), (0, 1));
}

/// The queue of events does not grow when nobody looks.
#[test]
fn progress_is_told_once() {
    let mut world = World::new(open_filter());
    let events: VecDeque<_> = std::iter::from_fn(|| world.sides[0].tunnel.poll_event()).collect();
    assert!(events.contains(&TunnelEvent::Progress));
    let note = |world: &mut World, event| world.sides[0].tunnel.outbound.note(event);
    note(&mut world, TunnelEvent::Progress);
    note(&mut world, TunnelEvent::Ready(REGION));
    for _ in 0..100 {
        note(&mut world, TunnelEvent::Progress);
    }
    let told: Vec<_> = std::iter::from_fn(|| world.sides[0].tunnel.poll_event()).collect();
    assert_eq!(told, [TunnelEvent::Progress, TunnelEvent::Ready(REGION)]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// A peer is authenticated, and may still send anything.
    #[test]
    fn any_packet_of_a_peer_is_taken_without_harm(
        packets in proptest::collection::vec((0..4_u8, proptest::prelude::any::<u8>(), proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)), 1..40),
    ) {
        let mut world = World::connected(open_filter());
        world.listen();
        let handle = world.connect(address(1)).unwrap();
        let accepted = world.accepted();
        let from = world.sides[0].key;
        for (kind, number, payload) in packets {
            let (src, dst) = if kind % 2 == 0 { (address(0), address(1)) } else { (address6(0), address6(1)) };
            // Mostly segments for the port that listens.
            let (protocol, payload) = match kind {
                0 | 1 => (6, [&[0xc0, 0, 0, PORT as u8][..], &payload].concat()),
                _ => (number, payload),
            };
            let packet = packet::build(src, dst, protocol, &payload).unwrap();
            let now = world.now;
            world.sides[1].tunnel.ip_packet(&from, &packet, now);
            world.sides[1].tunnel.ip_packet(&from, &payload, now);
            world.settle();
        }
        world.run_for(SECOND);
        let _ = (accepted, handle);
    }
}
