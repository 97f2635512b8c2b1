//! Errors, each with what was seen.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::host_key::HostKey;
use crate::interaction::Method;

/// A part of connecting, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Both sides name their software (RFC 4253 section 4.2).
    VersionExchange,
    /// Keys are agreed and the server proves its host key (RFC 4253 sections 7 and 8).
    KeyExchange,
    /// The server admits or rejects the person (RFC 4252).
    Authentication,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionExchange => "the exchange of versions",
            Self::KeyExchange => "the key exchange",
            Self::Authentication => "authentication",
        })
    }
}

/// Error of [`connect`](crate::connect). Texts that came from the server are safe to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The other side is not an SSH 2 server.
    #[error("the other side does not speak SSH 2: {}", seen_or_nothing(.seen))]
    VersionExchange {
        /// The beginning of what it sent.
        seen: String,
    },
    /// The server takes no connections for now: it has too many, or too many failed from here.
    #[error("the server refuses connections for now: {said}")]
    Busy {
        /// Text that the server sent.
        said: String,
    },
    /// The other side closed the connection before it had sent anything, which says neither that it is an SSH server
    /// nor that it is none.
    #[error("the connection was closed before anything was received")]
    ClosedAtOnce,
    /// The two sides have no algorithm of one kind in common.
    #[error("no common {kind} algorithm: the server offers {}", .theirs.join(", "))]
    NoCommonAlgorithm {
        /// Kind of the algorithm: key exchange, host key, cipher, MAC.
        kind: String,
        /// Algorithms that were offered to the server.
        ours: Vec<String>,
        /// Algorithms that the server offers.
        theirs: Vec<String>,
    },
    /// The server lacks strict key exchange and the agreed cipher needs it: somebody on the way could remove messages
    /// (CVE-2023-48795, "Terrapin"). [`Offer::WithoutStrictKex`](crate::Offer) connects to such a server safely.
    #[error(
        "{server} lacks strict key exchange, without which {cipher} can be tampered with; it should be updated"
    )]
    NoStrictKex {
        /// Identification of the server's software.
        server: String,
        /// The cipher that was agreed on.
        cipher: String,
    },
    /// Key exchange failed in another way.
    #[error("the key exchange failed: {0}")]
    Kex(String),
    /// None of the host keys that are known for this server is of a kind that can be checked.
    #[error("none of the host keys known for {host} can be checked ({})", .algorithms.join(", "))]
    HostKeysUnusable {
        /// The host, as the caller named it.
        host: String,
        /// Algorithms of the known keys; "unreadable" for a line that is no key.
        algorithms: Vec<String>,
    },
    /// The server's host key is none of those that are known for it. Nothing was sent to it after that.
    #[error("{} has host key {}, not one of those known for it ({})", .got.host, .got.fingerprint, .expected.join(", "))]
    HostKeyMismatch {
        /// Fingerprints of the known keys.
        expected: Vec<String>,
        /// The key that the server proved to have.
        got: HostKey,
    },
    /// The person refused the host key. Nothing was sent to the server after that.
    #[error("host key {} of {} was refused", .got.fingerprint, .got.host)]
    HostKeyRefused {
        /// Host key that was refused.
        got: HostKey,
    },
    /// The server refused without giving any way on that this side has.
    #[error("the server denies access{}", because(.banner))]
    Denied {
        /// Text that the server sent, for instance Tailscale's reason; may be empty.
        banner: String,
        /// Methods that the server would accept, none of which this side has; empty if none.
        methods: Vec<&'static str>,
    },
    /// Each way that the server offers was tried or declined.
    #[error("authentication failed after {attempts} attempts")]
    AuthExhausted {
        /// Text that the server sent meanwhile; may be empty.
        banner: String,
        /// Methods that the server offered in the course of it. What it offers last can be less: PAM withdraws passwords
        /// after a few wrong ones.
        methods: Vec<Method>,
        /// Number of requests that the server answered, the first one (`none`) aside.
        attempts: u32,
    },
    /// The server took the password but demands a new one, which cannot be set here.
    #[error("the server demands a new password: change it on the machine itself, then connect again")]
    PasswordChangeRequired,
    /// The server ended the connection and said why.
    #[error("the server disconnected during {phase}: {text} (reason {reason})")]
    Disconnected {
        /// Phase of connecting in which it happened.
        phase: Phase,
        /// Reason code of RFC 4253 section 11.1.
        reason: u32,
        /// The server's explanation; may be empty.
        text: String,
    },
    /// The server sent more than any server needs before it lets somebody in.
    #[error("the server sent more than {limit} bytes before authentication was over")]
    Flooded {
        /// Limit that was exceeded, in bytes.
        limit: u64,
    },
    /// The server did not answer in time.
    #[error("no answer during {phase} for {} seconds", .after.as_secs())]
    Timeout {
        /// Phase of connecting in which it happened.
        phase: Phase,
        /// Time that was waited.
        after: Duration,
    },
    /// The byte stream failed or ended.
    #[error("the connection broke during {phase}: {source}")]
    Stream {
        /// Phase of connecting in which it happened.
        phase: Phase,
        /// Error that the stream reported.
        source: io::Error,
    },
}

impl Disconnect {
    /// Reason of a [`Disconnect::Stream`] that the server closed without a word.
    pub(crate) const CLOSED: &str = "the server closed it";
}

impl ConnectError {
    /// Makes the end of a session during `phase` into the reason why there is none.
    pub(crate) fn ended(phase: Phase, reason: Disconnect) -> Self {
        match reason {
            Disconnect::Peer { reason, text } => Self::Disconnected { phase, reason, text },
            Disconnect::Protocol(text) => Self::Kex(text),
            Disconnect::Stream(text) => Self::Stream { phase, source: io::Error::other(text) },
            Disconnect::Local => Self::Stream { phase, source: io::ErrorKind::ConnectionAborted.into() },
        }
    }
}

fn seen_or_nothing(seen: &str) -> &str {
    if seen.is_empty() { "it sent nothing" } else { seen }
}

fn because(banner: &str) -> String {
    let reason = banner.trim();
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Reason for which a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// This side closed the session.
    #[error("closed")]
    Local,
    /// The server closed it and said why.
    #[error("the server disconnected: {text} (reason {reason})")]
    Peer {
        /// Reason code of RFC 4253 section 11.1.
        reason: u32,
        /// The server's explanation, safe to show; may be empty.
        text: String,
    },
    /// The byte stream failed or ended without a word.
    #[error("the connection broke: {0}")]
    Stream(String),
    /// A message could not be understood or was forged.
    #[error("the connection was given up: {0}")]
    Protocol(String),
}

/// Error of starting a program on the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server opens no session channel, for instance because of its `MaxSessions`.
    #[error("the server refused to open a session: {0}")]
    ChannelRefused(String),
    /// The server gives no terminal.
    #[error("the server refused to give a terminal")]
    PtyRefused,
    /// The server does not start the shell or the command.
    #[error("the server refused to start it")]
    StartRefused,
    /// The session has ended.
    #[error(transparent)]
    Disconnected(#[from] Disconnect),
}

/// Error of sending input, a new size or a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The program has ended, or its channel was closed.
    #[error("the program has ended")]
    Closed,
    /// The session has ended.
    #[error(transparent)]
    Disconnected(#[from] Disconnect),
}
