//! A client of a relay, over any byte stream.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use dayfly_wire::derp::{
    self, ClientInfo, Decoded, Frame, FrameError, InfoError, PacketTooLong, PeerGoneReason, Receiver,
};
use dayfly_wire::key::{NodePrivate, NodePublic};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::SeededRng;
use crate::http1::{Upgraded, upgrade};

/// Bytes that are made room for before each read.
const READ: usize = 64 << 10;

/// Reason why a client could not go on.
#[derive(Debug, Error)]
pub enum DerpClientError {
    /// The relay closed the connection instead of answering the client's handshake.
    #[error("the relay rejected the client")]
    Rejected,
    /// The relay closed the connection.
    #[error("the relay closed the connection")]
    Closed,
    /// The server did not switch to DERP; its answer's head.
    #[error("the server did not switch to DERP: {0}")]
    NotUpgraded(String),
    /// Nothing came for as long as [`DerpClient::set_patience`] allows.
    #[error("the relay was silent for {0:?}")]
    Silent(Duration),
    /// The connection failed.
    #[error("the connection to the relay failed: {0}")]
    Io(#[from] io::Error),
    /// The relay sent something that is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client's handshake could not be sealed.
    #[error(transparent)]
    Info(#[from] InfoError),
    /// The packet to send is longer than DERP allows.
    #[error(transparent)]
    TooLong(#[from] PacketTooLong),
}

/// A frame that a relay sends once the handshake is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// A packet and the key of its sender.
    Packet(NodePublic, Vec<u8>),
    /// A peer cannot be reached here.
    PeerGone(NodePublic, PeerGoneReason),
    /// A keep-alive, which says nothing else.
    KeepAlive,
    /// The answer to a ping.
    Pong([u8; 8]),
    /// The relay is about to restart.
    Restarting,
    /// A frame of another kind, by its debug form.
    /// What the relay says of the connection's health; empty once all is well again.
    Health(String),
    /// Any other frame, as its debug output.
    Other(String),
    /// The end of the connection.
    Closed,
}

impl From<Frame<'_>> for Received {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::RecvPacket { src, data } => Self::Packet(src, data.to_vec()),
            Frame::PeerGone { peer, reason } => Self::PeerGone(peer, reason),
            Frame::KeepAlive => Self::KeepAlive,
            Frame::Pong(payload) => Self::Pong(payload),
            Frame::Restarting { .. } => Self::Restarting,
            Frame::Health(text) => Self::Health(String::from_utf8_lossy(text).into_owned()),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

/// A client that a relay has admitted.
///
/// It waits for as long as it takes unless [`DerpClient::set_patience`] sets a limit, so that it works on tokio's
/// paused clock as on a network.
#[derive(Debug)]
pub struct DerpClient<S> {
    stream: S,
    buffer: BytesMut,
    key: NodePrivate,
    patience: Option<Duration>,
}

impl DerpClient<TcpStream> {
    /// Connects to the plain relay at `to` by an HTTP upgrade, with a key that nobody has seen.
    ///
    /// # Errors
    /// [`DerpClientError::Rejected`] when the relay does not admit the key, [`DerpClientError::NotUpgraded`] when it
    /// does not speak DERP.
    pub async fn connect(to: SocketAddr, patience: Option<Duration>) -> Result<Self, DerpClientError> {
        let Upgraded { stream, head, rest } = patiently(patience, upgrade(to, "/derp", "DERP", "")).await??;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(DerpClientError::NotUpgraded(head));
        }
        Self::handshake(stream, rest, NodePrivate::generate(&mut SeededRng::fresh()), patience).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> DerpClient<S> {
    /// Waits for the relay's key, then proves `key` to it. `buffer` is what has been read of the stream already.
    ///
    /// # Errors
    /// [`DerpClientError::Rejected`] when the relay does not admit the key.
    pub async fn handshake(
        stream: S,
        buffer: BytesMut,
        key: NodePrivate,
        patience: Option<Duration>,
    ) -> Result<Self, DerpClientError> {
        let mut client = Self { stream, buffer, key, patience };
        let server = client.server_key().await?;
        client.prove(&server).await?;
        client.admitted().await?;
        Ok(client)
    }

    /// Proves `key` to the relay whose key is `server` at once, as clients with fast start do.
    ///
    /// # Errors
    /// [`DerpClientError::Rejected`] when the relay does not admit the key, or has another key.
    pub async fn fast_start(
        stream: S,
        buffer: BytesMut,
        key: NodePrivate,
        server: &NodePublic,
        patience: Option<Duration>,
    ) -> Result<Self, DerpClientError> {
        let mut client = Self { stream, buffer, key, patience };
        match client.prove(server).await {
            // A relay may reject a client before it has read all that the client says.
            Err(DerpClientError::Io(_)) => return Err(DerpClientError::Rejected),
            proved => proved?,
        }
        if client.server_key().await? != *server {
            return Err(DerpClientError::Rejected);
        }
        client.admitted().await?;
        Ok(client)
    }

    /// A client on `stream` that has said nothing yet: what it writes, and when, is the test's.
    pub const fn new(stream: S, buffer: BytesMut, key: NodePrivate) -> Self {
        Self { stream, buffer, key, patience: None }
    }

    /// Waits until the relay admits the client.
    ///
    /// # Errors
    /// [`DerpClientError::Rejected`] when it closes the connection instead.
    pub async fn admitted(&mut self) -> Result<(), DerpClientError> {
        self.find(|frame| matches!(frame, Frame::ServerInfo { .. }).then_some(())).await.map_err(rejected)
    }

    async fn server_key(&mut self) -> Result<NodePublic, DerpClientError> {
        self.find(|frame| match frame {
            Frame::ServerKey { key } => Some(key),
            _ => None,
        })
        .await
        .map_err(rejected)
    }

    async fn prove(&mut self, server: &NodePublic) -> Result<(), DerpClientError> {
        let mut out = Vec::new();
        derp::put_client_info(&mut out, &self.key, server, &ClientInfo::default(), &mut SeededRng::fresh())?;
        self.write(&out).await
    }

    /// Sets the longest silence that is waited for; `None` is forever.
    pub const fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Returns the client's public key.
    #[must_use]
    pub fn public(&self) -> NodePublic {
        self.key.public()
    }

    /// Returns the stream below, for tests that write what no client writes.
    pub const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends a packet to a peer.
    ///
    /// # Errors
    /// When it is too long, or the connection is closed.
    pub async fn send(&mut self, dst: &NodePublic, data: &[u8]) -> Result<(), DerpClientError> {
        let mut out = Vec::new();
        derp::put_send_packet(&mut out, dst, data)?;
        self.write(&out).await
    }

    /// Writes bytes, frames or not, and flushes them.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), DerpClientError> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        Ok(patiently(self.patience, writing).await??)
    }

    /// Waits until the relay has handled all that was written before. Returns what came meanwhile.
    ///
    /// # Errors
    /// When the connection is closed before that.
    pub async fn sync(&mut self) -> Result<Vec<Received>, DerpClientError> {
        const PAYLOAD: [u8; 8] = *b"the end.";
        let mut out = Vec::new();
        derp::put_ping(&mut out, PAYLOAD);
        self.write(&out).await?;
        let mut before = Vec::new();
        loop {
            match self.next().await? {
                Received::Pong(PAYLOAD) => return Ok(before),
                Received::Closed => return Err(DerpClientError::Closed),
                received => before.push(received),
            }
        }
    }

    /// Waits for the next frame, or the end.
    ///
    /// # Errors
    /// When something comes that is no frame, or nothing comes at all.
    pub async fn next(&mut self) -> Result<Received, DerpClientError> {
        match self.find(|frame| Some(Received::from(frame))).await {
            Err(DerpClientError::Closed) => Ok(Received::Closed),
            received => received,
        }
    }

    /// Waits for the next packet; passes over all other frames.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn packet(&mut self) -> Result<(NodePublic, Vec<u8>), DerpClientError> {
        self.find(|frame| match frame {
            Frame::RecvPacket { src, data } => Some((src, data.to_vec())),
            _ => None,
        })
        .await
    }

    /// Reads frames until `find` returns something.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn find<T>(
        &mut self,
        mut find: impl FnMut(Frame<'_>) -> Option<T>,
    ) -> Result<T, DerpClientError> {
        loop {
            while let Some(Decoded { frame, consumed }) = derp::decode(&self.buffer, Receiver::Client)? {
                let found = find(frame);
                let _: BytesMut = self.buffer.split_to(consumed);
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            self.read().await?;
        }
    }

    /// Reads once, and hands each whole frame to `each`: for tests that count many.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn frames(&mut self, mut each: impl FnMut(Frame<'_>)) -> Result<(), DerpClientError> {
        self.read().await?;
        while let Some(Decoded { frame, consumed }) = derp::decode(&self.buffer, Receiver::Client)? {
            each(frame);
            let _: BytesMut = self.buffer.split_to(consumed);
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), DerpClientError> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        self.buffer.reserve(READ);
        match patiently(self.patience, self.stream.read_buf(&mut self.buffer)).await? {
            Ok(0) => Err(DerpClientError::Closed),
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => {
                Err(DerpClientError::Closed)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn patiently<T>(
    patience: Option<Duration>,
    future: impl Future<Output = T>,
) -> Result<T, DerpClientError> {
    match patience {
        Some(limit) => timeout(limit, future).await.map_err(|_| DerpClientError::Silent(limit)),
        None => Ok(future.await),
    }
}

/// Names the end of a connection whose handshake is not over.
fn rejected(error: DerpClientError) -> DerpClientError {
    match error {
        DerpClientError::Closed => DerpClientError::Rejected,
        error => error,
    }
}
