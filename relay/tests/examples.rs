//! The examples, run for real.

#![allow(dead_code, reason = "their main functions are not called")]

#[path = "../examples/own_route.rs"]
mod own_route;
#[path = "../examples/relay.rs"]
mod relay;

use dayfly_http::{Routes, StatusCode, text};
use dayfly_relay::{Config, DerpConfig, Relay};
use dayfly_testkit::derp::Received;

use super::client::{native, page};
use super::running::{Running, body, get, loopback, status};

#[tokio::test]
async fn a_relay_in_ten_lines_relays() {
    let relay = Running::of(relay::relay(loopback()).unwrap());
    let (mut a, mut b) = (native(&relay).await, page(&relay).await);
    a.send(&b.public(), b"hello").await.unwrap();
    assert_eq!(b.next().await.unwrap(), Received::Packet(a.public(), b"hello".to_vec()));
}

#[tokio::test]
async fn a_route_of_its_own_stands_beside_the_relays() {
    let relay = Running::of(own_route::relay(loopback(), loopback()).unwrap());
    let answer = get(relay.http, "/hello", "").await;
    assert_eq!((status(&answer), body(&answer)), (200, "hello, 127.0.0.1\n"));
    assert_eq!(relay.metric("dayfly_hello_greeted_total").await, 1);
    assert_eq!(status(&get(relay.http, "/derp/probe", "").await), 200);
    native(&relay).await;
}

#[tokio::test]
async fn a_part_that_wants_a_path_of_the_relay_keeps_it_from_starting() {
    let config =
        || Config { listen: vec![loopback()], derp: Some(DerpConfig::default()), ..Config::default() };
    let coordinator = |path| {
        Relay::bind_with(config(), move |_| {
            [Routes::new("coordinator").path(path, async |_, _| text(StatusCode::OK, "here"))]
        })
    };
    let refused = coordinator("/derp").unwrap_err().to_string();
    assert_eq!(refused, "/derp has two owners: derp and coordinator");
    assert!(coordinator("/key").is_ok(), "nobody has it where there is no gateway");
}
