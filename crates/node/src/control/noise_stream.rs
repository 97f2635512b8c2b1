//! The ts2021 transport as a byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dayfly_wire::ts2021::{EARLY_HEADER_LEN, EarlyHeader, Transport, parse_early_header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroize as _;

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
    /// Plaintext not sealed yet.
    unsealed: Vec<u8>,
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
            unsealed: Vec::new(),
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
        // Credentials pass through here.
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
        let this = self.get_mut();
        if this.unsealed.len() >= WRITE_LIMIT {
            ready!(this.poll_write_sealed(cx))?;
            this.seal()?;
        }
        let count = bytes.len().min(WRITE_LIMIT - this.unsealed.len());
        this.unsealed.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unsealed.is_empty() {
            this.seal()?;
        }
        ready!(this.poll_write_sealed(cx))?;
        Pin::new(&mut this.carrier).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().carrier).poll_shutdown(cx)
    }
}
