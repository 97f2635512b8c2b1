//! The relay as its clients meet it.

use std::time::Duration;

use bytes::BytesMut;
use dayfly_relay::config::{Config, DerpConfig, Limits};
use dayfly_testkit::derp::{DerpClientError, Received};
use dayfly_testkit::http1::Upgraded;
use dayfly_testkit::websocket::{Event, carry};
use dayfly_wire::derp::{MAX_PACKET_LEN, PeerGoneReason};
use dayfly_wire::stun;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::client::{admit, native, open_websocket, page, upgrade};
use super::running::{LIMIT, Running, get, status};
use super::upstream::Upstream;

#[tokio::test]
async fn native_clients_fast_starters_and_websockets_meet() {
    let relay = Running::relay();
    let mut native = native(&relay).await;
    let mut page = page(&relay).await;
    // No answer of HTTP: the first bytes that come are of the server's handshake, which is checked.
    let mut stream = TcpStream::connect(relay.http).await.unwrap();
    let request = "GET /derp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut fast = admit(stream, BytesMut::new(), &relay.key()).await.unwrap();

    let (a, b, c) = (native.public(), page.public(), fast.public());
    for len in [0, 1280, MAX_PACKET_LEN] {
        let packet = vec![7; len];
        native.send(&b, &packet).await.unwrap();
        assert_eq!(page.next().await.unwrap(), Received::Packet(a, packet.clone()));
        page.send(&c, &packet).await.unwrap();
        assert_eq!(fast.next().await.unwrap(), Received::Packet(b, packet.clone()));
        fast.send(&a, &packet).await.unwrap();
        assert_eq!(native.next().await.unwrap(), Received::Packet(c, packet));
    }
    drop(page);
    assert_eq!(fast.next().await.unwrap(), Received::PeerGone(b, PeerGoneReason::DISCONNECTED));
    assert_eq!(relay.metric("dayfly_derp_clients").await, 2);
    assert_eq!(relay.metric("dayfly_derp_packets_relayed_total").await, 9);
}

