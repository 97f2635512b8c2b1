//! Whole nodes with a control server and relays in memory, on a clock that stands still while anything can still
//! happen.

mod blocking;
mod events;
mod listening;
mod relays;
mod writing;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dayfly_platform::random::SystemRng;
use dayfly_platform::{BoxByteStream, BoxFuture};
use dayfly_sorted::SortedMap;
use dayfly_testkit::derp as testkit;
use dayfly_wire::control::{
    DerpMap, DerpNode, DerpRegion, FilterRule, Hostinfo, IpPrefix, MapResponse, NetPortRange,
    Node as MapNode, PortRange, RegisterResponse,
};
use dayfly_wire::key::{DiscoPublic, NodePublic};
use dayfly_wire::ts2021::INITIATION_LEN;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::control::tests::server::{Incoming, Map, Server};
use crate::{DerpAddress, DialError, NodeKeys};

const PORT: u16 = 22;

/// The relays of a test, by region, and what stands before the writes to some of them.
#[derive(Clone, Default)]
struct Relays {
    relays: testkit::Relays,
    gates: Arc<Mutex<HashMap<u32, Arc<blocking::Gate>>>>,
}

impl Deref for Relays {
    type Target = testkit::Relays;

    fn deref(&self) -> &testkit::Relays {
        &self.relays
    }
}

struct TestDialer {
    server: Server,
    relays: Relays,
}

impl Dialer for TestDialer {
    fn control_url(&self) -> &str {
        self.server.control_url()
    }

    fn control_key(&self, version: u16) -> BoxFuture<Result<Vec<u8>, DialError>> {
        self.server.control_key(version)
    }

    fn control(&self, initiation: &[u8; INITIATION_LEN]) -> BoxFuture<Result<BoxByteStream, DialError>> {
        self.server.control(initiation)
    }

    fn derp(&self, address: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let (relays, region) = (self.relays.clone(), address.region);
        assert_eq!((address.host.as_str(), address.port), (format!("derp{region}.test").as_str(), 443));
        Box::pin(async move {
            let stream = relays.connect(region).map_err(|error| {
                let url = format!("wss://derp{region}.test/derp");
                DialError::Unreachable { url, reason: error.to_string() }
            })?;
            let gate = relays.gates.lock().unwrap().get(&region).cloned();
            Ok(match gate {
                Some(gate) => Box::new(blocking::Gated { stream, gate }) as BoxByteStream,
                None => Box::new(stream),
            })
        })
    }
}

/// A node and its control server.
struct Member {
    node: Node,
    events: NodeEvents,
    requests: mpsc::Receiver<Incoming>,
    map: Option<Map>,
    key: NodePublic,
    disco: DiscoPublic,
}

impl Member {
    /// Starts a node and registers it.
    async fn start(relays: &Relays) -> Self {
        let (server, requests) = Server::new();
        let options = NodeOptions {
            control_key: Some(server.public_key()),
            auth_key: Some("key".to_owned().into()),
            ..NodeOptions::new(NodeKeys::generate(), Hostinfo::default())
        };
        let (node, events) = Node::start(Arc::new(TestDialer { server, relays: relays.clone() }), options);
        let (key, disco) = (NodePublic::default(), DiscoPublic::default());
        let mut member = Self { node, events, requests, map: None, key, disco };
        let request = member.requests.recv().await.unwrap();
        assert_eq!(request.body["Ephemeral"], true);
        member.key = request.body["NodeKey"].as_str().unwrap().parse().unwrap();
        let accepted = RegisterResponse { machine_authorized: true, ..RegisterResponse::default() };
        request.register(&accepted);
        while member.map.is_none() {
            let request = member.requests.recv().await.unwrap();
            if request.is_stream() {
                member.disco = request.body["DiscoKey"].as_str().unwrap().parse().unwrap();
                member.map = Some(request.map());
            } else {
                request.answer(200, "");
            }
        }
        member
    }

    fn entry(&self, index: u8, region: u32) -> MapNode {
        MapNode {
            id: i64::from(index) + 1,
            name: format!("node{index}.tail.test."),
            key: self.key,
            disco_key: self.disco,
            addresses: vec![IpPrefix::host([100, 64, 0, index + 1].into())],
            home_derp: region,
            online: Some(true),
            machine_authorized: true,
            ..MapNode::default()
        }
    }

