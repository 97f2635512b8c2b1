//! Byte streams between the engine and whatever carries them.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::MaybeSend;

/// A full-duplex byte stream: a TCP or TLS connection natively, a WebSocket's binary messages in a browser.
///
/// Writing must be bounded: `poll_write` is pending while the other side does not keep pace.
pub trait ByteStream: AsyncRead + AsyncWrite + MaybeSend + Unpin {}

impl<T: AsyncRead + AsyncWrite + MaybeSend + Unpin> ByteStream for T {}

/// A [`ByteStream`] of any kind.
pub type BoxByteStream = Box<dyn ByteStream>;
