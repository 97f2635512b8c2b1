//! A program on the server: what is sent to it, and what comes from it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dayfly_platform::time::sleep;
use russh::client::Msg;
use russh::{ChannelWriteHalf, Sig};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::error::WriteError;
use crate::inbound::{Inbound, ShellEvent};

/// Time that a writer waits for its input to be taken before it has the stream read on, should it not be read.
const PATIENCE: Duration = Duration::from_millis(50);

/// A terminal: its kind and its size (RFC 4254 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pty {
    /// Terminal type, the value of `TERM`.
    pub term: String,
    /// Width of the terminal in characters.
    pub columns: u32,
    /// Height of the terminal in characters.
    pub rows: u32,
    /// Width in pixels; 0 if unknown.
    pub width: u32,
    /// Height in pixels; 0 if unknown.
    pub height: u32,
}

impl Pty {
    /// An `xterm-256color` of a size in characters.
    #[must_use]
    pub fn new(columns: u32, rows: u32) -> Self {
        Self { term: "xterm-256color".to_owned(), columns, rows, width: 0, height: 0 }
    }
}

/// A signal that can be sent to a program (RFC 4254 section 6.10). OpenSSH's server takes only some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Hang-up (`SIGHUP`).
    Hup,
    /// Interrupt (`SIGINT`), as by Ctrl-C.
    Int,
    /// Kill (`SIGKILL`).
    Kill,
    /// Quit (`SIGQUIT`).
    Quit,
    /// Terminate (`SIGTERM`).
    Term,
}

impl From<Signal> for Sig {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Hup => Self::HUP,
            Signal::Int => Self::INT,
            Signal::Kill => Self::KILL,
            Signal::Quit => Self::QUIT,
            Signal::Term => Self::TERM,
        }
    }
}

/// A program on the server, as its two halves, which can be moved to different tasks.
#[derive(Debug)]
pub struct Shell {
    /// Writes to the program.
    pub writer: ShellWriter,
    /// Reads from the program.
    pub reader: ShellReader,
}

impl Shell {
    pub(crate) fn new(inbound: Arc<Inbound>, channel: ChannelWriteHalf<Msg>) -> Self {
        let reader = ShellReader { inbound: Arc::clone(&inbound), id: channel.id() };
        Self { writer: ShellWriter { inbound, channel: Arc::new(channel) }, reader }
    }
}

/// The writing half of a program: input, the terminal's size, signals. Clones write to the same program.
///
/// Nothing here waits for output to be read, but for the server to take what is sent: at most its window (2 MiB with
/// OpenSSH and Tailscale) is under way. The window grows by messages that come between the output, so to send more
/// than that at once, output has to be read meanwhile.
#[derive(Clone)]
pub struct ShellWriter {
    inbound: Arc<Inbound>,
    channel: Arc<ChannelWriteHalf<Msg>>,
}

impl ShellWriter {
    pub(crate) fn channel(&self) -> &ChannelWriteHalf<Msg> {
        &self.channel
    }

    /// Sends input: keystrokes, pasted text. Returns once all of it is encrypted and on its way. Cancelling may leave
    /// part of it unsent.
    ///
    /// # Errors
    /// When the program or the session has ended. Part of the input may have been sent.
    pub async fn write(&self, input: &[u8]) -> Result<(), WriteError> {
        self.write_owned(Zeroizing::new(input.to_vec())).await
    }

    /// Sends input as [`ShellWriter::write`] does, without a copy.
    ///
    /// `input` is wiped when it has been encrypted, or could not be sent.
    ///
    /// # Errors
    /// As [`ShellWriter::write`].
    pub async fn write_owned(&self, input: Zeroizing<Vec<u8>>) -> Result<(), WriteError> {
        if input.is_empty() {
            return Ok(());
        }
        let (taken, all_taken) = oneshot::channel();
        let input = Input { bytes: input, _taken: taken };
        let sent = self.channel.data_bytes(Bytes::from_owner(input));
        self.send(async {
            sent.await?;
            // Resolves, with an error that means nothing, when the last piece of the input is dropped.
            let _ = all_taken.await;
            Ok(())
        })
        .await
    }

    /// Sends the new size of the terminal, in characters and, if known, in pixels.
    ///
    /// # Errors
    /// When the program or the session has ended.
    pub async fn resize(&self, columns: u32, rows: u32, width: u32, height: u32) -> Result<(), WriteError> {
        self.send(self.channel.window_change(columns, rows, width, height)).await
    }

    /// Ends the program's input.
    ///
    /// # Errors
    /// When the program or the session has ended.
    pub async fn eof(&self) -> Result<(), WriteError> {
        self.send(self.channel.eof()).await
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// When the program or the session has ended.
    pub async fn signal(&self, signal: Signal) -> Result<(), WriteError> {
        self.send(self.channel.signal(signal.into())).await
    }

    /// Closes the channel, by which servers hang up on the program.
    ///
    /// # Errors
    /// When the program or the session has ended already.
    pub async fn close(&self) -> Result<(), WriteError> {
        self.send(self.channel.close()).await
    }

    /// Waits until a message is taken, and sees to it that it is.
    async fn send(&self, message: impl Future<Output = Result<(), russh::Error>>) -> Result<(), WriteError> {
        if self.inbound.is_closed(self.channel.id()) {
            return Err(self.over());
        }
        let mut message = pin!(message);
        loop {
            tokio::select! {
                biased;
                sent = &mut message => return sent.map_err(|_| self.over()),
                end = self.inbound.ended() => return Err(end.reason.into()),
                () = sleep(PATIENCE) => self.inbound.overrun(),
            }
        }
    }

    fn over(&self) -> WriteError {
        match self.inbound.end() {
            Some(end) => end.reason.into(),
            None => WriteError::Closed,
        }
    }
}

/// Input on its way, wiped when it has been encrypted.
struct Input {
    bytes: Zeroizing<Vec<u8>>,
    /// Resolves the writer's wait when it is dropped with the bytes.
    _taken: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Input {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for ShellWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShellWriter").field(&self.channel.id()).finish()
    }
}

/// The reading half of a program: output, and how it ended.
///
/// Unread output is bounded: beyond [`MAX_UNREAD`](crate::MAX_UNREAD) the server is held back, while input still goes
/// out. Dropping the reader drops the output.
#[derive(Debug)]
pub struct ShellReader {
    inbound: Arc<Inbound>,
    id: russh::ChannelId,
}

impl ShellReader {
    /// Returns the next event; after [`ShellEvent::Closed`] or [`ShellEvent::Disconnected`], `None`.
    ///
    /// Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<ShellEvent> {
        std::future::poll_fn(|context| self.inbound.poll_event(self.id, context)).await
    }

    /// Waits until `bytes` of output wait to be read, or until there is no use in waiting for more. Cancelling loses
    /// nothing.
    pub async fn gathered(&mut self, bytes: usize) {
        std::future::poll_fn(|context| self.inbound.poll_gathered(self.id, bytes, context)).await;
    }
}

impl Drop for ShellReader {
    fn drop(&mut self) {
        self.inbound.abandon(self.id);
    }
}
