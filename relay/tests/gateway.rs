//! The gateway: whom it serves, and where it leads.

use bytes::BytesMut;
use dayfly_relay::config::{Config, GatewayConfig, RelayRegion};
use dayfly_testkit::derp::Received;
use dayfly_testkit::websocket::{Event, OpenError, carry};
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, PATH, UPGRADE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_websockets::Error;
use tokio_websockets::upgrade::Error as UpgradeError;

use super::client::{admit, native, open_websocket};
use super::running::{LIMIT, Running, body, get, header, status};
use super::upstream::Upstream;

/// A page that may use the gateway.
const PAGE: &str = "https://page.example";

fn gateway(control: Option<String>, relays: &[(RelayRegion, String)]) -> Running {
    Running::start(Config {
        gateway: GatewayConfig {
            control: control.map(|url| url.parse().unwrap()),
            relays: relays.iter().map(|(region, url)| (*region, url.parse().unwrap())).collect(),
            allow_origins: vec![PAGE.parse().unwrap()],
            ..GatewayConfig::default()
        },
        ..Config::default()
    })
}

/// A control server's answer that switches to Noise, with the `noise` that comes after it.
fn switched(noise: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {UPGRADE}\r\nConnection: upgrade\r\n\r\n{noise}")
}

/// The address of the control server behind `gateway`, for a WebSocket that begins with a percent-encoded handshake.
fn control_url(gateway: &Running, handshake: &str) -> String {
    format!("ws://{}{PATH}?{HANDSHAKE_HEADER}={handshake}", gateway.http)
}

