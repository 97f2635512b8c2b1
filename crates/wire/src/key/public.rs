//! Public keys.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::text::{self, ParseKeyError};
use super::{KEY_LEN, encode_hex};

/// Writes 64 hexadecimal digits without an allocation.
fn write_hex(f: &mut fmt::Formatter<'_>, key: &[u8; KEY_LEN]) -> fmt::Result {
    f.write_str(core::str::from_utf8(&encode_hex(key)).unwrap_or_default())
}

/// A key's form for logs, made by `short()`.
#[derive(Clone, Copy, Debug)]
enum Short {
    /// The first five characters of the key's base64 in brackets (Tailscale `types/key/util.go`).
    Bracketed([u8; 4]),
    /// `d:` and the first eight bytes in hexadecimal (Tailscale `types/key/disco.go`).
    Disco(u64),
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bracketed(head) => {
                const ALPHABET: &[u8; 64] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let bits = u32::from_be_bytes(*head);
                f.write_str("[")?;
                for shift in [26, 20, 14, 8, 2] {
                    fmt::Write::write_char(f, char::from(ALPHABET[(bits >> shift & 63) as usize]))?;
                }
                f.write_str("]")
            }
            Self::Disco(head) => write!(f, "d:{head:016x}"),
        }
    }
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $short:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; KEY_LEN]);

        impl $name {
            /// Prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// Makes the key with these bytes.
            pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes of the key.
            pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
                &self.0
            }

            /// Returns `true` for the all-zero key, which stands for "no key" on the wire.
            pub fn is_zero(&self) -> bool {
                self.0 == [0; KEY_LEN]
            }

            /// Returns a form for logs, long enough to tell the keys of one tailnet apart.
            pub fn short(&self) -> impl fmt::Display + use<> {
                let short: fn(&[u8; KEY_LEN]) -> Short = $short;
                short(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseKeyError;

            fn from_str(text: &str) -> Result<Self, ParseKeyError> {
                text::parse(Self::PREFIX, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a key in the form ", $prefix, "<64 hexadecimal digits>"))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

fn bracketed(key: &[u8; KEY_LEN]) -> Short {
    Short::Bracketed([key[0], key[1], key[2], key[3]])
}

public_key! {
    /// A machine's Noise static key, which identifies an installation (or a control server) on ts2021.
    MachinePublic, "mkey:", bracketed
}

public_key! {
    /// A node's WireGuard key, which is also its address on DERP.
    NodePublic, "nodekey:", bracketed
}

public_key! {
    /// The key that seals a node's disco messages.
    DiscoPublic, "discokey:",
    |key| Short::Disco(key.iter().take(8).fold(0, |head, byte| head << 8 | u64::from(*byte)))
}

public_key! {
    /// An Ed25519 key of the tailnet's lock (Tailscale `types/key/nl.go`). Nothing here signs with one.
    TailnetLockPublic, "nlpub:", bracketed
}

public_key! {
    /// A control server's key for one connection, in the early payload of ts2021.
    ChallengePublic, "chalpub:", bracketed
}
