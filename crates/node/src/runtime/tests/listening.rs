//! Connections that peers open to a node.

use std::net::{IpAddr, SocketAddr};

use dayfly_wire::control::{CapMap, UserProfile};

use super::*;
use crate::ListenError;

/// Has each of two nodes at both of its addresses, the second known with its owner.
async fn with_both_families(relays: &Relays) -> [Member; 2] {
    let mut members = pair(relays, [1, 1]).await;
    let entry = |member: &Member, index: u8| {
        let mut entry = member.entry(index, 1);
        entry
            .addresses
            .push(IpPrefix::host([0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, u16::from(index) + 1].into()));
        entry.user = 7;
        entry.cap_map = CapMap::from_iter(["https://tailscale.com/cap/ssh".to_owned()]);
        entry
    };
    let entries = [entry(&members[0], 0), entry(&members[1], 1)];
    let ada = UserProfile { id: 7, login_name: "ada@example.com".to_owned(), ..UserProfile::default() };
    for (index, member) in members.iter_mut().enumerate() {
        let before = member.node.state().map_changes;
        member.send(&MapResponse {
            node: Some(Box::new(entries[index].clone())),
            peers_changed: vec![entries[1 - index].clone()],
            user_profiles: vec![ada.clone()],
            ..MapResponse::default()
        });
        member.node.watch().wait_for(|state| state.map_changes > before).await.unwrap();
    }
    members
}

#[tokio::test(start_paused = true)]
async fn an_accepted_connection_says_who_opened_it_over_either_family() {
    let relays = Relays::default();
    let [near, far] = with_both_families(&relays).await;
    let mut listener = far.node.listen(8080).unwrap();
    assert_eq!(listener.port(), 8080);
    let hosts = ["100.64.0.2", "fd7a:115c:a1e0::2"];
    let own: [IpAddr; 2] = ["100.64.0.1".parse().unwrap(), "fd7a:115c:a1e0::1".parse().unwrap()];
    for (host, own) in hosts.into_iter().zip(own) {
        let mut client = near.node.connect(host, 8080, |_| {}).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!((peer.key, &*peer.short_name, &*peer.name), (near.key, "node0", "node0.tail.test"));
        assert_eq!(peer.addresses, own_addresses());
        assert_eq!(peer.user.unwrap().login_name, "ada@example.com");
        assert!(peer.capabilities.contains("https://tailscale.com/cap/ssh"));
        let here = SocketAddr::new(host.parse().unwrap(), 8080);
        assert_eq!((server.local_addr(), client.peer_addr()), (here, here));
        assert_eq!((server.peer_addr(), server.peer_addr().ip()), (client.local_addr(), own));
        assert_eq!(server.remote().key, near.key);
        exchange(&mut client, &mut server, b"there").await;
        exchange(&mut server, &mut client, b"and back").await;
    }
    fn own_addresses() -> [IpAddr; 2] {
        ["100.64.0.1".parse().unwrap(), "fd7a:115c:a1e0::1".parse().unwrap()]
    }
}

#[tokio::test(start_paused = true)]
async fn ports_without_a_listener_are_refused_before_and_after() {
    let relays = Relays::default();
    let [near, far] = pair(&relays, [1, 1]).await;
    let refused = async |port| {
        let error = near.node.connect("node1", port, |_| {}).await.unwrap_err();
        assert!(matches!(error, TcpError::Refused { .. }), "{error}");
    };
    refused(80).await;
    let listener = far.node.listen(80).unwrap();
    assert!(matches!(far.node.listen(80), Err(ListenError::InUse { port: 80 })));
    refused(81).await;
    let mut unaccepted = near.node.connect("node1", 80, |_| {}).await.unwrap();
    drop(listener);
    assert!(unaccepted.read(&mut [0; 8]).await.is_err(), "it is reset");
    refused(80).await;
    drop(far.node.listen(80).unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_packet_filter_says_who_may_connect() {
    let relays = Relays::default();
    let [near, mut far] = pair(&relays, [1, 1]).await;
    let mut listener = far.node.listen(80).unwrap();
    let before = far.node.state().map_changes;
    far.send(&MapResponse { packet_filter: Some(Vec::new()), ..MapResponse::default() });
    far.node.watch().wait_for(|state| state.map_changes > before).await.unwrap();
    let error = near.node.connect("node1", 80, |_| {}).await.unwrap_err();
    assert!(matches!(error, TcpError::Rejected { .. }), "{error}");
    far.send(&MapResponse { packet_filter: Some(open_filter()), ..MapResponse::default() });
    far.node.watch().wait_for(|state| state.map_changes > before + 1).await.unwrap();
    let (client, accepted) = tokio::join!(near.node.connect("node1", 80, |_| {}), listener.accept());
    assert!(client.is_ok() && accepted.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_listener_ends_with_its_node() {
    let relays = Relays::default();
    let [near, _far] = pair(&relays, [1, 1]).await;
    let mut listener = near.node.listen(80).unwrap();
    let accepting = tokio::spawn(async move { listener.accept().await.is_none() });
    tokio::task::yield_now().await;
    drop(near.node);
    assert!(accepting.await.unwrap());
}
