//! The opening handshake (RFC 6455, section 4.2).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Method, Request};
use ring::digest;

use crate::answer::has_token;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns `true` if the request asks to become a WebSocket.
pub fn wants_websocket<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), UPGRADE, "websocket")
}

/// Returns `true` if the client offers the subprotocol. Names of subprotocols are compared as they are.
pub fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == subprotocol)
}

/// Makes the `Sec-WebSocket-Accept` that answers a request.
///
/// # Errors
/// What is wrong with the request, for its answer.
pub fn accept_key<B>(request: &Request<B>) -> Result<String, &'static str> {
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
