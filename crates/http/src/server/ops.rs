//! A listener of its own for the machine's owner: metrics and health.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::accept::ACCEPT_PAUSE;
use super::connection::{HEAD_TIMEOUT, MAX_AGE, MAX_HEAD};
use super::is_loopback;
use crate::answer::{Answer, only_reads, text};
use crate::closing::Closing;
use crate::metrics::{CONTENT_TYPE, Registry};
use crate::origin::host_is_local;

/// Connections that the listener may have open. They are no others' permits: metrics matter most when all of those
/// are taken.
const MAX_CONNECTIONS: usize = 16;

/// Accepts connections and serves metrics and health on them, for ever.
pub(super) async fn accept(registry: Registry, listener: TcpListener, closing: Closing) {
    let loopback = is_loopback(&listener);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
                let (closing, registry) = (closing.clone(), registry.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve(registry, stream, loopback) => {}
                        () = closing.wait() => {}
                    }
                    drop(permit);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(registry: Registry, stream: TcpStream, loopback: bool) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let answer = answer(&registry, &request, loopback);
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

fn answer<B>(registry: &Registry, request: &Request<B>, loopback: bool) -> Answer {
    if loopback && !host_is_local(request.headers()) {
        return text(StatusCode::MISDIRECTED_REQUEST, "this listener is for this machine only");
    }
    if let Some(refusal) = only_reads(request) {
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => {
            let mut answer = text(StatusCode::OK, registry.render());
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
            answer
        }
        "/healthz" => text(StatusCode::OK, "ok"),
        _ => text(StatusCode::NOT_FOUND, "here are /metrics and /healthz"),
    }
}
