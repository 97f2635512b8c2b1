//! The client's end of HTTP/1.1: requests, upgrades and WebSockets to one server.

mod upstream;
mod url;
#[cfg(feature = "websocket-client")]
mod websocket;

pub use self::upstream::{ClientSocket, Upstream, UpstreamError};
pub use self::url::{ServerUrl, ServerUrlError};
#[cfg(feature = "websocket-client")]
pub use self::websocket::WebSocketBytes;
