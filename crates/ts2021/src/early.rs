//! The early payload: JSON that a control server may send before HTTP/2.

use dayfly_wire::control::EarlyPayload;

/// Most bytes of JSON of an early payload. It is a hundred bytes long; Go's client takes 10 MiB.
pub const MAX_EARLY_PAYLOAD: usize = 4096;

/// Bytes that decide whether there is an early payload: as many as the header of an HTTP/2 frame has.
pub(crate) const EARLY_HEADER_LEN: usize = 9;

/// Five bytes that cannot begin an HTTP/2 frame of a sane size (control/ts2021/conn.go `earlyPayloadMagic`,
/// tailscale v1.102.5).
const MAGIC: [u8; 5] = *b"\xff\xff\xffTS";

/// Meaning of the first nine bytes that a control server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EarlyHeader {
    /// The beginning of HTTP/2: these nine bytes belong to it.
    Absent,
    /// That many bytes of JSON follow, and then HTTP/2.
    Present(usize),
}

/// An early payload longer than [`MAX_EARLY_PAYLOAD`] was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an early payload of {0} bytes was announced, more than the {MAX_EARLY_PAYLOAD} allowed")]
pub struct EarlyPayloadTooLong(pub u32);

/// Reads a control server's first nine bytes. On a WebSocket they never announce an early payload.
pub(crate) fn parse_early_header(
    header: &[u8; EARLY_HEADER_LEN],
) -> Result<EarlyHeader, EarlyPayloadTooLong> {
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

/// Writes an early payload as a control server sends it.
pub(crate) fn write_early_payload(payload: &EarlyPayload) -> Vec<u8> {
    // A key and its name: far below the limit, and never an error.
    let json = serde_json::to_vec(payload).unwrap_or_default();
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    [&MAGIC[..], &length.to_be_bytes(), &json].concat()
}

#[cfg(test)]
mod tests {
    use dayfly_wire::key::ChallengePublic;

    use super::*;

    #[test]
    fn a_written_payload_is_recognised() {
        let payload = EarlyPayload { node_key_challenge: ChallengePublic::from_bytes([7; 32]) };
        let written = write_early_payload(&payload);
        let (header, json) = written.split_first_chunk().unwrap();
        assert_eq!(parse_early_header(header), Ok(EarlyHeader::Present(json.len())));
        assert_eq!(serde_json::from_slice::<EarlyPayload>(json).unwrap(), payload);
    }

    #[test]
    fn settings_of_http2_are_no_early_payload() {
        assert_eq!(parse_early_header(b"\0\0\x12\x04\0\0\0\0\0"), Ok(EarlyHeader::Absent));
    }

    #[test]
    fn a_length_beyond_the_limit_is_rejected() {
        assert_eq!(parse_early_header(b"\xff\xff\xffTS\xff\0\0\0"), Err(EarlyPayloadTooLong(0xff00_0000)));
    }
}
