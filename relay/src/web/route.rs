//! Which request gets which answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dayfly_wire::ts2021;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, UPGRADE, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::Takeover;
use crate::answer::{Answer, text};
use crate::gateway::{Gateway, GatewayError, parameter};
use crate::origin::host_is_local;
use crate::shared::Shared;
use crate::websocket::{accept_key, offers, wants_websocket};

/// Where the gateway's relays are, each under its region.
const GATEWAY_DERP: &str = "/gateway/derp/";
/// What a request is told that asks for this server by a name of which it does not know.
const UNKNOWN_HOST: &str =
    "this server answers to the names of its machine, and to those that --public-host gives";
/// The longest challenge that is answered (Tailscale `cmd/derper`).
const MAX_CHALLENGE: usize = 64;

/// Answers a request, or tells what its connection becomes.
pub(super) async fn route<B>(
    shared: &Arc<Shared>,
    request: Request<B>,
    peer: SocketAddr,
    is_tls: bool,
    loopback: bool,
) -> Result<Answer, Takeover> {
    shared.metrics.requests.add(1);
    tracing::trace!(%peer, method = %request.method(), path = ?request.uri().path(), is_tls, "request");
    if !is_tls && shared.hosts.are_checked(loopback) && !shared.hosts.allow(request.headers()) {
        return Ok(text(StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST));
    }
    let path = request.uri().path();
    let gateway = Some(&shared.gateway).filter(|gateway| !gateway.is_empty());
    match (path, gateway) {
        ("/derp", _) if shared.derp.is_some() => derp(shared, &request),
        ("/derp", Some(gateway)) => {
            let region = request.uri().query().and_then(|query| parameter(query, "region"));
            gateway_derp(gateway, &request, region.as_deref()).await
        }
        ("/derp/probe" | "/derp/latency-check", _) => Ok(only_reads(&request).unwrap_or_else(probe)),
        ("/generate_204", _) => Ok(only_reads(&request).unwrap_or_else(|| generate_204(&request))),
        ("/robots.txt", _) => {
            Ok(only_reads(&request).unwrap_or_else(|| text(StatusCode::OK, "User-agent: *\nDisallow: /\n")))
        }
        ("/healthz", _) => Ok(only_reads(&request).unwrap_or_else(|| text(StatusCode::OK, "ok"))),
        ("/key", Some(gateway)) => Ok(key(gateway, &request).await),
        ("/ts2021", Some(gateway)) => control(gateway, &request).await,
        (path, Some(gateway)) if path.starts_with(GATEWAY_DERP) => {
            gateway_derp(gateway, &request, path.strip_prefix(GATEWAY_DERP)).await
        }
        _ => Ok(only_reads(&request).unwrap_or_else(|| shared.site().respond(&request))),
    }
}

/// What the listener for the machine's owner has.
pub(super) fn ops<B>(shared: &Shared, request: &Request<B>, loopback: bool) -> Answer {
    if loopback && !host_is_local(request.headers()) {
        return text(StatusCode::MISDIRECTED_REQUEST, "this listener is for this machine only");
    }
    if let Some(refusal) = only_reads(request) {
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => {
            let mut answer = text(StatusCode::OK, shared.metrics.render());
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        "/healthz" => text(StatusCode::OK, "ok"),
        _ => text(StatusCode::NOT_FOUND, "here are /metrics and /healthz"),
    }
}

/// Refuses all methods but GET and HEAD.
fn only_reads<B>(request: &Request<B>) -> Option<Answer> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are for this path");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(answer)
}

fn derp<B>(shared: &Arc<Shared>, request: &Request<B>) -> Result<Answer, Takeover> {
    let Some(server) = shared.derp.as_ref().map(Arc::clone) else {
        return Ok(text(StatusCode::NOT_FOUND, "no relay here"));
    };
    let headers = request.headers();
    if wants_websocket(request) && offers(headers, "derp") {
        return match accept_key(request) {
            Ok(accept) => Err(Takeover::DerpWebSocket { server, accept }),
            Err(error) => Ok(text(StatusCode::BAD_REQUEST, error)),
        };
    }
    // Very old clients say websocket and speak plain DERP; they don't offer its subprotocol.
    let native = headers.get(UPGRADE).is_some_and(|protocol| {
        protocol.as_bytes().eq_ignore_ascii_case(b"derp")
            || protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    });
    if !native || request.method() != Method::GET {
        return Ok(upgrade_required("DERP", "DERP needs a connection upgrade"));
    }
    let fast_start = headers.get("Derp-Fast-Start").is_some_and(|value| value == "1");
    Err(Takeover::Derp { server, fast_start })
}

