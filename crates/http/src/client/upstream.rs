//! One server to connect to: requests, upgrades and WebSockets, each on a connection of its own.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Builder;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

use super::ServerUrl;
use crate::duplex::Duplex;
use crate::socket::Socket;
use crate::tls::Trust;

/// Time in which a server has to accept a connection and, with TLS, to agree on keys.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a server has to answer a request.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// Time in which a server that refuses an upgrade may say why.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of a refusal that are kept.
const MAX_REASON: usize = 512;
/// Bytes that are read ahead of an answer's head.
const MAX_HEAD: usize = 64 << 10;

/// A connection to a server.
pub type ClientSocket = Socket<TlsStream<TcpStream>>;

/// Reasons why a server could not be used. The text is for people who know the server; it names the address.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// It accepted no connection in time.
    #[error("{0} could not be reached: it did not answer in {limit} s", limit = CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout(String),
    /// It accepted no connection.
    #[error("{address} could not be reached: {source}")]
    Connect {
        /// The server.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// No TLS could be agreed on.
    #[error("{address} has no certificate that can be trusted: {source}")]
    Tls {
        /// The server.
        address: String,
        /// The library's error.
        source: io::Error,
    },
    /// It is reached by https, and nobody is trusted.
    #[error("{0} is reached by https, but no certificates are trusted")]
    NoTrust(String),
    /// The exchange broke.
    #[error("{address} did not answer as an HTTP server: {source}")]
    Http {
        /// The server.
        address: String,
        /// The library's error.
        source: hyper::Error,
    },
    /// It did not answer in time.
    #[error("{0} did not answer in {limit} s", limit = RESPONSE_TIMEOUT.as_secs())]
    ResponseTimeout(String),
    /// Its answer is too long.
    #[error("{address} answered with more than {max} bytes")]
    TooLong {
        /// The server.
        address: String,
        /// The most that is taken.
        max: usize,
    },
    /// It refused an upgrade.
    #[error("{address} did not switch protocols: it answered with status {status}")]
    NotUpgraded {
        /// The server.
        address: String,
        /// The status of its answer.
        status: StatusCode,
        /// The beginning of its answer, at most 512 bytes.
        text: String,
    },
    /// It switched to another protocol than it was asked for.
    #[error("{address} switched to something else than {protocol}")]
    OtherProtocol {
        /// The server.
        address: String,
        /// The protocol that it was asked for.
        protocol: String,
    },
    /// It did not open a WebSocket as RFC 6455 has it.
    #[cfg(feature = "websocket-client")]
    #[error("{address} opened no WebSocket: {source}")]
    WebSocket {
        /// The server.
        address: String,
        /// The library's error.
        source: tokio_websockets::Error,
    },
    /// The request has what no request may have.
    #[error("a request for {address} could not be made: {source}")]
    Request {
        /// The server.
        address: String,
        /// The library's error.
        source: http::Error,
    },
}

/// A server to connect to, and which certificates are trusted there.
///
/// Each request has a connection of its own: what is asked for here happens seldom, or becomes something else.
#[derive(Clone, Debug)]
pub struct Upstream {
    url: ServerUrl,
    trust: Trust,
    user_agent: &'static str,
}

impl UpstreamError {
    /// Returns the kind of failure, for people who have no business with the server's address or its own words.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ConnectTimeout(_) | Self::Connect { .. } => "could not be reached",
            Self::Tls { .. } | Self::NoTrust(_) => "has no certificate that is trusted here",
            Self::ResponseTimeout(_) => "did not answer in time",
            Self::NotUpgraded { .. } => "refused the upgrade",
            _ => "did not answer as it should",
        }
    }
}

impl Upstream {
    /// Makes a client of a server, which calls itself `user_agent`. Nothing is connected yet.
    pub const fn new(url: ServerUrl, trust: Trust, user_agent: &'static str) -> Self {
        Self { url, trust, user_agent }
    }

    /// The server's address.
    pub const fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// Sends a request for `path_and_query` below the server's path and reads the answer, of at most `max` bytes. The
    /// answer of another status than success is cut there.
    ///
    /// # Errors
    /// When the server cannot be reached or trusted, breaks off, or answers with too much or too late.
    pub async fn fetch(
        &self,
        request: Builder,
        path_and_query: &str,
        body: Bytes,
        max: usize,
    ) -> Result<(StatusCode, Bytes), UpstreamError> {
        let response = self.send(request, path_and_query, body).await?;
        let status = response.status();
        let reading = self.read_body(response, max);
        let (body, whole) = timeout(RESPONSE_TIMEOUT, reading)
            .await
            .map_err(|_| UpstreamError::ResponseTimeout(self.address()))??;
        if status.is_success() && !whole {
            return Err(UpstreamError::TooLong { address: self.address(), max });
        }
        Ok((status, body))
    }

