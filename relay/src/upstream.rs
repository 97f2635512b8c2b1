//! Servers that this process connects to: the gateway's upstreams and the admission server.

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Builder;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

use crate::link::Link;
use crate::socket::Socket;

/// How long it may take to connect and, with TLS, to agree on keys.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an upstream may take to answer a request.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a URL is no upstream's.
#[derive(Debug, Error)]
pub enum UpstreamUrlError {
    /// It is no URL.
    #[error("{url:?} is not a URL: {source}")]
    Invalid {
        /// What was given.
        url: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// It has another scheme, or none.
    #[error("{0:?} does not start with http:// or https://")]
    Scheme(String),
    /// It has a user, a password or a query.
    #[error("{0:?} has more than a host, a port and a path")]
    Extra(String),
}

/// Why an upstream could not be used. The text is for people who know the upstream; it names the address.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("{0} could not be reached: it did not answer in {limit} s", limit = CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout(String),
    #[error("{address} could not be reached: {source}")]
    Connect { address: String, source: io::Error },
    #[error("{address} has no certificate that can be trusted: {source}")]
    Tls { address: String, source: io::Error },
    #[error("{0} is reached by https, but no certificates are trusted: give --upstream-ca")]
    NoRoots(String),
    #[error("{address} did not answer as an HTTP server: {source}")]
    Http { address: String, source: hyper::Error },
    #[error("{0} did not answer in {limit} s", limit = RESPONSE_TIMEOUT.as_secs())]
    ResponseTimeout(String),
    #[error("{address} answered with more than {max} bytes")]
    TooLong { address: String, max: usize },
    #[error("{address} did not switch protocols: it answered with status {status}")]
    NotUpgraded { address: String, status: StatusCode },
    #[error("a request for {address} could not be made: {source}")]
    Request { address: String, source: http::Error },
}

/// The address of a server, as it stands in the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamUrl {
    tls: bool,
    authority: Authority,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(url: &str) -> Result<Self, UpstreamUrlError> {
        let uri: Uri =
            url.parse().map_err(|source| UpstreamUrlError::Invalid { url: url.to_owned(), source })?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(UpstreamUrlError::Scheme(url.to_owned())),
        };
        let Some(authority) = uri.authority().cloned() else {
            return Err(UpstreamUrlError::Scheme(url.to_owned()));
        };
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(UpstreamUrlError::Extra(url.to_owned()));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, authority, port, path })
    }
}

impl UpstreamUrl {
    /// Whether the server is reached by https.
    pub(crate) const fn is_tls(&self) -> bool {
        self.tls
    }
}

impl std::fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

/// A server to connect to, and what is trusted there.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    url: UpstreamUrl,
    tls: Option<Arc<ClientConfig>>,
}

impl Upstream {
    /// `tls` is what is trusted of servers; without it, https fails.
    pub(crate) const fn new(url: UpstreamUrl, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { url, tls }
    }

    /// Where it is.
    pub(crate) const fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Sends a request for `path_and_query` below the upstream's path and reads the answer, of at most `max` bytes.
    pub(crate) async fn fetch(
        &self,
        request: Builder,
        path_and_query: &str,
        body: Bytes,
        max: usize,
    ) -> Result<(StatusCode, Bytes), UpstreamError> {
        let response = self.send(request, path_and_query, body).await?;
        let status = response.status();
        let reading = self.read_body(response, max);
        let body = tokio::time::timeout(RESPONSE_TIMEOUT, reading)
            .await
            .map_err(|_| UpstreamError::ResponseTimeout(self.address()))??;
        Ok((status, body))
    }

    /// Sends a request that asks for another protocol, and returns the connection once the upstream agreed.
    pub(crate) async fn upgrade(
        &self,
        request: Builder,
        path_and_query: &str,
        protocol: &str,
    ) -> Result<Link<UpstreamSocket>, UpstreamError> {
        let request = request.header(header::UPGRADE, protocol).header(header::CONNECTION, "upgrade");
        let response = self.send(request, path_and_query, Bytes::new()).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::NotUpgraded { address: self.address(), status });
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|source| self.http_error(source))?;
        match upgraded.downcast::<TokioIo<UpstreamSocket>>() {
            Ok(parts) => Ok(Link::raw(parts.io.into_inner(), parts.read_buf)),
            Err(_) => Err(UpstreamError::NotUpgraded { address: self.address(), status }),
        }
    }

    async fn send(
        &self,
        request: Builder,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let path = format!("{}{path_and_query}", self.url.path);
        let request: Request<Full<Bytes>> = request
            .uri(if path.is_empty() { "/" } else { &path })
            .header(header::HOST, self.url.authority.as_str())
            .header(header::USER_AGENT, concat!("dayfly-relay/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|source| UpstreamError::Request { address: self.address(), source })?;
        let socket = self.connect().await?;
        let exchange = async {
            let (mut sender, connection) =
                http1::Builder::new().max_buf_size(64 << 10).handshake(TokioIo::new(socket)).await?;
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, exchange)
            .await
            .map_err(|_| UpstreamError::ResponseTimeout(self.address()))?
            .map_err(|source| self.http_error(source))
    }

    async fn read_body(&self, response: Response<Incoming>, max: usize) -> Result<Bytes, UpstreamError> {
        let (mut body, mut whole) = (response.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| self.http_error(source))?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > max {
                    return Err(UpstreamError::TooLong { address: self.address(), max });
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    }

    async fn connect(&self) -> Result<UpstreamSocket, UpstreamError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.dial())
            .await
            .map_err(|_| UpstreamError::ConnectTimeout(self.address()))?
    }

    async fn dial(&self) -> Result<UpstreamSocket, UpstreamError> {
        let host = self.url.authority.host().trim_matches(['[', ']']);
        let failed = |source| UpstreamError::Connect { address: self.address(), source };
        let stream = TcpStream::connect((host, self.url.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !self.url.tls {
            return Ok(UpstreamSocket::Plain(stream));
        }
        let config = self.tls.clone().ok_or_else(|| UpstreamError::NoRoots(self.address()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(UpstreamSocket::Tls(Box::new(stream))),
            Err(source) => Err(UpstreamError::Tls { address: self.address(), source }),
        }
    }

    fn address(&self) -> String {
        self.url.to_string()
    }

    fn http_error(&self, source: hyper::Error) -> UpstreamError {
        UpstreamError::Http { address: self.address(), source }
    }
}

/// A connection to an upstream.
pub(crate) type UpstreamSocket = Socket<TlsStream<TcpStream>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_default_ports() {
        let url: UpstreamUrl = "https://control.example/".parse().unwrap();
        assert_eq!((url.tls, url.port, url.to_string().as_str()), (true, 443, "https://control.example"));
        let url: UpstreamUrl = "http://[::1]:8080/base/".parse().unwrap();
        assert_eq!((url.tls, url.port, url.to_string().as_str()), (false, 8080, "http://[::1]:8080/base"));
    }

    #[test]
    fn what_is_not_a_servers_url_is_refused() {
        for url in
            ["control.example", "ftp://control.example", "https://user@control.example", "http://h/?q", ""]
        {
            assert!(url.parse::<UpstreamUrl>().is_err(), "{url}");
        }
    }
}
