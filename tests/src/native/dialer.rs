//! How the native node reaches its servers: TCP, with TLS where the address asks for it, and over that either an
//! HTTP/1.1 upgrade, as `tailscaled` does it, or a WebSocket, as a browser does it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dayfly_node::{DerpAddress, DialError, Dialer};
use dayfly_platform::{BoxByteStream, BoxFuture};
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, INITIATION_LEN, KEY_PATH, MAX_KEY_ANSWER, PATH, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_websockets::upgrade::Error as UpgradeError;
use tokio_websockets::{ClientBuilder, Error as WebSocketError};

use super::tls;
use super::websocket::Messages;

/// Characters of an error's body that are kept.
const MAX_ERROR_TEXT: usize = 512;

/// By what a byte stream is had from an HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// HTTP/1.1 upgrade, as native clients do.
    Upgrade,
    /// A WebSocket's binary messages, as browsers do.
    WebSocket,
}

/// A [`Dialer`] on tokio's network.
#[derive(Clone)]
pub struct NativeDialer {
    /// Address of the control server, without a trailing slash.
    control: String,
    carrier: Carrier,
    plain_relays: bool,
    trusted: TlsConnector,
    unverified: TlsConnector,
    /// Regions whose relays are not dialled: as if a firewall stood before them.
    cut_off: Arc<Mutex<BTreeSet<u32>>>,
}

impl std::fmt::Debug for NativeDialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { carrier, plain_relays, .. } = self;
        f.debug_struct("NativeDialer").field("carrier", carrier).field("plain_relays", plain_relays).finish()
    }
}

impl NativeDialer {
    /// A dialer for the control server at `control` that speaks plain HTTP to relays (`plain_relays`, as `TS_DEBUG_USE_DERP_HTTP` makes `tailscaled` do)
    /// or TLS, and that trusts the certificate in the PEM file `trust` and no other.
    ///
    /// # Errors
    /// When there is no certificate in that file.
    pub fn new(
        control: &str,
        carrier: Carrier,
        plain_relays: bool,
        trust: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let control = control.trim_end_matches('/').to_owned();
        let trusted = tls::pinned(trust).context("what to trust")?;
        Ok(Self {
            control,
            carrier,
            plain_relays,
            trusted,
            unverified: tls::unverified()?,
            cut_off: Arc::default(),
        })
    }

    /// Makes the relays of a region unreachable from now on, or reachable again. Open connections stay.
    pub fn cut_off(&self, region: u32, cut_off: bool) {
        let mut regions = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        if cut_off {
            regions.insert(region);
        } else {
            regions.remove(&region);
        }
    }

    fn is_cut_off(&self, region: u32) -> bool {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner).contains(&region)
    }

    async fn fetch(self, url: String) -> Result<Vec<u8>, DialError> {
        let place = Place::parse(&url)?;
        let response = self.send(&place, place.request(Method::GET, &[])?, false).await?;
        if response.status() != StatusCode::OK {
            return Err(place.refused(response).await);
        }
        let body = Limited::new(response.into_body(), MAX_KEY_ANSWER).collect().await;
        Ok(body.map_err(|error| place.unreachable(error))?.to_bytes().to_vec())
    }

    /// Asks for an upgrade to `protocol` and returns the stream that begins behind the answer's head.
    async fn upgrade(
        &self,
        place: &Place,
        method: Method,
        protocol: &'static str,
        headers: &[(HeaderName, String)],
        verify: bool,
    ) -> Result<BoxByteStream, DialError> {
        let mut all =
            vec![(header::UPGRADE, protocol.to_owned()), (header::CONNECTION, "upgrade".to_owned())];
        all.extend_from_slice(headers);
        let response = self.send(place, place.request(method, &all)?, !verify).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(place.refused(response).await);
        }
        let switched = response
            .headers()
            .get(header::UPGRADE)
            .is_some_and(|to| to.to_str().is_ok_and(|to| to.eq_ignore_ascii_case(protocol)));
        if !switched {
            return Err(place.unreachable(format!("it switched to something else than {protocol}")));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| place.unreachable(error))?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }

    /// Opens a WebSocket that speaks the subprotocol `protocol`.
    async fn websocket(
        &self,
        place: &Place,
        protocol: &'static str,
        verify: bool,
    ) -> Result<BoxByteStream, DialError> {
        let stream = self.connect(place, !verify).await?;
        let builder = ClientBuilder::from_uri(place.uri.clone())
            .add_header(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol))
            .map_err(|error| place.unreachable(error))?;
        let (socket, response) = builder.connect_on(stream).await.map_err(|error| match error {
            WebSocketError::Upgrade(UpgradeError::DidNotSwitchProtocols(status)) => {
                DialError::Status { url: place.uri.to_string(), status, text: String::new() }
            }
            error => place.unreachable(error),
        })?;
        let agreed = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        if agreed.is_none_or(|agreed| agreed != protocol) {
            return Err(place.unreachable(format!("its WebSocket does not speak {protocol}")));
        }
        Ok(Box::new(Messages::new(socket)))
    }

    async fn send(
        &self,
        place: &Place,
        request: Request<Empty<Bytes>>,
        unverified: bool,
    ) -> Result<Response<Incoming>, DialError> {
        let stream = self.connect(place, unverified).await?;
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await
        };
        exchange.await.map_err(|error| place.unreachable(error))
    }

    async fn connect(&self, place: &Place, unverified: bool) -> Result<BoxByteStream, DialError> {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await;
        let stream = stream.map_err(|error| place.unreachable(error))?;
        stream.set_nodelay(true).map_err(|error| place.unreachable(error))?;
        if !place.tls {
            return Ok(Box::new(stream));
        }
        let connector = if unverified { &self.unverified } else { &self.trusted };
        let name = ServerName::try_from(place.host.clone()).map_err(|error| place.unreachable(error))?;
        let stream = connector.connect(name, stream).await.map_err(|error| place.unreachable(error))?;
        Ok(Box::new(stream))
    }
}

