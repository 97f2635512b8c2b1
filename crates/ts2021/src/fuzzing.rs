//! Bodies of the fuzz targets, shared with the property tests.
//!
//! Each function reads its input with one parser and asserts what must hold of anything that the parser takes.

use std::sync::LazyLock;

use dayfly_wire::fuzzing::Counter;
use dayfly_wire::key::{MachinePrivate, MachinePublic};
use dayfly_wire::ts2021::{INITIATION_LEN, RESPONSE_LEN};

use crate::early::{EARLY_HEADER_LEN, EarlyHeader, parse_early_header};
use crate::transport::Transport;
use crate::{
    FRAME_HEADER_LEN, Handshake, HandshakeError, MAX_EARLY_PAYLOAD, OpenError, ReceiveError, Stream, accept,
    first_frame_len,
};

/// Key of whoever reads. It never changes, so that messages made with it can be seeds.
static KEY: LazyLock<MachinePrivate> = LazyLock::new(|| MachinePrivate::from_bytes([7; 32]));
static PUBLIC_KEY: LazyLock<MachinePublic> = LazyLock::new(|| KEY.public());

/// Reads a server's first message and a node's first answer.
///
/// The keys never change, so bytes that were made for them are taken: the seeds of the fuzz target are.
pub fn ts2021_handshake(bytes: &[u8]) {
    if let Ok(accepted) = accept(bytes, &KEY, &mut Counter::new(1)) {
        assert_eq!(bytes.len(), INITIATION_LEN);
        assert!(bytes.starts_with(&accepted.version().to_be_bytes()));
    }
    if let Ok(Some(length)) = first_frame_len(bytes) {
        assert!(length >= FRAME_HEADER_LEN);
    }
    if let Ok((handshake, _)) = Handshake::initiate(1, &KEY, &PUBLIC_KEY, &mut Counter::new(2)) {
        match handshake.finish(bytes) {
            Ok(_) => assert_eq!(bytes.len(), RESPONSE_LEN),
            Err(HandshakeError::Rejected(text)) => assert!(text.len() <= 3 * bytes.len()),
            Err(_) => {}
        }
    }
    if let Some(header) = bytes.first_chunk()
        && let Ok(EarlyHeader::Present(length)) = parse_early_header(header)
    {
        assert!(length <= MAX_EARLY_PAYLOAD);
    }
}

/// Opens what can be opened of `frames`: the content, and the error after it.
fn open_records(transport: &mut Transport, frames: &mut [u8]) -> (Vec<u8>, Option<OpenError>) {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        match transport.open(&mut frames[at..]) {
            Ok(Some(opened)) => {
                content.extend_from_slice(opened.plaintext);
                at += opened.consumed;
            }
            Ok(None) => return (content, None),
            Err(error) => return (content, Some(error)),
        }
    }
}

/// Opens records of somebody without the keys, and the same bytes sealed but damaged on their way.
///
/// The first three bytes tell where and how, the rest is what is sealed.
///
/// # Panics
/// Where a forgery is taken, or something else comes out than was sealed.
pub fn ts2021_records(bytes: &[u8]) {
    let mut node = Transport::new(&[1; 32], &[2; 32]);
    let mut server = Transport::new(&[2; 32], &[1; 32]);
    let (content, _) = open_records(&mut node, &mut bytes.to_vec());
    assert!(content.is_empty());
    let Some((&[high, low, flip], content)) = bytes.split_first_chunk() else { return };
    let mut frames = Vec::new();
    assert!(node.seal(content, &mut frames).is_ok());
    let at = usize::from(u16::from_be_bytes([high, low]));
    let damaged = frames.get_mut(at).is_some_and(|byte| {
        *byte ^= flip;
        flip != 0
    });
    let (opened, error) = open_records(&mut server, &mut frames);
    assert!(content.starts_with(&opened));
    // Where a length was damaged, the end may just be missing.
    assert!(damaged || (opened.len() == content.len() && error.is_none()));
    assert!(!damaged || opened.len() < content.len());
    if error.is_some() {
        let mut more = Vec::new();
        assert!(node.seal(b"more", &mut more).is_ok());
        assert_eq!(server.open(&mut more), Err(OpenError::Failed));
    }
}

