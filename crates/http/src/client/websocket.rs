//! A client's WebSocket as a byte stream. Where one message ends and the next begins means nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets::{Error, Message, WebSocketStream};

use crate::websocket::MAX_MESSAGE;

/// The bytes in the binary messages of a WebSocket that a client has opened.
///
/// A text message is an error. WebSocketBytes are at most 32 KiB long, and few of them wait to be sent.
pub struct WebSocketBytes<S> {
    socket: WebSocketStream<S>,
    /// Bytes that were received and not read yet.
    unread: Bytes,
}

impl<S> WebSocketBytes<S> {
    pub(super) const fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, unread: Bytes::new() }
    }
}

impl<S> std::fmt::Debug for WebSocketBytes<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketBytes").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                Some(Ok(message)) if message.is_binary() => self.unread = message.into_payload().into(),
                Some(Ok(message)) if message.is_text() => {
                    return Poll::Ready(Err(io::Error::other(
                        "a text message came, where only bytes may come",
                    )));
                }
                // Pings are answered by the library, and the end follows a close message.
                Some(Ok(_)) => {}
            }
        }
        let length = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..length).unwrap_or_default());
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // The library holds at most a few messages before it is ready no more.
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io_error)?;
        let piece = buf.get(..MAX_MESSAGE).unwrap_or(buf);
        let message = Message::binary(Bytes::copy_from_slice(piece));
        Pin::new(&mut self.socket).start_send(message).map_err(io_error)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io_error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use futures::SinkExt as _;
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_websockets::{ClientBuilder, ServerBuilder};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_whatever_messages_they_come_in() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut near = WebSocketBytes::new(ClientBuilder::new().take_over(near));
        let mut far = ServerBuilder::new().serve(far);
        for message in [&b"ab"[..], b"", b"cde"] {
            far.send(Message::binary(Bytes::from_static(message))).await.unwrap();
        }
        let mut read = [0; 5];
        near.read_exact(&mut read[..1]).await.unwrap();
        near.read_exact(&mut read[1..]).await.unwrap();
        assert_eq!(&read, b"abcde");

        let long: Vec<u8> = (0..=255).cycle().take(MAX_MESSAGE * 2 + 1).collect();
        let receiving = async {
            let mut received = Vec::new();
            while let Some(Ok(message)) = far.next().await {
                assert!(message.as_payload().len() <= MAX_MESSAGE);
                if message.is_binary() {
                    received.extend_from_slice(message.as_payload());
                }
            }
            received
        };
        // Closing waits for the other side's close.
        let sending = async {
            near.write_all(&long).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let (received, ()) = tokio::join!(receiving, sending);
        assert!(received == long);
        assert_eq!(near.read(&mut read).await.unwrap(), 0, "the end comes after the close");
    }

    #[tokio::test]
    async fn text_is_refused() {
        let (near, far) = tokio::io::duplex(1 << 10);
        let mut near = WebSocketBytes::new(ClientBuilder::new().take_over(near));
        let mut far = ServerBuilder::new().serve(far);
        far.send(Message::text("hello")).await.unwrap();
        assert!(near.read(&mut [0; 5]).await.is_err());
    }
}
