//! Connections that leave HTTP: what answers the upgrade, and what runs on the socket from then on.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::closing::Closing;
use crate::duplex::Duplex;
use crate::server::ConnectionPermit;
use crate::socket::Socket;

/// Time in which a client has to take the few bytes of an answer to its upgrade.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

type Start = Box<dyn FnOnce(Upgraded, ConnectionPermit) + Send>;

/// A request's wish to change its connection's protocol, granted: what to answer, and what to do with the socket.
///
/// It runs as a task of its own, which is exactly as large as its future; what HTTP needed is freed before.
pub struct Takeover(Start);

/// A connection that has left HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// The connection itself.
    pub socket: Socket,
    /// Bytes that were read behind the request.
    pub early: Bytes,
    /// The client's address.
    pub peer: SocketAddr,
    /// Ready once the process goes down: the connection should end then.
    pub closing: Closing,
}

impl Upgraded {
    /// The connection's bytes as they are.
    pub fn into_raw(self) -> Duplex<Socket> {
        Duplex::raw(self.socket, self.early)
    }

    /// The payloads of the WebSocket that the connection has become.
    pub fn into_websocket(self) -> Duplex<Socket> {
        Duplex::websocket(self.socket, self.early)
    }
}

impl Takeover {
    /// Upgrades to `protocol` with an answer (101) that has `headers` besides those that it needs, then runs `run`.
    pub fn upgrade<F, R>(protocol: &str, headers: &[(&str, &str)], run: F) -> Self
    where
        F: FnOnce(Upgraded) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let mut head =
            format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n");
        for (name, value) in headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Self::new(head, run)
    }

    /// Upgrades to a WebSocket that speaks `subprotocol`; `accept` is from [`accept_key`](crate::websocket::accept_key).
    pub fn websocket<F, R>(accept: &str, subprotocol: &str, run: F) -> Self
    where
        F: FnOnce(Upgraded) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let headers = [("Sec-WebSocket-Accept", accept), ("Sec-WebSocket-Protocol", subprotocol)];
        Self::upgrade("websocket", &headers, run)
    }

    /// Takes the socket without any answer, for protocols whose clients wait for none.
    pub fn unanswered<F, R>(run: F) -> Self
    where
        F: FnOnce(Upgraded) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::new(String::new(), run)
    }

    fn new<F, R>(head: String, run: F) -> Self
    where
        F: FnOnce(Upgraded) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move |mut upgraded, permit| {
            tokio::spawn(async move {
                if write_head(&mut upgraded, head).await {
                    run(upgraded).await;
                }
                drop(permit);
            });
        }))
    }

    /// Answers the request and runs what it asked for, in a task that keeps `permit` until the connection ends.
    pub(crate) fn start(self, upgraded: Upgraded, permit: ConnectionPermit) {
        self.0(upgraded, permit);
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// Writes an upgrade's answer. Returns `true` if the connection can be used.
async fn write_head(Upgraded { socket, peer, .. }: &mut Upgraded, head: String) -> bool {
    match timeout(HEAD_TIMEOUT, socket.write_all(head.as_bytes())).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "connection failed before its upgrade");
            false
        }
        Err(_) => {
            tracing::debug!(%peer, "connection dropped: its client did not read that it was upgraded");
            false
        }
    }
}