    fn send(&mut self, message: &MapResponse) {
        self.map.as_mut().unwrap().send(message);
    }

    /// Lets so many minutes pass, in which the control server says that it is there.
    async fn idle(&mut self, minutes: u32) {
        for _ in 0..minutes {
            tokio::time::sleep(Duration::from_secs(60)).await;
            self.map.as_mut().unwrap().keep_alive();
        }
    }

    /// The next event that `pick` takes.
    async fn event<T>(&mut self, mut pick: impl FnMut(&NodeEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.recv().await.expect("the node goes on");
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    }

    async fn running(&mut self) {
        self.event(|event| matches!(event, NodeEvent::Running).then_some(())).await;
    }

    /// The home region that it reports to the control server.
    async fn reported_home(&mut self) -> u64 {
        loop {
            let request = self.requests.recv().await.unwrap();
            let home = request.body["Hostinfo"]["NetInfo"]["PreferredDERP"].as_u64();
            request.answer(200, "");
            if let Some(home) = home {
                return home;
            }
        }
    }

    fn listen(&self) -> Listener {
        self.node.listen(PORT).unwrap()
    }

    /// Accepts the one connection that a listener is for.
    async fn accept(&self, mut listener: Listener) -> TcpStream {
        listener.accept().await.expect("the node goes on").0
    }
}

fn derp_map(regions: &[u32]) -> DerpMap {
    let region = |id: u32| DerpRegion {
        region_id: id,
        region_code: format!("r{id}"),
        nodes: vec![DerpNode { host_name: format!("derp{id}.test"), region_id: id, ..DerpNode::default() }],
        ..DerpRegion::default()
    };
    let regions: SortedMap<_, _> = regions.iter().map(|&id| (id, Some(region(id)))).collect();
    DerpMap { regions: Some(regions), ..DerpMap::default() }
}

fn open_filter() -> Vec<FilterRule> {
    let any = NetPortRange { ip: "*".to_owned(), ports: PortRange { first: 0, last: 65535 } };
    vec![FilterRule { src_ips: vec!["*".to_owned()], dst_ports: vec![any], ..FilterRule::default() }]
}

/// Two nodes that know each other, the first at home in one region and the second in another.
async fn pair(relays: &Relays, homes: [u32; 2]) -> [Member; 2] {
    let mut members = [Member::start(relays).await, Member::start(relays).await];
    let entries = [members[0].entry(0, homes[0]), members[1].entry(1, homes[1])];
    for index in 0..2 {
        let message = MapResponse {
            node: Some(Box::new(entries[index].clone())),
            peers: vec![entries[1 - index].clone()],
            derp_map: Some(derp_map(&[homes[index]])),
            packet_filter: Some(open_filter()),
            ..MapResponse::default()
        };
        members[index].send(&message);
        members[index].running().await;
        assert_eq!(members[index].reported_home().await, u64::from(homes[index]));
        // Now it may learn of the others.
        let message =
            MapResponse { derp_map: Some(derp_map(&[homes[0], homes[1]])), ..MapResponse::default() };
        members[index].send(&message);
        members[index].event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;
    }
    members
}

async fn exchange(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
    from.write_all(text).await.unwrap();
    let mut read = vec![0; text.len()];
    to.read_exact(&mut read).await.unwrap();
    assert_eq!(read, text);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_connect_by_name_each_at_home_in_another_region() {
    for homes in [[1, 1], [1, 2]] {
        let relays = Relays::default();
        let [near, far] = pair(&relays, homes).await;
        let listener = far.listen();
        let mut steps = Vec::new();
        let mut client = near.node.connect("node1", PORT, |step| steps.push(step)).await.unwrap();
        let mut server = far.accept(listener).await;
        assert_eq!(steps.first(), Some(&ConnectStep::Relay));
        exchange(&mut client, &mut server, b"there").await;
        exchange(&mut server, &mut client, b"and back").await;
        exchange(&mut client, &mut server, &vec![7; 5 << 20][..700_000]).await;
        let status = near.node.status();
        assert_eq!(status.home, Some(homes[0]));
        assert!(status.peers.iter().any(|peer| peer.name == "node1" && peer.has_session), "{status:?}");
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_is_closed_at_the_other_end() {
    let relays = Relays::default();
    let [near, far] = pair(&relays, [1, 1]).await;
    let listener = far.listen();
    let mut client = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let mut server = far.accept(listener).await;
    // Something comes that is never read.
    exchange(&mut client, &mut server, b"there").await;
    server.write_all(b"unread").await.unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_knows_what_it_was_made_to_whatever_its_name_means_later() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 1]).await;
    let _server = far.listen();
    let client = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let remote = client.remote();
    let dialled = far.entry(1, 1);
    assert_eq!((remote.key, remote.address), (far.key, dialled.addresses[0].address()));

    let other = MapNode { id: 9, key: NodePublic::from_bytes([9; 32]), ..dialled.clone() };
    let other = MapNode { addresses: Vec::new(), allowed_ips: None, ..other };
    let renamed = MapNode { name: "renamed.tail.test.".to_owned(), ..dialled.clone() };
    near.send(&MapResponse { peers_changed: vec![renamed, other], ..MapResponse::default() });
    near.event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;
    let name = near.node.with_netmap(|map| remote.peer(map).map(|peer| peer.short_name().to_owned()));
    assert_eq!(name.as_deref(), Some("renamed"));

    near.send(&MapResponse { peers_removed: vec![dialled.id], ..MapResponse::default() });
    near.event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;
    assert!(near.node.with_netmap(|map| remote.peer(map).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_its_relay_was_away() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 1]).await;
    let listener = far.listen();
    let mut client = near.node.connect("node1.tail.test", PORT, |_| {}).await.unwrap();
    let mut server = far.accept(listener).await;
    exchange(&mut client, &mut server, b"before").await;
    relays.set_down(1, true);
    near.event(|event| {
        matches!(event, NodeEvent::Relay { region: 1, state: RelayState::Failed { .. }, .. }).then_some(())
    })
    .await;
    client.write_all(b"meanwhile").await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    relays.set_down(1, false);
    let mut read = [0; 9];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"meanwhile");
    exchange(&mut server, &mut client, b"after").await;
}

#[tokio::test(start_paused = true)]
async fn the_first_region_that_answers_becomes_home() {
    let relays = Relays::default();
    relays.set_down(1, true);
    let mut member = Member::start(&relays).await;
    let message = MapResponse {
        node: Some(Box::new(member.entry(0, 0))),
        derp_map: Some(derp_map(&[1, 2])),
        ..MapResponse::default()
    };
    member.send(&message);
    member.running().await;
    assert_eq!(member.node.status().home, Some(2));
    assert_eq!(member.reported_home().await, 2);
    // When that one stays away, the other one takes over.
    relays.set_down(1, false);
    relays.set_down(2, true);
    while member.reported_home().await != 1 {}
    assert_eq!(member.node.status().home, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_running_before_an_administrator_approved_it() {
    let relays = Relays::default();
    let mut member = Member::start(&relays).await;
    let approved = member.entry(0, 1);
    let map = |node: MapNode, regions: Option<DerpMap>| MapResponse {
        node: Some(Box::new(node)),
        derp_map: regions,
        ..MapResponse::default()
    };
    let waiting = MapNode { machine_authorized: false, ..approved.clone() };
    member.send(&map(waiting.clone(), Some(derp_map(&[1]))));
    let kind = |event: &NodeEvent| match event {
        NodeEvent::NeedsApproval => Some("approval"),
        NodeEvent::MapChanged => Some("map"),
        NodeEvent::Running => Some("running"),
        _ => None,
    };
    assert_eq!(member.event(kind).await, "approval");
    assert_eq!(member.event(kind).await, "map");
    // Another word of the same is no news.
    member.send(&map(waiting.clone(), None));
    assert_eq!(member.event(kind).await, "map");
    member.idle(5).await;
    assert!(member.events.try_recv().is_none());
    assert_eq!(relays.dials(1), 0, "a relay may turn it away");

    for _ in 0..2 {
        member.send(&map(approved.clone(), None));
        assert_eq!(member.event(kind).await, "map");
        assert_eq!(member.event(kind).await, "running");
        // It may be taken back.
        member.send(&map(waiting.clone(), None));
        assert_eq!(member.event(kind).await, "approval");
        assert_eq!(member.event(kind).await, "map");
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_no_longer_used_is_closed_and_home_is_not() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 2]).await;
    let listener = far.listen();
    let mut client = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let mut server = far.accept(listener).await;
    exchange(&mut client, &mut server, b"x").await;
    drop((client, server));
    near.event(|event| {
        matches!(event, NodeEvent::Relay { region: 2, state: RelayState::Closed, .. }).then_some(())
    })
    .await;
    assert_eq!(near.node.status().relays.iter().map(|relay| relay.region).collect::<Vec<_>>(), [1]);
}

#[tokio::test(start_paused = true)]
async fn each_way_to_fail_has_its_error() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 2]).await;
    let error = near.node.connect("nowhere", PORT, |_| {}).await.unwrap_err();
    assert!(matches!(error, TcpError::Resolve(_)), "{error}");

    // Nothing listens.
    let error = near.node.connect("node1", PORT, |_| {}).await.unwrap_err();
    assert!(matches!(&error, TcpError::Refused { host, port: PORT } if host == "node1"), "{error}");

    // It has ended, and the control server says so.
    let offline = MapResponse { online_change: SortedMap::from([(2, false)]), ..MapResponse::default() };
    near.send(&offline);
    near.event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;
    drop(far);
    near.idle(4).await;
    let start = Instant::now();
    let error = near.node.connect("node1", PORT, |_| {}).await.unwrap_err();
    assert!(matches!(&error, TcpError::Offline { host, .. } if host == "node1"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));

    // It has ended, and the control server does not know.
    let online = MapResponse { online_change: SortedMap::from([(2, true)]), ..MapResponse::default() };
    near.send(&online);
    near.event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;
    let error = near.node.connect("node1", PORT, |_| {}).await.unwrap_err();
    assert!(matches!(&error, TcpError::NoHandshake { host, .. } if host == "node1"), "{error}");

    // Its relay is down.
    near.idle(4).await;
    relays.set_down(2, true);
    let error = near.node.connect("node1", PORT, |_| {}).await.unwrap_err();
    let TcpError::Relay { region: 2, code, error, .. } = &error else { panic!("{error}") };
    assert!(code == "r2" && error.to_string().contains("derp2.test"), "{code} {error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_key_has_expired_is_not_tried() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 1]).await;
    let expired = MapNode { expired: true, ..far.entry(1, 1) };
    near.send(&MapResponse { peers_changed: vec![expired], ..MapResponse::default() });
    near.event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;
    let error = near.node.connect("node1", PORT, |_| {}).await.unwrap_err();
    assert!(matches!(error, TcpError::Expired { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn logging_out_ends_everything() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 1]).await;
    let _server = far.listen();
    let mut client = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let node = near.node.clone();
    let logout = tokio::spawn(async move { node.logout().await });
    loop {
        let request = near.requests.recv().await.unwrap();
        if request.path != "/machine/register" {
            request.answer(200, "");
            continue;
        }
        assert_eq!(request.body["Expiry"], "1970-01-01T00:02:03Z", "{}", request.body);
        request.register(&RegisterResponse::default());
        break;
    }
    logout.await.unwrap().unwrap();
    near.event(|event| matches!(event, NodeEvent::LoggedOut).then_some(())).await;
    assert!(client.read(&mut [0; 8]).await.is_err());
    let error = near.node.connect("node1", PORT, |_| {}).await.unwrap_err();
    assert!(matches!(error, TcpError::Ended), "{error}");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_node_closes_its_relays() {
    let relays = Relays::default();
    let [near, _far] = pair(&relays, [1, 1]).await;
    let key = near.key;
    let before = relays.dials(1);
    drop(near);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(relays.dials(1), before, "nothing is dialled any more");
    assert!(!relays.has_client(1, &key));
}
