//! One tailnet node: control client, DERP client, WireGuard tunnel, TCP/IP in user space and names.
//!
//! The protocol cores are sans-IO; one small driver runs them over whatever a [`Dialer`] opens, natively and in a page.

mod control;
mod derp;
mod dial;
mod filter;
mod netmap;
mod tunnel;

pub use dial::{DerpAddress, DialError, Dialer};
