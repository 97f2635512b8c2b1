//! The encrypted stream: bytes that arrived go in and plaintext comes out, and the other way round.

use std::fmt;

use dayfly_wire::control::EarlyPayload;
use zeroize::Zeroizing;

use crate::early::{EARLY_HEADER_LEN, EarlyHeader, parse_early_header, write_early_payload};
use crate::transport::{MAX_FRAME, NoncesExhausted, OpenError, Transport};
use crate::{EarlyPayloadTooLong, FRAME_HEADER_LEN};

/// Most bytes of plaintext that wait to be read: four full frames.
pub const MAX_UNREAD: usize = 16 << 10;

/// Most bytes of plaintext that wait to be sealed.
pub const MAX_UNSEALED: usize = 32 << 10;

/// Reason why received bytes cannot be read. The connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// A record is not the one that is due.
    #[error(transparent)]
    Record(#[from] OpenError),
    /// The early payload is too long.
    #[error(transparent)]
    EarlyPayload(#[from] EarlyPayloadTooLong),
}

/// One end of an established connection.
///
/// Input: [`receive`](Self::receive), then [`unread`](Self::unread) and [`consume`](Self::consume). Output:
/// [`write`](Self::write) and [`seal`](Self::seal), then [`sealed`](Self::sealed) and [`sent`](Self::sent). Each
/// buffer has a limit, holds what is under way, and is given back when it is empty: an idle connection has none.
///
/// The end of a connection is not authenticated; HTTP/2 tells a whole answer from a cut one.
pub struct Stream {
    transport: Transport,
    /// Beginning of a frame whose end has not arrived; shorter than [`MAX_FRAME`].
    partial: Vec<u8>,
    inbox: Inbox,
    /// Plaintext not sealed yet. It has room for all that it may hold: credentials pass through here, and growing would
    /// leave copies behind.
    unsealed: Zeroizing<Vec<u8>>,
    /// Frames not sent yet, from `sent` on.
    sealed: Vec<u8>,
    sent: usize,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(..)")
    }
}

impl Stream {
    /// Makes the node's end, which skips an early payload at the beginning of what the server sends.
    pub(crate) fn client(transport: Transport) -> Self {
        Self::new(transport, Early::Undecided, Vec::new())
    }

    /// Makes the server's end, which sends the response and the early payload ahead of all else.
    pub(crate) fn server(mut transport: Transport, response: &[u8], early: Option<&EarlyPayload>) -> Self {
        let mut sealed = response.to_vec();
        if let Some(early) = early {
            // The very first records have nonces.
            let _ = transport.seal(&write_early_payload(early), &mut sealed);
        }
        Self::new(transport, Early::Past, sealed)
    }

    fn new(transport: Transport, early: Early, sealed: Vec<u8>) -> Self {
        Self {
            transport,
            partial: Vec::new(),
            inbox: Inbox { early, plain: Vec::new(), read: 0 },
            unsealed: Zeroizing::default(),
            sealed,
            sent: 0,
        }
    }

    /// Returns how many bytes [`receive`](Self::receive) takes now; 0 while [`MAX_UNREAD`] bytes wait to be read.
    #[must_use]
    pub fn room(&self) -> usize {
        MAX_UNREAD.saturating_sub(self.inbox.unread().len())
    }

    /// Takes bytes that arrived and returns how many it took: all, or [`room`](Self::room). They are decrypted where they
    /// are, so that `bytes` has no meaning afterwards.
    ///
    /// # Errors
    /// When a frame is no record, has an impossible length or fails authentication, or when an early payload is too
    /// long. Nothing is accepted from then on.
    pub fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, ReceiveError> {
        let taken = bytes.len().min(self.room());
        let mut rest = bytes.get_mut(..taken).unwrap_or_default();
        while !rest.is_empty() {
            if self.partial.is_empty() {
                match self.transport.open(rest)? {
                    Some(opened) => {
                        let consumed = opened.consumed;
                        self.inbox.deliver(opened.plaintext)?;
                        rest = rest.get_mut(consumed..).unwrap_or_default();
                    }
                    None => {
                        self.partial.extend_from_slice(rest);
                        break;
                    }
                }
            } else {
                let missing = frame_len(&self.partial).saturating_sub(self.partial.len());
                let (piece, after) = rest.split_at_mut(missing.min(rest.len()));
                self.partial.extend_from_slice(piece);
                rest = after;
                if let Some(opened) = self.transport.open(&mut self.partial)? {
                    self.inbox.deliver(opened.plaintext)?;
                    self.partial = Vec::new();
                }
            }
        }
        Ok(taken)
    }

