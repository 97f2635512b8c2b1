//! Reasons why a process does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use dayfly_http::RouteConflict;
use dayfly_http::header::InvalidHeaderValue;
use dayfly_http::server::BindError;
use dayfly_http::tls::TlsError;
use thiserror::Error;

use crate::site::LoadError;

/// Reasons why a process could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Plain HTTP would be reachable by others.
    #[error(
        "{0} can be reached by others, and plain HTTP would show them what passes: give --tls-cert and --tls-key, or \
         --allow-plain-http where something in front of it speaks TLS"
    )]
    PlainHttp(SocketAddr),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(BindError),
    /// Two parts want to answer the same path.
    #[error(transparent)]
    Routes(#[from] RouteConflict),
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
        /// The system's error.
        source: io::Error,
    },
    /// The page's headers have characters that no header has.
    #[error("the page's content security policy is not valid: {0}")]
    Headers(#[from] InvalidHeaderValue),
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::PlainHttp(address) => Self::PlainHttp(address),
            error => Self::Bind(error),
        }
    }
}
