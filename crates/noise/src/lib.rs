//! Noise primitives for [`snow`]: X25519, ChaCha20-Poly1305 and BLAKE2s.
//!
//! snow runs the handshake patterns; this crate gives it the primitives of `Noise_IK_25519_ChaChaPoly_BLAKE2s`
//! (ts2021) and of `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (WireGuard), and no others. It draws no randomness of its
//! own: a handshake's one ephemeral key is taken from the generator that the caller passes.
//!
//! ```
//! use dayfly_noise::{Resolver, public_key, split};
//! use dayfly_platform::random::SystemRng;
//! use snow::Builder;
//! use snow::params::NoiseParams;
//!
//! let suite = || "Noise_IK_25519_ChaChaPoly_BLAKE2s".parse::<NoiseParams>();
//! let builder = || Ok::<_, snow::Error>(Builder::with_resolver(suite()?, Box::new(Resolver::new(&mut SystemRng))));
//! let mut initiator =
//!     builder()?.local_private_key(&[1; 32])?.remote_public_key(&public_key(&[2; 32]))?.build_initiator()?;
//! let mut responder = builder()?.local_private_key(&[2; 32])?.build_responder()?;
//!
//! let (mut first, mut second) = ([0; 96], [0; 48]);
//! initiator.write_message(&[], &mut first)?;
//! responder.read_message(&first, &mut [])?;
//! responder.write_message(&[], &mut second)?;
//! initiator.read_message(&second, &mut [])?;
//! assert_eq!(split(&mut initiator), split(&mut responder));
//! # Ok::<(), snow::Error>(())
//! ```

mod cipher;
mod dh;
mod hash;
mod random;
mod resolver;
#[cfg(test)]
mod tests;

pub use resolver::Resolver;

use snow::HandshakeState;
use zeroize::{Zeroize as _, Zeroizing};

/// Returns the public key of an X25519 private key.
#[must_use]
pub fn public_key(private: &[u8; 32]) -> [u8; 32] {
    curve25519_dalek::MontgomeryPoint::mul_base_clamped(*private).to_bytes()
}

/// Returns the keys that a complete handshake has agreed on, wiped when dropped: of the initiator's direction, and of the
/// responder's.
pub fn split(handshake: &mut HandshakeState) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut keys = handshake.dangerously_get_raw_split();
    let split = (Zeroizing::new(keys.0), Zeroizing::new(keys.1));
    keys.0.zeroize();
    keys.1.zeroize();
    split
}
