//! The ts2021 transport as a byte stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dayfly_wire::ts2021::{EARLY_HEADER_LEN, EarlyHeader, Transport, parse_early_header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes read from the carrier at once: four full frames.
const READ_CHUNK: usize = 16 << 10;
/// Plaintext that is collected before it is sealed without being asked to.
const WRITE_LIMIT: usize = 32 << 10;

/// Carries a byte stream in the records of a [`Transport`] over another byte stream.
///
/// An early payload at the beginning of what the other side sends is skipped, when there is one. What is written is
/// sealed on flush, in as few frames and as few writes to the carrier as possible.
#[derive(Debug)]
pub(super) struct NoiseStream<S> {
    carrier: S,
    transport: Transport,
    /// Frames read, from the first that is not complete on.
    frames: Vec<u8>,
    /// Plaintext not read yet, from `plain_read` on.
    plain: Vec<u8>,
    plain_read: usize,
    /// Whether the plaintext so far may be or follow an early payload.
    early: Early,
    /// Plaintext not sealed yet. It has room for all that it may hold: credentials pass through here, and growing would
    /// leave copies behind.
    unsealed: Zeroizing<Vec<u8>>,
    /// Frames not written yet, from `sealed_written` on.
    sealed: Vec<u8>,
    sealed_written: usize,
}

#[derive(Debug, Clone, Copy)]
enum Early {
    Undecided,
    Skipping(usize),
    Past,
}

impl<S> NoiseStream<S> {
    pub(super) fn new(carrier: S, transport: Transport) -> Self {
        Self {
            carrier,
            transport,
            frames: Vec::new(),
            plain: Vec::new(),
            plain_read: 0,
            early: Early::Undecided,
            unsealed: Vec::with_capacity(WRITE_LIMIT).into(),
            sealed: Vec::new(),
            sealed_written: 0,
        }
    }

    /// Decrypts all frames that are complete.
    fn open_frames(&mut self) -> io::Result<()> {
        let mut at = 0;
        while let Some(rest) = self.frames.get_mut(at..)
            && let Some(opened) = self.transport.open(rest).map_err(invalid)?
        {
            self.plain.extend_from_slice(opened.plaintext);
            at += opened.consumed;
        }
        self.frames.drain(..at);
        self.skip_early_payload()
    }

    fn skip_early_payload(&mut self) -> io::Result<()> {
        if matches!(self.early, Early::Undecided)
            && let Some(header) = self.plain.first_chunk::<EARLY_HEADER_LEN>()
        {
            self.early = match parse_early_header(header).map_err(invalid)? {
                EarlyHeader::Absent => Early::Past,
                EarlyHeader::Present(length) => Early::Skipping(EARLY_HEADER_LEN + length),
            };
        }
        if let Early::Skipping(length) = self.early
            && self.plain.len() >= length
        {
            self.plain.drain(..length);
            self.early = Early::Past;
        }
        Ok(())
    }

    fn unread(&self) -> &[u8] {
        match self.early {
            Early::Past => self.plain.get(self.plain_read..).unwrap_or_default(),
            Early::Undecided | Early::Skipping(_) => &[],
        }
    }

    fn seal(&mut self) -> io::Result<()> {
        self.transport.seal(&self.unsealed, &mut self.sealed).map_err(invalid)?;
        self.unsealed.zeroize();
        Ok(())
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncWrite + Unpin> NoiseStream<S> {
    /// Writes all frames that are sealed to the carrier.
    fn poll_write_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.sealed.get(self.sealed_written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.carrier).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sealed_written += written,
            }
        }
        self.sealed.clear();
        self.sealed_written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NoiseStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread().is_empty() {
            if matches!(this.early, Early::Past) {
                this.plain.clear();
                this.plain_read = 0;
            }
            let filled = this.frames.len();
            this.frames.resize(filled + READ_CHUNK, 0);
            let mut chunk = ReadBuf::new(this.frames.get_mut(filled..).unwrap_or_default());
            let result = Pin::new(&mut this.carrier).poll_read(cx, &mut chunk);
            let read = chunk.filled().len();
            this.frames.truncate(filled + read);
            ready!(result)?;
            if read == 0 {
                // The end of the stream is not authenticated; HTTP/2 tells a whole answer from a cut one.
                return Poll::Ready(Ok(()));
            }
            this.open_frames()?;
        }
        let unread = this.unread();
        let count = unread.len().min(out.remaining());
        out.put_slice(unread.get(..count).unwrap_or_default());
        this.plain_read += count;
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
        if this.unsealed.len() >= WRITE_LIMIT {
            ready!(this.poll_write_sealed(cx))?;
            this.seal()?;
        }
        let before = this.unsealed.len();
        for piece in pieces {
            let count = piece.len().min(WRITE_LIMIT - this.unsealed.len());
            this.unsealed.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
        Poll::Ready(Ok(this.unsealed.len() - before))
    }

