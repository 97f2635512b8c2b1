//! Keys and codecs of Tailscale's protocols, without I/O, clocks or a random source of their own.
//!
//! Each module parses and builds the bytes of one protocol. What the messages mean for a node or a relay is
//! decided by the crates above.

pub mod control;
pub mod derp;
pub mod disco;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod key;
pub mod nacl;
pub mod stun;
pub mod ts2021;
pub mod tsmp;

#[cfg(test)]
mod testing;
