//! Failures on the way to an open connection.

use std::time::Duration;

use dayfly_wire::control::Timestamp;
use dayfly_wire::tsmp::RejectReason;

use crate::derp::RelayError;
use crate::netmap::ResolveError;

/// Reason why a TCP connection could not be opened, in the order of the steps that it takes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TcpError {
    /// There is no such machine.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The machine's key has expired: nothing is sent to it until its owner logs in there again.
    #[error("the key of {host} has expired")]
    Expired {
        /// The machine's name.
        host: String,
    },
    /// The machine was taken out of the tailnet, or out of this node's sight, while it was being connected to.
    #[error("{host} has just been removed from the tailnet, or may no longer be seen from here")]
    Removed {
        /// The machine's name.
        host: String,
    },
    /// The machine is connected to no relay that is known.
    #[error("it is not known at which relay {host} is to be found")]
    NoRelay {
        /// The machine's name.
        host: String,
    },
    /// The relay at which the machine is can't be reached.
    #[error("the relay {code} (region {region}), at which {host} is, can't be reached: {error}")]
    Relay {
        /// The machine's name.
        host: String,
        /// Number of the relay's region.
        region: u32,
        /// Short name of the region.
        code: String,
        /// The failure that was seen.
        error: RelayError,
    },
    /// The control server says that the machine is offline, and it did not answer.
    #[error("{host} is offline")]
    Offline {
        /// The machine's name.
        host: String,
        /// Time at which it was last online, where that is known.
        last_seen: Option<Timestamp>,
    },
    /// The relay is connected, but the machine did not answer WireGuard's handshake.
    #[error("{host} did not answer WireGuard's handshake for {} seconds", waited.as_secs())]
    NoHandshake {
        /// The machine's name.
        host: String,
        /// Time for which it was waited for.
        waited: Duration,
    },
    /// The machine answered that nothing listens on the port.
    #[error("nothing listens on port {port} of {host}")]
    Refused {
        /// The machine's name.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// The machine answered that its packet filter rejects the connection.
    #[error("{host} does not let this node connect to its port {port}: {}", why(*reason))]
    Rejected {
        /// The machine's name.
        host: String,
        /// The TCP port.
        port: u16,
        /// The reason that it gave.
        reason: RejectReason,
    },
    /// The machine is there, but did not answer on the port.
    #[error("port {port} of {host} did not answer for {} seconds", waited.as_secs())]
    TimedOut {
        /// The machine's name.
        host: String,
        /// The TCP port.
        port: u16,
        /// Time for which it was waited for.
        waited: Duration,
    },
    /// This node has left the tailnet, or has not joined it, or has too many connections open.
    #[error("this node can open no connection now")]
    Ended,
}

fn why(reason: RejectReason) -> String {
    match reason {
        RejectReason::ACL => "the tailnet's policy does not allow it".to_owned(),
        RejectReason::SHIELDS_UP => "it takes no connections at all".to_owned(),
        RejectReason::IP_FORWARDING => "its host does not forward packets".to_owned(),
        RejectReason::HOST_FIREWALL => "its host's firewall blocks it".to_owned(),
        RejectReason::APP_CONNECTOR => "it does not serve that address".to_owned(),
        RejectReason(other) => format!("it gave the reason {:?}", char::from(other)),
    }
}
