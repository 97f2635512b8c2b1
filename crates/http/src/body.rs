//! Bodies of answers: bytes that are there, or a stream of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// The body of an answer: all of its bytes at once, or a stream whose pieces are sent as they come.
///
/// A stream is sent in chunks and is polled only while the client takes what came before. It ends with its connection:
/// [`crate::server`] tells how long one may last.
pub struct Body(Kind);

enum Kind {
    Full(Full<Bytes>),
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

impl Body {
    /// Makes a body of a stream of bytes. An error of the stream ends the connection, so that the client can tell that
    /// the answer is not whole.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(stream)))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self(Kind::Full(Full::default()))
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(Kind::Full(Full::new(bytes.into())))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) => Pin::new(bytes).poll_frame(cx).map_err(|never| match never {}),
            Kind::Stream(stream) => stream.as_mut().poll_next(cx).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_end_stream(),
            Kind::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => bytes.size_hint(),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}
