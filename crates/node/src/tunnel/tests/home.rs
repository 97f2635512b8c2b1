//! Which region a tunnel makes its home, and when it takes another.

use std::task::Waker;

use bytes::BytesMut;
use dayfly_platform::time::Moment;
use dayfly_wire::control::{DerpMap, DerpNode, DerpRegion, MapResponse, Node, Timestamp};
use dayfly_wire::derp::ServerInfo;
use dayfly_wire::key::NodePublic;

use super::*;
use crate::netmap::NetMap;
use crate::tunnel::home::CANDIDATES;
use crate::tunnel::{Tunnel, TunnelEvent};

/// A node on a tailnet with some regions, whose relays answer when the test says so.
struct Lone {
    tunnel: Tunnel,
    own: Node,
    now: Moment,
}

fn region(region_id: u32) -> DerpRegion {
    let relay = DerpNode { host_name: format!("derp{region_id}.test"), ..DerpNode::default() };
    DerpRegion { region_id, nodes: vec![relay], ..DerpRegion::default() }
}

impl Lone {
    /// A node that has had no map yet.
    fn new() -> Self {
        let (key, disco) = (NodePrivate::generate(&mut SystemRng), DiscoPrivate::generate(&mut SystemRng));
        let now = Moment::from_start(1000 * SECOND);
        let own = node(0, key.public(), &disco);
        let tunnel = Tunnel::new(key, disco, Duration::ZERO, now, Box::new(SystemRng));
        Self { tunnel, own, now }
    }

    /// A node that is approved, and whose map has these regions.
    fn with_regions(regions: std::ops::RangeInclusive<u32>) -> Self {
        let mut lone = Self::new();
        lone.map(regions, true, Vec::new());
        lone
    }

    /// A map comes in.
    fn map(&mut self, regions: std::ops::RangeInclusive<u32>, is_approved: bool, peers: Vec<Node>) {
        let own = Node { machine_authorized: is_approved, ..self.own.clone() };
        let regions = regions.map(|id| (id, Some(region(id)))).collect();
        let message = MapResponse {
            node: Some(Box::new(own)),
            derp_map: Some(DerpMap { regions: Some(regions), ..DerpMap::default() }),
            peers,
            ..MapResponse::default()
        };
        let mut map = NetMap::new();
        map.apply(message, true, Timestamp::from_unix(0));
        self.tunnel.update(&map, Timestamp::from_unix(0), self.now);
    }

    /// The relay of a region is connected, and completes its handshake.
    fn answer(&mut self, region: u32) {
        let (server, now) = (NodePrivate::generate(&mut SystemRng), self.now);
        self.tunnel.relay_connected(region, now);
        let mut bytes = Vec::new();
        derp::put_server_key(&mut bytes, &server.public());
        self.tunnel.handle_relay(region, &mut bytes, now).unwrap();
        let mut sent = BytesMut::new();
        self.tunnel.take_transmit(region, &mut sent, Waker::noop()).unwrap();
        self.tunnel.note_written(region, sent.len(), now);
        let shared = server.shared(&self.own.key);
        let mut bytes = Vec::new();
        derp::put_server_info(&mut bytes, &shared, &ServerInfo::default(), &mut SystemRng).unwrap();
        self.tunnel.handle_relay(region, &mut bytes, now).unwrap();
        assert!(self.tunnel.relays().get(region).unwrap().is_ready());
    }

    /// An attempt to connect to a region fails, or its connection is lost.
    fn fail(&mut self, region: u32) {
        self.tunnel.relay_lost(region, RelayError::Closed, self.now);
    }

    /// The regions that are to be dialled, and those that became home, since the last call.
    fn changes(&mut self) -> (Vec<u32>, Vec<u32>) {
        let (mut dialled, mut homes) = (Vec::new(), Vec::new());
        while let Some(event) = self.tunnel.poll_event() {
            match event {
                TunnelEvent::Dial(region) => dialled.push(region),
                TunnelEvent::Home(region) => homes.push(region),
                _ => {}
            }
        }
        (dialled, homes)
    }
}

