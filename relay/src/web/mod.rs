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
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;

pub(crate) use self::takeover::{Changed, Takeover};
use crate::server::Shared;
use crate::socket::Socket;

/// What is answered with.
pub(crate) type Answer = Response<Full<Bytes>>;

/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a connection may serve plain requests before it has to be opened again, which bounds slow readers.
const MAX_AGE: Duration = Duration::from_secs(600);

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
    let mut closing = pin!(shared.closing());
    let mut age = pin!(tokio::time::sleep(MAX_AGE));
    let mut is_closing = false;
    let result = poll_fn(|cx| {
        if !is_closing && (closing.as_mut().poll(cx).is_ready() || age.as_mut().poll(cx).is_ready()) {
            is_closing = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    })
    .await;
    let takeover = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(takeover) = takeover else {
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "HTTP connection failed");
        }
        let mut socket = connection.into_parts().io.into_inner();
        let _: std::io::Result<()> = tokio::io::AsyncWriteExt::shutdown(&mut socket).await;
        return None;
    };
    let parts = connection.into_parts();
    Some(Changed { takeover, socket: parts.io.into_inner(), early: parts.read_buf, peer })
}

/// An answer of plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut text = text.into();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
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
    if let Ok(Err(error)) = tokio::time::timeout(MAX_AGE, connection).await {
        tracing::debug!(%error, "metrics connection failed");
    }
}
