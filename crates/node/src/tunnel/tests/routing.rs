//! Which peer an address is taken to belong to, and what a new key of path discovery means.

use std::net::IpAddr;

use dayfly_wire::control::{IpPrefix, Node};
use dayfly_wire::key::{DiscoPublic, NodePublic};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A peer with this number and these prefixes besides its addresses.
fn router(number: usize, prefixes: &[&str]) -> (Node, NodePrivate) {
    let private = NodePrivate::generate(&mut SystemRng);
    let node = node(number, private.public(), &DiscoPrivate::generate(&mut SystemRng));
    let mut allowed = node.addresses.clone();
    allowed.extend(prefixes.iter().map(|prefix| prefix.parse::<IpPrefix>().unwrap()));
    (Node { allowed_ips: Some(allowed), ..node }, private)
}

/// Whether the first side answers a ping of ICMP that a peer sends from `src`.
fn answers(world: &mut World, peer: &NodePublic, src: IpAddr) -> bool {
    let ping = packet::build(src, address(0), 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]).unwrap();
    let tunnel = &mut world.sides[0].tunnel;
    tunnel.outbound.scratch.clear();
    tunnel.ip_packet(peer, &ping, world.now);
    // An answer is made there.
    !tunnel.outbound.scratch.is_empty()
}

#[test]
fn an_address_is_taken_from_the_peer_only_that_it_belongs_to() {
    let mut world = World::connected(open_filter());
    let (wide, _) = router(1, &["10.0.0.0/8"]);
    let (narrow, _) = router(2, &["10.1.0.0/16"]);
    let own = nodes(&world)[0].clone();
    let now = world.now;
    let map = map_of(&own, vec![wide.clone(), narrow.clone()], open_filter());
    world.sides[0].tunnel.update(&map, Timestamp::from_unix(0), now);
    assert!(answers(&mut world, &wide.key, ip("10.2.0.1")));
    assert!(answers(&mut world, &narrow.key, ip("10.1.0.1")));
    assert!(!answers(&mut world, &wide.key, ip("10.1.0.1")), "packets to it go to another");
    assert!(!answers(&mut world, &narrow.key, ip("10.2.0.1")));
    assert!(!answers(&mut world, &wide.key, address(2)));
}

#[test]
fn the_map_and_the_data_path_agree_on_the_peer_behind_an_address() {
    let mut world = World::connected(open_filter());
    let everything = ["0.0.0.0/0", "::/0"];
    let (mut expired, _) = router(4, &["10.1.2.0/24", "10.9.0.0/16"]);
    expired.expired = true;
    let peers = vec![
        router(1, &["10.0.0.0/8", "192.168.0.0/16", "fd00::/64"]).0,
        router(2, &["10.1.0.0/16", "192.168.0.0/16", "172.16.0.7/32"]).0,
        router(3, &[everything[0], everything[1], "172.16.0.7/32"]).0,
        expired,
    ];
    let own = nodes(&world)[0].clone();
    let map = map_of(&own, peers, open_filter());
    let now = world.now;
    world.sides[0].tunnel.update(&map, Timestamp::from_unix(0), now);
    for (to, expected) in [
        ("100.64.0.2", Some(2)),
        ("10.2.0.1", Some(2)),
        ("10.1.2.3", Some(3)),
        ("10.9.0.1", Some(2)),
        ("192.168.1.1", Some(3)),
        ("172.16.0.7", Some(4)),
        ("fd00::1", Some(2)),
        // Nobody has chosen an exit node.
        ("8.8.8.8", None),
        ("2001:db8::1", None),
    ] {
        let mapped = map.route(ip(to));
        let routed = world.sides[0].tunnel.peers().route(ip(to));
        assert_eq!(mapped.map(|peer| peer.id()), expected, "{to}");
        assert_eq!(routed, mapped.map(|peer| peer.key()), "{to}");
    }
    // The map finds its owner, so that a person learns why nothing gets there.
    assert_eq!(map.route(address(4)).map(|peer| peer.id()), Some(5));
    assert_eq!(world.sides[0].tunnel.peers().route(address(4)), None);
}

/// The disco key by which the first side talks with the second.
fn disco_of(world: &World) -> Option<DiscoPublic> {
    world.sides[0].tunnel.peers().get(&world.sides[1].key).unwrap().disco
}

#[test]
fn what_a_peer_says_of_its_disco_key_outlives_maps_that_do_not_know_it_yet() {
    let mut world = World::connected(open_filter());
    world.listen();
    world.connect(address(1)).unwrap();
    let (now, peer) = (world.now, world.sides[1].key);
    let [old, newer, newest] = [
        nodes(&world)[1].disco_key,
        DiscoPrivate::generate(&mut SystemRng).public(),
        DiscoPrivate::generate(&mut SystemRng).public(),
    ];
    let mut message = Vec::new();
    tsmp::Message::DiscoKey(newer).put(&mut message);
    let packet = packet::build(address(1), address(0), tsmp::IP_PROTOCOL, &message).unwrap();
    let map_says = |world: &mut World, disco_key| {
        let second = Node { disco_key, ..nodes(world)[1].clone() };
        let map = map_of(&nodes(world)[0], vec![second], open_filter());
        world.sides[0].tunnel.update(&map, Timestamp::from_unix(0), now);
    };
    map_says(&mut world, old);
    world.sides[0].tunnel.ip_packet(&peer, &packet, now);
    assert_eq!(disco_of(&world), Some(newer));
    for told in [old, newer, newer] {
        map_says(&mut world, told);
        assert_eq!(disco_of(&world), Some(newer));
        assert!(world.sides[0].tunnel.has_session(&peer, now), "it has not started anew since");
    }
    map_says(&mut world, newest);
    assert_eq!(disco_of(&world), Some(newest));
    assert!(!world.sides[0].tunnel.has_session(&peer, now));
}
