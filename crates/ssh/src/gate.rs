//! The stream as `russh` sees it: read only while there is room for output, and cut when the session is.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Disconnect;
use crate::inbound::{Aborted, Inbound};
use crate::preamble::Preamble;

/// Bytes that a server may send before authentication has succeeded: keys, banners, questions. A few kilobytes are
/// usual.
pub(crate) const MAX_BEFORE_AUTH: u64 = 4 * 1024 * 1024;

/// Bytes that are read ahead of `russh` while it waits for a person.
const MAX_AHEAD: usize = 64 * 1024;

/// Bytes that are read at once ahead of `russh`.
const PIECE: usize = 4 * 1024;

/// Reads of one turn while the rest is dropped.
const READS: usize = 16;

/// The byte stream of a session. Boxed, so that all sessions run the same compiled code: a rehearsed session readies the
/// code of the others only so.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The stream below a session, read only while there is room for output and cut when the session is dropped.
pub(crate) struct Gate {
    source: Arc<Mutex<Source>>,
    inbound: Arc<Inbound>,
    /// The stream was asked to shut down.
    shut: bool,
}

/// Sees the stream end while `russh` does not read it.
///
/// The loop of `russh` 0.65 stands still while a person is asked about a host key or by keyboard-interactive
/// (`client/encrypted.rs` waits there for `Msg::AuthInfoResponse` alone), and would not notice that the server is not
/// there any more. So the stream is read ahead meanwhile. When `russh` reads on, [`Lookout::closed`] and what serves it can go.
#[derive(Clone)]
pub(crate) struct Lookout(Arc<Mutex<Source>>);

/// The stream, with what was read ahead of `russh`.
struct Source {
    stream: Box<dyn Stream>,
    inbound: Arc<Inbound>,
    preamble: Preamble,
    /// Received and not read by `russh` yet.
    ahead: BytesMut,
    /// The end of the stream, if it was found while reading ahead.
    end: Option<Ending>,
}

/// The end of a stream: in good order, or by an error.
#[derive(Clone)]
struct Ending(Option<(io::ErrorKind, String)>);

impl Gate {
    pub(crate) fn new(stream: Box<dyn Stream>, inbound: Arc<Inbound>) -> Self {
        let source = Source {
            stream,
            inbound: Arc::clone(&inbound),
            preamble: Preamble::default(),
            ahead: BytesMut::new(),
            end: None,
        };
        Self { source: Arc::new(Mutex::new(source)), inbound, shut: false }
    }

    /// Returns what sees the stream end, and what came first.
    pub(crate) fn lookout(&self) -> Lookout {
        Lookout(Arc::clone(&self.source))
    }
}

/// Locks the source, each time for one poll.
fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    // Should a stream have panicked, it can still be dropped, which is all that follows.
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lookout {
    /// Resolves when the stream has ended, and reads it ahead until then.
    pub(crate) async fn closed(&self) {
        std::future::poll_fn(|context| lock(&self.0).poll_closed(context)).await;
    }

    /// Looks at what came before the protocol began.
    pub(crate) fn preamble<T>(&self, look: impl FnOnce(&Preamble) -> T) -> T {
        look(&lock(&self.0).preamble)
    }
}

impl Source {
    fn count(&self, bytes: usize) -> io::Result<()> {
        if self.inbound.count_read(bytes) > MAX_BEFORE_AUTH && !self.inbound.is_authenticated() {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, Flooded));
        }
        Ok(())
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.ahead.is_empty() {
            if let Some(end) = self.end.clone() {
                return Poll::Ready(end.into());
            }
            if !self.preamble.is_pending() {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
                return Poll::Ready(self.count(buffer.filled().len() - before));
            }
            if ready!(self.poll_ahead(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(length));
        Poll::Ready(Ok(()))
    }

    /// Reads a piece, and keeps of it what belongs to the protocol. Returns its length.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let piece = buffer.filled();
        self.count(piece.len())?;
        if !self.preamble.is_pending() {
            self.ahead.extend_from_slice(piece);
        } else if let Some(protocol) = self.preamble.receive(piece).map_err(io::Error::other)? {
            self.ahead.extend_from_slice(&protocol);
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && self.ahead.len() < MAX_AHEAD {
            match ready!(self.poll_ahead(context)) {
                Ok(0) => self.end = Some(Ending(None)),
                Ok(_) => {}
                Err(error) => self.end = Some(Ending(Some((error.kind(), error.to_string())))),
            }
            // It may be waiting for what was taken from under it here.
            self.inbound.wake_reader();
        }
        if self.end.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl From<Ending> for io::Result<()> {
    fn from(Ending(error): Ending) -> Self {
        match error {
            None => Ok(()),
            Some((kind, text)) => Err(io::Error::new(kind, text)),
        }
    }
}

/// Too much came before authentication was over.
#[derive(Debug, thiserror::Error)]
#[error("too much before authentication was over")]
pub(crate) struct Flooded;

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.inbound.poll_may_read(context))?;
        lock(&self.source).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inbound.may_write(context)?;
        let mut source = lock(&self.source);
        if source.end.is_some() {
            // Nobody is there to read it, but `russh` has yet to read what the server said last.
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut source.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inbound.may_write(context)?;
        let mut source = lock(&self.source);
        if source.end.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut source.stream).poll_flush(context)
    }

    /// Never fails, since `russh` reports the end of the session only when this is done. It waits only where this
    /// side disconnects: what the server still sends is read and dropped until it closes too. A stream that is closed
    /// with output unread would be reset (RFC 1122 section 4.2.2.13), and SSH_MSG_DISCONNECT lost with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let source = Arc::clone(&self.source);
        let mut source = lock(&source);
        if !self.shut {
            self.shut = true;
            let _ = Pin::new(&mut source.stream).poll_shutdown(context);
            self.inbound.set_sent();
        }
        if !self.inbound.is_closing() {
            return Poll::Ready(Ok(()));
        }
        let mut dropped = [0; 4096];
        for _ in 0..READS {
            if self.inbound.may_write(context).is_err() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut dropped);
            let read = ready!(Pin::new(&mut source.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Does nothing if the end has been noted before, as it usually has.
        self.inbound.finish(Disconnect::Stream("it was closed".to_owned()), false);
    }
}

impl From<Aborted> for io::Error {
    fn from(_: Aborted) -> Self {
        Self::from(io::ErrorKind::ConnectionAborted)
    }
}
