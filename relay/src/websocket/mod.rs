//! The server's end of WebSocket (RFC 6455), as a stream of bytes.
//!
//! DERP and ts2021 give message boundaries no meaning, so nothing here assembles messages: [`Decoder`] takes the
//! frames out of whatever was read, in the buffer where it lies, and [`Encoder`] tells which header goes in front
//! of bytes that are written from where they lie. A connection therefore needs no buffer of its own. Extensions
//! (and with them compression) are never agreed to.

mod decode;
mod encode;
mod upgrade;

pub(crate) use decode::{Control, Decoder, WsError};
pub(crate) use encode::Encoder;
pub(crate) use upgrade::{accept_key, offers, wants_websocket};

/// The longest message that is taken, in bytes: what Go's clients and servers take by default.
pub(crate) const MAX_MESSAGE_IN: usize = 32 << 10;

/// Codes of close frames (RFC 6455, section 7.4.1).
pub(crate) mod close_code {
    /// The other end left, or this one does.
    pub(crate) const AWAY: u16 = 1001;
    /// The other end broke the protocol of WebSocket.
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
    /// A text message came.
    pub(crate) const UNSUPPORTED: u16 = 1003;
    /// What the messages carried was not what the subprotocol allows.
    pub(crate) const POLICY: u16 = 1008;
    /// A message was too long.
    pub(crate) const TOO_BIG: u16 = 1009;
}

#[cfg(test)]
mod tests;
