//! Carrying bytes between two connections, until nothing moves any more.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep_until};

/// Times for which connections that are carried may last without their bytes.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Time for which neither direction may move a byte.
    pub idle: Duration,
    /// Time for which the other direction may last once one is done.
    pub half: Duration,
}

/// Carries bytes both ways until both ends are done. Returns how many went to `far` and came from it.
///
/// # Errors
/// When an end fails, or with [`io::ErrorKind::TimedOut`] when patience is over.
pub async fn carry<N, F>(near: &mut N, far: F, buffer: usize, patience: Patience) -> io::Result<(u64, u64)>
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
{
    let watch = Watch::new(patience);
    let mut far = Watched { stream: far, watch: &watch };
    tokio::select! {
        // Copying first: the watch then sees what it has done.
        biased;
        result = copy_bidirectional_with_sizes(near, &mut far, buffer, buffer) => result,
        () = watch.over() => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The moment when bytes moved last, and the one since which one direction is done.
#[derive(Debug)]
struct Watch {
    patience: Patience,
    start: Instant,
    /// Milliseconds after the start.
    moved: AtomicU64,
    /// Milliseconds after the start; the largest number while both directions go on.
    half: AtomicU64,
}

impl Watch {
    fn new(patience: Patience) -> Self {
        let (moved, half) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        Self { patience, start: Instant::now(), moved, half }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn moved(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// Notes that one direction is done.
    fn half(&self) {
        self.half.fetch_min(self.now(), Ordering::Relaxed);
    }

    fn deadline(&self) -> Instant {
        let after = |ms: &AtomicU64, patience: Duration| {
            Duration::from_millis(ms.load(Ordering::Relaxed)).saturating_add(patience)
        };
        let left = after(&self.moved, self.patience.idle).min(after(&self.half, self.patience.half));
        self.start + left
    }

    /// Ready when patience is over. To be polled when bytes have moved; the timer is moved only when it fires or fires
    /// too late, not with each byte.
    async fn over(&self) {
        let mut sleep = pin!(sleep_until(self.deadline()));
        poll_fn(|cx| {
            loop {
                let deadline = self.deadline();
                if sleep.deadline() > deadline {
                    sleep.as_mut().reset(deadline);
                }
                ready!(sleep.as_mut().poll(cx));
                if self.deadline() <= Instant::now() {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(self.deadline());
            }
        })
        .await;
    }
}

/// The far end, through which both directions go.
#[derive(Debug)]
struct Watched<'a, S> {
    stream: S,
    watch: &'a Watch,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() == before {
            this.watch.half();
        } else {
            this.watch.moved();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.watch.moved();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Notes that the near end is done, and passes that on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch.half();
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::{sleep, timeout};

    use super::*;

    const PATIENCE: Patience = Patience { idle: Duration::from_secs(10), half: Duration::from_secs(3) };

    type Carried = JoinHandle<(io::Result<(u64, u64)>, Duration)>;

    /// The two ends of what is carried, and what becomes of it, with the time that it takes.
    fn carried() -> (DuplexStream, DuplexStream, Carried) {
        let (client, mut near) = duplex(64);
        let (far, server) = duplex(64);
        let carrying = tokio::spawn(async move {
            let start = Instant::now();
            (carry(&mut near, far, 64, PATIENCE).await, start.elapsed())
        });
        (client, server, carrying)
    }

    async fn timed_out(carrying: Carried, seconds: u64) {
        let (result, elapsed) = timeout(Duration::from_secs(60), carrying).await.unwrap().unwrap();
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(elapsed.as_secs(), seconds);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_either_way_keeps_a_connection() {
        let (mut client, mut server, carrying) = carried();
        sleep(Duration::from_secs(9)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        sleep(Duration::from_secs(9)).await;
        server.write_all(b"y").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'y');
        timed_out(carrying, 28).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_close_after_the_other_end_is_not_waited_for_long() {
        for client_is_done in [true, false] {
            let (mut client, mut server, carrying) = carried();
            let (done, other) =
                if client_is_done { (&mut client, &mut server) } else { (&mut server, &mut client) };
            sleep(Duration::from_secs(5)).await;
            done.write_all(b"last").await.unwrap();
            done.shutdown().await.unwrap();
            let mut last = Vec::new();
            other.read_to_end(&mut last).await.unwrap();
            assert_eq!(last, b"last");
            sleep(Duration::from_secs(2)).await;
            // Bytes of the other direction do not make it longer.
            other.write_all(b"more").await.unwrap();
            timed_out(carrying, 8).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_not_waited_for_either() {
        let (_client, mut server, carrying) = carried();
        let flood = tokio::spawn(async move { while server.write_all(&[0; 64]).await.is_ok() {} });
        timed_out(carrying, 10).await;
        flood.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_both_ends_close_has_ended() {
        let (mut client, mut server, carrying) = carried();
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        server.write_all(b"de").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(carrying.await.unwrap().0.unwrap(), (3, 2));
    }
}