fn upgrade_required(protocol: &'static str, why: &'static str) -> Answer {
    let mut answer = text(StatusCode::UPGRADE_REQUIRED, why);
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    answer
}

/// What clients measure their distance to a relay by.
fn probe() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// What clients look for captive portals with: the answer shows that it was made for this request.
fn generate_204<B>(request: &Request<B>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate, no-transform, max-age=0");
    answer.headers_mut().insert(CACHE_CONTROL, no_cache);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if let Some(challenge) = request.headers().get("X-Tailscale-Challenge").map(HeaderValue::as_bytes)
        && !challenge.is_empty()
        && challenge.len() <= MAX_CHALLENGE
        && challenge.iter().copied().all(plain)
        && let Ok(response) = HeaderValue::from_bytes(&[b"response ", challenge].concat())
    {
        answer.headers_mut().insert("X-Tailscale-Response", response);
    }
    answer
}

fn refused(error: &GatewayError) -> Answer {
    text(error.status(), error.to_string())
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
            *answer.body_mut() = Full::new(body);
            let kind = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        Err(error) => refused(&error),
    };
    share(request, answer)
}

async fn control<B>(gateway: &Arc<Gateway>, request: &Request<B>) -> Result<Answer, Takeover> {
    let upgrade = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
    if request.method() == Method::POST && upgrade == Some(ts2021::UPGRADE.as_bytes()) {
        // Browsers can't ask for this, but a page could try to have them: those that name an origin are checked.
        let dialled = async {
            gateway.check_origin(request)?;
            let handshake =
                request.headers().get(ts2021::HANDSHAKE_HEADER).and_then(|value| value.to_str().ok());
            gateway.dial_control(handshake.unwrap_or_default()).await
        };
        return match dialled.await {
            Ok(upstream) => {
                Err(Takeover::CarryControl { gateway: Arc::clone(gateway), upstream: Box::new(upstream) })
            }
            Err(error) => Ok(refused(&error)),
        };
    }
    let accept = match websocket(gateway, request, ts2021::UPGRADE) {
        Ok(accept) => accept,
        Err(answer) => return Ok(*answer),
    };
    let handshake = request.uri().query().and_then(|query| parameter(query, ts2021::HANDSHAKE_HEADER));
    let upstream = match gateway.dial_control(handshake.as_deref().unwrap_or_default()).await {
        Ok(upstream) => Box::new(upstream),
        Err(error) => return Ok(refused(&error)),
    };
    let gateway = Arc::clone(gateway);
    Err(Takeover::CarryWebSocket { gateway, upstream, subprotocol: ts2021::UPGRADE, accept })
}

async fn gateway_derp<B>(
    gateway: &Arc<Gateway>,
    request: &Request<B>,
    region: Option<&str>,
) -> Result<Answer, Takeover> {
    let region = match region.map(str::parse) {
        Some(Ok(region)) => Some(region),
        None => None,
        Some(Err(_)) => return Ok(refused(&GatewayError::Parameter("region"))),
    };
    let accept = match websocket(gateway, request, "derp") {
        Ok(accept) => accept,
        Err(answer) => return Ok(*answer),
    };
    let upstream = match gateway.dial_relay(region).await {
        Ok(upstream) => Box::new(upstream),
        Err(error) => return Ok(refused(&error)),
    };
    let gateway = Arc::clone(gateway);
    Err(Takeover::CarryWebSocket { gateway, upstream, subprotocol: "derp", accept })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(challenge: &[u8]) -> Option<String> {
        let request =
            Request::get("/generate_204").header("X-Tailscale-Challenge", challenge).body(()).unwrap();
        let answer = generate_204(&request);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let response = answer.headers().get("X-Tailscale-Response")?;
        Some(response.to_str().unwrap().to_owned())
    }

    #[test]
    fn plain_challenges_are_answered_and_others_ignored() {
        assert_eq!(challenge(b"ts_derp.example:1-2").as_deref(), Some("response ts_derp.example:1-2"));
        assert_eq!(challenge(b"<script>"), None);
        assert_eq!(challenge(&[b'a'; 65]), None);
        assert_eq!(challenge(b""), None);
    }
}
