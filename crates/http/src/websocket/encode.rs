//! Headers of the server's frames.

use super::MAX_MESSAGE;

/// Writes the headers in front of payload bytes, and counts those of the message that was begun.
///
/// The payload itself is written from where it lies. Once `begin` was given a length, that many bytes
/// have to follow before anything else may.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Bytes to write before any payload: headers, or whole control frames.
    ahead: Vec<u8>,
    ahead_written: usize,
    /// Payload bytes of the current message that are still to be written.
    payload_left: usize,
}

impl Encoder {
    /// Bytes to write before the payload.
    pub(crate) fn ahead(&self) -> &[u8] {
        self.ahead.get(self.ahead_written..).unwrap_or_default()
    }

    /// Returns `true` if nothing has been begun that is not finished.
    pub(crate) fn is_idle(&self) -> bool {
        self.payload_left == 0 && self.ahead().is_empty()
    }

    /// Returns `true` if a new message or a control frame may begin.
    pub(crate) const fn between_messages(&self) -> bool {
        self.payload_left == 0
    }

    /// Payload bytes of the current message that are still to be written.
    pub(crate) const fn payload_left(&self) -> usize {
        self.payload_left
    }

    /// Begins a binary message of up to `len` bytes, if none is begun, and returns how many payload bytes to write.
    pub(crate) fn begin(&mut self, len: usize) -> usize {
        if self.payload_left == 0 && len > 0 {
            let len = len.min(MAX_MESSAGE);
            self.head(0x2, len);
            self.payload_left = len;
        }
        self.payload_left
    }

    /// Adds a Pong with `payload`, which has at most 125 bytes. Only between messages.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.head(0xa, payload.len());
        self.ahead.extend_from_slice(payload);
    }

    /// Adds a Close with `payload`: a code and a reason, at most 125 bytes. Only between messages.
    pub(crate) fn close(&mut self, payload: &[u8]) {
        self.head(0x8, payload.len());
        self.ahead.extend_from_slice(payload);
    }

    fn head(&mut self, opcode: u8, len: usize) {
        debug_assert!(self.between_messages() && len <= MAX_MESSAGE);
        self.ahead.push(0x80 | opcode);
        match u8::try_from(len) {
            Ok(len @ ..=125) => self.ahead.push(len),
            _ => {
                self.ahead.push(126);
                self.ahead.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
    }

    /// Counts `written` bytes, from the first of [`ahead`](Self::ahead) on. Returns how many were payload.
    pub(crate) fn advance(&mut self, written: usize) -> usize {
        let ahead = self.ahead().len().min(written);
        self.ahead_written += ahead;
        if self.ahead_written == self.ahead.len() {
            self.ahead.clear();
            self.ahead_written = 0;
        }
        let payload = written - ahead;
        self.payload_left = self.payload_left.saturating_sub(payload);
        payload
    }
}
