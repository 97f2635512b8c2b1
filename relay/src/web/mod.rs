//! HTTP/1.1: requests are answered here, or become connections of another protocol.
//!
//! A request that changes the protocol is not answered by hyper. Its service fails with what the request wants to
//! become, hyper gives back the socket with what it has read, and from there on the connection costs nothing of HTTP:
//! neither buffers nor code in its path. That is also what makes DERP's fast start possible, which has no answer.

mod route;
mod takeover;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use self::takeover::{Changed, Takeover};
use crate::answer::Answer;
use crate::shared::Shared;
use crate::socket::Socket;

/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a connection may serve plain requests before it has to be opened again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long the answer that is being written then may still take, which bounds slow readers.
const LAST_ANSWER: Duration = Duration::from_secs(60);
/// How long a client may take for the few bytes that end HTTP on a connection.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells hyper to leave the connection alone.
#[derive(Debug, Error)]
#[error("the connection changes its protocol")]
struct TakenOver;

/// Serves one connection until it ends, or changes its protocol and becomes what is returned.
///
/// `loopback` tells that its listener is on loopback.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    socket: Socket,
    peer: SocketAddr,
    loopback: bool,
) -> Option<Changed> {
    let slot: Arc<Mutex<Option<Takeover>>> = Arc::default();
    let is_tls = socket.is_tls();
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (shared, slot) = (Arc::clone(shared), Arc::clone(&slot));
        let answer = async move {
            match route::route(&shared, request, peer, is_tls, loopback).await {
                Ok(answer) => Ok(answer),
                Err(takeover) => {
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
    let Some(result) = drive(&mut connection, shared.closing()).await else {
        tracing::debug!(%peer, "HTTP connection dropped: its client did not read the last answer");
        return None;
    };
    let takeover = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(takeover) = takeover else {
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "HTTP connection failed");
        }
        let mut socket = connection.into_parts().io.into_inner();
        let goodbye = tokio::io::AsyncWriteExt::shutdown(&mut socket);
        let _: Result<std::io::Result<()>, Elapsed> = timeout(END_TIMEOUT, goodbye).await;
        return None;
    };
    let parts = connection.into_parts();
    Some(Changed { takeover, socket: parts.io.into_inner(), early: parts.read_buf, peer })
}

/// Serves requests until the connection ends. `None` when it has to end, for it is old or `closing` is ready, and the
/// answer that was being written does not get read.
async fn drive<I, S>(
    connection: &mut http1::Connection<I, S>,
    closing: impl Future<Output = ()>,
) -> Option<hyper::Result<()>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>> + Unpin,
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

/// Serves a listener of its own for what only the machine's owner may see: metrics and health.
pub(crate) async fn serve_ops(shared: Arc<Shared>, stream: tokio::net::TcpStream, loopback: bool) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let answer = route::ops(&shared, &request, loopback);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(MAX_AGE, connection).await {
        tracing::debug!(%error, "metrics connection failed");
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use http::Response;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// Serves a megabyte over `near`, and tells whether the connection ended by itself.
    async fn serve_a_megabyte(near: DuplexStream, closing: impl Future<Output = ()>) -> bool {
        let service = hyper::service::service_fn(|_: Request<Incoming>| {
            ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![0; 1 << 20])))))
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
