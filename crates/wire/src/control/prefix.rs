//! IP prefixes: `100.64.0.1/32`.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An address with the number of its leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPrefix {
    address: IpAddr,
    bits: u8,
}

/// A text that is not an IP prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IP prefix such as 100.64.0.0/10")]
pub struct IpPrefixError(String);

impl IpPrefix {
    /// Makes a prefix of `bits` leading bits; `None` when the address has fewer bits than that.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        (bits <= width(address)).then_some(Self { address, bits })
    }

    /// Makes the prefix that holds just this address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self { address, bits: width(address) }
    }

    /// Returns the address as written, host bits included.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of leading bits that count.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// Returns `true` when the prefix holds one address only.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.bits == width(self.address)
    }

    /// Returns `true` for an address of the same family that agrees in the leading bits.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let difference = a.to_bits() ^ b.to_bits();
                difference.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let difference = a.to_bits() ^ b.to_bits();
                difference.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for IpPrefix {
    type Err = IpPrefixError;

    fn from_str(text: &str) -> Result<Self, IpPrefixError> {
        let parse = || {
            let (address, bits) = text.split_once('/')?;
            // Digits only: `u8::from_str` would take a leading plus sign.
            let bits = bits.bytes().all(|c| c.is_ascii_digit()).then(|| bits.parse().ok())??;
            Self::new(address.parse().ok()?, bits)
        };
        parse().ok_or_else(|| IpPrefixError(text.chars().take(60).collect()))
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for IpPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = IpPrefix;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IP prefix")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<IpPrefix, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> IpPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_hold_what_agrees_in_their_leading_bits() {
        assert!(prefix("100.64.0.0/10").contains("100.127.255.255".parse().unwrap()));
        assert!(!prefix("100.64.0.0/10").contains("100.128.0.0".parse().unwrap()));
        assert!(prefix("0.0.0.0/0").contains("8.8.8.8".parse().unwrap()));
        assert!(!prefix("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(prefix("::/0").contains("::1".parse().unwrap()));
        assert!(prefix("fd7a:115c:a1e0::/48").contains("fd7a:115c:a1e0::1".parse().unwrap()));
        assert!(!prefix("fd7a:115c:a1e0::1/128").contains("fd7a:115c:a1e0::2".parse().unwrap()));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "/", "100.64.0.1", "100.64.0.1/33", "::/129", "100.64.0.1/+3", "100.64.0.1/", "x/8"]
        {
            assert!(text.parse::<IpPrefix>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(address: IpAddr, bits in 0..=128_u8) {
            if let Some(prefix) = IpPrefix::new(address, bits) {
                proptest::prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
                proptest::prop_assert!(prefix.contains(address));
            }
        }
    }
}
