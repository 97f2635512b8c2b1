//! Curve25519 keys, one type for each purpose, and their text forms.
//!
//! A public key is a small value that is copied, compared and used as a map key. A private key is wiped when
//! it is dropped and never printed: its text form has to be asked for by name. What a key signs or opens is not
//! here: NaCl boxes are in [`crate::nacl`], Noise in the crates `dayfly-ts2021` and `dayfly-wireguard`.
//!
//! The text form of a key is a prefix and 64 hexadecimal digits, written in lower case and read in either
//! (Tailscale `types/key/util.go`).

mod private;
mod public;
mod text;

pub use private::{DiscoPrivate, MachinePrivate, NodePrivate};
pub use public::{ChallengePublic, DiscoPublic, MachinePublic, NodePublic, TailnetLockPublic};
pub use text::ParseKeyError;

pub(crate) use text::{decode_hex, encode_hex};

/// Length of every key here, in bytes.
pub const KEY_LEN: usize = 32;

#[cfg(test)]
mod tests;