    /// Sends a request that asks for another protocol, and returns the connection once the server has agreed.
    ///
    /// # Errors
    /// When the server cannot be reached or trusted, or does not agree.
    pub async fn upgrade(
        &self,
        request: Builder,
        path_and_query: &str,
        protocol: &str,
    ) -> Result<Duplex<ClientSocket>, UpstreamError> {
        let request = request.header(header::UPGRADE, protocol).header(header::CONNECTION, "upgrade");
        let response = self.send(request, path_and_query, Bytes::new()).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let reason = timeout(REASON_TIMEOUT, self.read_body(response, MAX_REASON)).await;
            let (reason, _) = reason.unwrap_or_else(|_| Ok(Default::default())).unwrap_or_default();
            let text = String::from_utf8_lossy(&reason).into_owned();
            return Err(UpstreamError::NotUpgraded { address: self.address(), status, text });
        }
        let other =
            || UpstreamError::OtherProtocol { address: self.address(), protocol: protocol.to_owned() };
        let agreed = response.headers().get(header::UPGRADE);
        if !agreed.is_some_and(|agreed| agreed.as_bytes().eq_ignore_ascii_case(protocol.as_bytes())) {
            return Err(other());
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|source| self.http_error(source))?;
        let parts = upgraded.downcast::<TokioIo<ClientSocket>>().map_err(|_| other())?;
        Ok(Duplex::raw(parts.io.into_inner(), parts.read_buf))
    }

    /// Opens a WebSocket that speaks `subprotocol`, as a browser does.
    ///
    /// # Errors
    /// When the server cannot be reached or trusted, or does not open one.
    #[cfg(feature = "websocket-client")]
    pub async fn websocket(
        &self,
        path_and_query: &str,
        subprotocol: &'static str,
    ) -> Result<super::WebSocketBytes<ClientSocket>, UpstreamError> {
        use tokio_websockets::{ClientBuilder, Error, upgrade};

        let failed = |source| UpstreamError::WebSocket { address: self.address(), source };
        let uri = format!("ws://{}{}{path_and_query}", self.url.authority(), self.url.path());
        let uri: http::Uri = uri.parse().map_err(|error: http::uri::InvalidUri| UpstreamError::Request {
            address: self.address(),
            source: error.into(),
        })?;
        let builder = ClientBuilder::from_uri(uri)
            .add_header(header::SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static(subprotocol))
            .and_then(|builder| {
                builder.add_header(header::USER_AGENT, http::HeaderValue::from_static(self.user_agent))
            })
            .map_err(failed)?;
        let socket = self.connect().await?;
        let (socket, response) = timeout(RESPONSE_TIMEOUT, builder.connect_on(socket))
            .await
            .map_err(|_| UpstreamError::ResponseTimeout(self.address()))?
            .map_err(|error| match error {
                Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) => {
                    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    UpstreamError::NotUpgraded { address: self.address(), status, text: String::new() }
                }
                error => failed(error),
            })?;
        let agreed = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        if agreed.is_none_or(|agreed| agreed != subprotocol) {
            let protocol = subprotocol.to_owned();
            return Err(UpstreamError::OtherProtocol { address: self.address(), protocol });
        }
        Ok(super::WebSocketBytes::new(socket))
    }

    async fn send(
        &self,
        request: Builder,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let path = format!("{}{path_and_query}", self.url.path());
        let request: Request<Full<Bytes>> = request
            .uri(if path.is_empty() { "/" } else { &path })
            .header(header::HOST, self.url.authority())
            .header(header::USER_AGENT, self.user_agent)
            .body(Full::new(body))
            .map_err(|source| UpstreamError::Request { address: self.address(), source })?;
        let socket = self.connect().await?;
        let exchange = async {
            let (mut sender, connection) =
                http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(socket)).await?;
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await
        };
        timeout(RESPONSE_TIMEOUT, exchange)
            .await
            .map_err(|_| UpstreamError::ResponseTimeout(self.address()))?
            .map_err(|source| self.http_error(source))
    }

    /// Reads the first `max` bytes of an answer. The flag is `true` if that is all of it.
    async fn read_body(
        &self,
        response: Response<Incoming>,
        max: usize,
    ) -> Result<(Bytes, bool), UpstreamError> {
        let (mut body, mut read) = (response.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| self.http_error(source))?;
            if let Ok(data) = frame.into_data() {
                let taken = data.len().min(max - read.len());
                read.extend_from_slice(&data[..taken]);
                if taken < data.len() {
                    return Ok((read.freeze(), false));
                }
            }
        }
        Ok((read.freeze(), true))
    }

    async fn connect(&self) -> Result<ClientSocket, UpstreamError> {
        timeout(CONNECT_TIMEOUT, self.dial())
            .await
            .map_err(|_| UpstreamError::ConnectTimeout(self.address()))?
    }

    async fn dial(&self) -> Result<ClientSocket, UpstreamError> {
        let host = self.url.host();
        let failed = |source| UpstreamError::Connect { address: self.address(), source };
        let stream = TcpStream::connect((host, self.url.port())).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !self.url.is_tls() {
            return Ok(ClientSocket::Plain(stream));
        }
        let config = self.trust.config().ok_or_else(|| UpstreamError::NoTrust(self.address()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(ClientSocket::Tls(Box::new(stream))),
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
