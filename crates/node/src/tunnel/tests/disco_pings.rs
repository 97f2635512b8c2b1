//! How a tunnel finds out by pings that a peer would answer, before it ever had a session with it.

use dayfly_platform::time::Moment;
use dayfly_wire::control::Node;
use dayfly_wire::disco::{Envelope, Message, TxId};
use dayfly_wire::key::{DiscoPublic, NodePublic};

use super::*;

fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A world whose first side begins a handshake now; with `known`, the other one has been told of it.
fn begun(known: bool) -> World {
    let mut world = World::connected(Vec::new());
    if !known {
        tell(&mut world, 1, Vec::new());
    }
    begin(&mut world);
    world
}

fn begin(world: &mut World) {
    let (now, peer) = (world.now, world.sides[1].key);
    world.sides[0].tunnel.connect_peer(&peer, now);
}

fn has_session(world: &World) -> bool {
    world.sides[0].tunnel.has_session(&world.sides[1].key, world.now)
}

fn until_session(world: &mut World) {
    world.run_until(20 * SECOND, |world| has_session(world).then_some(()));
}

/// When the first side sent packets of this kind.
fn times(world: &World, kind: u8) -> Vec<Moment> {
    world.log.iter().filter(|(_, from, sent)| (*from, *sent) == (0, kind)).map(|(at, ..)| *at).collect()
}

/// What the first side has to send now, to whom, instead of carrying it.
fn taken(world: &mut World) -> Vec<(NodePublic, Vec<u8>)> {
    let written = world.waiting(0);
    let (mut rest, mut packets) = (&written[..], Vec::new());
    while let Some(Decoded { frame, consumed }) = derp::decode(rest, Receiver::Server).unwrap() {
        if let Frame::SendPacket { dst, data } = frame {
            packets.push((dst, data.to_vec()));
        }
        rest = &rest[consumed..];
    }
    packets
}

/// The one ping that the first side has to send now, as the other opens it.
fn taken_ping(world: &mut World) -> (TxId, Option<NodePublic>) {
    let packets = taken(world);
    let [ping] = packets.iter().filter(|(_, data)| disco::looks_like_disco(data)).collect::<Vec<_>>()[..]
    else {
        panic!("{} packets", packets.len());
    };
    let envelope = Envelope::parse(&ping.1).unwrap();
    let [own, peer] = [0, 1].map(|side| &world.sides[side].disco);
    assert_eq!((ping.0, envelope.sender), (world.sides[1].key, own.public()));
    match envelope.open(&peer.shared(&own.public())).unwrap() {
        Message::Ping { tx_id, node } => (tx_id, node),
        other => panic!("{other:?}"),
    }
}

/// The first side receives a pong from `src`, sealed by `key`.
fn receive_pong(world: &mut World, tx_id: TxId, src: NodePublic, key: &DiscoPrivate) {
    let pong = Message::Pong { tx_id, src: disco::derp_address(REGION as u16) };
    let shared = key.shared(&world.sides[0].disco.public());
    let mut pong = pong.seal(&key.public(), &shared, &mut SystemRng);
    let now = world.now;
    world.sides[0].tunnel.datagram(REGION, &src, &mut pong, now);
}

/// When WireGuard has something to do.
fn retry(world: &World) -> Moment {
    world.sides[0].tunnel.outbound.wireguard.poll_timeout().unwrap()
}

#[test]
fn a_session_stands_soon_after_the_peer_has_been_told_of_this_node() {
    for unknown in [45, 120, 200] {
        let mut world = begun(false);
        world.run_for(millis(unknown));
        assert!(!has_session(&world));
        let first = nodes(&world)[0].clone();
        tell(&mut world, 1, vec![first]);
        let learned = world.now;
        until_session(&mut world);
        let waited = world.now - learned;
        // One interval of pings, and what the test's clock adds to what is due at once.
        let limit = millis((unknown / 4).max(30) + 1);
        assert!(waited <= limit, "{waited:?} after {unknown} ms");
        assert_eq!(times(&world, INITIATION).len(), 2, "after {unknown} ms");
    }
}

