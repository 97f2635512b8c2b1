//! The gateway: what lets a browser reach a control server or a relay that it could not reach by itself.
//!
//! It carries bytes and nothing else, and connects only to the servers that its configuration names. WireGuard stays end
//! to end, and Noise does towards clients that know the control server's key from elsewhere: who asks this server for
//! `/key` takes its word for who the control server is.

mod config;
mod options;
mod routes;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dayfly_http::carry::{Patience, carry};
use dayfly_http::client::{ClientSocket, Upstream, UpstreamError};
use dayfly_http::http::Request;
use dayfly_http::http::request::Builder;
use dayfly_http::metrics::{Counter, Gauge, Registry};
use dayfly_http::origin::AllowedOrigins;
use dayfly_http::rate::LogLimit;
use dayfly_http::tls::Trust;
use dayfly_http::websocket::close_code;
use dayfly_http::{Duplex, Method, Routes, StatusCode, Upgraded, header};
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, KEY_PATH, MAX_KEY_ANSWER, PATH, UPGRADE};
use thiserror::Error;

pub use self::config::{GatewayConfig, RelayRegion};
pub(crate) use self::options::GatewayArgs;

/// The longest initiation that is passed on, in characters; real ones have 136.
const MAX_HANDSHAKE: usize = 1024;
/// Bytes that are read at once in each direction of a connection that is carried.
const BUFFER: usize = 16 << 10;
/// Time for which a connection may be silent in both directions: control servers and relays both send something each
/// minute. Neither protocol goes on when one direction is done, so that only what is on its way is waited for then.
const PATIENCE: Patience = Patience { idle: Duration::from_secs(180), half: Duration::from_secs(10) };

/// The gateway: the servers that it leads to, and the pages that may use it.
#[derive(Debug)]
pub(crate) struct Gateway {
    control: Option<Upstream>,
    relays: Vec<(RelayRegion, Upstream)>,
    origins: AllowedOrigins,
    metrics: Metrics,
    /// Bounds what requests that fail write into the log.
    log_limit: LogLimit,
}

/// The metrics of the gateway.
#[derive(Debug)]
struct Metrics {
    /// Connections that are carried now.
    open: Gauge,
    /// Connections that have been carried.
    total: Counter,
    /// Connections and requests that could not be carried, since the upstream failed.
    failed: Counter,
    /// Requests that were refused for their origin.
    forbidden: Counter,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            open: registry.gauge("gateway_connections", "connections that the gateway carries"),
            total: registry.counter("gateway_connections", "connections carried"),
            failed: registry.counter("gateway_failed", "failures of upstreams"),
            forbidden: registry.counter("gateway_forbidden", "requests of other origins"),
        }
    }
}

/// Reasons why the gateway did not carry something.
#[derive(Debug, Error)]
pub(crate) enum GatewayError {
    #[error("this gateway leads to no control server")]
    NoControl,
    #[error("this gateway leads to no relay of region {0}")]
    NoRelay(u32),
    #[error("this gateway leads to no relay")]
    NoRelays,
    #[error("this gateway leads to several relays: name one as /gateway/derp/REGION")]
    AmbiguousRelay,
    #[error("the origin {0} is not allowed here")]
    Origin(String),
    #[error("the parameter {HANDSHAKE_HEADER} is missing or is not base64")]
    Handshake,
    #[error("the parameter {0} is not valid")]
    Parameter(&'static str),
    #[error("the control server at {0}")]
    Control(UpstreamError),
    #[error("the relay at {0}")]
    Relay(UpstreamError),
}

impl GatewayError {
    /// Returns the text to answer with: of an upstream that failed only how, since addresses are for the log.
    pub(crate) fn answer(&self) -> String {
        match self {
            Self::Control(error) => format!("the control server {}", error.kind()),
            Self::Relay(error) => format!("the relay {}", error.kind()),
            error => error.to_string(),
        }
    }

