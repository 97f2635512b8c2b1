//! ts2021, both ends: the encrypted connection between a node and its control server, without I/O.
//!
//! A Noise IK handshake, [`Handshake`] on the node's side and [`accept`] on the server's, gives each side a [`Stream`]
//! of encrypted records. HTTP/2 runs inside; how the bytes travel (HTTP upgrade or WebSocket) is the caller's business.
//! The protocol is that of control/controlbase (tailscale v1.102.5).
//!
//! ```
//! use dayfly_platform::random::SystemRng;
//! use dayfly_ts2021::{Handshake, accept};
//! use dayfly_wire::control::CAPABILITY_VERSION;
//! use dayfly_wire::key::MachinePrivate;
//!
//! let [machine, control] = [(); 2].map(|()| MachinePrivate::generate(&mut SystemRng));
//! // The initiation is a header of the request that opens the connection.
//! let (handshake, initiation) =
//!     Handshake::initiate(CAPABILITY_VERSION, &machine, &control.public(), &mut SystemRng)?;
//!
//! // The server learns who connects; the first bytes that its stream sends are the response.
//! let accepted = accept(&initiation, &control, &mut SystemRng)?;
//! assert_eq!(accepted.machine(), machine.public());
//! let mut server = accepted.into_stream(None);
//! let response = server.sealed().to_vec();
//! server.sent(response.len());
//!
//! let mut node = handshake.finish(&response)?;
//! node.write(b"PRI * HTTP/2.0");
//! node.seal()?;
//! server.receive(&mut node.sealed().to_vec())?;
//! assert_eq!(server.unread(), b"PRI * HTTP/2.0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod early;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod handshake;
#[cfg(test)]
mod known_answers;
mod stream;
mod transport;

pub use early::{EarlyPayloadTooLong, MAX_EARLY_PAYLOAD};
pub use handshake::{Accepted, Handshake, HandshakeError, accept, error_frame, first_frame_len};
pub use stream::{MAX_UNREAD, MAX_UNSEALED, ReceiveError, Stream};
pub use transport::{MAX_FRAME, MAX_PLAINTEXT, NoncesExhausted, OpenError};

/// Length of the header of all frames but the initiation: type and payload length.
pub const FRAME_HEADER_LEN: usize = 3;
/// Length of the tag of an encrypted payload.
const TAG_LEN: usize = 16;

/// Types of frames (control/controlbase/messages.go, tailscale v1.102.5).
mod frame_type {
    pub(super) const INITIATION: u8 = 1;
    pub(super) const RESPONSE: u8 = 2;
    pub(super) const ERROR: u8 = 3;
    pub(super) const RECORD: u8 = 4;
}
