//! The dialer.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dayfly_http::client::{ServerUrl, Upstream, UpstreamError};
use dayfly_http::tls::Trust;
use dayfly_node::{DerpAddress, DialError, Dialer};
use dayfly_platform::{BoxByteStream, BoxFuture};
use dayfly_wire::ts2021;
use http::request::Builder;
use http::{Method, Request, StatusCode};

use crate::error::{DialerError, dial_error};

/// Name of the program, as requests carry it in `User-Agent`.
const USER_AGENT: &str = concat!("dayfly/", env!("CARGO_PKG_VERSION"));
/// Characters of a refusal's text that are kept.
const MAX_TEXT: usize = 512;

/// Path of a relay (derp/derphttp/derphttp_client.go `urlString`, tailscale v1.102.5).
const DERP_PATH: &str = "/derp";
/// Name that an upgrade to DERP has (derp/derphttp/derphttp_client.go `connect`, tailscale v1.102.5).
const DERP_UPGRADE: &str = "DERP";
/// Subprotocol of a WebSocket that carries DERP (derp/derphttp/websocket.go `dialWebsocket`, tailscale v1.102.5).
const DERP_SUBPROTOCOL: &str = "derp";

/// The way in which a byte stream is had from an HTTP server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Carrier {
    /// HTTP/1.1 upgrade, and a WebSocket where something on the way knows no other upgrades.
    #[default]
    Either,
    /// HTTP/1.1 upgrade alone, as `tailscaled` does.
    Upgrade,
    /// A WebSocket's binary messages alone, as browsers do.
    WebSocket,
}

/// A [`Dialer`] on tokio's network. Copies share what they trust.
#[derive(Clone, Debug)]
pub struct NativeDialer {
    control: ServerUrl,
    control_text: String,
    trust: Trust,
    /// Trust in relays that the map marks as being for tests.
    anybody: Trust,
    carrier: Carrier,
    plain_relays: bool,
}

impl NativeDialer {
    /// A dialer for one control server, which trusts the system's authorities.
    ///
    /// # Errors
    /// When `control_url` is no address of a server.
    pub fn new(control_url: &str) -> Result<Self, DialerError> {
        Self::with_trust(control_url, Trust::system_and(&[] as &[&Path])?)
    }

    /// A dialer for one control server that trusts others than [`NativeDialer::new`], there and at relays.
    ///
    /// A relay that the DERP map marks with `InsecureForTests` is trusted in any case, as `tailscaled` does.
    ///
    /// # Errors
    /// When `control_url` is no address of a server.
    pub fn with_trust(control_url: &str, trust: Trust) -> Result<Self, DialerError> {
        let control: ServerUrl = control_url.parse()?;
        let (control_text, anybody) = (control.to_string(), Trust::anybody()?);
        Ok(Self { control, control_text, trust, anybody, carrier: Carrier::default(), plain_relays: false })
    }

    /// Sets the way in which servers are asked for a byte stream.
    #[must_use]
    pub const fn carrier(mut self, carrier: Carrier) -> Self {
        self.carrier = carrier;
        self
    }

    /// Has relays spoken to in plain HTTP, as `TS_DEBUG_USE_DERP_HTTP` makes `tailscaled` do: for tests.
    #[must_use]
    pub const fn plain_relays(mut self) -> Self {
        self.plain_relays = true;
        self
    }

    fn control_server(&self) -> Upstream {
        Upstream::new(self.control.clone(), self.trust.clone(), USER_AGENT)
    }

    fn relay(&self, address: &DerpAddress) -> Result<Upstream, DialError> {
        let DerpAddress { host, port, insecure_for_tests, .. } = address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let scheme = if self.plain_relays { "http" } else { "https" };
        let url = format!("{scheme}://{host}:{port}");
        let parsed = url.parse::<ServerUrl>();
        let url = parsed.map_err(|error| DialError::BadAddress { url, reason: error.to_string() })?;
        let trust = if *insecure_for_tests { &self.anybody } else { &self.trust };
        Ok(Upstream::new(url, trust.clone(), USER_AGENT))
    }
}

