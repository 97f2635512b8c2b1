//! The paper's constants (section 6.1), and the bounds that it leaves to implementations.

use std::time::Duration;

/// Messages with one session's key after which a new handshake is begun (section 6.1).
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// Messages after which a session's key is not used again: 2^64 - 2^13 - 1 (section 6.1).
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);
/// Age of a session at which its initiator begins a new handshake, once it has something to send (section 6.2).
pub const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);
/// Age of a session at which it is of no further use; its keys are wiped then (section 6.2).
pub const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);
/// Time for which a handshake without an answer is tried (section 6.4).
pub const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);
/// Time after which an initiation without an answer is repeated, and the least time between two (section 6.4).
pub const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without anything to send after which received data is answered by an empty message (section 6.5).
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most that is added to [`REKEY_TIMEOUT`] at random, so that two sides do not initiate in step (section 6.4).
pub const MAX_JITTER: Duration = Duration::from_millis(333);
/// Time after which the first initiation to a peer without any session so far is repeated. Each more waits as long as all
/// before, up to [`REKEY_TIMEOUT`]. A control server may report its peers to a new node before it reports the node to them,
/// and they answer nobody whom they don't know: a person should not wait 5 s for that.
pub const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Least time after which the first initiation to a peer that is known to answer is repeated: its answer takes some
/// computation, and wireguard-go takes no two initiations within 20 ms (`device/constants.go`,
/// `HandshakeInitationRate`).
pub const ANSWER_RETRY: Duration = Duration::from_millis(40);
/// Round trips that an initiation to a peer that is known to answer waits for at least. A peer takes each
/// initiation for a new handshake, so repeats that come faster than the answers would never end.
pub const ANSWER_ROUND_TRIPS: u32 = 3;
/// Age of a session at which its initiator, when it receives something, begins a new handshake (section 6.2).
pub const REKEY_ON_RECEIVE: Duration = Duration::from_secs(165);
/// Time without any answer to data after which a new handshake is begun (section 6.5).
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);

/// Lifetime of a cookie, and of the secret that cookies are made with (section 5.4.7).
pub const COOKIE_LIFETIME: Duration = Duration::from_secs(120);
/// Time before the end of [`COOKIE_LIFETIME`] at which a cookie's receiver stops using it, for what is on its way.
pub const COOKIE_LATENCY: Duration = Duration::from_secs(5);

/// Least time between two initiations of one peer that are taken (Linux `INITIATIONS_PER_SECOND`).
pub const INITIATION_INTERVAL: Duration = Duration::from_millis(20);
/// The time in which handshake messages are counted.
pub const LOAD_WINDOW: Duration = Duration::from_secs(1);
/// Handshake messages in a [`LOAD_WINDOW`] beyond which a cookie is asked for. An initiation costs four
/// multiplications on the curve, so this many cost a page about a tenth of its time.
pub const LOAD_THRESHOLD: u32 = 128;
/// Handshake messages in a [`LOAD_WINDOW`] that are taken from one source with a cookie, under load.
pub const MESSAGES_PER_SOURCE: u32 = 8;
/// Sources that are kept apart under load; what comes from more of them is dropped.
pub const MAX_SOURCES: usize = 1024;

/// Datagrams that wait to be taken by `poll_transmit`; more are dropped, as a full link would.
pub const MAX_TRANSMITS: usize = 1024;
/// Events that wait to be taken by `poll_event`; the oldest of more is dropped.
pub const MAX_EVENTS: usize = 1024;