#[test]
fn the_first_region_to_answer_is_home_and_stays_it() {
    let mut lone = Lone::with_regions(1..=3);
    assert_eq!(lone.changes(), (vec![1, 2, 3], vec![]));
    assert_eq!((lone.tunnel.home(), lone.tunnel.home_is_ready()), (None, false));
    lone.answer(2);
    assert_eq!((lone.tunnel.home(), lone.tunnel.home_is_ready()), (Some(2), true));
    assert_eq!(lone.changes(), (vec![], vec![2]));
    lone.answer(1);
    lone.map(1..=3, true, Vec::new());
    lone.answer(3);
    assert_eq!((lone.tunnel.home(), lone.changes().1), (Some(2), vec![]));
}

#[test]
fn regions_where_online_peers_are_come_first() {
    let many = 1..=CANDIDATES as u32 + 8;
    let last = *many.end();
    let mut lone = Lone::new();
    let key = |number: u8| NodePublic::from_bytes([number; 32]);
    let disco = DiscoPrivate::generate(&mut SystemRng);
    let at =
        |number, home_derp, online| Node { home_derp, online, ..node(number, key(number as u8), &disco) };
    let peers = vec![
        at(1, last - 1, None),
        at(2, last, Some(true)),
        at(3, last, Some(true)),
        at(4, last - 2, Some(false)),
    ];
    lone.map(many, true, peers);
    let (dialled, _) = lone.changes();
    assert_eq!(dialled.len(), CANDIDATES);
    assert_eq!(dialled[..3], [last, last - 1, 1]);
}

#[test]
fn a_home_that_fails_is_replaced_by_one_that_is_connected() {
    let mut lone = Lone::with_regions(1..=3);
    for region in [1, 2] {
        lone.answer(region);
    }
    lone.changes();
    lone.fail(1);
    assert_eq!(lone.tunnel.home(), Some(1), "it may come back at once");
    assert!(!lone.tunnel.home_is_ready());
    lone.fail(1);
    assert_eq!((lone.tunnel.home(), lone.tunnel.home_is_ready()), (Some(2), true));
    assert_eq!(lone.changes(), (vec![], vec![2]));
    // No flapping: the old one comes back, and another comes up.
    lone.answer(1);
    lone.answer(3);
    assert_eq!((lone.tunnel.home(), lone.changes().1), (Some(2), vec![]));
}

#[test]
fn where_no_region_is_connected_the_first_to_answer_replaces_a_home_that_fails() {
    let mut lone = Lone::with_regions(1..=2);
    lone.answer(1);
    for region in [1, 1, 2] {
        lone.fail(region);
    }
    assert_eq!((lone.tunnel.home(), lone.tunnel.home_is_ready()), (Some(1), false));
    lone.changes();
    lone.answer(2);
    assert_eq!((lone.tunnel.home(), lone.tunnel.home_is_ready()), (Some(2), true));
    lone.answer(1);
    assert_eq!(lone.changes(), (vec![], vec![2]));
}

#[test]
fn a_home_that_was_closed_is_looked_for_again() {
    let mut lone = Lone::with_regions(1..=2);
    lone.answer(1);
    lone.changes();
    // Region 2 is closed when it was idle; the home is not.
    lone.now += 61 * SECOND;
    lone.tunnel.handle_timeout(lone.now);
    assert!(lone.tunnel.relays().get(2).is_none() && lone.tunnel.home_is_ready());
    lone.fail(1);
    lone.fail(1);
    assert_eq!(lone.changes().0, [2]);
}

#[test]
fn without_approval_no_home_is_looked_for() {
    let mut lone = Lone::new();
    lone.map(1..=3, false, Vec::new());
    assert_eq!(lone.changes(), (vec![], vec![]));
    // It is used for something else.
    lone.tunnel.open_relay(2, lone.now);
    lone.answer(2);
    lone.fail(3);
    assert_eq!((lone.tunnel.home(), lone.changes()), (None, (vec![2], vec![])));
    lone.map(1..=3, true, Vec::new());
    assert_eq!((lone.tunnel.home(), lone.changes()), (Some(2), (vec![], vec![2])));
}
