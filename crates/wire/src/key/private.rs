//! Private keys.

use core::fmt;
use core::str::FromStr;

use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::text::{self, ParseKeyError};
use super::{DiscoPublic, KEY_LEN, MachinePublic, NodePublic, encode_hex};
use crate::nacl::{OpenError, SharedKey};

macro_rules! private_key {
    ($(#[$doc:meta])* $name:ident, $public:ident) => {
        $(#[$doc])*
        ///
        /// Wiped when dropped; never printed.
        #[derive(Clone)]
        pub struct $name([u8; KEY_LEN]);

        impl $name {
            /// Makes a new key from `rng`, clamped as X25519 keys are (RFC 7748, section 5).
            pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                let mut key = Self([0; KEY_LEN]);
                rng.fill_bytes(&mut key.0);
                key.0[0] &= 0b1111_1000;
                key.0[KEY_LEN - 1] = key.0[KEY_LEN - 1] & 0b0111_1111 | 0b0100_0000;
                key
            }

            /// Makes the key with these bytes, as they are: X25519 clamps whatever it is given.
            pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
                Self(bytes)
            }

            /// Returns the secret bytes of the key.
            pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
                &self.0
            }

            /// Returns `true` for the all-zero key, which stands for "no key".
            pub fn is_zero(&self) -> bool {
                self.0 == [0; KEY_LEN]
            }

            /// Returns the public key that belongs to this one.
            pub fn public(&self) -> $public {
                $public::from_bytes(MontgomeryPoint::mul_base_clamped(self.0).to_bytes())
            }

            /// Returns the key of NaCl boxes between this key's owner and `peer`'s. One X25519: worth keeping.
            pub fn shared(&self, peer: &$public) -> SharedKey {
                SharedKey::new(&self.0, peer.as_bytes())
            }

            /// Seals `message` for `peer` in a NaCl box: a random nonce, then the box.
            pub fn seal_to(&self, peer: &$public, rng: &mut (impl CryptoRng + ?Sized), message: &[u8]) -> Vec<u8> {
                self.shared(peer).seal(rng, message)
            }

            /// Opens what `peer` sealed with its `seal_to` for this key.
            ///
            /// # Errors
            /// When `sealed` is too short, was not sealed by `peer` for this key, or was changed.
            pub fn open_from(&self, peer: &$public, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
                self.shared(peer).open(sealed)
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

macro_rules! private_key_text {
    ($name:ident) => {
        impl $name {
            /// Prefix of the text form; machine and node keys have the same.
            pub const PREFIX: &'static str = "privkey:";

            /// Returns the text form, for storing the secret.
            pub fn to_secret_text(&self) -> Zeroizing<String> {
                let digits = Zeroizing::new(encode_hex(&self.0));
                let mut text = Zeroizing::new(String::with_capacity(Self::PREFIX.len() + digits.len()));
                text.push_str(Self::PREFIX);
                text.push_str(core::str::from_utf8(digits.as_slice()).unwrap_or_default());
                text
            }
        }

        impl FromStr for $name {
            type Err = ParseKeyError;

            fn from_str(text: &str) -> Result<Self, ParseKeyError> {
                text::parse(Self::PREFIX, text).map(Self)
            }
        }
    };
}

private_key! {
    /// The private half of a [`MachinePublic`].
    MachinePrivate, MachinePublic
}
private_key_text!(MachinePrivate);

private_key! {
    /// The private half of a [`NodePublic`].
    NodePrivate, NodePublic
}
private_key_text!(NodePrivate);

private_key! {
    /// The private half of a [`DiscoPublic`]. It has no text form: every start of a node makes a new one.
    DiscoPrivate, DiscoPublic
}
