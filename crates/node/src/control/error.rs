//! Failures between a node and its control server.

use std::time::Duration;

use dayfly_ts2021::HandshakeError;
use dayfly_ts2021_io::ConnectError;
use dayfly_wire::control::ControlKeyError;

use crate::DialError;

/// Reason why the node is not, or not any more, connected to its control server.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// The server's key could not be fetched.
    #[error("fetching the control server's key failed: {0}")]
    KeyFetch(#[source] DialError),
    /// The answer is no key: the address is not a control server's.
    #[error("{0}")]
    BadKey(#[from] ControlKeyError),
    /// The connection to the server could not be opened.
    #[error("connecting to the control server failed: {0}")]
    Dial(#[source] DialError),
    /// The encrypted connection could not be set up: another server than the key's, or a proxy, answered.
    #[error("the encrypted connection to the control server failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The server did not answer in time.
    #[error("the control server did not answer within {} seconds while {step}", limit.as_secs())]
    TimedOut {
        /// The step that was being done.
        step: &'static str,
        /// The time allowed.
        limit: Duration,
    },
    /// The connection was lost.
    #[error("the connection to the control server was lost: {0}")]
    Lost(String),
    /// The server refused the registration, in these words: the auth key is wrong, used or expired, or a person
    /// denied the login.
    #[error("the control server refused this node: {0}")]
    Register(String),
    /// The server refused to log the node out, in these words.
    #[error("the control server refused to let this node go: {0}")]
    Logout(String),
    /// The server answered the registration with an HTTP error.
    #[error("the control server answered the registration with HTTP status {status}: {text}")]
    RegisterStatus {
        /// HTTP status code.
        status: u16,
        /// The beginning of the answer's text.
        text: String,
    },
    /// The server's answer to the registration can't be understood.
    #[error("the control server's answer to the registration could not be read: {0}")]
    RegisterAnswer(String),
    /// The server refused even a fresh node key as expired.
    #[error("the control server calls a fresh node key expired")]
    KeyRefused,
    /// The renewed keys of this node could not be stored.
    #[error("the node's renewed keys could not be stored: {0}")]
    KeysNotStored(String),
    /// The session has ended before.
    #[error("this node has ended")]
    Ended,
    /// The server wants to be asked less often.
    #[error("the control server is busy")]
    RateLimited {
        /// Time for which it wants to be left alone.
        retry_after: Duration,
    },
    /// The server no longer knows this node: it was removed, or stayed away for too long.
    #[error("the control server has removed this node: {0}")]
    NodeRemoved(String),
    /// This node's key has expired.
    #[error("this node's key has expired")]
    KeyExpired,
    /// The server answered the map request with an HTTP error.
    #[error("the control server answered the map request with HTTP status {status}: {text}")]
    MapRefused {
        /// HTTP status code.
        status: u16,
        /// The beginning of the answer's text.
        text: String,
    },
    /// A message of the map stream can't be read.
    #[error("{0}")]
    MapMessage(String),
    /// The first message of the map stream does not describe this node.
    #[error("the control server's first map does not describe this node")]
    MapWithoutNode,
    /// The server ended the map stream.
    #[error("the control server ended the map stream")]
    MapEnded,
    /// Nothing came on the map stream for two minutes, not even a keep-alive.
    #[error("nothing was heard from the control server for {} seconds", super::WATCHDOG.as_secs())]
    Watchdog,
}

impl ControlError {
    /// Returns `true` where trying again would not help. Everything else is tried again by itself.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::KeyFetch(error) | Self::Dial(error) => matches!(error, DialError::BadAddress { .. }),
            Self::Register(_)
            | Self::Logout(_)
            | Self::KeyRefused
            | Self::NodeRemoved(_)
            | Self::KeyExpired => true,
            Self::RegisterStatus { status, .. } | Self::MapRefused { status, .. } => {
                (400..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
            _ => false,
        }
    }
}

impl From<h2::Error> for ControlError {
    fn from(error: h2::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<ConnectError> for ControlError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Handshake(error) => Self::Handshake(error),
            ConnectError::Carrier(error) => Self::Lost(format!("during the handshake: {error}")),
        }
    }
}
