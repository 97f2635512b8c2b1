//! A server that is asked one request for each connection, and answers what it was told to.

use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::client::read_head;
use super::running::{LIMIT, loopback};

/// An upstream.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// A request, and the connection on which it was answered.
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: BytesMut,
    pub(crate) stream: TcpStream,
}

impl Upstream {
    /// Answers each request with `answer`, a whole answer of HTTP.
    pub(crate) async fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (head, mut body) = read_head(&mut stream).await;
                let length =
                    super::running::header(&head, "content-length").map_or(0, |len| len.parse().unwrap());
                while body.len() < length {
                    assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = tell.send(Asked { head, body, stream });
            }
        });
        Self { address, asked }
    }

    /// A JSON answer with a status such as `200 OK`.
    pub(crate) async fn json(status: &str, body: &str) -> Self {
        let len = body.len();
        Self::answering(format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n{body}")).await
    }

    /// An address where nobody listens.
    pub(crate) async fn dead() -> SocketAddr {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        listener.local_addr().unwrap()
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> Asked {
        timeout(LIMIT, self.asked.recv()).await.expect("nothing was asked").unwrap()
    }
}
