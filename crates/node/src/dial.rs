//! The way out of a node: the trait that an edge (browser or native) implements.

use dayfly_platform::{BoxByteStream, BoxFuture, MaybeSend, MaybeSync};
use dayfly_wire::ts2021::INITIATION_LEN;

/// Reason why an edge could not open a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The address could not be understood or is of a scheme that this edge does not speak.
    #[error("{url} is not an address that can be dialled: {reason}")]
    BadAddress {
        /// The address that was to be dialled.
        url: String,
        /// The fault in it.
        reason: String,
    },
    /// Nothing answered, or the connection broke before it was usable. Browsers don't say more than that.
    #[error("{url} could not be reached: {reason}")]
    Unreachable {
        /// The address that was dialled.
        url: String,
        /// As much of the reason as the edge can see.
        reason: String,
    },
    /// Something answered, but not with what was asked for.
    #[error("{url} answered with HTTP status {status}: {text}")]
    Status {
        /// The address that was dialled.
        url: String,
        /// HTTP status code.
        status: u16,
        /// The beginning of the answer's text.
        text: String,
    },
    /// No answer in the time allowed.
    #[error("{url} did not answer in time")]
    TimedOut {
        /// The address that was dialled.
        url: String,
    },
}

/// A relay to be dialled: one node of a DERP region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerpAddress {
    /// Region number of the DERP map.
    pub region: u32,
    /// Host name or address.
    pub host: String,
    /// TLS port; 443 where the map names none.
    pub port: u16,
    /// The map marks this node as reachable without a trusted certificate (for tests).
    pub insecure_for_tests: bool,
}

/// Opens a node's connections: to the one control server that it is made for, and to relays.
///
/// Implemented once for the browser and once natively. The returned futures are dropped when a time limit of the node
/// passes.
pub trait Dialer: MaybeSend + MaybeSync + 'static {
    /// Returns the address of the control server that this dialer is made for, as for `tailscale up --login-server`.
    fn control_url(&self) -> &str;

    /// Fetches `GET <control URL>/key?v=<version>`: the body, at most 64 KiB of it.
    fn control_key(&self, version: u16) -> BoxFuture<Result<Vec<u8>, DialError>>;

    /// Opens `/ts2021` with the Noise initiation and returns the stream from the server's response frame on.
    fn control(&self, initiation: &[u8; INITIATION_LEN]) -> BoxFuture<Result<BoxByteStream, DialError>>;

    /// Opens `/derp` and returns the stream from the relay's ServerKey frame on.
    fn derp(&self, address: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>>;
}