impl Dialer for NativeDialer {
    fn control_url(&self) -> &str {
        &self.control
    }

    fn control_key(&self, version: u16) -> BoxFuture<Result<Vec<u8>, DialError>> {
        Box::pin(self.clone().fetch(format!("{}{KEY_PATH}?v={version}", self.control)))
    }

    fn control(&self, initiation: &[u8; INITIATION_LEN]) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let this = self.clone();
        let mut url = format!("{}{PATH}", self.control);
        let initiation = BASE64_STANDARD.encode(initiation);
        Box::pin(async move {
            match this.carrier {
                Carrier::Upgrade => {
                    let headers = [(HeaderName::from_static("x-tailscale-handshake"), initiation)];
                    let place = Place::parse(&url)?;
                    this.upgrade(&place, Method::POST, UPGRADE, &headers, true).await
                }
                Carrier::WebSocket => {
                    let escaped = initiation.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                    url.push_str(&format!("?{HANDSHAKE_HEADER}={escaped}"));
                    this.websocket(&Place::parse(&url)?, UPGRADE, true).await
                }
            }
        })
    }

    fn derp(&self, address: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let this = self.clone();
        let DerpAddress { region, host, port, insecure_for_tests } = address.clone();
        Box::pin(async move {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let scheme = if this.plain_relays { "http" } else { "https" };
            let place = Place::parse(&format!("{scheme}://{host}:{port}/derp"))?;
            if this.is_cut_off(region) {
                return Err(place.unreachable("the test has cut it off"));
            }
            match this.carrier {
                Carrier::Upgrade => this.upgrade(&place, Method::GET, "DERP", &[], !insecure_for_tests).await,
                Carrier::WebSocket => this.websocket(&place, "derp", !insecure_for_tests).await,
            }
        })
    }
}

/// A server's address, and what to ask for there.
struct Place {
    uri: Uri,
    tls: bool,
    host: String,
    port: u16,
}

impl Place {
    fn parse(url: &str) -> Result<Self, DialError> {
        let bad = |reason: String| DialError::BadAddress { url: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it does not start with http:// or https://".to_owned())),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { uri, tls, host, port })
    }

    fn request(
        &self,
        method: Method,
        headers: &[(HeaderName, String)],
    ) -> Result<Request<Empty<Bytes>>, DialError> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let bad = |error| DialError::BadAddress { url: self.uri.to_string(), reason: format!("{error}") };
        request.body(Empty::new()).map_err(bad)
    }

    fn unreachable(&self, reason: impl std::fmt::Display) -> DialError {
        // The query holds the Noise initiation, which says nothing to anybody.
        let url = self.uri.to_string();
        let url = url.split('?').next().unwrap_or_default().to_owned();
        DialError::Unreachable { url, reason: reason.to_string() }
    }

    async fn refused(&self, response: Response<Incoming>) -> DialError {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_KEY_ANSWER).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&body).chars().take(MAX_ERROR_TEXT).collect();
        DialError::Status { url: self.uri.to_string(), status, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_default_ports() {
        let place = Place::parse("https://control.example/key?v=1").unwrap();
        assert_eq!((place.tls, place.host.as_str(), place.port), (true, "control.example", 443));
        let place = Place::parse("http://[::1]:8080/derp").unwrap();
        assert_eq!((place.tls, place.host.as_str(), place.port), (false, "::1", 8080));
    }

    #[test]
    fn what_is_no_servers_address_is_told_apart() {
        for url in ["control.example", "ftp://control.example", "http://", ""] {
            assert!(matches!(Place::parse(url), Err(DialError::BadAddress { .. })), "{url}");
        }
    }
}