/// Reads all that a stream gets of `bytes` in pieces of `cut` bytes.
fn receive_all(stream: &mut Stream, bytes: &mut [u8], cut: usize) -> Result<Vec<u8>, ReceiveError> {
    let mut plain = Vec::new();
    for mut piece in bytes.chunks_mut(cut) {
        while !piece.is_empty() {
            let taken = stream.receive(piece)?;
            piece = &mut piece[taken..];
            plain.extend_from_slice(stream.unread());
            stream.consume(stream.unread().len());
        }
    }
    Ok(plain)
}

/// Writes `plaintext` to a stream, and returns the frames that it is sealed in.
fn send_all(stream: &mut Stream, mut plaintext: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    while !plaintext.is_empty() {
        plaintext = &plaintext[stream.write(plaintext)..];
        assert!(stream.seal().is_ok());
        frames.extend_from_slice(stream.sealed());
        stream.sent(stream.sealed().len());
    }
    frames
}

/// Makes a node's stream and its server's, without a handshake.
fn streams() -> (Stream, Stream) {
    let node = Stream::client(Transport::new(&[1; 32], &[2; 32]));
    (node, Stream::server(Transport::new(&[2; 32], &[1; 32]), &[], None))
}

/// Reads a server's bytes as a node: of somebody without the keys, and sealed. The first byte is the length of the pieces
/// in which they arrive.
///
/// # Panics
/// Where a forgery is taken, or something else comes out than follows an early payload.
pub fn ts2021_client_stream(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let cut = usize::from(cut) + 1;
    let (mut node, mut server) = streams();
    assert!(receive_all(&mut node, &mut bytes.to_vec(), cut).unwrap_or_default().is_empty());
    let (mut node, mut frames) = (streams().0, send_all(&mut server, bytes));
    let received = receive_all(&mut node, &mut frames, cut);
    let expected = match bytes.first_chunk::<EARLY_HEADER_LEN>().map(parse_early_header) {
        None => &[],
        Some(Ok(EarlyHeader::Absent)) => bytes,
        Some(Ok(EarlyHeader::Present(length))) => bytes.get(EARLY_HEADER_LEN + length..).unwrap_or_default(),
        Some(Err(error)) => return assert_eq!(received, Err(error.into())),
    };
    assert_eq!(received.as_deref(), Ok(expected));
}

/// Reads a node's bytes as a server, as [`ts2021_client_stream`] does the other way round.
///
/// # Panics
/// Where a forgery is taken, or something else comes out than was sealed.
pub fn ts2021_server_stream(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let cut = usize::from(cut) + 1;
    let (mut node, mut server) = streams();
    assert!(receive_all(&mut server, &mut bytes.to_vec(), cut).unwrap_or_default().is_empty());
    let (mut server, mut frames) = (streams().1, send_all(&mut node, bytes));
    assert_eq!(receive_all(&mut server, &mut frames, cut).as_deref(), Ok(bytes));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seeds_of_a_handshake_are_of_this_one() {
        let initiation = include_bytes!("../../../fuzz/seeds/ts2021_handshake/initiation");
        let response = include_bytes!("../../../fuzz/seeds/ts2021_handshake/response");
        let accepted = accept(initiation, &KEY, &mut Counter::new(1)).unwrap();
        assert_eq!(accepted.into_stream(None).sealed(), response);
        let (handshake, _) = Handshake::initiate(1, &KEY, &PUBLIC_KEY, &mut Counter::new(2)).unwrap();
        assert!(handshake.finish(response).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            super::ts2021_handshake(&bytes);
            super::ts2021_records(&bytes);
            super::ts2021_client_stream(&bytes);
            super::ts2021_server_stream(&bytes);
        }

        #[test]
        fn damaged_records_are_rejected(at in 0..40_u8, flip: u8, content: Vec<u8>) {
            super::ts2021_records(&[&[0, at, flip][..], &content].concat());
        }

        #[test]
        fn frames_of_any_length_are_read_without_harm(length: u16, kind in 0..5_u8, body: Vec<u8>) {
            let [high, low] = length.to_be_bytes();
            let header = [0, 1, kind, high, low];
            super::ts2021_handshake(&[&header[..], &body].concat());
            super::ts2021_handshake(&[&header[2..], &body].concat());
        }

        #[test]
        fn early_payloads_of_any_length_are_skipped(cut: u8, length in 0..5000_u32, body: Vec<u8>) {
            let early = [&[cut][..], b"\xff\xff\xffTS", &length.to_be_bytes(), &body].concat();
            super::ts2021_client_stream(&early);
        }
    }
}
