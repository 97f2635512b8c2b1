//! The routes of the gateway: what browsers cannot reach by themselves, each under a path of its own.

use std::sync::Arc;

use dayfly_http::answer::{only_reads, upgrade_required};
use dayfly_http::client::ClientSocket;
use dayfly_http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, ORIGIN, UPGRADE, VARY};
use dayfly_http::http::Request;
use dayfly_http::websocket::{accept_key, offers, wants_websocket};
use dayfly_http::{Answer, Body, Duplex, HeaderValue, Method, Reply, Routes, StatusCode, Takeover, text};
use dayfly_wire::ts2021::{self, HANDSHAKE_HEADER};

use super::{Gateway, GatewayError, parameter};

/// The path below which each relay is, under its region.
const RELAYS: &str = "/gateway/derp/";

/// The routes of a gateway. `/derp` is the relay's where there is one.
pub(super) fn routes(gateway: &Arc<Gateway>, beside_relay: bool) -> Routes {
    let own = || Arc::clone(gateway);
    let (for_key, for_control, for_relays, for_relay) = (own(), own(), own(), own());
    let routes = Routes::new("gateway")
        .path(ts2021::KEY_PATH, move |request, _| {
            let gateway = Arc::clone(&for_key);
            async move { key(&gateway, &request).await }
        })
        .path(ts2021::PATH, move |request, _| {
            let gateway = Arc::clone(&for_control);
            async move { control(&gateway, &request).await }
        })
        .below(RELAYS, move |request, _| {
            let gateway = Arc::clone(&for_relays);
            async move { relay(&gateway, &request, request.uri().path().strip_prefix(RELAYS)).await }
        });
    if beside_relay {
        return routes;
    }
    routes.path("/derp", move |request, _| {
        let gateway = Arc::clone(&for_relay);
        async move {
            let region = request.uri().query().and_then(|query| parameter(query, "region"));
            relay(&gateway, &request, region.as_deref()).await
        }
    })
}

fn refused(error: &GatewayError) -> Answer {
    text(error.status(), error.answer())
}

/// Lets the page that asked read the answer. The origin has been checked.
fn share<B>(request: &Request<B>, mut answer: Answer) -> Answer {
    if let Some(origin) = request.headers().get(ORIGIN) {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    answer
}

async fn key<B>(gateway: &Arc<Gateway>, request: &Request<B>) -> Answer {
    if let Some(refusal) = only_reads(request) {
        return refusal;
    }
    if let Err(error) = gateway.check_origin(request) {
        return refused(&error);
    }
    let answer = match gateway.key(request.uri().query()).await {
        Ok((status, body)) => {
            let mut answer = text(status, "");
            *answer.body_mut() = Body::from(body);
            let kind = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        Err(error) => refused(&error),
    };
    share(request, answer)
}

async fn control<B>(gateway: &Arc<Gateway>, request: &Request<B>) -> Reply {
    let upgrade = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
    if request.method() == Method::POST && upgrade == Some(ts2021::UPGRADE.as_bytes()) {
        // Browsers can't ask for this, but a page could try to have them: those that name an origin are checked.
        let dialled = async {
            gateway.check_origin(request)?;
            let handshake = request.headers().get(HANDSHAKE_HEADER).and_then(|value| value.to_str().ok());
            gateway.dial_control(handshake.unwrap_or_default()).await
        };
        let (gateway, upstream) = match dialled.await {
            Ok(upstream) => (Arc::clone(gateway), Box::new(upstream)),
            Err(error) => return refused(&error).into(),
        };
        return Takeover::upgrade(ts2021::UPGRADE, &[], move |client| {
            gateway.carry(client, false, upstream, ts2021::UPGRADE)
        })
        .into();
    }
    let accept = match websocket(gateway, request, ts2021::UPGRADE) {
        Ok(accept) => accept,
        Err(answer) => return (*answer).into(),
    };
    let handshake = request.uri().query().and_then(|query| parameter(query, HANDSHAKE_HEADER));
    match gateway.dial_control(handshake.as_deref().unwrap_or_default()).await {
        Ok(upstream) => carry(gateway, upstream, &accept, ts2021::UPGRADE),
        Err(error) => refused(&error).into(),
    }
}

async fn relay<B>(gateway: &Arc<Gateway>, request: &Request<B>, region: Option<&str>) -> Reply {
    let region = match region.map(str::parse) {
        Some(Ok(region)) => Some(region),
        None => None,
        Some(Err(_)) => return refused(&GatewayError::Parameter("region")).into(),
    };
    let accept = match websocket(gateway, request, "derp") {
        Ok(accept) => accept,
        Err(answer) => return (*answer).into(),
    };
    match gateway.dial_relay(region).await {
        Ok(upstream) => carry(gateway, upstream, &accept, "derp"),
        Err(error) => refused(&error).into(),
    }
}

/// Turns a request's connection into a WebSocket whose bytes are carried to `upstream`.
fn carry(
    gateway: &Arc<Gateway>,
    upstream: Duplex<ClientSocket>,
    accept: &str,
    subprotocol: &'static str,
) -> Reply {
    let (gateway, upstream) = (Arc::clone(gateway), Box::new(upstream));
    Takeover::websocket(accept, subprotocol, move |client| gateway.carry(client, true, upstream, subprotocol))
        .into()
}

/// Checks a WebSocket's request before its upstream is dialled.
fn websocket<B>(
    gateway: &Gateway,
    request: &Request<B>,
    subprotocol: &'static str,
) -> Result<String, Box<Answer>> {
    if !wants_websocket(request) {
        return Err(Box::new(upgrade_required("websocket", "this path is for WebSockets")));
    }
    gateway.check_origin(request).map_err(|error| Box::new(refused(&error)))?;
    if !offers(request.headers(), subprotocol) {
        let error = format!("this WebSocket needs the subprotocol {subprotocol}");
        return Err(Box::new(text(StatusCode::BAD_REQUEST, error)));
    }
    accept_key(request).map_err(|error| Box::new(text(StatusCode::BAD_REQUEST, error)))
}