#[test]
fn pongs_bring_no_more_initiations_on_a_slow_link() {
    let handshake = |round_trip: u64, disco: bool| {
        let mut world = World::connected(Vec::new());
        if !disco {
            let second = Node { disco_key: DiscoPublic::default(), ..nodes(&world)[1].clone() };
            tell(&mut world, 0, vec![second]);
        }
        world.one_way = millis(round_trip / 2);
        begin(&mut world);
        until_session(&mut world);
        assert_eq!(times(&world, DISCO).is_empty(), !disco);
        times(&world, INITIATION).len()
    };
    for round_trip in [10, 40, 100, 200, 240] {
        assert_eq!(handshake(round_trip, true), 1, "in {round_trip} ms");
    }
    for round_trip in [400, 1000, 2000] {
        assert_eq!(handshake(round_trip, true), handshake(round_trip, false), "in {round_trip} ms");
    }
}

#[test]
fn a_ping_is_right_behind_the_initiation_and_names_this_node() {
    let mut world = begun(true);
    let packets = taken(&mut world);
    let kinds: Vec<u8> = packets.iter().map(|(_, data)| data[0]).collect();
    assert_eq!(kinds, [INITIATION, DISCO]);
    world.now += millis(30);
    world.sides[0].tunnel.handle_timeout(world.now);
    assert_eq!(taken_ping(&mut world).1, Some(world.sides[0].key));
}

#[test]
fn only_a_pong_of_the_peer_that_was_pinged_counts_and_only_once() {
    let mut world = World::connected(Vec::new());
    let (third, other) = (NodePrivate::generate(&mut SystemRng), DiscoPrivate::generate(&mut SystemRng));
    let peers = vec![nodes(&world)[1].clone(), node(2, third.public(), &other)];
    tell(&mut world, 0, peers);
    begin(&mut world);
    let (began, before) = (world.now, retry(&world));
    let (tx_id, _) = taken_ping(&mut world);
    world.now += millis(20);
    let (one, key) = (world.sides[1].key, world.sides[1].disco.clone());
    // What is heard of a peer takes this back.
    let now = world.now;
    world.sides[0].tunnel.outbound.peers.get_mut(&one).unwrap().gone_from(REGION, now);
    let gone = |world: &World| world.sides[0].tunnel.peers().get(&one).unwrap().gone;

    receive_pong(&mut world, [7; 12], one, &key);
    receive_pong(&mut world, tx_id, one, &other);
    receive_pong(&mut world, tx_id, third.public(), &other);
    receive_pong(&mut world, tx_id, third.public(), &key);
    assert_eq!((gone(&world), retry(&world)), (Some(now), before));

    receive_pong(&mut world, tx_id, one, &key);
    assert_eq!((gone(&world), retry(&world)), (None, began + millis(60)));

    world.sides[0].tunnel.outbound.peers.get_mut(&one).unwrap().gone_from(REGION, now);
    receive_pong(&mut world, tx_id, one, &key);
    assert_eq!((gone(&world), retry(&world)), (Some(now), began + millis(60)));
}

#[test]
fn pings_end_with_a_session() {
    let mut world = begun(true);
    until_session(&mut world);
    let pings = times(&world, DISCO).len();
    world.run_for(30 * SECOND);
    assert_eq!((pings, times(&world, DISCO).len()), (1, 1));
    let tunnel = &world.sides[0].tunnel;
    assert_eq!((tunnel.outbound.next_ping(), tunnel.outbound.disco.awaited()), (None, 0));
}

