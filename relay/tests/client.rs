//! Clients: DERP over any byte stream, and WebSockets as byte streams.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{self, ClientInfo, Decoded, Frame, PeerGoneReason, Receiver};
use dayfly_wire::key::{NodePrivate, NodePublic};
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use super::running::{LIMIT, Running};

/// A frame that a client got.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Got {
    Packet(NodePublic, Vec<u8>),
    Gone(NodePublic, PeerGoneReason),
    Restarting,
    End,
}

/// A client of a relay that was admitted.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    buffer: BytesMut,
    key: NodePrivate,
}

impl Client<TcpStream> {
    /// Connects by an HTTP upgrade and waits for its answer.
    pub(crate) async fn native(relay: &Running) -> Self {
        let (stream, head, rest) = upgrade(relay.http, "DERP", "").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self::handshake(stream, rest, &relay.key()).await.expect("not admitted")
    }
}

impl Client<DuplexStream> {
    /// Connects by a WebSocket.
    pub(crate) async fn websocket(relay: &Running) -> Self {
        let socket = websocket(&format!("ws://{}/derp", relay.http), "derp", None).await.unwrap();
        Self::handshake(bytes(socket).stream, BytesMut::new(), &relay.key()).await.expect("not admitted")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Begins the handshake with the server whose key is `server` at once, as clients of fast start do. `None` when the
    /// client is rejected.
    pub(crate) async fn handshake(mut stream: S, buffer: BytesMut, server: &NodePublic) -> Option<Self> {
        let key = NodePrivate::generate(&mut SystemRng);
        let mut out = Vec::new();
        derp::put_client_info(&mut out, &key, server, &ClientInfo::default(), &mut SystemRng).unwrap();
        stream.write_all(&out).await.ok()?;
        let mut client = Self { stream, buffer, key };
        let handshake = async {
            assert!(client.frame(|frame| matches!(frame, Frame::ServerKey { key } if key == *server)).await?);
            assert!(client.frame(|frame| matches!(frame, Frame::ServerInfo { .. })).await?);
            Some(())
        };
        timeout(LIMIT, handshake).await.expect("no handshake")?;
        Some(client)
    }

    pub(crate) fn public(&self) -> NodePublic {
        self.key.public()
    }

    pub(crate) async fn send(&mut self, dst: &NodePublic, data: &[u8]) {
        let mut out = Vec::new();
        derp::put_send_packet(&mut out, dst, data).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next frame but KeepAlive.
    pub(crate) async fn next(&mut self) -> Got {
        let take = |frame: Frame<'_>| match frame {
            Frame::RecvPacket { src, data } => Got::Packet(src, data.to_vec()),
            Frame::PeerGone { peer, reason } => Got::Gone(peer, reason),
            Frame::Restarting { .. } => Got::Restarting,
            other => panic!("{other:?}"),
        };
        timeout(LIMIT, self.frame(take)).await.expect("nothing came").unwrap_or(Got::End)
    }

    async fn frame<T>(&mut self, take: impl Fn(Frame<'_>) -> T) -> Option<T> {
        loop {
            if let Some(Decoded { frame, consumed }) = derp::decode(&self.buffer, Receiver::Client).unwrap() {
                let taken = (!matches!(frame, Frame::KeepAlive)).then(|| take(frame));
                let _: BytesMut = self.buffer.split_to(consumed);
                if taken.is_some() {
                    return taken;
                }
            } else if self.stream.read_buf(&mut self.buffer).await.unwrap_or_default() == 0 {
                return None;
            }
        }
    }
}

/// Asks `/derp` for a connection of another protocol: the socket, the answer's head, and what came after it.
pub(crate) async fn upgrade(to: SocketAddr, protocol: &str, headers: &str) -> (TcpStream, String, BytesMut) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!(
        "GET /derp HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, rest) = read_head(&mut stream).await;
    (stream, head, rest)
}

/// Reads until the empty line; returns the head with it, and what came after it.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> (String, BytesMut) {
    let mut buffer = BytesMut::new();
    let reading = async {
        loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return buffer.split_to(end + 4);
            }
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0, "ended in its head");
        }
    };
    let head = timeout(LIMIT, reading).await.expect("no head");
    (String::from_utf8(head.to_vec()).unwrap(), buffer)
}

/// Opens a WebSocket as a page of `origin` would.
pub(crate) async fn websocket(
    url: &str,
    subprotocol: &'static str,
    origin: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, tokio_websockets::Error> {
    let name = HeaderName::from_static("sec-websocket-protocol");
    let mut builder =
        ClientBuilder::new().uri(url).unwrap().add_header(name, HeaderValue::from_static(subprotocol))?;
    if let Some(origin) = origin {
        builder = builder.add_header(http::header::ORIGIN, HeaderValue::try_from(origin).unwrap())?;
    }
    let uri: http::Uri = url.parse().unwrap();
    let stream = TcpStream::connect(uri.authority().unwrap().as_str()).await.unwrap();
    let (socket, answer) = timeout(LIMIT, builder.connect_on(stream)).await.expect("no answer")?;
    assert_eq!(answer.headers().get("sec-websocket-protocol").unwrap(), subprotocol);
    assert!(answer.headers().get("sec-websocket-extensions").is_none());
    Ok(socket)
}

/// The bytes of a WebSocket, and what happened on it.
pub(crate) struct SocketBytes {
    pub(crate) stream: DuplexStream,
    /// The lengths of the messages that came, then the code that the other end closed with.
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

/// What happened on a WebSocket.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    Message(usize),
    Closed(Option<u16>),
}

/// Carries a WebSocket's messages into a byte stream and back.
pub(crate) fn bytes(socket: WebSocketStream<TcpStream>) -> SocketBytes {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (mut from_test, mut to_test) = tokio::io::split(far);
    let (mut sink, mut source) = socket.split();
    let (tell, events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            if message.is_binary() {
                let payload = Bytes::from(message.into_payload());
                let _ = tell.send(Event::Message(payload.len()));
                to_test.write_all(&payload).await.unwrap();
            } else if let Some((code, _)) = message.as_close() {
                let _ = tell.send(Event::Closed(Some(u16::from(code))));
                break;
            }
        }
        let _ = tell.send(Event::Closed(None));
        let _ = to_test.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(len @ 1..) = from_test.read(&mut buffer).await {
            if sink.send(Message::binary(Bytes::copy_from_slice(&buffer[..len]))).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });
    SocketBytes { stream: near, events }
}
