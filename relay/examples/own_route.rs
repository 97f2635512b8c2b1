//! A route of one's own beside the relay's: `cargo run -p dayfly-relay --example own_route`, then
//! `curl http://127.0.0.1:8443/hello`, and `curl http://127.0.0.1:9090/metrics` for the counter.

use dayfly_http::{Registry, Routes, StatusCode, text};
use dayfly_relay::{Config, DerpConfig, Relay, StartError};

/// What a part brings: its routes, under its name, and its metrics, made by the registry that shows them. Another part
/// that wants `/hello` too keeps the process from starting; the error names both.
fn hello(registry: &Registry) -> Routes {
    let greeted = registry.counter("hello_greeted", "greetings given");
    // A handler gets the request and facts about its connection, and returns an answer or a `Takeover` (WebSockets).
    Routes::new("hello").path("/hello", move |_request, connection| {
        greeted.inc();
        async move { text(StatusCode::OK, format!("hello, {}", connection.peer.ip())) }
    })
}

pub(crate) fn relay(
    listen: std::net::SocketAddr,
    metrics: std::net::SocketAddr,
) -> Result<Relay, StartError> {
    let config = Config {
        listen: vec![listen],
        metrics_listen: Some(metrics),
        derp: Some(DerpConfig::default()),
        ..Config::default()
    };
    Relay::bind_with(config, |registry| [hello(registry)])
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = relay("127.0.0.1:8443".parse()?, "127.0.0.1:9090".parse()?)?;
    println!("listening on {:?}", relay.addresses());
    relay.run(async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}
