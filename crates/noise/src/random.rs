//! Randomness that was drawn before.

use snow::Error;
use snow::types::Random;
use zeroize::{Zeroize as _, Zeroizing};

/// Random bytes for one ephemeral key, each given once.
pub(crate) struct Drawn(Option<Zeroizing<[u8; 32]>>);

impl Drawn {
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(Some(bytes))
    }
}

impl Random for Drawn {
    /// Gives the bytes; fails for any other length than an X25519 key's, and when they are already given.
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        dest.zeroize();
        let dest: &mut [u8; 32] = dest.try_into().map_err(|_| Error::Rng)?;
        *dest = **self.0.take().as_ref().ok_or(Error::Rng)?;
        Ok(())
    }
}
