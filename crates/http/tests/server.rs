//! The server's end.

use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use dayfly_http::server::{BindError, Limits};
use dayfly_http::{
    Answer, Body, Registry, Response, Routes, Server, ServerConfig, StatusCode, Takeover, text,
};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::running::{LIMIT, Running, get, read_until};

/// Routes with one answer, whose body is what the test sends.
fn streaming() -> (mpsc::Sender<io::Result<Bytes>>, Routes) {
    let (pieces, stream) = mpsc::channel(1);
    let stream = Arc::new(Mutex::new(Some(stream)));
    let routes = Routes::new("events").path("/events", move |_, _| {
        let stream = Arc::clone(&stream);
        async move {
            let mut pieces: mpsc::Receiver<io::Result<Bytes>> = stream.lock().await.take().unwrap();
            let stream = futures::stream::poll_fn(move |cx| pieces.poll_recv(cx));
            Response::new(Body::stream(stream.boxed()))
        }
    });
    (pieces, routes)
}

#[tokio::test]
async fn a_streams_pieces_arrive_as_they_are_made() {
    let (pieces, routes) = streaming();
    let server = Running::start(routes);
    let mut client = get(server.http, "/events").await;
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
    for piece in ["first", "second"] {
        // The next piece is made only after the client has the one before it.
        pieces.send(Ok(Bytes::from_static(piece.as_bytes()))).await.unwrap();
        read_until(&mut client, piece).await;
    }
    drop(pieces);
    read_until(&mut client, "0\r\n\r\n").await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stream_that_fails_does_not_look_whole() {
    let (pieces, routes) = streaming();
    let server = Running::start(routes);
    let mut client = get(server.http, "/events").await;
    pieces.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    read_until(&mut client, "first\r\n").await;
    pieces.send(Err(io::Error::other("broken"))).await.unwrap();
    let mut rest = String::new();
    let _: io::Result<usize> = timeout(LIMIT, client.read_to_string(&mut rest)).await.unwrap();
    assert!(!rest.contains("0\r\n\r\n"), "{rest:?}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_stream() {
    let (pieces, routes) = streaming();
    let server = Running::start(routes);
    let client = get(server.http, "/events").await;
    drop(client);
    timeout(LIMIT, pieces.closed()).await.expect("the stream is still polled");
}

#[tokio::test]
async fn a_takeover_owns_the_socket_counts_as_a_connection_and_learns_of_the_end() {
    let routes = Routes::new("echo").path("/echo", async |_, _| {
        Takeover::upgrade("echo", &[("X-Echo", "1")], async |upgraded| {
            let closing = upgraded.closing.clone();
            let (mut read, mut write) = tokio::io::split(upgraded.into_raw());
            tokio::select! {
                _ = tokio::io::copy(&mut read, &mut write) => {}
                () = closing.wait() => write.write_all(b"bye").await.unwrap(),
            }
        })
    });
    let server = Running::start(routes);
    let mut client = get(server.http, "/echo").await;
    // Behind the request, before its answer: not lost.
    client.write_all(b"early").await.unwrap();
    let answer = read_until(&mut client, "early").await;
    assert_eq!(
        answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Echo: 1\r\n\r\nearly"
    );
    let metrics = read_until(&mut get(server.metrics, "/metrics").await, "test_http_requests_total").await;
    assert!(metrics.contains("\ntest_connections 1\n"), "{metrics}");
    let stopping = tokio::spawn(server.stop());
    read_until(&mut client, "bye").await;
    stopping.await.unwrap();
}

#[tokio::test]
async fn connections_that_do_not_end_are_not_waited_for_longer_than_the_drain() {
    let routes =
        Routes::new("stuck").path("/stuck", async |_, _| Takeover::unanswered(async |_| pending().await));
    let limits = Limits { drain: std::time::Duration::from_millis(50), ..Limits::default() };
    let server = Running::start_with(routes, ServerConfig { limits, ..ServerConfig::default() });
    let (closing, _client) = (server.closing.clone(), get(server.http, "/stuck").await);
    server.stop().await;
    closing.wait().await;
}

#[tokio::test]
async fn what_nobody_serves_is_not_found_and_other_names_are_misdirected() {
    let hello = async |_, _| -> Answer { text(StatusCode::OK, "hello") };
    let server = Running::start(Routes::new("hello").path("/hello", hello));
    read_until(&mut get(server.http, "/hello").await, "hello\n").await;
    read_until(&mut get(server.http, "/other").await, "HTTP/1.1 404 ").await;
    let mut rebound = tokio::net::TcpStream::connect(server.http).await.unwrap();
    rebound.write_all(b"GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n").await.unwrap();
    read_until(&mut rebound, "HTTP/1.1 421 ").await;
}

#[tokio::test]
async fn a_server_needs_an_address_and_plain_http_stays_on_the_machine() {
    let bind = |config| Server::bind(config, &Registry::new("test")).map(drop);
    assert!(matches!(bind(ServerConfig::default()), Err(BindError::NoListener)));
    let listen = vec!["0.0.0.0:0".parse().unwrap()];
    let open = ServerConfig { listen, ..ServerConfig::default() };
    assert!(matches!(bind(open.clone()), Err(BindError::PlainHttp(_))));
    assert!(bind(ServerConfig { allow_plain_http: true, ..open }).is_ok());
}
