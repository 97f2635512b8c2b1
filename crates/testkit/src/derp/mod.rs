//! DERP: one client and one relay for all tests.

mod client;
mod relay;
mod relays;

pub use client::{DerpClient, DerpClientError, Received};
pub use relay::{ClientId, Packet, Relay};
pub use relays::Relays;
