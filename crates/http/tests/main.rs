//! A server on real sockets of loopback: streams, takeovers, and both ends of upgrades.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail their test"
)]

mod client;
mod running;
mod server;