    /// Otherwise HTTP/2 would copy the first kilobyte of a body, and a credential in it, to where nothing wipes it. Of a
    /// body for vectored writes it copies less than 256 bytes.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_sealed(cx))?;
        if !this.unsealed.is_empty() {
            // Only now, or each flush that has to wait would add to what waits.
            this.seal()?;
            ready!(this.poll_write_sealed(cx))?;
        }
        Pin::new(&mut this.carrier).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().carrier).poll_shutdown(cx)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::future::poll_fn;

    use dayfly_platform::random::SystemRng;
    use dayfly_wire::key::MachinePrivate;
    use dayfly_wire::ts2021::{Handshake, accept, early_payload};
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    fn transports() -> (Transport, Transport) {
        let [machine, control] = [(); 2].map(|()| MachinePrivate::generate(&mut SystemRng));
        let (handshake, initiation) =
            Handshake::initiate(130, &machine, &control.public(), &mut SystemRng).unwrap();
        let accepted = accept(&initiation, &control, &mut SystemRng).unwrap();
        (handshake.finish(&accepted.response).unwrap(), accepted.transport)
    }

    /// Both ends of a connection whose carrier takes so many bytes before it has to wait.
    pub(crate) fn pair(buffer: usize) -> (NoiseStream<DuplexStream>, NoiseStream<DuplexStream>) {
        let (a, b) = tokio::io::duplex(buffer);
        let (node, server) = transports();
        (NoiseStream::new(a, node), NoiseStream::new(b, server))
    }

    /// Remembers each write.
    struct Writes(Vec<Vec<u8>>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn many_small_writes_are_one_frame_and_one_write_of_the_carrier() {
        let mut stream = NoiseStream::new(Writes(Vec::new()), transports().0);
        for _ in 0..100 {
            stream.write_all(b"header").await.unwrap();
        }
        assert!(stream.carrier.0.is_empty());
        stream.flush().await.unwrap();
        let [written] = &stream.carrier.0[..] else { panic!() };
        assert_eq!(written.len(), 3 + 600 + 16);
        assert!(stream.unsealed.is_empty());
    }

    #[tokio::test]
    async fn what_waits_to_be_written_is_bounded() {
        for flushed in [false, true] {
            let (mut stream, _other) = pair(1024);
            let written = tokio::time::timeout(std::time::Duration::ZERO, async {
                let mut written = 0;
                loop {
                    written += stream.write(&[0; 1000]).await.unwrap();
                    assert!(written < 4 * WRITE_LIMIT);
                    if flushed {
                        // HTTP/2 goes on writing when a flush has to wait.
                        let flush = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_flush(cx))).await;
                        assert!(!matches!(flush, Poll::Ready(Err(_))));
                    }
                }
            });
            assert!(written.await.is_err());
            assert!(stream.unsealed.len() + stream.sealed.len() < 3 * WRITE_LIMIT);
        }
    }

    #[tokio::test]
    async fn a_forged_frame_is_an_error() {
        let (carrier, mut attacker) = tokio::io::duplex(1024);
        let mut stream = NoiseStream::new(carrier, transports().0);
        attacker.write_all(&[4, 0, 17]).await.unwrap();
        attacker.write_all(&[0; 17]).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bytes_arrive_whole_through_any_carrier(
            early: Option<Vec<u8>>,
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 1..8),
            buffer in 1..9000_usize,
        ) {
            let early = early.map(|json| early_payload(&json)).unwrap_or_default();
            let mut sent = messages.concat();
            // At least a frame's header of HTTP/2 comes, and it never looks like an early payload.
            sent.splice(..0, *b"PRI * HTTP/2.0");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let received = runtime.block_on(async {
                let (mut node, mut server) = pair(buffer);
                let send = async {
                    server.write_all(&early).await.unwrap();
                    server.flush().await.unwrap();
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
