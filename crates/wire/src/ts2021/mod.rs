//! ts2021: the encrypted transport between a node and its coordination server, without I/O.
//!
//! A Noise IK handshake ([`Handshake`] on the node's side, [`accept`] on the server's) gives a [`Transport`] of
//! encrypted records. HTTP/2 runs inside; how the bytes travel (HTTP upgrade or WebSocket) is others' business.
//! The protocol is that of Tailscale's `control/controlbase`.

mod early;
mod handshake;
#[cfg(test)]
mod known_answers;
mod transport;

pub use early::{EARLY_HEADER_LEN, EarlyHeader, EarlyPayloadTooLong, early_payload, parse_early_header};
pub use handshake::{
    Accepted, Handshake, HandshakeError, INITIATION_LEN, RESPONSE_LEN, accept, error_frame, first_frame_len,
};
pub use transport::{MAX_FRAME, MAX_PLAINTEXT, OpenError, Opened, Transport, TransportExhausted};

/// Most bytes of JSON of an early payload. It is a hundred bytes long; Go's client takes 10 MiB.
pub const MAX_EARLY_PAYLOAD: usize = 4096;

/// Name of the HTTP upgrade and of the WebSocket subprotocol.
pub const UPGRADE: &str = "tailscale-control-protocol";

/// Header, or query parameter on a WebSocket, that carries the initiation in standard base64.
pub const HANDSHAKE_HEADER: &str = "X-Tailscale-Handshake";

/// Length of the header of all frames but the initiation: type and payload length.
const HEADER_LEN: usize = 3;
/// Length of the tag of an encrypted payload.
const TAG_LEN: usize = 16;

/// Types of frames (control/controlbase/messages.go).
mod frame_type {
    pub(super) const INITIATION: u8 = 1;
    pub(super) const RESPONSE: u8 = 2;
    pub(super) const ERROR: u8 = 3;
    pub(super) const RECORD: u8 = 4;
}
