//! The route of the relay: `/derp`, by HTTP upgrade or WebSocket.

use std::future::ready;
use std::sync::Arc;

use dayfly_http::answer::upgrade_required;
use dayfly_http::header::UPGRADE;
use dayfly_http::http::Request;
use dayfly_http::websocket::{accept_key, offers, wants_websocket};
use dayfly_http::{Method, Reply, Routes, StatusCode, Takeover, Upgraded, text};

use super::{Server, Source};

/// The routes of a relay.
pub(crate) fn routes(server: &Arc<Server>) -> Routes {
    let server = Arc::clone(server);
    Routes::new("derp").path("/derp", move |request, _| ready(reply(&server, &request)))
}

fn reply<B>(server: &Arc<Server>, request: &Request<B>) -> Reply {
    let headers = request.headers();
    let server = Arc::clone(server);
    if wants_websocket(request) && offers(headers, "derp") {
        return match accept_key(request) {
            Ok(accept) => Takeover::websocket(&accept, "derp", move |upgraded| async move {
                let source = source(&upgraded, "websocket");
                server.serve(upgraded.into_websocket(), source).await;
            })
            .into(),
            Err(error) => text(StatusCode::BAD_REQUEST, error).into(),
        };
    }
    // Very old clients say websocket and speak plain DERP; they don't offer its subprotocol.
    let native = headers.get(UPGRADE).is_some_and(|protocol| {
        protocol.as_bytes().eq_ignore_ascii_case(b"derp")
            || protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    });
    if !native || request.method() != Method::GET {
        return upgrade_required("DERP", "DERP needs a connection upgrade").into();
    }
    // Clients of fast start have the server's key from its certificate and wait for no answer.
    let takeover = if headers.get("Derp-Fast-Start").is_some_and(|value| value == "1") {
        Takeover::unanswered(move |upgraded| serve_native(server, upgraded, "native, fast start"))
    } else {
        let [(version, number), (key, digits)] = server.upgrade_headers();
        let headers = [(version, number.as_str()), (key, digits.as_str())];
        Takeover::upgrade("DERP", &headers, move |upgraded| serve_native(server, upgraded, "native"))
    };
    takeover.into()
}

async fn serve_native(server: Arc<Server>, upgraded: Upgraded, transport: &'static str) {
    let source = source(&upgraded, transport);
    server.serve(upgraded.into_raw(), source).await;
}

fn source(upgraded: &Upgraded, transport: &'static str) -> Source {
    Source { ip: upgraded.peer.ip().to_canonical(), transport }
}
