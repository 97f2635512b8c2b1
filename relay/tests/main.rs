//! The relay on real sockets of loopback, against small clients and upstreams that the tests hold in their hands.
//!
//! Real peers (`tailscaled`, `derper`, Headscale) are in the workspace's `tests/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail their test"
)]

mod client;
mod derp;
mod examples;
mod gateway;
mod http;
mod running;
mod tls;
mod upstream;
