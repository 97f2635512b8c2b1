//! A small client of relays, for tests that look at what a relay tells, and WebSockets as a page opens them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{self, ClientInfo, Decoded, Frame, Receiver};
use dayfly_wire::key::{NodePrivate, NodePublic};
use futures::{SinkExt as _, StreamExt as _};
use http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Uri};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Message};

/// How long an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);

/// Run a future on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// A client of a relay, by any byte stream.
pub(crate) struct RelayClient<S> {
    stream: S,
    buffer: BytesMut,
    public: NodePublic,
}

impl RelayClient<TcpStream> {
    /// Connect to the plain relay on `port` of 127.0.0.1 and greet it.
    pub(crate) async fn native(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let request = "GET /derp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = BytesMut::new();
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let read = timeout(ANSWER, stream.read_buf(&mut buffer)).await??;
            ensure!(read > 0, "the relay closed in its answer");
        };
        let head = buffer.split_to(end);
        ensure!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self::greet(stream, buffer).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RelayClient<S> {
    /// Greet as a stranger: with a key that nobody has seen.
    pub(crate) async fn greet(stream: S, buffer: BytesMut) -> Result<Self> {
        let key = NodePrivate::generate(&mut SystemRng);
        let mut client = Self { stream, buffer, public: key.public() };
        let server = client.frame(|frame| match frame {
            Frame::ServerKey { key } => Some(key),
            _ => None,
        });
        let server = server.await.context("no key of the relay")?;
        let mut out = Vec::new();
        derp::put_client_info(&mut out, &key, &server, &ClientInfo::default(), &mut SystemRng)?;
        client.stream.write_all(&out).await?;
        client
            .frame(|frame| matches!(frame, Frame::ServerInfo { .. }).then_some(()))
            .await
            .context("not let in")?;
        Ok(client)
    }

    /// Its key.
    pub(crate) const fn public(&self) -> NodePublic {
        self.public
    }

    /// Send a packet.
    pub(crate) async fn send(&mut self, to: &NodePublic, data: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        derp::put_send_packet(&mut out, to, data)?;
        Ok(timeout(ANSWER, self.stream.write_all(&out)).await??)
    }

    /// The next packet.
    pub(crate) async fn packet(&mut self) -> Result<(NodePublic, Vec<u8>)> {
        self.frame(|frame| match frame {
            Frame::RecvPacket { src, data } => Some((src, data.to_vec())),
            _ => None,
        })
        .await
    }

    /// The first frame that `wanted` takes; others are passed over.
    async fn frame<T>(&mut self, wanted: impl Fn(Frame<'_>) -> Option<T>) -> Result<T> {
        loop {
            if let Some(Decoded { frame, consumed }) = derp::decode(&self.buffer, Receiver::Client)? {
                let found = wanted(frame);
                let _: BytesMut = self.buffer.split_to(consumed);
                if let Some(found) = found {
                    return Ok(found);
                }
            } else if timeout(ANSWER, self.stream.read_buf(&mut self.buffer)).await?? == 0 {
                bail!("the relay closed");
            }
        }
    }
}

/// Open a plain WebSocket as a page of `origin` does; its messages as a byte stream.
pub(crate) async fn websocket(url: &str, subprotocol: &str, origin: &str) -> Result<DuplexStream> {
    let uri: Uri = url.parse()?;
    let stream = TcpStream::connect(uri.authority().context("no authority")?.as_str()).await?;
    let builder = ClientBuilder::from_uri(uri)
        .add_header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::try_from(subprotocol)?)?
        .add_header(ORIGIN, HeaderValue::try_from(origin)?)?;
    let (socket, answer) = timeout(ANSWER, builder.connect_on(stream)).await??;
    let agreed = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    ensure!(
        agreed.is_some_and(|agreed| agreed == subprotocol),
        "the subprotocol was not agreed to: {agreed:?}"
    );
    let (near, far) = tokio::io::duplex(256 << 10);
    let (mut from_test, mut to_test) = tokio::io::split(far);
    let (mut sink, mut source) = socket.split();
    tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            if message.is_binary() && to_test.write_all(message.as_payload()).await.is_err() {
                return;
            }
        }
        let _ = to_test.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(len @ 1..) = from_test.read(&mut buffer).await {
            let piece = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
            if sink.send(Message::binary(piece)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });
    Ok(near)
}
