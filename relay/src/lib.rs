//! A relay for tailnets, and what browsers need beside it.
//!
//! One process is any of: a DERP relay with STUN, which native nodes and browsers use alike; a gateway that carries
//! browsers' connections to a control server or relay that they could not reach by themselves; a host for the static
//! page. [`Relay`] is all of them, as far as its [`Config`] says, and whatever else is mounted beside them;
//! `dayfly-relay` is its command line.
//!
//! It is no control server, and sees no plaintext: what it relays is encrypted between the nodes.
//!
//! ```
//! use dayfly_relay::{Config, DerpConfig, Relay};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relay = Relay::bind(Config {
//!     listen: vec!["127.0.0.1:0".parse()?],
//!     derp: Some(DerpConfig::default()),
//!     ..Config::default()
//! })?;
//! println!("listening on {:?}, with the key {:?}", relay.addresses().http, relay.derp_key());
//! relay.run(async { /* until the process is told to end */ }).await;
//! # Ok(())
//! # }
//! ```

pub mod config;
mod derp;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gateway;
pub mod options;
mod probes;
mod serve;
mod site;
mod stun;

pub use config::{Config, DerpConfig, GatewayConfig, PageConfig, StunConfig};
pub use error::StartError;
pub use serve::{Addresses, Relay, Reloader};
pub use site::LoadError;

/// The name by which the process introduces itself to the servers that it connects to.
const USER_AGENT: &str = concat!("dayfly-relay/", env!("CARGO_PKG_VERSION"));
