//! What a server may send before HTTP/2: the early payload.

use super::MAX_EARLY_PAYLOAD;

/// Bytes that decide whether there is an early payload: as many as an HTTP/2 frame header has.
pub const EARLY_HEADER_LEN: usize = 9;

/// Five bytes that can't begin an HTTP/2 frame of a sane size (control/ts2021/conn.go `earlyPayloadMagic`).
const MAGIC: [u8; 5] = *b"\xff\xff\xffTS";

/// What the first nine bytes of a server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyHeader {
    /// The beginning of HTTP/2: these nine bytes belong to it.
    Absent,
    /// That many bytes of JSON follow, and then HTTP/2.
    Present(usize),
}

/// An early payload longer than [`MAX_EARLY_PAYLOAD`] was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an early payload of {0} bytes was announced, more than the {MAX_EARLY_PAYLOAD} allowed")]
pub struct EarlyPayloadTooLong(pub u32);

/// Tells whether a server's first nine bytes announce an early payload. On a WebSocket they never do.
pub fn parse_early_header(header: &[u8; EARLY_HEADER_LEN]) -> Result<EarlyHeader, EarlyPayloadTooLong> {
    let [m0, m1, m2, m3, m4, length @ ..] = *header;
    if [m0, m1, m2, m3, m4] != MAGIC {
        return Ok(EarlyHeader::Absent);
    }
    let length = u32::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(length) if length <= MAX_EARLY_PAYLOAD => Ok(EarlyHeader::Present(length)),
        _ => Err(EarlyPayloadTooLong(length)),
    }
}

/// An early payload as a server sends it. `json` longer than [`MAX_EARLY_PAYLOAD`] is refused by clients.
#[must_use]
pub fn early_payload(json: &[u8]) -> Vec<u8> {
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    [&MAGIC[..], &length.to_be_bytes(), json].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_recognised() {
        let payload = early_payload(b"{}");
        let (header, json) = payload.split_first_chunk().unwrap();
        assert_eq!(parse_early_header(header), Ok(EarlyHeader::Present(2)));
        assert_eq!(json, b"{}");
    }

    #[test]
    fn settings_of_http2_are_no_early_payload() {
        assert_eq!(parse_early_header(b"\0\0\x12\x04\0\0\0\0\0"), Ok(EarlyHeader::Absent));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused() {
        assert_eq!(parse_early_header(b"\xff\xff\xffTS\xff\0\0\0"), Err(EarlyPayloadTooLong(0xff00_0000)));
    }
}
