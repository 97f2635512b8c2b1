//! The stream as `russh` sees it: read only while there is room for output, and cut when the session is.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Disconnect;
use crate::inbound::{Aborted, Inbound};

/// Bytes that a server may send before authentication has succeeded: keys, banners, questions. A few kilobytes are usual.
pub(crate) const MAX_BEFORE_AUTH: u64 = 4 * 1024 * 1024;

/// How much of what comes first is kept, to name what answered.
const MAX_GREETING: usize = 256;

/// The beginning of what the other side sent, up to its identification (RFC 4253 section 4.2).
#[derive(Debug, Default)]
pub(crate) struct Greeting(Mutex<Option<Vec<u8>>>);

impl Greeting {
    /// As text; unprintable bytes are replaced.
    pub(crate) fn seen(&self) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_deref().map(|seen| String::from_utf8_lossy(seen).into_owned()).unwrap_or_default()
    }

    fn add(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.get_or_insert_default();
        let room = MAX_GREETING.saturating_sub(seen.len());
        seen.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// Reads of one turn while the rest is dropped.
const READS: usize = 16;

/// The byte stream of a session. Boxed, so that all sessions run the same compiled code: a rehearsed
/// session readies the code of the others only so.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The stream below a session, read only while there is room for output and cut when the session is dropped.
pub(crate) struct Gate {
    stream: Box<dyn Stream>,
    inbound: Arc<Inbound>,
    greeting: Arc<Greeting>,
    greeting_len: usize,
    /// The stream was asked to shut down.
    shut: bool,
}

impl Gate {
    pub(crate) fn new(stream: Box<dyn Stream>, inbound: Arc<Inbound>, greeting: Arc<Greeting>) -> Self {
        Self { stream, inbound, greeting, greeting_len: 0, shut: false }
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.greeting_len < MAX_GREETING {
            self.greeting_len += bytes.len();
            self.greeting.add(bytes);
        }
        if self.inbound.count_read(bytes.len()) > MAX_BEFORE_AUTH && !self.inbound.is_authenticated() {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, Flooded));
        }
        Ok(())
    }
}

/// Too much came before authentication was over.
#[derive(Debug, thiserror::Error)]
#[error("too much before authentication was over")]
pub(crate) struct Flooded;

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.inbound.poll_may_read(context))?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let received = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.received(received))
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inbound.may_write(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inbound.may_write(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Never fails, since `russh` tells nobody that the session is over until this is done. It waits only where this
    /// side says goodbye: what the server still sends is read and dropped until it closes too. A stream that is closed
    /// with output unread would be reset (RFC 1122 section 4.2.2.13), and the goodbye lost with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            self.shut = true;
            let _ = Pin::new(&mut self.stream).poll_shutdown(context);
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
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
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
        // Does nothing if the end has been told before, as it usually has.
        self.inbound.finish(Disconnect::Stream("it was closed".to_owned()), false);
    }
}

impl From<Aborted> for io::Error {
    fn from(_: Aborted) -> Self {
        Self::from(io::ErrorKind::ConnectionAborted)
    }
}