impl Dialer for NativeDialer {
    fn control_url(&self) -> &str {
        &self.control_text
    }

    fn control_key(&self, version: u16) -> BoxFuture<Result<Vec<u8>, DialError>> {
        let server = self.control_server();
        Box::pin(async move {
            let path = format!("{}?v={version}", ts2021::KEY_PATH);
            let request = Request::builder().method(Method::GET);
            let answer = server.fetch(request, &path, Bytes::new(), ts2021::MAX_KEY_ANSWER).await;
            let (status, body) = answer.map_err(|error| dial_error(server.url(), ts2021::KEY_PATH, error))?;
            if status != StatusCode::OK {
                let text = String::from_utf8_lossy(&body).chars().take(MAX_TEXT).collect();
                let url = format!("{}{}", server.url(), ts2021::KEY_PATH);
                return Err(DialError::Status { url, status: status.as_u16(), text });
            }
            Ok(body.into())
        })
    }

    fn control(
        &self,
        initiation: &[u8; ts2021::INITIATION_LEN],
    ) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let initiation = BASE64_STANDARD.encode(initiation);
        let escaped = initiation.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let offer = Offer {
            server: self.control_server(),
            path: ts2021::PATH,
            method: Method::POST,
            upgrade: ts2021::UPGRADE,
            header: Some((ts2021::HANDSHAKE_HEADER, initiation)),
            subprotocol: ts2021::UPGRADE,
            query: format!("?{}={escaped}", ts2021::HANDSHAKE_HEADER),
        };
        let carrier = self.carrier;
        Box::pin(async move { offer.open(carrier).await })
    }

    fn derp(&self, address: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let (relay, carrier) = (self.relay(address), self.carrier);
        Box::pin(async move {
            let offer = Offer {
                server: relay?,
                path: DERP_PATH,
                method: Method::GET,
                upgrade: DERP_UPGRADE,
                header: None,
                subprotocol: DERP_SUBPROTOCOL,
                query: String::new(),
            };
            offer.open(carrier).await
        })
    }
}

/// A byte stream to be asked for, in both ways.
struct Offer {
    server: Upstream,
    path: &'static str,
    method: Method,
    upgrade: &'static str,
    /// A header of the upgrade's request.
    header: Option<(&'static str, String)>,
    subprotocol: &'static str,
    /// The same as a query, since a page can set no headers of a WebSocket.
    query: String,
}

impl Offer {
    async fn open(self, carrier: Carrier) -> Result<BoxByteStream, DialError> {
        let opened = match carrier {
            Carrier::Upgrade => self.by_upgrade().await,
            Carrier::WebSocket => self.by_websocket().await,
            Carrier::Either => match self.by_upgrade().await {
                Err(refused) if is_refusal(&refused) => self.by_websocket().await.map_err(|_| refused),
                opened => opened,
            },
        };
        // A query holds the Noise initiation, which says nothing to anybody.
        opened.map_err(|error| dial_error(self.server.url(), self.path, error))
    }

    async fn by_upgrade(&self) -> Result<BoxByteStream, UpstreamError> {
        let mut request: Builder = Request::builder().method(self.method.clone());
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        Ok(Box::new(self.server.upgrade(request, self.path, self.upgrade).await?))
    }

    async fn by_websocket(&self) -> Result<BoxByteStream, UpstreamError> {
        let path = format!("{}{}", self.path, self.query);
        Ok(Box::new(self.server.websocket(&path, self.subprotocol).await?))
    }
}

/// Returns `true` when a server was reached, but would not or could not upgrade.
const fn is_refusal(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::NotUpgraded { .. } | UpstreamError::OtherProtocol { .. } | UpstreamError::Http { .. }
    )
}
