//! Reading frames of a client, in place.

use thiserror::Error;

use super::{MAX_MESSAGE, close_code};

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;
/// The longest header of a client's frame: two bytes, a 64-bit length, a mask.
const MAX_HEADER: usize = 14;

/// Reasons why a WebSocket is closed by the server.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum WsError {
    /// A frame that RFC 6455 does not allow here.
    #[error("WebSocket frame that the protocol does not allow: {0}")]
    Protocol(&'static str),
    /// A text message came, where only bytes may.
    #[error("WebSocket text message where bytes are expected")]
    Text,
    /// A message is longer than is taken.
    #[error("WebSocket message of more than {MAX_MESSAGE} bytes")]
    TooBig,
}

impl WsError {
    /// The code to close with.
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => close_code::PROTOCOL_ERROR,
            Self::Text => close_code::UNSUPPORTED,
            Self::TooBig => close_code::TOO_BIG,
        }
    }
}

/// Requests of control frames. Of several Pings in one read only the last has to be answered
/// (RFC 6455, section 5.5.3), so that a flood of them costs one answer for each read.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Control {
    /// The payload of the Pong to send.
    pub(crate) pong: Option<Vec<u8>>,
    /// The other end is closing, with these bytes (a code and a reason, or nothing).
    pub(crate) close: Option<Vec<u8>>,
}

/// Takes the payloads out of frames.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The part of a header that has come.
    header: [u8; MAX_HEADER],
    header_len: u8,
    /// Bytes of the current frame's payload that are still to come.
    remaining: usize,
    mask: [u8; 4],
    /// Payload of a control frame so far, if the current frame is one.
    control: Option<(u8, Vec<u8>)>,
    /// Payload bytes of the current message so far; `None` between messages.
    message: Option<usize>,
    /// The current frame is its message's last.
    last: bool,
}

const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const CLOSE: u8 = 0x8;

impl Decoder {
    /// Takes all of `buffer` in, moves the payload of binary messages to its front and returns how many bytes that is.
    ///
    /// # Errors
    /// When a frame is not allowed. Nothing more can be read then.
    pub(crate) fn decode(&mut self, buffer: &mut [u8], control: &mut Control) -> Result<usize, WsError> {
        let (mut from, mut to) = (0, 0);
        while from < buffer.len() {
            if self.remaining == 0 {
                // At most one header's length of bytes, so byte by byte is good enough.
                self.header[usize::from(self.header_len)] = buffer[from];
                self.header_len += 1;
                from += 1;
                if !self.header_complete()? {
                    continue;
                }
                self.header_len = 0;
                if self.remaining > 0 {
                    continue;
                }
            }
            let taken = self.remaining.min(buffer.len() - from);
            unmask(&mut buffer[from..from + taken], &mut self.mask);
            self.remaining -= taken;
            if let Some((_, payload)) = &mut self.control {
                payload.extend_from_slice(&buffer[from..from + taken]);
            } else {
                buffer.copy_within(from..from + taken, to);
                to += taken;
            }
            from += taken;
            if self.remaining == 0 {
                self.frame_complete(control)?;
                if control.close.is_some() {
                    break;
                }
            }
        }
        Ok(to)
    }

    /// Reads the header as far as it has come, and tells whether that is all of it.
    fn header_complete(&mut self) -> Result<bool, WsError> {
        let have = usize::from(self.header_len);
        let [first, second, ..] = self.header;
        if have == 1 {
            self.check_first(first)?;
        }
        if have < 2 {
            return Ok(false);
        }
        if second & 0x80 == 0 {
            return Err(WsError::Protocol("a client's frame has to be masked"));
        }
        let opcode = first & 0x0f;
        let is_control = opcode & 0x8 != 0;
        let (length_bytes, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, usize::from(short)),
        };
        if is_control && length_bytes > 0 {
            return Err(WsError::Protocol("a control frame of more than 125 bytes"));
        }
        if have < 2 + length_bytes + 4 {
            return Ok(false);
        }
        let len = match length_bytes {
            0 => short as u64,
            _ => self.header[2..2 + length_bytes].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        self.mask.copy_from_slice(&self.header[2 + length_bytes..2 + length_bytes + 4]);
        if is_control {
            debug_assert!(len <= MAX_CONTROL as u64);
            self.control = Some((opcode, Vec::new()));
        } else {
            let message = self.message.unwrap_or_default() as u64;
            if len > MAX_MESSAGE as u64 - message {
                return Err(WsError::TooBig);
            }
            self.message = Some((message + len) as usize);
            self.last = first & 0x80 != 0;
        }
        self.remaining = len as usize;
        Ok(true)
    }

    fn check_first(&self, first: u8) -> Result<(), WsError> {
        if first & 0x70 != 0 {
            return Err(WsError::Protocol("reserved bits without an extension"));
        }
        let last = first & 0x80 != 0;
        match (first & 0x0f, self.message.is_some()) {
            (0x0, true) | (0x2, false) => Ok(()),
            (0x0, false) => Err(WsError::Protocol("a continuation of no message")),
            (0x1, false) => Err(WsError::Text),
            (0x1 | 0x2, true) => Err(WsError::Protocol("a new message inside another")),
            (CLOSE | PING | PONG, _) if last => Ok(()),
            (CLOSE | PING | PONG, _) => Err(WsError::Protocol("a control frame in parts")),
            _ => Err(WsError::Protocol("an unknown opcode")),
        }
    }

    fn frame_complete(&mut self, control: &mut Control) -> Result<(), WsError> {
        match self.control.take() {
            None => {
                if self.last {
                    self.message = None;
                }
            }
            Some((PING, payload)) => control.pong = Some(payload),
            Some((CLOSE, payload)) if payload.len() == 1 => {
                return Err(WsError::Protocol("a close code of one byte"));
            }
            Some((CLOSE, payload)) => control.close = Some(payload),
            Some(_) => {}
        }
        Ok(())
    }
}

/// Combines `bytes` with the mask and turns the mask so that it fits what follows them.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
}
