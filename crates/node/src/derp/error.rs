//! Why a relay connection could not be made, or was lost.

use std::io;
use std::time::Duration;

use dayfly_wire::derp::{FrameError, FrameType, InfoError};

use crate::dial::DialError;

/// Breach of DERP's rules by a relay.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DerpError {
    /// The relay sent what is not DERP, or more than DERP allows.
    #[error("the relay broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// The relay's side of the handshake was not sealed by the key that it named, or ours could not be made.
    #[error("the relay's greeting is wrong: {reason}")]
    Handshake {
        /// The fault that was found.
        reason: String,
    },
    /// Another frame came where the handshake should be.
    #[error("the relay sent a frame of type {:#04x} before its greeting was complete", kind.0)]
    Unexpected {
        /// The frame's type.
        kind: FrameType,
    },
}

impl From<InfoError> for DerpError {
    fn from(error: InfoError) -> Self {
        Self::Handshake { reason: error.to_string() }
    }
}

/// Reason why a relay connection could not be made, or was lost.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RelayError {
    /// No connection could be opened.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The relay broke the protocol.
    #[error(transparent)]
    Protocol(#[from] DerpError),
    /// The relay did not complete its handshake in 10 s.
    #[error("the relay did not complete its greeting in 10 s")]
    HandshakeTimedOut,
    /// Nothing came for 120 s, or for 4 s after a probe.
    #[error("the relay is silent")]
    Silent,
    /// An attempt to connect to a peer has ended before the relay was connected.
    #[error("no answer for {} seconds", waited.as_secs())]
    NoAnswer {
        /// Time since the attempt began.
        waited: Duration,
    },
    /// The relay closed the connection.
    #[error("the relay closed the connection")]
    Closed,
    /// The connection broke.
    #[error("{reason}")]
    Io {
        /// Kind of the failure.
        kind: io::ErrorKind,
        /// As much as the system said of it.
        reason: String,
    },
    /// This node has another key, by which the relay has to know it.
    #[error("this node has a new key")]
    KeyChanged,
    /// The region is no longer in use.
    #[error("it is no longer needed")]
    NotNeeded,
}

impl From<io::Error> for RelayError {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), reason: error.to_string() }
    }
}
