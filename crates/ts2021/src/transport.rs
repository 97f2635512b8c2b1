//! Records: the frames that both sides exchange once the handshake is done.

use core::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, Key, KeyInit as _, Nonce, Tag};

use crate::{FRAME_HEADER_LEN, TAG_LEN, frame_type};

/// Longest frame, header included (control/controlbase/conn.go `maxMessageSize`, tailscale v1.102.5).
pub const MAX_FRAME: usize = 4096;

/// Most bytes that one record carries.
pub const MAX_PLAINTEXT: usize = MAX_FRAME - FRAME_HEADER_LEN - TAG_LEN;

/// Reason why a record cannot be read. The connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A frame is of another type than a record.
    #[error("frame of type {0} where an encrypted record was due")]
    NotARecord(u8),
    /// A frame announces more than is allowed, or less than a tag.
    #[error("encrypted record of impossible length {0}")]
    Length(usize),
    /// A record was damaged, forged, repeated or reordered, or one before it was lost.
    #[error("encrypted record fails authentication")]
    Forged,
    /// The other side has used up its nonces.
    #[error("too many encrypted records")]
    Exhausted,
    /// An earlier record failed, so that no later one counts.
    #[error("the connection failed before")]
    Failed,
}

/// All nonces of one direction are used up, after 2^64 - 1 records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many encrypted records")]
pub struct NoncesExhausted;

/// Content of the first record of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    /// Length of the frame in the buffer.
    pub(crate) consumed: usize,
    /// Bytes that it carried; none at all have no meaning.
    pub(crate) plaintext: &'a [u8],
}

/// Both directions of an established connection. Keys are wiped when dropped.
pub(crate) struct Transport {
    sending: Direction,
    receiving: Direction,
}

/// One direction: a key and the number of the next record.
struct Direction {
    cipher: ChaCha20Poly1305,
    /// `None` once nothing more may be sent or received.
    counter: Option<u64>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport(..)")
    }
}

impl Transport {
    pub(crate) fn new(sending: &[u8; 32], receiving: &[u8; 32]) -> Self {
        Self { sending: Direction::new(sending), receiving: Direction::new(receiving) }
    }

    /// Appends the frames of `plaintext` to `out`, as few as it takes.
    pub(crate) fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), NoncesExhausted> {
        out.reserve(plaintext.len() + plaintext.len().div_ceil(MAX_PLAINTEXT) * (FRAME_HEADER_LEN + TAG_LEN));
        for piece in plaintext.chunks(MAX_PLAINTEXT) {
            let [high, low] =
                u16::try_from(piece.len() + TAG_LEN).map_err(|_| NoncesExhausted)?.to_be_bytes();
            out.extend_from_slice(&[frame_type::RECORD, high, low]);
            let start = out.len();
            out.extend_from_slice(piece);
            let sealed = out.get_mut(start..).unwrap_or_default();
            let tag = self.sending.seal(sealed).ok_or(NoncesExhausted)?;
            out.extend_from_slice(&tag);
        }
        Ok(())
    }

    /// Decrypts the first frame of `buffer` in place; `None` when it is not complete yet.
    ///
    /// A record that fails does not advance the nonce, and nothing after it is ever accepted.
    pub(crate) fn open<'a>(&mut self, buffer: &'a mut [u8]) -> Result<Option<Opened<'a>>, OpenError> {
        let Some(&[kind, high, low]) = buffer.first_chunk::<FRAME_HEADER_LEN>() else {
            return Ok(None);
        };
        if self.receiving.counter.is_none() {
            return Err(OpenError::Failed);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind != frame_type::RECORD {
            return Err(self.fail(OpenError::NotARecord(kind)));
        }
        if !(TAG_LEN..=MAX_FRAME - FRAME_HEADER_LEN).contains(&length) {
            return Err(self.fail(OpenError::Length(length)));
        }
        let consumed = FRAME_HEADER_LEN + length;
        let Some(payload) = buffer.get_mut(FRAME_HEADER_LEN..consumed) else {
            return Ok(None);
        };
        let (sealed, tag) = payload.split_at_mut(length - TAG_LEN);
        match self.receiving.open(sealed, tag) {
            Ok(()) => Ok(Some(Opened { consumed, plaintext: sealed })),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fail(&mut self, error: OpenError) -> OpenError {
        self.receiving.counter = None;
        error
    }
}

impl Direction {
    fn new(key: &[u8; 32]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(&Key::from(*key)), counter: Some(0) }
    }

    fn seal(&mut self, buffer: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let counter = self.counter.filter(|&counter| counter != u64::MAX)?;
        let tag = self.cipher.encrypt_inout_detached(&nonce(counter), &[], InOutBuf::from(buffer)).ok()?;
        self.counter = Some(counter + 1);
        Some(tag.into())
    }

    fn open(&mut self, buffer: &mut [u8], tag: &[u8]) -> Result<(), OpenError> {
        let counter = self.counter.filter(|&counter| counter != u64::MAX).ok_or(OpenError::Exhausted)?;
        let tag = Tag::try_from(tag).map_err(|_| OpenError::Forged)?;
        self.cipher
            .decrypt_inout_detached(&nonce(counter), &[], InOutBuf::from(buffer), &tag)
            .map_err(|_| OpenError::Forged)?;
        self.counter = Some(counter + 1);
        Ok(())
    }
}

