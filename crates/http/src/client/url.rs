//! Addresses of servers.

use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};
use thiserror::Error;

/// Reasons why a text is no server's URL.
#[derive(Debug, Error)]
pub enum ServerUrlError {
    /// It is no URL.
    #[error("{url:?} is not a URL: {source}")]
    Invalid {
        /// The text.
        url: String,
        /// The parser's error.
        source: http::uri::InvalidUri,
    },
    /// It has another scheme, or none.
    #[error("{0:?} does not start with http:// or https://")]
    Scheme(String),
    /// It has a user, a password or a query.
    #[error("{0:?} has more than a host, a port and a path")]
    Extra(String),
}

/// The address of a server: scheme, host, port, and a path that stands in front of all its paths.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerUrl {
    tls: bool,
    authority: Authority,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let uri: Uri =
            url.parse().map_err(|source| ServerUrlError::Invalid { url: url.to_owned(), source })?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(ServerUrlError::Scheme(url.to_owned())),
        };
        let Some(authority) = uri.authority().cloned() else {
            return Err(ServerUrlError::Scheme(url.to_owned()));
        };
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(ServerUrlError::Extra(url.to_owned()));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, authority, port, path })
    }
}

impl ServerUrl {
    /// Returns `true` if the server is reached by https.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port, which is the scheme's where the URL names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in the URL, for `Host`.
    pub(crate) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The path in front of all others, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_default_ports() {
        let url: ServerUrl = "https://control.example/".parse().unwrap();
        assert_eq!((url.tls, url.port, url.to_string().as_str()), (true, 443, "https://control.example"));
        let url: ServerUrl = "http://[::1]:8080/base/".parse().unwrap();
        assert_eq!((url.tls, url.port, url.to_string().as_str()), (false, 8080, "http://[::1]:8080/base"));
        assert_eq!((url.host(), url.path()), ("::1", "/base"));
    }

    #[test]
    fn what_is_not_a_servers_url_is_refused() {
        for url in
            ["control.example", "ftp://control.example", "https://user@control.example", "http://h/?q", ""]
        {
            assert!(url.parse::<ServerUrl>().is_err(), "{url}");
        }
    }
}
