//! One session: two keys, a counter, a replay window.

use std::time::Duration;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use dayfly_moment::Moment;

use crate::constants::{REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME};
use crate::error::{ReceiveError, SealError};
use crate::message::{DATA_OFFSET, Data, TAG_LEN, data_header, padded_len, sealed_len};
use crate::replay::ReplayWindow;

/// A session. Its keys are wiped when it is dropped.
pub(crate) struct Session {
    /// The number by which the peer names it to us.
    pub(crate) local: u32,
    /// The number by which we name it to the peer.
    pub(crate) remote: u32,
    /// Moment at which its handshake was complete for us.
    pub(crate) born: Moment,
    /// We began the handshake.
    pub(crate) initiator: bool,
    sealing: ChaCha20Poly1305,
    opening: ChaCha20Poly1305,
    /// The counter of the next message.
    pub(crate) sent: u64,
    received: ReplayWindow,
}

impl Session {
    pub(crate) fn new(
        (local, remote): (u32, u32),
        sealing: &[u8; 32],
        opening: &[u8; 32],
        initiator: bool,
        born: Moment,
    ) -> Self {
        Self {
            local,
            remote,
            born,
            initiator,
            sealing: ChaCha20Poly1305::new(sealing.into()),
            opening: ChaCha20Poly1305::new(opening.into()),
            sent: 0,
            received: ReplayWindow::new(),
        }
    }

    pub(crate) fn age(&self, now: Moment) -> Duration {
        now - self.born
    }

    /// Returns the moment at which the session is over (section 6.2).
    pub(crate) fn expires(&self) -> Moment {
        self.born + REJECT_AFTER_TIME
    }

    pub(crate) fn may_send(&self, now: Moment) -> bool {
        now < self.expires() && self.sent < REJECT_AFTER_MESSAGES
    }

    /// Makes the datagram of the packet of `packet_len` bytes that lies at [`DATA_OFFSET`] of `buffer`.
    pub(crate) fn seal(
        &mut self,
        buffer: &mut [u8],
        packet_len: usize,
        now: Moment,
    ) -> Result<(), SealError> {
        if !self.may_send(now) {
            return Err(SealError::NoSession);
        }
        // The length is compared before it is rounded up, which a huge one would not survive.
        if packet_len > buffer.len() || buffer.len() != sealed_len(packet_len) {
            return Err(SealError::Buffer);
        }
        let (header, rest) = buffer.split_first_chunk_mut::<DATA_OFFSET>().ok_or(SealError::Buffer)?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(SealError::Buffer)?;
        if let Some(padding) = text.get_mut(packet_len..padded_len(packet_len)) {
            padding.fill(0);
        }
        let sealed = self
            .sealing
            .encrypt_inout_detached(&nonce(self.sent), &[], InOutBuf::from(text))
            .map_err(|_| SealError::Buffer)?;
        *header = data_header(self.remote, self.sent);
        *tag = sealed.into();
        self.sent += 1;
        Ok(())
    }

    /// Decrypts a message where it lies, and takes its counter.
    pub(crate) fn open<'a>(&mut self, data: Data<'a>, now: Moment) -> Result<&'a mut [u8], ReceiveError> {
        if now >= self.expires() || data.counter >= REJECT_AFTER_MESSAGES {
            return Err(ReceiveError::Expired);
        }
        if !self.received.is_new(data.counter) {
            return Err(ReceiveError::Replayed);
        }
        let Data { counter, text, tag, .. } = data;
        self.opening
            .decrypt_inout_detached(&nonce(counter), &[], InOutBuf::from(&mut *text), &Tag::from(tag))
            .map_err(|_| ReceiveError::Unauthenticated)?;
        self.received.mark(counter);
        Ok(text)
    }
}

/// Four zero bytes and the counter, little endian.
fn nonce(counter: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}
