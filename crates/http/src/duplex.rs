//! A byte stream that is left of an HTTP connection after its upgrade: the socket itself, or a WebSocket on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::websocket::{Control, Decoder, Encoder, WsError, close_code};

/// Time in which a connection that is being closed has to say so.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that are read and thrown away after a close, so that the other end reads why before it sees a reset.
const CLOSE_DISCARD: usize = 256 << 10;

/// Bytes of one read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Read {
    /// Bytes that were read from the socket, framing included; none at the end.
    pub socket: usize,
    /// Bytes of payload among them, which may be none.
    pub payload: usize,
}

/// A bidirectional byte stream over an upgraded connection.
///
/// A writer has to offer again what it offered before, as far as it was not taken: a WebSocket message that was begun
/// promises those bytes.
#[derive(Debug)]
pub struct Duplex<S> {
    socket: S,
    /// Bytes that were read from the socket together with the request.
    early: Bytes,
    /// Bytes that were written to the socket and not counted by [`take_written`](Duplex::take_written) yet.
    written: u64,
    websocket: Option<Box<WebSocket>>,
}

#[derive(Debug, Default)]
struct WebSocket {
    decoder: Decoder,
    encoder: Encoder,
    control: Control,
    /// A Close was queued: nothing is sent after it.
    closing: bool,
    /// Set when a frame was not allowed: nothing more is read.
    failed: Option<WsError>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex<S> {
    /// The socket's bytes as they are, after those that came `early`.
    pub fn raw(socket: S, early: Bytes) -> Self {
        Self { socket, early, written: 0, websocket: None }
    }

    /// The payloads of a WebSocket whose handshake has been answered.
    pub fn websocket(socket: S, early: Bytes) -> Self {
        Self { socket, early, written: 0, websocket: Some(Box::default()) }
    }

    /// Closes with a code that says why, where the transport has one.
    pub async fn close(mut self, code: u16) {
        let _: Result<(), tokio::time::error::Elapsed> =
            tokio::time::timeout(CLOSE_TIMEOUT, self.say_why(code)).await;
    }

    async fn say_why(&mut self, code: u16) {
        if let Some(websocket) = &mut self.websocket {
            let code = websocket.failed.map_or(code, WsError::close_code);
            // In the middle of a message there is no place for a Close.
            if !websocket.closing && websocket.encoder.between_messages() {
                websocket.closing = true;
                websocket.encoder.close(&code.to_be_bytes());
            }
        }
        if self.flush().await.is_err() || self.socket.shutdown().await.is_err() {
            return;
        }
        let (mut discarded, mut buffer) = (0, [0; 4096]);
        while let Ok(len @ 1..) = self.socket.read(&mut buffer).await {
            discarded += len;
            if discarded > CLOSE_DISCARD {
                return;
            }
        }
    }

    /// Writes headers that stand before any payload, and the answers to control frames.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(websocket) = &mut self.websocket else {
            return Poll::Ready(Ok(()));
        };
        websocket.answer();
        while !websocket.encoder.ahead().is_empty() {
            let ahead = websocket.encoder.ahead();
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, ahead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            websocket.encoder.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the socket into `target`, which is not empty.
    fn poll_raw(&mut self, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let len = self.early.len().min(target.len());
            self.early.copy_to_slice(&mut target[..len]);
            if self.early.is_empty() {
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(len));
        }
        let mut buffer = ReadBuf::new(target);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Reads from the socket once, payload to the front of `target`. So its caller can charge a client for frames that
    /// carry nothing.
    ///
    /// # Errors
    /// When the socket fails, or what came is no WebSocket frame that is allowed.
    pub fn poll_read_once(&mut self, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<io::Result<Read>> {
        if let Some(websocket) = &self.websocket {
            if let Some(error) = websocket.failed {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if websocket.control.close.is_some() || websocket.closing {
                return Poll::Ready(Ok(Read::default()));
            }
        }
        let socket = ready!(self.poll_raw(cx, target))?;
        let Some(websocket) = &mut self.websocket else {
            return Poll::Ready(Ok(Read { socket, payload: socket }));
        };
        let payload = match websocket.decoder.decode(&mut target[..socket], &mut websocket.control) {
            Ok(payload) => payload,
            Err(error) => {
                websocket.failed = Some(error);
                0
            }
        };
        // Control frames alone: answered at once if the socket takes it, else with the next write.
        if payload == 0
            && let Poll::Ready(Err(error)) = self.poll_ahead(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(Read { socket, payload }))
    }

    /// Reads some bytes of payload; none when the other end is done.
    fn poll_read_payload(&mut self, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let read = ready!(self.poll_read_once(cx, target))?;
            if read.payload > 0 || read.socket == 0 {
                return Poll::Ready(Ok(read.payload));
            }
        }
    }

    /// Returns how many bytes were written to the socket since it was asked last, framing included.
    pub const fn take_written(&mut self) -> u64 {
        std::mem::replace(&mut self.written, 0)
    }
}

impl WebSocket {
    /// Queues the answer to a Ping or a Close, when nothing is queued before it.
    fn answer(&mut self) {
        if !self.encoder.is_idle() || self.closing {
            return;
        }
        if let Some(payload) = self.control.pong.take() {
            self.encoder.pong(&payload);
        }
        if let Some(payload) = &self.control.close {
            self.encoder.close(payload.get(..2).unwrap_or_default());
            self.closing = true;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Duplex<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = ready!(self.get_mut().poll_read_payload(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Duplex<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(websocket) = &mut this.websocket else {
            let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, bufs))?;
            this.written += written as u64;
            return Poll::Ready(Ok(written));
        };
        websocket.answer();
        if websocket.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        websocket.encoder.begin(offered);
        loop {
            let mut left = websocket.encoder.payload_left();
            let mut parts = [IoSlice::new(&[]); 8];
            parts[0] = IoSlice::new(websocket.encoder.ahead());
            for (part, buf) in parts[1..].iter_mut().zip(bufs.iter().filter(|buf| !buf.is_empty())) {
                let len = left.min(buf.len());
                *part = IoSlice::new(&buf[..len]);
                left -= len;
            }
            let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, &parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.written += written as u64;
            let payload = websocket.encoder.advance(written);
            if payload > 0 {
                return Poll::Ready(Ok(payload));
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_ahead(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(websocket) = &mut this.websocket
            && !websocket.closing
            && websocket.encoder.between_messages()
        {
            websocket.closing = true;
            websocket.encoder.close(&close_code::AWAY.to_be_bytes());
        }
        ready!(this.poll_ahead(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
