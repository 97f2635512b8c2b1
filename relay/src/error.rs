//! Why a process does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use http::header::InvalidHeaderValue;
use thiserror::Error;

use crate::tls::TlsError;
use crate::www::LoadError;

/// Why a process could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// No address was given.
    #[error("there is no address to listen on")]
    NoListener,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Plain HTTP would be reachable by others.
    #[error(
        "{0} can be reached by others, and plain HTTP would show them what passes: give --tls-cert and --tls-key, or \
         --allow-plain-http where something in front of it speaks TLS"
    )]
    PlainHttp(SocketAddr),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The page cannot be served.
    #[error(transparent)]
    Page(#[from] LoadError),
    /// The page's configuration cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    PageConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The page's headers have characters that no header has.
    #[error("the page's content security policy is not valid: {0}")]
    Headers(#[from] InvalidHeaderValue),
}
