//! NaCl's `crypto_box`: X25519, XSalsa20 and Poly1305, with the nonce in front of the box.
//!
//! Tailscale seals the handshakes of DERP, disco messages and key challenges this way:
//! `nonce (24) || tag (16) || ciphertext`, the nonce random (Tailscale `types/key/node.go`, `disco.go`).

use core::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use rand_core::CryptoRng;
use salsa20::XSalsa20;
use salsa20::cipher::consts::U10;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// Length of the nonce in front of a box, in bytes.
pub const NONCE_LEN: usize = 24;
/// Length of the authenticator that follows the nonce, in bytes.
pub const TAG_LEN: usize = 16;
/// Bytes by which a sealed message is longer than its plaintext.
pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

/// Reason why a box could not be opened.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenError {
    /// There is no room for a nonce and an authenticator.
    #[error("a sealed message has at least {OVERHEAD} bytes, this one has {len}")]
    TooShort {
        /// Its length in bytes.
        len: usize,
    },
    /// It was sealed by another key or for another key, or it was changed on the way.
    #[error("the sealed message was not made by this peer for this key")]
    Forged,
}

/// The key of all boxes between two key pairs (`crypto_box_beforenm`).
///
/// Making it costs an X25519; sealing and opening with it cost only the symmetric part.
#[derive(Clone)]
pub struct SharedKey {
    key: [u8; 32],
    /// False when the peer's public key is of low order: anyone could then have made the box.
    contributory: bool,
}

impl SharedKey {
    /// Agrees on the key between the owner of `private` and the owner of `public`.
    pub fn new(private: &[u8; 32], public: &[u8; 32]) -> Self {
        let agreed = Zeroizing::new(MontgomeryPoint(*public).mul_clamped(*private).to_bytes());
        let key = salsa20::hsalsa::<U10>((&*agreed).into(), &[0; 16].into());
        Self { key: key.into(), contributory: *agreed != [0; 32] }
    }

    /// Seals `message`: a nonce from `rng`, then the box.
    pub fn seal(&self, rng: &mut (impl CryptoRng + ?Sized), message: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(OVERHEAD + message.len());
        self.seal_into(rng, message, &mut sealed);
        sealed
    }

    /// Seals `message` as [`Self::seal`] does, at the end of `out`.
    pub fn seal_into(&self, rng: &mut (impl CryptoRng + ?Sized), message: &[u8], out: &mut Vec<u8>) {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        self.seal_with_nonce(&nonce, message, out);
    }

    fn seal_with_nonce(&self, nonce: &[u8; NONCE_LEN], message: &[u8], out: &mut Vec<u8>) {
        let (mut cipher, mac) = self.start(nonce);
        out.extend_from_slice(nonce);
        let tag_at = out.len();
        out.extend_from_slice(&[0; TAG_LEN]);
        out.extend_from_slice(message);
        let (tag, text) = out[tag_at..].split_at_mut(TAG_LEN);
        cipher.apply_keystream(text);
        tag.copy_from_slice(&mac.compute_unpadded(text));
    }

    /// Opens a sealed message.
    ///
    /// # Errors
    /// When it is too short, or was not sealed by the peer for this key, or was changed.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut sealed = sealed.to_vec();
        let len = self.open_in_place(&mut sealed)?.len();
        sealed.drain(..sealed.len() - len);
        Ok(sealed)
    }

    /// Opens a sealed message where it lies and returns the plaintext, which is its tail.
    ///
    /// # Errors
    /// As [`Self::open`]; `sealed` is then unchanged.
    pub fn open_in_place<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let short = OpenError::TooShort { len: sealed.len() };
        let (nonce, boxed) = sealed.split_first_chunk_mut::<NONCE_LEN>().ok_or(short)?;
        let (tag, text) = boxed.split_first_chunk_mut::<TAG_LEN>().ok_or(short)?;
        let (mut cipher, mac) = self.start(nonce);
        let expected = mac.compute_unpadded(text);
        if !self.contributory || !bool::from(expected.as_slice().ct_eq(tag.as_slice())) {
            return Err(OpenError::Forged);
        }
        cipher.apply_keystream(text);
        Ok(text)
    }

    /// The first 32 bytes of the key stream are the authenticator's key; the message follows them.
    fn start(&self, nonce: &[u8; NONCE_LEN]) -> (XSalsa20, Poly1305) {
        let mut cipher = XSalsa20::new((&self.key).into(), nonce.into());
        let mut mac_key = Zeroizing::new([0; 32]);
        cipher.apply_keystream(mac_key.as_mut_slice());
        (cipher, Poly1305::new((&*mac_key).into()))
    }
}

impl Drop for SharedKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(secret)")
    }
}

#[cfg(test)]
mod tests;
