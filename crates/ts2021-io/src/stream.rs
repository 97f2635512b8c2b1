//! A ts2021 stream with tokio's traits.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dayfly_ts2021::{MAX_UNREAD, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Byte stream in the records of a [`Stream`], over another byte stream.
///
/// Written bytes are sealed on flush, in as few frames and as few writes to the carrier as possible. All buffers are the
/// [`Stream`]'s, with its limits.
#[derive(Debug)]
pub struct NoiseStream<S> {
    carrier: S,
    stream: Stream,
}

impl<S> NoiseStream<S> {
    /// Carries `stream` over `carrier`, when the handshake is done.
    pub const fn new(carrier: S, stream: Stream) -> Self {
        Self { carrier, stream }
    }

    /// Returns the carrier. Bytes that are neither read nor sent are lost.
    pub fn into_carrier(self) -> S {
        self.carrier
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncWrite + Unpin> NoiseStream<S> {
    /// Writes the frames that are sealed to the carrier, once.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.carrier).poll_write(cx, self.stream.sealed()))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => {
                self.stream.sent(sent);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NoiseStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { carrier, stream } = self.get_mut();
        while stream.unread().is_empty() {
            // With nothing unread there is room for all of it.
            let mut chunk = [MaybeUninit::uninit(); MAX_UNREAD];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut *carrier).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            stream.receive(chunk.filled_mut()).map_err(invalid)?;
        }
        let count = stream.unread().len().min(out.remaining());
        out.put_slice(stream.unread().get(..count).unwrap_or_default());
        stream.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NoiseStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.stream.write_room() == 0 {
            this.stream.seal().map_err(invalid)?;
            if this.stream.write_room() == 0 {
                ready!(this.poll_send(cx))?;
            }
        }
        Poll::Ready(Ok(pieces.iter().map(|piece| this.stream.write(piece)).sum()))
    }

    /// Returns `true`: otherwise HTTP/2 would copy the first kilobyte of a body, and a credential in it, to where nothing
    /// wipes it. Of a body for vectored writes it copies less than 256 bytes.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.stream.has_output() {
            // Does nothing while frames wait: each flush that has to wait would add to them.
            this.stream.seal().map_err(invalid)?;
            ready!(this.poll_send(cx))?;
        }
        Pin::new(&mut this.carrier).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().carrier).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use dayfly_ts2021::MAX_UNSEALED;
    use dayfly_wire::control::EarlyPayload;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::testing::{Writes, handshakes};

    fn streams(early: bool) -> (Stream, Stream) {
        let (handshake, accepted) = handshakes();
        let mut server = accepted.into_stream(early.then(EarlyPayload::default).as_ref());
        let (response, _) = server.sealed().split_first_chunk::<51>().unwrap();
        let node = handshake.finish(response).unwrap();
        server.sent(51);
        (node, server)
    }

    /// Both ends of a connection whose carrier takes so many bytes before it has to wait.
    fn pair(buffer: usize, early: bool) -> (NoiseStream<DuplexStream>, NoiseStream<DuplexStream>) {
        let (a, b) = tokio::io::duplex(buffer);
        let (node, server) = streams(early);
        (NoiseStream::new(a, node), NoiseStream::new(b, server))
    }

    #[tokio::test]
    async fn many_small_writes_are_one_frame_and_one_write_of_the_carrier() {
        let mut stream = NoiseStream::new(Writes::default(), streams(false).0);
        for _ in 0..100 {
            stream.write_all(b"header").await.unwrap();
        }
        assert!(stream.carrier.0.is_empty());
        stream.flush().await.unwrap();
        let [written] = &stream.carrier.0[..] else { panic!() };
        assert_eq!(written.len(), 3 + 600 + 16);
    }

    #[tokio::test]
    async fn what_waits_to_be_written_is_bounded() {
        for flushed in [false, true] {
            let (mut stream, _other) = pair(1024, false);
            let written = tokio::time::timeout(std::time::Duration::ZERO, async {
                let mut written = 0;
                loop {
                    written += stream.write(&[0; 1000]).await.unwrap();
                    assert!(written < 4 * MAX_UNSEALED);
                    if flushed {
                        // HTTP/2 goes on writing when a flush has to wait.
                        let flush = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_flush(cx))).await;
                        assert!(!matches!(flush, Poll::Ready(Err(_))));
                    }
                }
            });
            assert!(written.await.is_err());
        }
    }

    #[tokio::test]
    async fn a_forged_frame_is_an_error() {
        let (carrier, mut attacker) = tokio::io::duplex(1024);
        let mut stream = NoiseStream::new(carrier, streams(false).0);
        attacker.write_all(&[4, 0, 17]).await.unwrap();
        attacker.write_all(&[0; 17]).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bytes_arrive_whole_through_any_carrier(
            early: bool,
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 1..8),
            buffer in 1..9000_usize,
        ) {
            let mut sent = messages.concat();
            // At least a frame's header of HTTP/2 comes, and it never looks like an early payload.
            sent.splice(..0, *b"PRI * HTTP/2.0");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let received = runtime.block_on(async {
                let (mut node, mut server) = pair(buffer, early);
                let send = async {
                    server.write_all(b"PRI * HTTP/2.0").await.unwrap();
                    for message in &messages {
                        server.write_all(message).await.unwrap();
                        server.flush().await.unwrap();
                    }
                    server.shutdown().await.unwrap();
                };
                let mut received = Vec::new();
                let (_, result) = tokio::join!(send, node.read_to_end(&mut received));
                result.unwrap();
                received
            });
            prop_assert_eq!(received, sent);
        }
    }
}