/// Makes the nonce of a record. Unlike in the Noise specification the counter is big-endian (control/controlbase/conn.go
/// `nonce`, tailscale v1.102.5).
fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair() -> (Transport, Transport) {
        (Transport::new(&[1; 32], &[2; 32]), Transport::new(&[2; 32], &[1; 32]))
    }

    fn open_all(transport: &mut Transport, mut bytes: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        let (mut at, mut plaintext) = (0, Vec::new());
        while let Some(opened) = transport.open(&mut bytes[at..])? {
            plaintext.extend_from_slice(opened.plaintext);
            at += opened.consumed;
        }
        assert_eq!(at, bytes.len());
        Ok(plaintext)
    }

    #[test]
    fn the_counter_is_big_endian() {
        assert_eq!(nonce(0x0102).as_slice(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn frames_are_full_before_the_next_begins() {
        let (mut a, mut b) = pair();
        let plaintext = vec![7; 2 * MAX_PLAINTEXT + 1];
        let mut frames = Vec::new();
        a.seal(&plaintext, &mut frames).unwrap();
        assert_eq!(frames.len(), 2 * MAX_FRAME + FRAME_HEADER_LEN + 1 + TAG_LEN);
        assert_eq!(open_all(&mut b, frames).unwrap(), plaintext);
    }

    #[test]
    fn an_empty_record_is_no_error() {
        let (mut a, mut b) = pair();
        let tag = a.sending.seal(&mut []).unwrap();
        let mut frame = [&[frame_type::RECORD, 0, 16][..], &tag].concat();
        let opened = b.open(&mut frame).unwrap().unwrap();
        assert_eq!(opened, Opened { consumed: 19, plaintext: &[] });
    }

    #[test]
    fn a_forged_record_ends_the_connection_without_moving_the_nonce() {
        let (mut a, mut b) = pair();
        let mut frame = Vec::new();
        a.seal(b"genuine", &mut frame).unwrap();
        let mut forged = frame.clone();
        forged[4] ^= 1;
        assert_eq!(b.open(&mut forged), Err(OpenError::Forged));
        assert_eq!(b.open(&mut frame), Err(OpenError::Failed));
    }

    #[test]
    fn a_repeated_or_reordered_record_is_rejected() {
        let (mut a, mut b) = pair();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        a.seal(b"1", &mut first).unwrap();
        a.seal(b"2", &mut second).unwrap();
        assert_eq!(b.open(&mut second.clone()), Err(OpenError::Forged));
        let (_, mut b) = pair();
        assert!(b.open(&mut first.clone()).unwrap().is_some());
        assert_eq!(b.open(&mut first), Err(OpenError::Forged));
    }

    #[test]
    fn impossible_headers_are_rejected_before_their_payload_is_awaited() {
        for (header, error) in [
            ([frame_type::RECORD, 0xff, 0xff], OpenError::Length(0xffff)),
            ([frame_type::RECORD, 0x0f, 0xfe], OpenError::Length(4094)),
            ([frame_type::RECORD, 0, 15], OpenError::Length(15)),
            ([frame_type::RESPONSE, 0, 48], OpenError::NotARecord(2)),
            ([9, 0, 48], OpenError::NotARecord(9)),
        ] {
            assert_eq!(pair().0.open(&mut header.clone()), Err(error));
        }
        assert_eq!(pair().0.open(&mut [frame_type::RECORD, 0x0f, 0xfd]), Ok(None));
    }

    #[test]
    fn the_last_nonce_is_never_used() {
        let (mut a, mut b) = pair();
        a.sending.counter = Some(u64::MAX);
        assert_eq!(a.seal(b"x", &mut Vec::new()), Err(NoncesExhausted));
        b.receiving.counter = Some(u64::MAX);
        assert_eq!(
            b.open(&mut [&[frame_type::RECORD, 0, 16][..], &[0; 16]].concat()),
            Err(OpenError::Exhausted)
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(messages: Vec<Vec<u8>>) {
            let (mut a, mut b) = pair();
            let mut frames = Vec::new();
            for message in &messages {
                a.seal(message, &mut frames).unwrap();
            }
            prop_assert_eq!(open_all(&mut b, frames).unwrap(), messages.concat());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_pass(mut bytes: Vec<u8>) {
            if let Ok(Some(_)) = pair().1.open(&mut bytes) {
                prop_assert!(false, "a forgery was accepted");
            }
        }
    }
}
