//! The server's end of WebSocket (RFC 6455), as a stream of bytes.
//!
//! DERP and ts2021 give message boundaries no meaning, so nothing here assembles messages: [`Decoder`] takes the
//! frames out of whatever was read, in the buffer where it lies, and [`Encoder`] tells which header goes in front
//! of bytes that are written from where they lie. A connection therefore needs no buffer of its own. Extensions
//! (and with them compression) are never agreed to.

mod decode;
mod encode;
mod upgrade;

pub use decode::{Control, Decoder, WsError};
pub use encode::Encoder;
pub use upgrade::{accept_key, offers, wants_websocket};

/// The longest message, in bytes of payload, that is taken or sent: what Go's clients and servers take by default
/// (coder/websocket, `Conn.SetReadLimit`).
pub const MAX_MESSAGE: usize = 32 << 10;

/// Codes of close frames (RFC 6455, section 7.4.1).
pub mod close_code {
    /// The other end left, or this one does.
    pub const AWAY: u16 = 1001;
    /// The other end broke the protocol of WebSocket.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A text message came.
    pub const UNSUPPORTED: u16 = 1003;
    /// The messages carried something that the subprotocol does not allow.
    pub const POLICY: u16 = 1008;
    /// A message was too long.
    pub const TOO_BIG: u16 = 1009;
}

#[cfg(test)]
mod tests;