fn refusal(opened: Result<impl Sized, OpenError>) -> u16 {
    match opened {
        Err(OpenError::Refused(Error::Upgrade(UpgradeError::DidNotSwitchProtocols(status)))) => status,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn the_control_servers_key_is_for_allowed_pages() {
    let mut control = Upstream::json("200 OK", r#"{"publicKey":"mkey:00"}"#).await;
    let gateway = gateway(Some(format!("http://{}/base/", control.address)), &[]);
    let own = format!("http://{}", gateway.http);
    for origin in [PAGE, &own] {
        let answer = get(gateway.http, "/key?v=130&other=1", &format!("Origin: {origin}\r\n")).await;
        assert_eq!((status(&answer), body(&answer)), (200, r#"{"publicKey":"mkey:00"}"#));
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
        assert_eq!(header(&answer, "vary"), Some("Origin"));
        assert_eq!(header(&answer, "content-type"), Some("application/json"));
        let asked = control.asked().await.head;
        assert!(asked.starts_with("GET /base/key?v=130 HTTP/1.1\r\n"), "{asked}");
        assert!(!asked.to_lowercase().contains("origin"), "{asked}");
    }
    let native = get(gateway.http, "/key?v=130", "").await;
    assert_eq!((status(&native), header(&native, "access-control-allow-origin")), (200, None));
    for origin in ["https://evil.example", "null", "https://page.example.evil.example", "http://page.example"]
    {
        let answer = get(gateway.http, "/key?v=130", &format!("Origin: {origin}\r\n")).await;
        assert_eq!(
            (status(&answer), header(&answer, "access-control-allow-origin")),
            (403, None),
            "{origin}"
        );
    }
    assert_eq!(status(&get(gateway.http, "/key?v=1%0d%0aX:1", "").await), 400);
    assert_eq!(gateway.metric("dayfly_gateway_forbidden_total").await, 4);
}

#[tokio::test]
async fn a_control_server_that_is_down_is_named_without_its_address() {
    let address = Upstream::dead().await;
    let gateway = gateway(Some(format!("http://{address}")), &[]);
    let answer = get(gateway.http, "/key?v=130", &format!("Origin: {PAGE}\r\n")).await;
    assert_eq!((status(&answer), header(&answer, "access-control-allow-origin")), (502, Some(PAGE)));
    assert_eq!(body(&answer), "the control server could not be reached\n");
    let url = control_url(&gateway, "AAAA");
    assert_eq!(refusal(open_websocket(&url, UPGRADE, Some(PAGE)).await), 502);
    assert_eq!(gateway.metric("dayfly_gateway_failed_total").await, 2);
}

#[tokio::test]
async fn a_websocket_is_carried_to_a_control_server_that_knows_upgrades_only() {
    let mut control = Upstream::answering(switched("noise")).await;
    let gateway = gateway(Some(format!("http://{}", control.address)), &[]);
    let url = control_url(&gateway, "a%2Bb%2F%3D");
    let mut page = carry(open_websocket(&url, UPGRADE, Some(PAGE)).await.unwrap());
    let mut asked = control.asked().await;
    assert!(asked.head.starts_with(&format!("POST {PATH} HTTP/1.1\r\n")), "{}", asked.head);
    assert_eq!(header(&asked.head, HANDSHAKE_HEADER), Some("a+b/="));
    assert_eq!(header(&asked.head, "upgrade"), Some(UPGRADE));
    assert_eq!(header(&asked.head, "connection"), Some("upgrade"));

    let mut answer = [0; 5];
    page.stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"noise", "what came with the answer is not lost");
    let long: Vec<u8> = (0..1_000_000_u32).map(|i| i as u8).collect();
    let (mut read, mut write) = tokio::io::split(page.stream);
    let echo = async {
        let (mut from, mut to) = asked.stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap()
    };
    let exchange = async {
        let mut back = vec![0; long.len()];
        let (_, read) = tokio::join!(write.write_all(&long), read.read_exact(&mut back));
        read.unwrap();
        assert!(back == long, "bytes were changed");
    };
    tokio::select! {
        () = exchange => {}
        _ = echo => panic!("the gateway closed first"),
    }
    assert_eq!(gateway.metric("dayfly_gateway_connections").await, 1);
    // The control server's end ends the page's, with a code that tells it from a failure.
    drop(asked.stream);
    let closed = async {
        loop {
            if let Event::Closed(code) = page.events.recv().await.unwrap() {
                return code;
            }
        }
    };
    assert_eq!(timeout(LIMIT, closed).await.unwrap(), Some(1001));
}

#[tokio::test]
async fn pages_and_requests_that_are_not_right_reach_no_upstream() {
    let mut control = Upstream::answering(switched("")).await;
    let gateway = gateway(Some(format!("http://{}", control.address)), &[]);
    let right = control_url(&gateway, "AAAA");
    assert_eq!(refusal(open_websocket(&right, UPGRADE, Some("https://evil.example")).await), 403);
    assert_eq!(refusal(open_websocket(&right, "derp", Some(PAGE)).await), 400);
    for wrong in ["", "a%0d%0aX:1", "%ff"] {
        let url = control_url(&gateway, wrong);
        assert_eq!(refusal(open_websocket(&url, UPGRADE, Some(PAGE)).await), 400, "{wrong}");
    }
    let without = format!("ws://{}{PATH}", gateway.http);
    assert_eq!(refusal(open_websocket(&without, UPGRADE, Some(PAGE)).await), 400);
    assert_eq!(status(&get(gateway.http, PATH, "").await), 426);
    // The first request that arrives is the first right one.
    drop(open_websocket(&right, UPGRADE, Some(PAGE)).await.unwrap());
    assert!(control.asked().await.head.contains("AAAA"));
}

#[tokio::test]
async fn each_region_leads_to_its_relay_and_nowhere_else() {
    let (one, two) = (Running::relay(), Running::relay());
    let region = |number: u32| RelayRegion::One(number.try_into().unwrap());
    let relays =
        [(region(900), format!("http://{}", one.http)), (region(901), format!("http://{}/derp", two.http))];
    let gateway = gateway(None, &relays);
    for (path, relay) in
        [("/gateway/derp/900", &one), ("/gateway/derp/901", &two), ("/derp?region=901", &two)]
    {
        let socket =
            open_websocket(&format!("ws://{}{path}", gateway.http), "derp", Some(PAGE)).await.unwrap();
        let mut page = admit(carry(socket).stream, BytesMut::new(), &relay.key()).await.unwrap();
        let mut native = native(relay).await;
        native.send(&page.public(), b"hello").await.unwrap();
        assert_eq!(page.next().await.unwrap(), Received::Packet(native.public(), b"hello".to_vec()));
        page.send(&native.public(), &[9; 60_000]).await.unwrap();
        assert_eq!(native.next().await.unwrap(), Received::Packet(page.public(), vec![9; 60_000]));
    }
    for (path, expected) in [
        ("/gateway/derp/902", 404),
        ("/derp", 400),
        ("/gateway/derp/", 400),
        ("/gateway/derp/900/../901", 400),
        ("/gateway/derp/http:%2f%2f127.0.0.1", 400),
    ] {
        let url = format!("ws://{}{path}", gateway.http);
        assert_eq!(refusal(open_websocket(&url, "derp", Some(PAGE)).await), expected, "{path}");
    }
    let url = format!("ws://{}/gateway/derp/900", gateway.http);
    assert_eq!(refusal(open_websocket(&url, "derp", Some("https://evil.example")).await), 403);
    // It leads to no control server.
    let url = control_url(&gateway, "AAAA");
    assert_eq!(refusal(open_websocket(&url, UPGRADE, Some(PAGE)).await), 404);
}

#[tokio::test]
async fn a_gateway_that_goes_down_lets_its_connections_go_at_once() {
    let relay = Running::relay();
    let gateway = gateway(None, &[(RelayRegion::Any, format!("http://{}", relay.http))]);
    let socket = open_websocket(&format!("ws://{}/derp", gateway.http), "derp", Some(PAGE)).await.unwrap();
    let mut page = carry(socket);
    let mut first = [0; 5];
    page.stream.read_exact(&mut first).await.unwrap();
    gateway.stop().await;
    let closed = async {
        loop {
            if let Event::Closed(code) = page.events.recv().await.unwrap() {
                return code;
            }
        }
    };
    assert_eq!(timeout(LIMIT, closed).await.unwrap(), Some(1001));
}
