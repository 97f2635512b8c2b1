use proptest::prelude::*;

use super::decode::{Control, Decoder, WsError};
use super::encode::Encoder;
use super::{MAX_MESSAGE, accept_key};

/// A client's frame: masked, with the shortest length that fits.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..=125 => bytes.push(0x80 | len as u8),
        len @ ..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Control), WsError> {
    let (mut decoder, mut control, mut out) = (Decoder::default(), Control::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut buffer = piece.to_vec();
        let len = decoder.decode(&mut buffer, &mut control)?;
        out.extend_from_slice(&buffer[..len]);
    }
    Ok((out, control))
}

#[test]
fn the_handshake_of_rfc_6455_is_answered_as_there() {
    let request = http::Request::get("/derp")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .unwrap();
    assert_eq!(accept_key(&request).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn what_is_not_a_websocket_request_is_named() {
    let request = http::Request::get("/derp").header("connection", "upgrade").body(()).unwrap();
    assert!(accept_key(&request).unwrap_err().contains("Version"));
}

#[test]
fn control_frames_may_stand_between_the_parts_of_a_message() {
    let mut bytes = frame(0x02, b"ab", [1, 2, 3, 4]);
    bytes.extend(frame(0x89, b"ping", [9, 8, 7, 6]));
    bytes.extend(frame(0x80, b"cd", [5, 6, 7, 8]));
    for piece in 1..bytes.len() {
        let (out, control) = decode(&bytes, piece).unwrap();
        assert_eq!((out.as_slice(), control.pong.as_deref()), (&b"abcd"[..], Some(&b"ping"[..])));
    }
}

#[test]
fn what_follows_a_close_is_not_read() {
    let mut bytes = frame(0x88, &1001_u16.to_be_bytes(), [0; 4]);
    bytes.extend(frame(0x82, b"late", [0; 4]));
    let (out, control) = decode(&bytes, bytes.len()).unwrap();
    assert_eq!((out.len(), control.close.as_deref()), (0, Some(&[0x03, 0xe9][..])));
}

#[test]
fn forbidden_frames_close_with_their_code() {
    let code = |bytes: &[u8]| decode(bytes, bytes.len()).unwrap_err().close_code();
    assert_eq!(code(&[0x82, 0x01, b'x']), 1002, "unmasked");
    assert_eq!(code(&frame(0x81, b"text", [0; 4])), 1003);
    assert_eq!(code(&frame(0xc2, b"deflated", [0; 4])), 1002);
    assert_eq!(code(&frame(0x80, b"continuation", [0; 4])), 1002);
    assert_eq!(code(&frame(0x09, b"ping in parts", [0; 4])), 1002);
    assert_eq!(code(&frame(0x89, &[0; 126], [0; 4])), 1002);
    assert_eq!(code(&frame(0x83, b"", [0; 4])), 1002);
    assert_eq!(code(&frame(0x88, b"1", [0; 4])), 1002);
    assert_eq!(code(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), 1009);
}

#[test]
fn a_message_is_bounded_over_all_its_parts() {
    let part = vec![0; MAX_MESSAGE / 2];
    let mut bytes = frame(0x02, &part, [1; 4]);
    bytes.extend(frame(0x00, &part, [1; 4]));
    assert_eq!(decode(&bytes, 4096).unwrap().0.len(), MAX_MESSAGE);
    bytes.extend(frame(0x00, b"x", [1; 4]));
    assert_eq!(decode(&bytes, 4096).unwrap_err(), WsError::TooBig);
}

#[test]
fn messages_are_cut_at_32_kib() {
    let mut encoder = Encoder::default();
    assert_eq!(encoder.begin(MAX_MESSAGE + 1), MAX_MESSAGE);
    assert_eq!(encoder.ahead(), [0x82, 126, 0x80, 0x00]);
    assert_eq!(encoder.advance(3), 0);
    assert_eq!(encoder.ahead(), [0x00]);
    assert_eq!(encoder.advance(1 + 100), 100);
    assert_eq!(encoder.begin(5), MAX_MESSAGE - 100, "the message that was begun goes on");
    assert_eq!(encoder.advance(MAX_MESSAGE - 100), MAX_MESSAGE - 100);
    assert!(encoder.is_idle());
    assert_eq!(encoder.begin(5), 5);
    assert_eq!(encoder.ahead(), [0x82, 5]);
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_they_are_cut(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        mask: [u8; 4],
        piece in 1_usize..64,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(0x82, message, mask)).collect();
        prop_assert_eq!(decode(&bytes, piece).unwrap().0, messages.concat());
    }

    #[test]
    fn any_bytes_are_read_alike_however_they_are_cut(
        messages in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..6),
        noise: Vec<u8>,
        piece: u8,
        mask: [u8; 4],
    ) {
        let frames = messages.iter().flat_map(|(first, payload)| frame(*first, payload, mask));
        let bytes: Vec<u8> = std::iter::once(piece).chain(frames).chain(noise).collect();
        crate::fuzzing::websocket_frames(&bytes);
    }
}
