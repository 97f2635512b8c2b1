//! Hashes and MACs of the paper (section 5.4), all BLAKE2s.

use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput as _, KeyInit as _, Update as _};
use blake2::{Blake2s256, Blake2sMac, Digest as _};
use subtle::ConstantTimeEq as _;

/// Curve25519 public key, or any other name of 32 bytes that the carrier has for a sender.
pub type Key = [u8; 32];

/// MAC, or cookie, which is one.
pub(crate) type Mac = [u8; 16];

/// Label that is hashed with a public key to make the key of the first MAC (section 5.4.4).
const MAC1_LABEL: &[u8; 8] = b"mac1----";
/// Label that is hashed with a public key to make the key of cookie replies (section 5.4.7).
const COOKIE_LABEL: &[u8; 8] = b"cookie--";

fn labelled(label: &[u8; 8], public: &Key) -> Key {
    Blake2s256::new().chain_update(label).chain_update(public).finalize().into()
}

/// The key of the first MAC of messages to the owner of `public`.
pub(crate) fn mac1_key(public: &Key) -> Key {
    labelled(MAC1_LABEL, public)
}

/// The key by which the owner of `public` encrypts cookies.
pub(crate) fn cookie_key(public: &Key) -> Key {
    labelled(COOKIE_LABEL, public)
}

/// Keyed BLAKE2s with 16 bytes of output. `key` is at most 32 bytes long: a longer one gives no MAC.
pub(crate) fn mac(key: &[u8], data: &[u8]) -> Option<Mac> {
    let mut state = Blake2sMac::<U16>::new_from_slice(key).ok()?;
    state.update(data);
    Some(state.finalize_fixed().into())
}

/// Returns `true` where `expected` is the MAC, in a time that does not depend on where they differ.
pub(crate) fn verify(key: &[u8], data: &[u8], expected: &Mac) -> bool {
    mac(key, data).is_some_and(|computed| computed.ct_eq(expected).into())
}

/// The public key of a private one.
pub(crate) fn public_key(private: &[u8; 32]) -> Key {
    dayfly_noise::public_key(private)
}