    /// The status to answer with.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::NoControl | Self::NoRelay(_) | Self::NoRelays => StatusCode::NOT_FOUND,
            Self::AmbiguousRelay | Self::Handshake | Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::Origin(_) => StatusCode::FORBIDDEN,
            Self::Control(error) | Self::Relay(error) => match error {
                UpstreamError::ConnectTimeout(_) | UpstreamError::ResponseTimeout(_) => {
                    StatusCode::GATEWAY_TIMEOUT
                }
                _ => StatusCode::BAD_GATEWAY,
            },
        }
    }
}

impl Gateway {
    /// Makes a gateway of its settings. `trust` tells which certificates its upstreams may have.
    pub(crate) fn new(config: &GatewayConfig, trust: &Trust, registry: &Registry) -> Arc<Self> {
        let upstream = |url: &_| Upstream::new(Clone::clone(url), trust.clone(), crate::USER_AGENT);
        Arc::new(Self {
            control: config.control.as_ref().map(upstream),
            relays: config.relays.iter().map(|(region, url)| (*region, upstream(url))).collect(),
            origins: AllowedOrigins(config.allow_origins.clone()),
            metrics: Metrics::new(registry),
            log_limit: LogLimit::default(),
        })
    }

    /// The gateway's routes; none where it leads nowhere. `/derp` is the relay's where there is one.
    pub(crate) fn routes(self: &Arc<Self>, beside_relay: bool) -> Option<Routes> {
        let leads_somewhere = self.control.is_some() || !self.relays.is_empty();
        leads_somewhere.then(|| routes::routes(self, beside_relay))
    }

    /// Refuses requests of pages that are not allowed to use this gateway.
    pub(crate) fn check_origin<B>(&self, request: &Request<B>) -> Result<(), GatewayError> {
        self.origins.check(request.headers()).map_err(|origin| {
            self.metrics.forbidden.inc();
            GatewayError::Origin(origin)
        })
    }

    /// Fetches the control server's key: its status and its answer.
    pub(crate) async fn key(&self, query: Option<&str>) -> Result<(StatusCode, Bytes), GatewayError> {
        let control = self.control.as_ref().ok_or(GatewayError::NoControl)?;
        let version = match query.map(|query| parameter(query, "v")) {
            Some(Some(version))
                if version.len() <= 9 && version.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                format!("?v={version}")
            }
            None | Some(None) => String::new(),
            Some(Some(_)) => return Err(GatewayError::Parameter("v")),
        };
        let request = Request::builder().method(Method::GET).header(header::ACCEPT, "application/json");
        let answer =
            control.fetch(request, &format!("{KEY_PATH}{version}"), Bytes::new(), MAX_KEY_ANSWER).await;
        answer.map_err(|error| self.failed(GatewayError::Control(error)))
    }

    /// Opens ts2021 to the control server, as a native client would.
    pub(crate) async fn dial_control(&self, handshake: &str) -> Result<Duplex<ClientSocket>, GatewayError> {
        let control = self.control.as_ref().ok_or(GatewayError::NoControl)?;
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if handshake.is_empty() || handshake.len() > MAX_HANDSHAKE || !handshake.bytes().all(base64) {
            return Err(GatewayError::Handshake);
        }
        let request = Request::builder().method(Method::POST).header(HANDSHAKE_HEADER, handshake);
        let link = control.upgrade(request, PATH, UPGRADE).await;
        link.map_err(|error| self.failed(GatewayError::Control(error)))
    }

    /// Opens DERP to the relay of a region, as a native client would.
    pub(crate) async fn dial_relay(&self, region: Option<u32>) -> Result<Duplex<ClientSocket>, GatewayError> {
        let relay = self.relay(region)?;
        let request: Builder = Request::builder().method(Method::GET);
        // The URL may name the relay alone or its DERP endpoint.
        let path = if relay.url().to_string().ends_with("/derp") { "" } else { "/derp" };
        let link = relay.upgrade(request, path, "DERP").await;
        link.map_err(|error| self.failed(GatewayError::Relay(error)))
    }

    fn relay(&self, region: Option<u32>) -> Result<&Upstream, GatewayError> {
        let find = |wanted| self.relays.iter().find(|(region, _)| *region == wanted).map(|(_, relay)| relay);
        let any = || find(RelayRegion::Any);
        match (region, self.relays.as_slice()) {
            (Some(number), _) => {
                let own = NonZeroU32::new(number).and_then(|region| find(RelayRegion::One(region)));
                own.or_else(any).ok_or(GatewayError::NoRelay(number))
            }
            (None, [(_, relay)]) => Ok(relay),
            (None, []) => Err(GatewayError::NoRelays),
            (None, _) => any().ok_or(GatewayError::AmbiguousRelay),
        }
    }

    fn failed(&self, error: GatewayError) -> GatewayError {
        self.metrics.failed.inc();
        if let Some(unlogged) = self.log_limit.pass() {
            tracing::warn!(%error, unlogged, "gateway: upstream failed");
        }
        error
    }

    /// Carries bytes between a client and an upstream that has agreed, until both ends are done, one fails or keeps the
    /// other waiting, or the process goes down.
    pub(crate) async fn carry(
        self: Arc<Self>,
        client: Upgraded,
        is_websocket: bool,
        upstream: Box<Duplex<ClientSocket>>,
        what: &'static str,
    ) {
        let closing = client.closing.clone();
        let mut client = if is_websocket { client.into_websocket() } else { client.into_raw() };
        self.metrics.open.inc();
        self.metrics.total.inc();
        let result = tokio::select! {
            result = carry(&mut client, *upstream, BUFFER, PATIENCE) => Some(result),
            () = closing.wait() => None,
        };
        self.metrics.open.dec();
        match result {
            Some(Ok((up, down))) => tracing::debug!(what, up, down, "gateway: connection ended"),
            Some(Err(error)) => tracing::debug!(what, %error, "gateway: connection failed"),
            None => tracing::debug!(what, "gateway: connection ended, for the process goes down"),
        }
        client.close(close_code::AWAY).await;
    }
}

