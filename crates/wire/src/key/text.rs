//! The text form of keys: a prefix, then 64 hexadecimal digits.

use thiserror::Error;

use super::KEY_LEN;

/// Reason why a text is not a key of the kind that was asked for.
///
/// The text itself is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ParseKeyError {
    /// The text starts with something else: most often it is a key of another kind.
    #[error("a key of this kind starts with {expected:?}")]
    WrongPrefix {
        /// Prefix that the text has to have.
        expected: &'static str,
    },
    /// There are more or fewer digits after the prefix.
    #[error("a key has 64 hexadecimal digits after {prefix:?}, this one has {digits}")]
    WrongLength {
        /// The prefix of this kind of key.
        prefix: &'static str,
        /// Number of bytes behind it.
        digits: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("the key has something that is no hexadecimal digit at position {position} after {prefix:?}")]
    NotHex {
        /// The prefix of this kind of key.
        prefix: &'static str,
        /// Position in bytes from the end of the prefix.
        position: usize,
    },
}

/// Reads `prefix` and 64 digits.
pub(super) fn parse(prefix: &'static str, text: &str) -> Result<[u8; KEY_LEN], ParseKeyError> {
    let digits = text.strip_prefix(prefix).ok_or(ParseKeyError::WrongPrefix { expected: prefix })?;
    let digits: &[u8; 2 * KEY_LEN] = digits
        .as_bytes()
        .try_into()
        .map_err(|_| ParseKeyError::WrongLength { prefix, digits: digits.len() })?;
    decode_hex(digits).map_err(|position| ParseKeyError::NotHex { prefix, position })
}

/// Decodes 64 hexadecimal digits, or tells the position of the first byte that is none.
pub(crate) fn decode_hex(digits: &[u8; 2 * KEY_LEN]) -> Result<[u8; KEY_LEN], usize> {
    let mut key = [0; KEY_LEN];
    for (i, (byte, pair)) in key.iter_mut().zip(digits.chunks_exact(2)).enumerate() {
        let high = digit(pair[0]).ok_or(2 * i)?;
        let low = digit(pair[1]).ok_or(2 * i + 1)?;
        *byte = high << 4 | low;
    }
    Ok(key)
}

/// Encodes a key as 64 lower-case hexadecimal digits.
pub(crate) fn encode_hex(key: &[u8; KEY_LEN]) -> [u8; 2 * KEY_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 2 * KEY_LEN];
    for (pair, byte) in text.chunks_exact_mut(2).zip(key) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