#[tokio::test]
async fn an_upgrade_is_answered_as_derper_does() {
    let relay = Running::relay();
    let Upgraded { head, .. } = upgrade(&relay, "derp").await;
    let key = relay.key().to_string();
    let digits = key.strip_prefix("nodekey:").unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in ["Upgrade: DERP\r\n", "Connection: Upgrade\r\n", "Derp-Version: 2\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(head.contains(&format!("Derp-Public-Key: {digits}\r\n")), "{head}");
    // Old clients ask for a WebSocket and mean DERP; they don't offer its subprotocol.
    let Upgraded { stream, head, rest } = upgrade(&relay, "WebSocket").await;
    assert!(head.contains("Upgrade: DERP\r\n"), "{head}");
    assert!(admit(stream, rest, &relay.key()).await.is_ok());
    let Upgraded { head, .. } = upgrade(&relay, "h2c").await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert_eq!(status(&get(relay.http, "/derp", "").await), 426);
}

#[tokio::test]
async fn a_websocket_gets_no_message_that_go_would_refuse() {
    let relay = Running::relay();
    let mut sender = native(&relay).await;
    let socket = open_websocket(&format!("ws://{}/derp", relay.http), "derp", None).await.unwrap();
    let mut carried = carry(socket);
    let mut page = admit(carried.stream, BytesMut::new(), &relay.key()).await.unwrap();
    for _ in 0..20 {
        sender.send(&page.public(), &[1; MAX_PACKET_LEN]).await.unwrap();
    }
    let first = page.next().await.unwrap();
    assert_eq!(first, Received::Packet(sender.public(), vec![1; MAX_PACKET_LEN]));
    let mut longest = 0;
    while let Ok(Event::Message(len)) = carried.events.try_recv() {
        longest = longest.max(len);
    }
    assert!((1..=32 << 10).contains(&longest), "{longest}");
}

#[tokio::test]
async fn the_limit_of_connections_holds_for_clients_too() {
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let relay = Running::start(Config { derp: Some(DerpConfig::default()), limits, ..Config::default() });
    let first = native(&relay).await;
    let second = page(&relay).await;
    for _ in 0..3 {
        assert_eq!(super::running::request(relay.http, "").await, "", "closed at once");
    }
    assert_eq!(relay.metric("dayfly_connections").await, 2);
    assert_eq!(relay.metric("dayfly_connections_refused_total").await, 3);
    drop(first);
    let freed = async {
        while relay.metric("dayfly_connections").await == 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, freed).await.unwrap();
    let third = native(&relay).await;
    assert_ne!(third.public(), second.public());
}

#[tokio::test]
async fn a_relay_that_goes_down_says_so_and_waits_for_its_clients() {
    let relay = Running::relay();
    let (mut native, mut page) = (native(&relay).await, page(&relay).await);
    let address = relay.http;
    let idle = TcpStream::connect(address).await.unwrap();
    let stopping = tokio::spawn(relay.stop());
    for got in [native.next().await.unwrap(), page.next().await.unwrap()] {
        assert_eq!(got, Received::Restarting);
    }
    assert_eq!(native.next().await.unwrap(), Received::Closed);
    assert_eq!(page.next().await.unwrap(), Received::Closed);
    drop((native, page, idle));
    stopping.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

async fn is_admitted(derp: DerpConfig) -> bool {
    let relay = Running::start(Config { derp: Some(derp), ..Config::default() });
    let Upgraded { stream, rest, .. } = upgrade(&relay, "DERP").await;
    match admit(stream, rest, &relay.key()).await {
        Ok(_) => true,
        Err(DerpClientError::Rejected) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn only_a_plain_yes_of_the_admission_server_admits_a_client() {
    for (status, body, expected) in [
        ("200 OK", r#"{"Allow":true}"#, true),
        ("200 OK", r#"{"Allow":false}"#, false),
        ("200 OK", "{}", false),
        ("200 OK", "yes", false),
        ("204 No Content", "", false),
        ("403 Forbidden", r#"{"Allow":true}"#, false),
        ("500 Internal Server Error", r#"{"Allow":true}"#, false),
    ] {
        for verify_fail_open in [false, true] {
            let mut upstream = Upstream::json(status, body).await;
            let url = format!("http://{}/verify", upstream.address);
            let derp = DerpConfig {
                verify_url: Some(url.parse().unwrap()),
                verify_fail_open,
                ..DerpConfig::default()
            };
            assert_eq!(is_admitted(derp).await, expected, "{status} {body} {verify_fail_open}");
            let asked = upstream.asked().await;
            assert!(asked.head.starts_with("POST /verify HTTP/1.1\r\n"), "{}", asked.head);
            let question: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
            assert!(question["NodePublic"].as_str().unwrap().starts_with("nodekey:"));
            assert_eq!(question["Source"], "127.0.0.1");
        }
    }
}

#[tokio::test]
async fn an_admission_server_that_is_down_admits_nobody_unless_set_to() {
    for verify_fail_open in [false, true] {
        let url = format!("http://{}/verify", Upstream::dead().await);
        let derp =
            DerpConfig { verify_url: Some(url.parse().unwrap()), verify_fail_open, ..DerpConfig::default() };
        assert_eq!(is_admitted(derp).await, verify_fail_open);
    }
}

#[tokio::test]
async fn stun_tells_a_node_its_address_and_says_nothing_to_others() {
    let relay = Running::relay();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = relay.stun.unwrap();
    // Bare binding requests, without what nodes put in, get no answer.
    socket.send_to(&stun::request(&[1; 12])[..20], to).await.unwrap();
    socket.send_to(&stun::request(&[2; 12]), to).await.unwrap();
    let mut answer = [0; 100];
    let len = timeout(Duration::from_secs(5), socket.recv(&mut answer)).await.unwrap().unwrap();
    assert_eq!(stun::parse_response(&answer[..len]), Ok(([2; 12], socket.local_addr().unwrap())));
    assert_eq!(relay.metric("dayfly_stun_answered_total").await, 1);
    assert_eq!(relay.metric("dayfly_stun_ignored_total").await, 1);
}