/// The value of a parameter in a query, percent-decoded. A plus stays a plus: base64 has it, forms are not used here.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let (_, value) =
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    percent_encoding::percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_percent_decoded_and_keep_their_plus() {
        assert_eq!(
            parameter("a=1&X-Tailscale-Handshake=a%2Bb+%3d", HANDSHAKE_HEADER).as_deref(),
            Some("a+b+=")
        );
        assert_eq!(parameter("a=1", "b"), None);
        assert_eq!(parameter("a=%ff", "a"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_query_is_read(query in "[a-z]{1,3}=[%0-9a-f+&=é]{0,20}", bytes: Vec<u8>) {
            crate::fuzzing::query(query.as_bytes());
            crate::fuzzing::query(&bytes);
        }
    }

    fn gateway(relays: &[(u32, &str)]) -> Arc<Gateway> {
        let region = |id| NonZeroU32::new(id).map_or(RelayRegion::Any, RelayRegion::One);
        let relays = relays.iter().map(|(id, url)| (region(*id), url.parse().unwrap())).collect();
        let config = GatewayConfig { relays, ..GatewayConfig::default() };
        Gateway::new(&config, &Trust::nobody(), &Registry::new("dayfly"))
    }

    #[test]
    fn regions_lead_to_their_relays_only() {
        let one = gateway(&[(900, "https://one.example")]);
        assert!(one.relay(None).is_ok());
        assert!(one.relay(Some(900)).is_ok());
        assert!(matches!(one.relay(Some(1)), Err(GatewayError::NoRelay(1))));
        let two = gateway(&[(900, "https://one.example"), (901, "https://two.example")]);
        assert!(matches!(two.relay(None), Err(GatewayError::AmbiguousRelay)));
        let any = gateway(&[(900, "https://one.example"), (0, "https://any.example")]);
        assert_eq!(any.relay(Some(7)).unwrap().url().to_string(), "https://any.example");
    }
}
