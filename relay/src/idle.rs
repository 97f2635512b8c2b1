//! Ends connections on which nothing happens.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose reads fail with [`io::ErrorKind::TimedOut`] once neither direction has moved a byte for a time.
#[derive(Debug)]
pub(crate) struct IdleTimeout<S> {
    stream: S,
    timeout: Duration,
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl<S> IdleTimeout<S> {
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout, last: Instant::now(), sleep: Box::pin(sleep(timeout)) }
    }

    /// Ready when the time is over. The timer is moved only when it fires, not with each byte.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            let deadline = self.last + self.timeout;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            this.last = Instant::now();
            return Poll::Ready(result);
        }
        match this.poll_idle(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        if result.is_ready() {
            this.last = Instant::now();
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_byte_either_way_keeps_a_connection() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut near = IdleTimeout::new(near, Duration::from_secs(10));
        let start = Instant::now();
        let mut byte = [0; 1];
        let _ = tokio::time::timeout(Duration::from_secs(9), near.read(&mut byte)).await.unwrap_err();
        near.write_all(b"x").await.unwrap();
        let _ = tokio::time::timeout(Duration::from_secs(9), near.read(&mut byte)).await.unwrap_err();
        far.write_all(b"y").await.unwrap();
        near.read_exact(&mut byte).await.unwrap();
        let error = near.read(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 28);
    }
}
