//! WireGuard as a sans-IO state machine, after [the paper].
//!
//! A [`Device`] is one node's WireGuard with all of its peers. It opens no socket, reads no clock and draws no
//! randomness of its own: datagrams, a monotonic `now` and a generator go in, datagrams and [`Event`]s come out. So
//! anything can carry it; here that is DERP.
//!
//! It does not check inner source addresses against a peer's allowed addresses, does not route, and looks at no more of a
//! packet than its length.
//!
//! ```
//! use std::time::Duration;
//!
//! use dayfly_moment::Moment;
//! use dayfly_platform::random::SystemRng;
//! use dayfly_wireguard::{DATA_OFFSET, Device, PeerConfig, Received, sealed_len};
//! use zeroize::Zeroizing;
//!
//! let (now, unix_time_at_start) = (Moment::START, Duration::from_secs(1_800_000_000));
//! let mut near = Device::new(Zeroizing::new([1; 32]), unix_time_at_start);
//! let mut far = Device::new(Zeroizing::new([2; 32]), unix_time_at_start);
//! let (near_key, far_key) = (near.public_key(), far.public_key());
//! let peer = |public_key| PeerConfig { public_key, preshared_key: None, persistent_keepalive: None };
//! near.add_peer(peer(far_key));
//! far.add_peer(peer(near_key));
//!
//! // The handshake: an initiation, its response, and an empty message that confirms it.
//! near.connect(&far_key, now, &mut SystemRng);
//! for _ in 0..2 {
//!     while let Some(mut sent) = near.poll_transmit() {
//!         far.handle(&near_key, &mut sent.datagram, now, &mut SystemRng)?;
//!     }
//!     while let Some(mut sent) = far.poll_transmit() {
//!         near.handle(&far_key, &mut sent.datagram, now, &mut SystemRng)?;
//!     }
//! }
//!
//! // A packet is encrypted where it lies, and decrypted where it lies.
//! let mut packet = [0; 28];
//! (packet[0], packet[3]) = (0x45, 28);
//! let mut datagram = vec![0; sealed_len(packet.len())];
//! datagram[DATA_OFFSET..][..packet.len()].copy_from_slice(&packet);
//! near.seal(&far_key, &mut datagram, packet.len(), now)?;
//! let received = far.handle(&near_key, &mut datagram, now, &mut SystemRng)?;
//! assert_eq!(received, Received::Packet { peer: near_key, packet: &mut packet });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
