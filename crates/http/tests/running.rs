//! A server that runs inside the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dayfly_http::{Closing, Registry, Router, Routes, Server, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Time that anything may take before its test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A running server. It dies with the test's runtime.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) closing: Closing,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A free port of loopback.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl Running {
    /// Serves some routes on free ports.
    pub(crate) fn start(routes: Routes) -> Self {
        Self::start_with(routes, ServerConfig::default())
    }

    /// Serves some routes with further settings on free ports.
    pub(crate) fn start_with(routes: Routes, mut config: ServerConfig) -> Self {
        config.listen = vec![loopback()];
        config.metrics_listen = Some(loopback());
        let server = Server::bind(config, &Registry::new("test")).unwrap();
        let (http, metrics) = (server.http_addresses()[0], server.metrics_address().unwrap());
        let (closing, (shutdown, down)) = (server.closing(), oneshot::channel());
        let router = Arc::new(Router::new([routes]).unwrap());
        let task = tokio::spawn(server.run(router, async {
            let _ = down.await;
        }));
        Self { http, metrics, closing, shutdown, task }
    }

    /// Has the server go down, and waits until it is.
    pub(crate) async fn stop(self) {
        self.shutdown.send(()).unwrap();
        timeout(LIMIT, self.task).await.expect("the server did not end").unwrap();
    }
}

/// Sends a GET and returns the connection.
pub(crate) async fn get(to: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until `what` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, what: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(what) {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "ended before {what:?}");
        }
    };
    timeout(LIMIT, reading).await.expect(what);
    String::from_utf8(read).unwrap()
}
