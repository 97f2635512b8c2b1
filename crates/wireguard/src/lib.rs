//! WireGuard as a sans-IO state machine, after [the paper].
//!
//! A [`Device`] is one node's WireGuard with all of its peers. It opens no socket, reads no clock and draws no
//! randomness of its own: datagrams, a monotonic `now` and a generator go in, datagrams and [`Event`]s come out. So
//! anything can carry it; here that is DERP.
//!
//! What it does not do: check inner source addresses against a peer's allowed addresses, route, or look at more of a
//! packet than its length.
//!
//! [the paper]: https://www.wireguard.com/papers/wireguard.pdf

pub mod constants;
mod context;
mod cookie;
mod crypto;
mod device;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod handshake;
mod indices;
mod load;
mod message;
mod outbox;
mod packet;
mod peer;
mod queue;
mod received;
mod replay;
mod session;
mod sessions;
mod tai64n;
#[cfg(test)]
mod tests;
mod timers;

pub use crypto::Key;
pub use device::Device;
pub use error::{ReceiveError, SealError};
pub use message::{DATA_OFFSET, is_initiation, sealed_len};
pub use outbox::{Event, Transmit};
pub use peer::{PeerConfig, PeerStatus};
pub use queue::{MAX_QUEUED_BYTES, MAX_QUEUED_PACKETS};
pub use received::Received;
