//! WebSockets as byte streams, by `tokio-websockets`: an oracle for servers of our own.

use std::io;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::header::{ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Uri};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

/// Bytes between the socket and its reader, each way.
const PIPE: usize = 1 << 20;
/// Events that are kept at most; later ones are dropped.
const EVENTS: usize = 4096;
/// The longest message that is sent: Go's servers refuse longer ones.
const MAX_MESSAGE: usize = 32 << 10;

/// Reason why a WebSocket could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address is not one.
    #[error("{0:?} is not the address of a WebSocket")]
    Address(String),
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    /// The server did not open it.
    #[error(transparent)]
    Refused(#[from] tokio_websockets::Error),
    /// The server did not agree to the subprotocol, or chose an extension that nobody offered.
    #[error("the server agreed to something else: {0}")]
    Agreement(String),
}

/// Opens a WebSocket on plain TCP, as a page of `origin` does.
///
/// # Errors
/// When the server does not open it, or does not agree to `subprotocol` and to no extension.
pub async fn connect(
    url: &str,
    subprotocol: &str,
    origin: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, OpenError> {
    let bad = || OpenError::Address(url.to_owned());
    let header = |value: &str| HeaderValue::try_from(value).map_err(|_| bad());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let stream = TcpStream::connect(uri.authority().ok_or_else(bad)?.as_str()).await?;
    stream.set_nodelay(true)?;
    let mut builder =
        ClientBuilder::from_uri(uri).add_header(SEC_WEBSOCKET_PROTOCOL, header(subprotocol)?)?;
    if let Some(origin) = origin {
        builder = builder.add_header(ORIGIN, header(origin)?)?;
    }
    let (socket, answer) = builder.connect_on(stream).await?;
    let agreed = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let extensions = answer.headers().get(SEC_WEBSOCKET_EXTENSIONS);
    if agreed.is_none_or(|agreed| agreed != subprotocol) || extensions.is_some() {
        return Err(OpenError::Agreement(format!("subprotocol {agreed:?}, extensions {extensions:?}")));
    }
    Ok(socket)
}

/// An event on a WebSocket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A binary message of this length came.
    Message(usize),
    /// The other end closed, with this code if it gave one.
    Closed(Option<u16>),
}

/// A WebSocket's bytes, and what they came in.
#[derive(Debug)]
pub struct Carried {
    /// The bytes of its binary messages.
    pub stream: DuplexStream,
    /// Its messages' lengths, then the code that the other end closed with.
    pub events: mpsc::Receiver<Event>,
}

/// Carries a WebSocket's binary messages into a byte stream and back, in two tasks that end with it.
pub fn carry<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(socket: WebSocketStream<S>) -> Carried {
    let (near, far) = tokio::io::duplex(PIPE);
    let (mut from_test, mut to_test) = tokio::io::split(far);
    let (mut sink, mut source) = socket.split();
    let (report, events) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        let mut code = None;
        while let Some(Ok(message)) = source.next().await {
            if message.is_binary() {
                let payload = Bytes::from(message.into_payload());
                let _ = report.try_send(Event::Message(payload.len()));
                if to_test.write_all(&payload).await.is_err() {
                    break;
                }
            } else if let Some((closed, _)) = message.as_close() {
                code = Some(u16::from(closed));
                break;
            }
        }
        let _ = report.try_send(Event::Closed(code));
        let _ = to_test.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; MAX_MESSAGE];
        while let Ok(len @ 1..) = from_test.read(&mut buffer).await {
            let piece = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
            if sink.send(Message::binary(piece)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });
    Carried { stream: near, events }
}
