//! HTTP/1.1 by hand: requests as bytes, answers as text, for tests that look at what a server really sends.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// An answer to a request for another protocol.
#[derive(Debug)]
pub struct Upgraded {
    /// The connection, past the answer's head.
    pub stream: TcpStream,
    /// The answer's head, with the empty line.
    pub head: String,
    /// The bytes that came behind it.
    pub rest: BytesMut,
}

/// Asks for `path` as a connection of another protocol. `headers` are more lines, each ended by CR LF.
///
/// # Errors
/// When there is no connection, or it ends in the answer's head.
pub async fn upgrade(to: SocketAddr, path: &str, protocol: &str, headers: &str) -> io::Result<Upgraded> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (head, rest) = read_head(&mut stream).await?;
    Ok(Upgraded { stream, head, rest })
}

/// Reads to the empty line. Returns the head with it, and the bytes that came behind it.
///
/// # Errors
/// When the stream ends before that.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, BytesMut)> {
    let mut buffer = BytesMut::new();
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            return Ok((String::from_utf8_lossy(&head).into_owned(), buffer));
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::Error::other("a head without end"));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
