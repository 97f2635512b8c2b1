//! Clients of the relay under test, by each transport, with the limit that all tests of it share.

use bytes::BytesMut;
use dayfly_testkit::SeededRng;
use dayfly_testkit::derp::{DerpClient, DerpClientError};
use dayfly_testkit::http1::{self, Upgraded};
use dayfly_testkit::websocket::{self, OpenError};
use dayfly_wire::key::{NodePrivate, NodePublic};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::WebSocketStream;

use super::running::{LIMIT, Running};

/// Connects by an HTTP upgrade.
pub(crate) async fn native(relay: &Running) -> DerpClient<TcpStream> {
    DerpClient::connect(relay.http, Some(LIMIT)).await.unwrap()
}

/// Connects by a WebSocket.
pub(crate) async fn page(relay: &Running) -> DerpClient<DuplexStream> {
    let socket = open_websocket(&format!("ws://{}/derp", relay.http), "derp", None).await.unwrap();
    admit(websocket::carry(socket).stream, BytesMut::new(), &relay.key()).await.unwrap()
}

/// Proves a key that nobody has seen to the relay whose key is `server`, at once.
pub(crate) async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    rest: BytesMut,
    server: &NodePublic,
) -> Result<DerpClient<S>, DerpClientError> {
    let key = NodePrivate::generate(&mut SeededRng::fresh());
    DerpClient::fast_start(stream, rest, key, server, Some(LIMIT)).await
}

/// Asks `/derp` for a connection of another protocol.
pub(crate) async fn upgrade(relay: &Running, protocol: &str) -> Upgraded {
    timeout(LIMIT, http1::upgrade(relay.http, "/derp", protocol, "")).await.expect("no answer").unwrap()
}

/// Reads to the empty line; returns the head with it, and what came after it.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> (String, BytesMut) {
    timeout(LIMIT, http1::read_head(stream)).await.expect("no head").unwrap()
}

/// Opens a WebSocket as a page of `origin` would.
pub(crate) async fn open_websocket(
    url: &str,
    subprotocol: &str,
    origin: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, OpenError> {
    timeout(LIMIT, websocket::connect(url, subprotocol, origin)).await.expect("no answer")
}
