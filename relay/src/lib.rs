//! A relay for tailnets, and what browsers need beside it.
//!
//! One process is any of: a DERP relay with STUN, which native nodes and browsers use alike; a gateway that carries
//! browsers' connections to a control server or relay that they could not reach by themselves; a host for the static
//! page. [`Relay`] is all of them, as far as its [`Config`] tells; `dayfly-relay` is its command line.
//!
//! It is no coordination server, and sees no plaintext: what it relays is encrypted between the nodes.

mod answer;
pub mod config;
mod derp;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gateway;
mod idle;
mod link;
mod metrics;
pub mod options;
mod origin;
mod server;
mod shared;
mod socket;
mod stun;
mod tls;
mod upstream;
mod web;
mod websocket;
mod www;

pub use config::Config;
pub use error::StartError;
pub use server::{Addresses, Relay, Reloader};
pub use tls::TlsError;
pub use www::LoadError;
