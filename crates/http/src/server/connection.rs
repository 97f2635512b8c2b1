//! HTTP/1.1 on one connection: requests are answered, or the connection becomes one of another protocol.
//!
//! A request that changes the protocol is not answered by hyper. Its service fails, what the request wants is put aside,
//! hyper gives back the socket with what it has read, and from there on the connection costs nothing of HTTP: neither
//! buffers nor code in its path. That is also what makes upgrades without an answer possible.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};

use super::State;
use crate::answer::{Answer, text};
use crate::body::Body;
use crate::service::{Connection, Reply};
use crate::socket::Socket;
use crate::takeover::{Takeover, Upgraded};

/// Time for a request's head, and for a connection to be idle between requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// Time for which a connection serves plain requests before it has to be opened again.
pub(super) const MAX_AGE: Duration = Duration::from_secs(600);
/// Time that the answer which is being written then may still take, which bounds slow readers.
const LAST_ANSWER: Duration = Duration::from_secs(60);
/// Time for the few bytes that end HTTP on a connection.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Answer to a request that asks for this server by a name of which it does not know.
const UNKNOWN_HOST: &str =
    "this server answers to the names of its machine, and to the public names that it was given";

/// A connection that leaves HTTP, and what it becomes.
pub(super) type Changed = (Takeover, Upgraded);

/// Tells hyper to leave the connection alone.
#[derive(Debug, Error)]
#[error("the connection changes its protocol")]
struct TakenOver;

/// Serves one connection until it ends, or changes its protocol and becomes what is returned.
pub(super) async fn serve(state: &Arc<State>, socket: Socket, connection: Connection) -> Option<Changed> {
    let peer = connection.peer;
    let slot: Arc<Mutex<Option<Takeover>>> = Arc::default();
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (state, slot) = (Arc::clone(state), Arc::clone(&slot));
        let answer = async move {
            match answer(&state, request, connection).await {
                Reply::Answer(answer) => Ok(answer),
                Reply::Takeover(takeover) => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
                    Err(TakenOver)
                }
            }
        };
        Box::pin(answer) as Pin<Box<dyn Future<Output = Result<Answer, TakenOver>> + Send>>
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .half_close(false)
        .serve_connection(TokioIo::new(socket), service);
    let Some(result) = drive(&mut connection, state.closing.clone().wait()).await else {
        tracing::debug!(%peer, "HTTP connection dropped: its client did not read the last answer");
        return None;
    };
    let takeover = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(takeover) = takeover else {
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "HTTP connection failed");
        }
        let mut socket = connection.into_parts().io.into_inner();
        let shutdown = tokio::io::AsyncWriteExt::shutdown(&mut socket);
        let _: Result<std::io::Result<()>, Elapsed> = timeout(END_TIMEOUT, shutdown).await;
        return None;
    };
    let parts = connection.into_parts();
    let (socket, early) = (parts.io.into_inner(), parts.read_buf);
    Some((takeover, Upgraded { socket, early, peer, closing: state.closing.clone() }))
}

/// Checks the host that a request names, and has the service answer it.
async fn answer(state: &State, request: Request<Incoming>, connection: Connection) -> Reply {
    let Connection { peer, is_tls, is_loopback } = connection;
    state.metrics.requests.inc();
    tracing::trace!(%peer, method = %request.method(), path = ?request.uri().path(), is_tls, "request");
    if !is_tls && state.hosts.are_checked(is_loopback) && !state.hosts.allow(request.headers()) {
        return text(StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST).into();
    }
    state.service.call(request, connection).await
}

/// Serves requests until the connection ends. `None` when it has to end, for it is old or `closing` is ready, and the
/// answer that was being written does not get read.
async fn drive<I, S>(
    connection: &mut http1::Connection<I, S>,
    closing: impl Future<Output = ()>,
) -> Option<hyper::Result<()>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: HttpService<Incoming, ResBody = Body> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut closing = pin!(closing);
    let mut deadline = pin!(sleep(MAX_AGE));
    let mut is_closing = false;
    poll_fn(|cx| {
        if !is_closing && (closing.as_mut().poll(cx).is_ready() || deadline.as_mut().poll(cx).is_ready()) {
            is_closing = true;
            deadline.as_mut().reset(Instant::now() + LAST_ANSWER);
            Pin::new(&mut *connection).graceful_shutdown();
        }
        match connection.poll_without_shutdown(cx) {
            Poll::Pending if is_closing && deadline.as_mut().poll(cx).is_ready() => Poll::Ready(None),
            result => result.map(Some),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use http::Response;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// Serves a megabyte over `near`, and tells whether the connection ended by itself.
    async fn serve_a_megabyte(near: DuplexStream, closing: impl Future<Output = ()>) -> bool {
        let service = hyper::service::service_fn(|_: Request<Incoming>| {
            ready(Ok::<_, Infallible>(Response::new(Body::from(vec![0; 1 << 20]))))
        });
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(near), service);
        timeout(2 * MAX_AGE, drive(&mut connection, closing)).await.unwrap().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_is_dropped() {
        let start = Instant::now();
        let (mut far, near) = duplex(64);
        far.write_all(REQUEST).await.unwrap();
        assert!(!serve_a_megabyte(near, pending()).await);
        assert_eq!(start.elapsed(), MAX_AGE + LAST_ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_of_a_process_that_goes_down_is_read_to_its_end_but_not_for_ever() {
        for (pause, read_whole) in [(Duration::from_millis(1), true), (Duration::from_secs(1), false)] {
            let (mut far, near) = duplex(4096);
            far.write_all(REQUEST).await.unwrap();
            let reading = async move {
                let mut buffer = [0; 4096];
                let mut read = 0;
                while let Ok(len @ 1..) = far.read(&mut buffer).await {
                    read += len;
                    sleep(pause).await;
                }
                read > 1 << 20
            };
            let down = sleep(Duration::from_millis(10));
            let start = Instant::now();
            let (ended, whole) = tokio::join!(serve_a_megabyte(near, down), reading);
            assert_eq!((ended, whole), (read_whole, read_whole));
            assert!(start.elapsed() <= LAST_ANSWER + Duration::from_secs(5), "{:?}", start.elapsed());
        }
    }
}
