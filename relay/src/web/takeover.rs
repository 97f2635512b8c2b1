//! What a connection becomes after its request.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dayfly_wire::ts2021;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::END_TIMEOUT;
use crate::derp;
use crate::gateway::Gateway;
use crate::link::Link;
use crate::socket::Socket;
use crate::upstream::UpstreamSocket;

/// What a request asks its connection to become.
#[derive(Debug)]
pub(crate) enum Takeover {
    /// DERP as native clients speak it.
    Derp {
        server: Arc<derp::Server>,
        /// The client has the server's key from its certificate and waits for no answer.
        fast_start: bool,
    },
    /// DERP inside a WebSocket.
    DerpWebSocket { server: Arc<derp::Server>, accept: String },
    /// A WebSocket whose bytes are carried to an upstream that has agreed.
    CarryWebSocket {
        gateway: Arc<Gateway>,
        upstream: Box<Link<UpstreamSocket>>,
        subprotocol: &'static str,
        accept: String,
    },
    /// A native client's ts2021, carried to an upstream that has agreed.
    CarryControl { gateway: Arc<Gateway>, upstream: Box<Link<UpstreamSocket>> },
}

/// A connection that changes its protocol.
#[derive(Debug)]
pub(crate) struct Changed {
    /// What it becomes.
    pub(super) takeover: Takeover,
    pub(super) socket: Socket,
    /// What has come with the request.
    pub(super) early: Bytes,
    /// The client's address.
    pub(super) peer: SocketAddr,
}

impl Changed {
    /// Answers the request and does what it asked for, until the connection ends. The relay tells its clients by
    /// itself that the process goes down; the gateway's connections end when `closing` is ready.
    pub(crate) async fn run(self, closing: impl Future<Output = ()>) {
        let Self { takeover, mut socket, early, peer } = self;
        if let Some(head) = takeover.answer() {
            match timeout(END_TIMEOUT, socket.write_all(head.as_bytes())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "connection failed before its upgrade");
                    return;
                }
                Err(_) => {
                    tracing::debug!(%peer, "connection dropped: its client did not read that it was upgraded");
                    return;
                }
            }
        }
        let origin = |transport| derp::Origin { ip: peer.ip().to_canonical(), transport };
        match takeover {
            Takeover::Derp { server, fast_start } => {
                let transport = if fast_start { "native, fast start" } else { "native" };
                server.serve(Link::raw(socket, early), origin(transport)).await;
            }
            Takeover::DerpWebSocket { server, .. } => {
                server.serve(Link::websocket(socket, early), origin("websocket")).await;
            }
            Takeover::CarryWebSocket { gateway, upstream, subprotocol, .. } => {
                gateway.carry(Link::websocket(socket, early), *upstream, subprotocol, closing).await;
            }
            Takeover::CarryControl { gateway, upstream } => {
                gateway.carry(Link::raw(socket, early), *upstream, ts2021::UPGRADE, closing).await;
            }
        }
    }
}

impl Takeover {
    fn answer(&self) -> Option<String> {
        match self {
            Self::Derp { fast_start: true, .. } => None,
            Self::Derp { server, .. } => Some(switching("DERP", &server.upgrade_headers())),
            Self::DerpWebSocket { accept, .. } => Some(websocket(accept, "derp")),
            Self::CarryWebSocket { accept, subprotocol, .. } => Some(websocket(accept, subprotocol)),
            Self::CarryControl { .. } => Some(switching(ts2021::UPGRADE, &[])),
        }
    }
}

fn websocket(accept: &str, subprotocol: &str) -> String {
    let headers =
        [("Sec-WebSocket-Accept", accept.to_owned()), ("Sec-WebSocket-Protocol", subprotocol.to_owned())];
    switching("websocket", &headers)
}

fn switching(protocol: &str, headers: &[(&str, String)]) -> String {
    let mut head =
        format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n");
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}