    /// Returns the plaintext that waits to be read.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.inbox.unread()
    }

    /// Removes the first `count` bytes of [`unread`](Self::unread).
    pub fn consume(&mut self, count: usize) {
        self.inbox.consume(count);
    }

    /// Returns how many bytes [`write`](Self::write) takes now.
    #[must_use]
    pub fn write_room(&self) -> usize {
        MAX_UNSEALED.saturating_sub(self.unsealed.len())
    }

    /// Takes plaintext to be sent, and returns how many bytes it took: all, or [`write_room`](Self::write_room).
    pub fn write(&mut self, plaintext: &[u8]) -> usize {
        let count = plaintext.len().min(self.write_room());
        if count > 0 && self.unsealed.capacity() == 0 {
            self.unsealed = Zeroizing::new(Vec::with_capacity(MAX_UNSEALED));
        }
        self.unsealed.extend_from_slice(plaintext.get(..count).unwrap_or_default());
        count
    }

    /// Encrypts what was written, in as few frames as it takes, and wipes it. While frames sealed before wait to be sent it
    /// does nothing, so that what waits is bounded.
    ///
    /// # Errors
    /// After 2^64 - 1 records.
    pub fn seal(&mut self) -> Result<(), NoncesExhausted> {
        if self.sealed.is_empty() && !self.unsealed.is_empty() {
            self.transport.seal(&self.unsealed, &mut self.sealed)?;
            self.unsealed = Zeroizing::default();
        }
        Ok(())
    }

    /// Returns the frames that wait to be sent.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        self.sealed.get(self.sent..).unwrap_or_default()
    }

    /// Returns `true` while plaintext waits to be sealed or frames wait to be sent.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.sealed.is_empty() || !self.unsealed.is_empty()
    }

    /// Removes the first `count` bytes of [`sealed`](Self::sealed), which were sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.sent >= self.sealed.len() {
            self.sealed = Vec::new();
            self.sent = 0;
        }
    }
}

/// Length of a frame by its beginning: of the header while that is not complete.
fn frame_len(beginning: &[u8]) -> usize {
    let announced = match beginning.first_chunk::<FRAME_HEADER_LEN>() {
        Some(&[_, high, low]) => FRAME_HEADER_LEN + usize::from(u16::from_be_bytes([high, low])),
        None => FRAME_HEADER_LEN,
    };
    // A frame that announces more fails as soon as its header is there.
    announced.min(MAX_FRAME)
}

/// Plaintext that arrived, without the early payload.
struct Inbox {
    early: Early,
    /// Plaintext not read yet, from `read` on.
    plain: Vec<u8>,
    read: usize,
}

/// Position in relation to the early payload.
#[derive(Debug, Clone, Copy)]
enum Early {
    /// Fewer bytes than decide have arrived.
    Undecided,
    /// So many bytes of it are still to be skipped.
    Skipping(usize),
    /// HTTP/2 has begun.
    Past,
}

impl Inbox {
    fn deliver(&mut self, plaintext: &[u8]) -> Result<(), EarlyPayloadTooLong> {
        self.plain.extend_from_slice(plaintext);
        if matches!(self.early, Early::Undecided)
            && let Some(header) = self.plain.first_chunk::<EARLY_HEADER_LEN>()
        {
            self.early = match parse_early_header(header)? {
                EarlyHeader::Absent => Early::Past,
                EarlyHeader::Present(length) => Early::Skipping(EARLY_HEADER_LEN + length),
            };
        }
        if let Early::Skipping(left) = self.early {
            let skipped = left.min(self.plain.len());
            self.plain.drain(..skipped);
            self.early = if skipped == left { Early::Past } else { Early::Skipping(left - skipped) };
        }
        Ok(())
    }

    fn unread(&self) -> &[u8] {
        match self.early {
            Early::Past => self.plain.get(self.read..).unwrap_or_default(),
            Early::Undecided | Early::Skipping(_) => &[],
        }
    }

