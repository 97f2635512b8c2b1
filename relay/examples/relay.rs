//! A relay in ten lines: `cargo run -p dayfly-relay --example relay`.

use dayfly_relay::{Config, DerpConfig, Relay, StartError};

pub(crate) fn relay(listen: std::net::SocketAddr) -> Result<Relay, StartError> {
    Relay::bind(Config { listen: vec![listen], derp: Some(DerpConfig::default()), ..Config::default() })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = relay("127.0.0.1:8443".parse()?)?;
    println!("listening on {:?}", relay.addresses().http);
    relay.run(async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}
