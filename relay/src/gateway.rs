//! The gateway: what lets a browser reach a control server or a relay that it could not reach by itself.
//!
//! It carries bytes and nothing else, and connects only to the servers that its configuration names. WireGuard stays end
//! to end, and Noise does towards clients that know the control server's key from elsewhere: who asks this server for
//! `/key` takes its word for who the control server is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, KEY_PATH, MAX_KEY_ANSWER, PATH, UPGRADE};
use http::request::Builder;
use http::{Method, Request, StatusCode, header};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::idle::{self, Patience};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::origin::AllowedOrigins;
use crate::upstream::{Upstream, UpstreamError, UpstreamSocket};

/// The longest first message that is passed on; real ones have 136 characters.
const MAX_HANDSHAKE: usize = 1024;
/// How much is read at once in each direction of a connection that is carried.
const BUFFER: usize = 16 << 10;
/// How long a connection may be silent in both directions: control servers and relays both send something each
/// minute. Neither protocol goes on when one direction is done, so that only what is on its way is waited for then.
const PATIENCE: Patience = Patience { idle: Duration::from_secs(180), half: Duration::from_secs(10) };

/// Where the gateway leads.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) control: Option<Upstream>,
    /// Relays by their regions; 0 is the one for requests that name no region.
    pub(crate) relays: Vec<(u32, Upstream)>,
    pub(crate) origins: AllowedOrigins,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why the gateway did not carry something.
#[derive(Debug, Error)]
pub(crate) enum GatewayError {
    #[error("this gateway leads to no control server")]
    NoControl,
    #[error("this gateway leads to no relay of region {0}")]
    NoRelay(u32),
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
    /// The status to answer with.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::NoControl | Self::NoRelay(_) => StatusCode::NOT_FOUND,
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
    /// Whether anything is to be had here.
    pub(crate) const fn is_empty(&self) -> bool {
        self.control.is_none() && self.relays.is_empty()
    }

    /// Refuses requests of pages that are not allowed to use this gateway.
    pub(crate) fn check_origin<B>(&self, request: &Request<B>) -> Result<(), GatewayError> {
        self.origins.check(request.headers()).map_err(|origin| {
            self.metrics.gateway_forbidden.add(1);
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
    pub(crate) async fn dial_control(&self, handshake: &str) -> Result<Link<UpstreamSocket>, GatewayError> {
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
    pub(crate) async fn dial_relay(&self, region: Option<u32>) -> Result<Link<UpstreamSocket>, GatewayError> {
        let relay = self.relay(region)?;
        let request: Builder = Request::builder().method(Method::GET);
        // The URL may name the relay alone or its DERP endpoint.
        let path = if relay.url().to_string().ends_with("/derp") { "" } else { "/derp" };
        let link = relay.upgrade(request, path, "DERP").await;
        link.map_err(|error| self.failed(GatewayError::Relay(error)))
    }

    fn relay(&self, region: Option<u32>) -> Result<&Upstream, GatewayError> {
        let find = |wanted: u32| self.relays.iter().find(|(id, _)| *id == wanted).map(|(_, relay)| relay);
        match (region, self.relays.as_slice()) {
            (Some(region), _) => find(region).or_else(|| find(0)).ok_or(GatewayError::NoRelay(region)),
            (None, [(_, relay)]) => Ok(relay),
            (None, []) => Err(GatewayError::NoRelay(0)),
            (None, _) => find(0).ok_or(GatewayError::AmbiguousRelay),
        }
    }

    fn failed(&self, error: GatewayError) -> GatewayError {
        self.metrics.gateway_failed.add(1);
        tracing::warn!(%error, "gateway: upstream failed");
        error
    }

    /// Carries bytes both ways until both ends are done, one fails or keeps the other waiting, or `closing` is ready.
    pub(crate) async fn carry<S>(
        self: Arc<Self>,
        mut client: Link<S>,
        upstream: Link<UpstreamSocket>,
        what: &'static str,
        closing: impl Future<Output = ()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.metrics.gateway_open.add(1);
        self.metrics.gateway_total.add(1);
        let result = tokio::select! {
            result = idle::carry(&mut client, upstream, BUFFER, PATIENCE) => Some(result),
            () = closing => None,
        };
        self.metrics.gateway_open.sub(1);
        match result {
            Some(Ok((up, down))) => tracing::debug!(what, up, down, "gateway: connection ended"),
            Some(Err(error)) => tracing::debug!(what, %error, "gateway: connection failed"),
            None => tracing::debug!(what, "gateway: connection ended, for the process goes down"),
        }
        client.close(crate::websocket::close_code::AWAY).await;
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

    fn gateway(relays: &[(u32, &str)]) -> Gateway {
        let relays =
            relays.iter().map(|(id, url)| (*id, Upstream::new(url.parse().unwrap(), None))).collect();
        Gateway { control: None, relays, origins: AllowedOrigins::default(), metrics: Arc::default() }
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
