//! The client's end, against the server's.

use bytes::Bytes;
use dayfly_http::client::{Upstream, UpstreamError};
use dayfly_http::http::Request;
use dayfly_http::tls::Trust;
use dayfly_http::{Method, Routes, StatusCode, Takeover, Upgraded, text};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::running::{LIMIT, Running};

fn upstream(server: &Running) -> Upstream {
    let url = format!("http://{}/base", server.http);
    Upstream::new(url.parse().unwrap(), Trust::nobody(), "test/1")
}

/// Sends back what comes, and ends with it.
async fn echo(upgraded: Upgraded, is_websocket: bool) {
    let stream = if is_websocket { upgraded.into_websocket() } else { upgraded.into_raw() };
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::io::copy(&mut read, &mut write).await.unwrap();
    write.shutdown().await.unwrap();
}

async fn comes_back(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    // Longer than a message of a WebSocket, and than what lies on the way.
    let sent: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    let (mut read, mut write) = tokio::io::split(stream);
    let mut back = vec![0; sent.len()];
    let exchange = async {
        let (written, read) = tokio::join!(
            async {
                write.write_all(&sent).await?;
                write.flush().await
            },
            read.read_exact(&mut back)
        );
        written.and(read.map(drop)).unwrap();
    };
    timeout(LIMIT, exchange).await.unwrap();
    assert!(back == sent, "bytes were changed");
}

#[tokio::test]
async fn an_answer_is_read_up_to_what_its_caller_takes() {
    let routes = Routes::new("texts")
        .path("/base/right", async |request: dayfly_http::Request, _| {
            let agent = &request.headers()["user-agent"];
            text(StatusCode::OK, format!("{agent:?} {:?}", request.uri().query()))
        })
        .path("/base/wrong", async |_, _| text(StatusCode::NOT_FOUND, "a".repeat(100)));
    let server = Running::start(routes);
    let upstream = upstream(&server);
    let fetch = async |path: &str, max| {
        upstream.fetch(Request::builder().method(Method::GET), path, Bytes::new(), max).await
    };
    let right = fetch("/right?a=1", 100).await.unwrap();
    assert_eq!(right, (StatusCode::OK, Bytes::from_static(b"\"test/1\" Some(\"a=1\")\n")));
    assert!(matches!(fetch("/right", 10).await, Err(UpstreamError::TooLong { max: 10, .. })));
    let wrong = fetch("/wrong", 10).await.unwrap();
    assert_eq!(wrong, (StatusCode::NOT_FOUND, Bytes::from_static(b"aaaaaaaaaa")), "errors are cut");
}

#[tokio::test]
async fn an_upgrade_is_a_byte_stream_or_says_why_not() {
    let routes = Routes::new("echo")
        .path("/base/echo", async |_, _| Takeover::upgrade("Echo", &[], |upgraded| echo(upgraded, false)))
        .path("/base/other", async |_, _| Takeover::upgrade("other", &[], |upgraded| echo(upgraded, false)))
        .path("/base/no", async |_, _| text(StatusCode::FORBIDDEN, "n".repeat(1_000)));
    let server = Running::start(routes);
    let upstream = upstream(&server);
    let upgrade = async |path: &str| upstream.upgrade(Request::builder(), path, "echo").await;
    comes_back(&mut upgrade("/echo").await.unwrap()).await;
    match upgrade("/no").await {
        Err(UpstreamError::NotUpgraded { status: StatusCode::FORBIDDEN, text, .. }) => {
            assert_eq!(text, "n".repeat(512));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(upgrade("/other").await, Err(UpstreamError::OtherProtocol { .. })));
}

#[cfg(feature = "websocket-client")]
#[tokio::test]
async fn a_websocket_is_a_byte_stream_of_one_subprotocol() {
    use dayfly_http::websocket::accept_key;

    let open = |subprotocol: &'static str| {
        move |request: dayfly_http::Request, _| {
            let accept = accept_key(&request).unwrap();
            async move { Takeover::websocket(&accept, subprotocol, |upgraded| echo(upgraded, true)) }
        }
    };
    let routes = Routes::new("echo")
        .path("/base/echo", open("echo"))
        .path("/base/other", open("other"))
        .path("/base/no", async |_, _| text(StatusCode::FORBIDDEN, "no"));
    let server = Running::start(routes);
    let upstream = upstream(&server);
    let mut socket = upstream.websocket("/echo?a=b", "echo").await.unwrap();
    comes_back(&mut socket).await;
    socket.shutdown().await.unwrap();
    assert!(matches!(
        upstream.websocket("/no", "echo").await,
        Err(UpstreamError::NotUpgraded { status: StatusCode::FORBIDDEN, .. })
    ));
    assert!(matches!(upstream.websocket("/other", "echo").await, Err(UpstreamError::OtherProtocol { .. })));
}

#[tokio::test]
async fn https_without_trust_names_the_certificate() {
    let url = "https://127.0.0.1:1".parse().unwrap();
    let upstream = Upstream::new(url, Trust::nobody(), "test/1");
    let fetched = upstream.fetch(Request::builder(), "", Bytes::new(), 10).await;
    // Nobody listens there either; whichever is found first is named.
    assert!(matches!(fetched, Err(UpstreamError::NoTrust(_) | UpstreamError::Connect { .. })));
}
