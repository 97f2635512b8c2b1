//! Settings of the relay.

use std::time::Duration;

use dayfly_http::client::ServerUrl;
use dayfly_platform::random::SystemRng;
use dayfly_wire::key::NodePrivate;

/// Bounds on what is read from one client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientRate {
    /// Bytes that are read from one client's socket in a second, all framing included.
    pub bytes_per_second: u64,
    /// Bytes that may come at once after a pause. At least one of the longest frames.
    pub burst: u64,
}

/// Settings of the relay.
#[derive(Clone, Debug)]
pub struct DerpConfig {
    /// The relay's key.
    pub key: NodePrivate,
    /// The admission server, which is asked about each client; all are admitted without one.
    pub verify_url: Option<ServerUrl>,
    /// Admits clients when the admission server cannot be asked.
    pub verify_fail_open: bool,
    /// Bounds on what is read from one client; none without it.
    pub client_rate: Option<ClientRate>,
    /// Interval of keep-alives to clients, to which up to a twelfth is added.
    pub keep_alive: Duration,
}

impl Default for DerpConfig {
    /// A relay with a fresh key, which admits every client.
    fn default() -> Self {
        Self {
            key: NodePrivate::generate(&mut SystemRng),
            verify_url: None,
            verify_fail_open: false,
            client_rate: None,
            keep_alive: super::KEEP_ALIVE,
        }
    }
}
