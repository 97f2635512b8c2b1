//! Errors, ours and those of a node.

use dayfly_http::client::{ServerUrl, ServerUrlError, UpstreamError};
use dayfly_http::tls::TlsError;
use dayfly_node::DialError;
use thiserror::Error;

/// Reason why there can be no dialer.
#[derive(Debug, Error)]
pub enum DialerError {
    /// The address is no control server's.
    #[error(transparent)]
    Url(#[from] ServerUrlError),
    /// The certificates that are to be trusted cannot be used.
    #[error(transparent)]
    Trust(#[from] TlsError),
}

/// Says to a node why a server could not be used. A node's error names the address by itself.
pub(crate) fn dial_error(url: &ServerUrl, path: &str, error: UpstreamError) -> DialError {
    let url = format!("{url}{path}");
    let unreachable = |reason: String| DialError::Unreachable { url: url.clone(), reason };
    match error {
        UpstreamError::ConnectTimeout(_) | UpstreamError::ResponseTimeout(_) => DialError::TimedOut { url },
        UpstreamError::Connect { source, .. } => unreachable(source.to_string()),
        UpstreamError::Tls { source, .. } => {
            unreachable(format!("it has no certificate that can be trusted: {source}"))
        }
        UpstreamError::NoTrust(_) => unreachable("no certificates are trusted".to_owned()),
        UpstreamError::Http { source, .. } => unreachable(format!("it did not answer as HTTP: {source}")),
        UpstreamError::TooLong { max, .. } => unreachable(format!("it answered with more than {max} bytes")),
        UpstreamError::NotUpgraded { status, text, .. } => {
            DialError::Status { url, status: status.as_u16(), text }
        }
        UpstreamError::OtherProtocol { protocol, .. } => {
            unreachable(format!("it switched to something else than {protocol}"))
        }
        UpstreamError::WebSocket { source, .. } => unreachable(format!("it opened no WebSocket: {source}")),
        UpstreamError::Request { source, .. } => DialError::BadAddress { url, reason: source.to_string() },
    }
}