#[test]
fn pings_become_rarer_and_end_after_10_s() {
    let mut world = begun(false);
    let start = world.now;
    world.run_for(60 * SECOND);
    assert!(times(&world, INITIATION).len() > 9);
    let pings = times(&world, DISCO);
    assert_eq!(pings[0], start);
    assert!((20..40).contains(&pings.len()), "{} pings", pings.len());
    for pair in pings.windows(2) {
        let due = ((pair[0] - start) / 4).clamp(millis(30), SECOND);
        let waited = pair[1] - pair[0];
        assert!((due..=due + millis(1)).contains(&waited), "{waited:?} instead of {due:?}");
    }
    let last = *pings.last().unwrap() - start;
    assert!((9 * SECOND..10 * SECOND).contains(&last), "{last:?}");
    let tunnel = &world.sides[0].tunnel;
    assert_eq!(tunnel.outbound.next_ping(), None);
    assert!(tunnel.outbound.disco.awaited() <= 8, "{} pings are kept", tunnel.outbound.disco.awaited());
}

#[test]
fn a_peer_that_is_gone_is_not_pinged() {
    let mut world = World::new(Vec::new());
    world.connect_relay(0);
    begin(&mut world);
    world.run_for(5 * SECOND);
    assert_eq!(times(&world, DISCO).len(), 1, "the relay has told that it is not there");
    assert_eq!(world.sides[0].tunnel.outbound.next_ping(), None);
    // It comes back with another key.
    let second = node(1, world.sides[1].key, &DiscoPrivate::generate(&mut SystemRng));
    tell(&mut world, 0, vec![second]);
    begin(&mut world);
    world.settle();
    assert_eq!(times(&world, DISCO).len(), 2);
}

#[test]
fn pings_wait_for_the_relay() {
    // Once an initiation was repeated meanwhile, the peer answers the first of them, and takes the next after 20 ms.
    for (meanwhile, limit) in [(100, 0), (1000, 50)] {
        let mut world = World::new(Vec::new());
        begin(&mut world);
        world.run_for(millis(meanwhile));
        assert_eq!(world.sides[0].tunnel.outbound.next_ping(), None);
        world.connect_relay(1);
        world.connect_relay(0);
        let ready = world.now;
        assert_eq!(times(&world, DISCO), [ready]);
        until_session(&mut world);
        assert!(world.now - ready <= millis(limit), "{:?} after {meanwhile} ms", world.now - ready);
    }
}

#[test]
fn a_relay_that_is_cut_takes_its_pings_with_it() {
    let mut world = begun(false);
    world.run_for(20 * SECOND);
    assert!(world.sides[0].tunnel.outbound.disco.awaited() > 0);
    world.disconnect_relay(0);
    let outbound = &world.sides[0].tunnel.outbound;
    assert_eq!((outbound.next_ping(), outbound.disco.awaited()), (None, 0));
    let before = times(&world, DISCO).len();
    world.connect_relay(0);
    assert_eq!(times(&world, DISCO).len(), before + 1, "and the next has the peer pinged anew");
    // Another region's connection has none of them.
    let now = world.now;
    world.sides[0].tunnel.relay_lost(REGION + 1, RelayError::Closed, now);
    assert_eq!(world.sides[0].tunnel.outbound.disco.awaited(), 1);
}

#[test]
fn nothing_is_left_of_pings_to_a_peer_that_is_no_longer_the_same() {
    let forgets = |change: fn(&mut World)| {
        let mut world = begun(false);
        world.run_for(millis(100));
        assert!(world.sides[0].tunnel.outbound.disco.awaited() > 0);
        change(&mut world);
        let outbound = &world.sides[0].tunnel.outbound;
        assert_eq!((outbound.next_ping(), outbound.disco.awaited()), (None, 0));
    };
    forgets(|world| tell(world, 0, Vec::new()));
    forgets(|world| {
        let second = node(1, world.sides[1].key, &DiscoPrivate::generate(&mut SystemRng));
        tell(world, 0, vec![second]);
    });
    forgets(|world| {
        world.sides[0].tunnel.set_node_key(NodePrivate::generate(&mut SystemRng));
    });
}