    fn consume(&mut self, count: usize) {
        self.read = self.read.saturating_add(count.min(self.unread().len()));
        if self.read >= self.plain.len() && matches!(self.early, Early::Past) {
            self.plain = Vec::new();
            self.read = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use dayfly_platform::random::SystemRng;
    use dayfly_wire::key::{ChallengePublic, MachinePrivate};
    use proptest::prelude::*;

    use super::*;
    use crate::{Handshake, MAX_PLAINTEXT, accept};

    /// First bytes of HTTP/2.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";

    fn pair(early: bool) -> (Stream, Stream) {
        let [machine, control] = [(); 2].map(|()| MachinePrivate::generate(&mut SystemRng));
        let (handshake, initiation) =
            Handshake::initiate(130, &machine, &control.public(), &mut SystemRng).unwrap();
        let early = early.then(|| EarlyPayload { node_key_challenge: ChallengePublic::from_bytes([9; 32]) });
        let mut server = accept(&initiation, &control, &mut SystemRng).unwrap().into_stream(early.as_ref());
        let node = handshake.finish(&server.sealed()[..51]).unwrap();
        server.sent(51);
        (node, server)
    }

    fn frames(stream: &mut Stream) -> Vec<u8> {
        stream.seal().unwrap();
        let frames = stream.sealed().to_vec();
        stream.sent(frames.len());
        frames
    }

    fn read_all(stream: &mut Stream) -> Vec<u8> {
        let plain = stream.unread().to_vec();
        stream.consume(plain.len());
        plain
    }

    #[test]
    fn response_and_early_payload_leave_together() {
        let (mut node, mut server) = pair(true);
        let mut early = server.sealed().to_vec();
        assert_eq!(early[0], 4);
        server.sent(early.len());
        node.receive(&mut early).unwrap();
        assert!(node.unread().is_empty());
        server.write(PREFACE);
        node.receive(&mut frames(&mut server)).unwrap();
        assert_eq!(node.unread(), PREFACE);
    }

    #[test]
    fn an_idle_stream_keeps_no_buffers() {
        let (mut node, mut server) = pair(false);
        for _ in 0..3 {
            server.write(&[7; MAX_UNSEALED]);
            let mut sent = frames(&mut server);
            let mut rest = &mut sent[..];
            while !rest.is_empty() {
                let taken = node.receive(rest).unwrap();
                rest = &mut rest[taken..];
                read_all(&mut node);
            }
        }
        for stream in [node, server] {
            let buffers = [&stream.partial, &stream.inbox.plain, &stream.unsealed, &stream.sealed];
            assert_eq!(buffers.map(Vec::capacity), [0; 4]);
        }
    }

    #[test]
    fn what_waits_to_be_read_is_bounded() {
        let (mut node, mut server) = pair(false);
        server.write(&[7; MAX_UNSEALED]);
        let mut sent = frames(&mut server);
        let mut rest = &mut sent[..];
        while node.room() > 0 {
            let taken = node.receive(rest).unwrap();
            rest = &mut rest[taken..];
            if taken == 0 {
                break;
            }
        }
        assert!(!rest.is_empty());
        assert!(node.unread().len() <= MAX_UNREAD + MAX_PLAINTEXT);
    }

    #[test]
    fn what_waits_to_be_sent_is_bounded() {
        let (mut node, _) = pair(false);
        for _ in 0..10 {
            node.write(&[7; MAX_UNSEALED]);
            node.seal().unwrap();
        }
        assert_eq!(node.write_room(), 0);
        assert_eq!(node.write(b"more"), 0);
        assert!(node.sealed().len() < MAX_UNSEALED + 1024);
    }

    #[test]
    fn many_small_writes_are_one_frame() {
        let (mut node, _) = pair(false);
        for _ in 0..100 {
            assert_eq!(node.write(b"header"), 6);
        }
        assert!(node.sealed().is_empty() && node.has_output());
        assert_eq!(frames(&mut node).len(), 3 + 600 + 16);
        assert!(!node.has_output());
    }

    #[test]
    fn a_forged_record_ends_the_stream() {
        let (mut node, mut server) = pair(false);
        node.write(b"genuine");
        let genuine = frames(&mut node);
        let mut forged = genuine.clone();
        forged[5] ^= 1;
        assert_eq!(server.receive(&mut forged), Err(OpenError::Forged.into()));
        for _ in 0..3 {
            assert_eq!(server.receive(&mut genuine.clone()), Err(OpenError::Failed.into()));
        }
        assert!(server.unread().is_empty() && server.partial.len() <= MAX_FRAME);
    }

    #[test]
    fn a_length_that_no_record_has_is_rejected_by_the_header_alone() {
        for cut in 0..3 {
            let (_, mut server) = pair(false);
            let mut header = [4, 0xff, 0xff];
            let (first, rest) = header.split_at_mut(cut);
            assert_eq!(server.receive(first), Ok(cut));
            assert_eq!(server.receive(rest), Err(OpenError::Length(0xffff).into()));
        }
    }

    #[test]
    fn a_server_reads_what_looks_like_an_early_payload() {
        let (mut node, mut server) = pair(false);
        node.write(b"\xff\xff\xffTS\0\0\0\x02{}");
        server.receive(&mut frames(&mut node)).unwrap();
        assert_eq!(server.unread(), b"\xff\xff\xffTS\0\0\0\x02{}");
    }

    #[test]
    fn an_early_payload_beyond_the_limit_is_rejected() {
        let (mut node, mut server) = pair(false);
        server.write(b"\xff\xff\xffTS\xff\0\0\0");
        assert_eq!(
            node.receive(&mut frames(&mut server)),
            Err(ReceiveError::EarlyPayload(EarlyPayloadTooLong(0xff00_0000)))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bytes_arrive_whole_however_they_are_cut(
            early: bool,
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 1..8),
            cut in 1..9000_usize,
        ) {
            let (mut node, mut server) = pair(early);
            let mut sent = server.sealed().to_vec();
            server.sent(sent.len());
            for message in [PREFACE].into_iter().chain(messages.iter().map(Vec::as_slice)) {
                prop_assert_eq!(server.write(message), message.len());
                sent.extend_from_slice(&frames(&mut server));
            }
            let mut received = Vec::new();
            for piece in sent.chunks_mut(cut) {
                prop_assert_eq!(node.receive(piece).unwrap(), piece.len());
                received.extend_from_slice(&read_all(&mut node));
            }
            prop_assert_eq!(received, [PREFACE, &messages.concat()].concat());
        }
    }
}
