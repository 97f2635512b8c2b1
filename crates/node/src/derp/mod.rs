//! One connection to a DERP relay, sans-IO.
//!
//! [`Client`] takes the bytes that a relay sent and gives back packets and other events; what is to be written
//! waits in [`Client::transmit`]. When to connect, to which region and over what is decided by the driver.

mod client;
mod error;

#[cfg(test)]
mod tests;

pub(crate) use client::{Client, Event};
pub use error::{DerpError, RelayError};

#[cfg(test)]
pub(crate) use client::{SendError, TRANSMIT_CAP};
