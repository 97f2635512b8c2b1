//! Resolver that snow asks for a handshake's primitives.

use core::cell::Cell;
use core::fmt;

use rand_core::CryptoRng;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use crate::cipher::ChaChaPoly;
use crate::dh::X25519;
use crate::hash::Blake2s;
use crate::random::Drawn;

/// The primitives of one handshake, with the randomness for its one ephemeral key.
///
/// A second handshake, or a pattern that draws more than one key, gets an error of snow's and never the same bytes
/// again.
pub struct Resolver(Cell<Option<Zeroizing<[u8; 32]>>>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(..)")
    }
}

impl Resolver {
    /// Makes the primitives for one handshake; `rng` gives the 32 bytes of its ephemeral key, now.
    #[must_use]
    pub fn new(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(Cell::new(Some(bytes)))
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn::new(self.0.take()?)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519::default())),
            DHChoice::Curve448 => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::Blake2s => Some(Box::new(Blake2s::default())),
            HashChoice::Blake2b | HashChoice::SHA256 | HashChoice::SHA512 => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::ChaChaPoly => Some(Box::new(ChaChaPoly::default())),
            _ => None,
        }
    }
}
