//! The opening handshake (RFC 6455, section 4.2).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Request};
use ring::digest;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether one of the comma-separated tokens of a header is `token`, in whichever case.
pub(crate) fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Whether the request asks to become a WebSocket.
pub(crate) fn wants_websocket<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), UPGRADE, "websocket")
}

/// Whether the client offers the subprotocol. Names of subprotocols are compared as they are.
pub(crate) fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == subprotocol)
}

/// The `Sec-WebSocket-Accept` that answers a request, or what is wrong with the request.
pub(crate) fn accept_key<B>(request: &Request<B>) -> Result<String, &'static str> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err("a WebSocket is opened by GET");
    }
    if !has_token(headers, CONNECTION, "upgrade") {
        return Err("a WebSocket needs the header Connection: Upgrade");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err("a WebSocket needs the header Sec-WebSocket-Version: 13");
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or("a WebSocket needs the header Sec-WebSocket-Key")?;
    if BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16) {
        let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(key.as_bytes());
        hash.update(GUID);
        Ok(BASE64_STANDARD.encode(hash.finish()))
    } else {
        Err("Sec-WebSocket-Key has to be 16 bytes in base64")
    }
}
