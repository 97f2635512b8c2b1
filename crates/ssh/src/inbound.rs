//! Output on its way from the server to whoever reads it, and the bound on it.
//!
//! `russh` grants the server a new window as soon as a packet has come, and when its own queue is full it stops
//! everything, keystrokes too. So nothing is left in its queue: each packet is put into a queue here, and when what
//! nobody has read reaches [`MAX_UNREAD`], the stream below is no longer read ([`gate`](crate::gate)). `russh` then
//! simply sees no packet coming and goes on sending; the stream's own flow control holds the server back.
//!
//! There is one case in which sending depends on reading: while keys are exchanged anew, nothing may be sent until the
//! exchange is over. A writer whose input is not taken therefore has the stream read on, up to one window more, which
//! is all that a server may have sent to one channel before its part of the exchange. So what is unread of a session
//! is at most [`MAX_UNREAD`] and one packet, and another window in that case alone.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use russh::ChannelId;
use tokio::sync::{Notify, watch};

use crate::config;
use crate::error::Disconnect;

/// Bytes of output that wait to be read before the stream is no longer read, for all channels of a session together.
pub const MAX_UNREAD: usize = 256 * 1024;

/// Unread bytes at or below which the stream is read again.
const RESUME: usize = MAX_UNREAD / 2;

/// The bound while a writer waits: a window more, and what keeping it costs.
const MAX_OVERRUN: usize = MAX_UNREAD + config::WINDOW as usize + 64 * 1024;

/// Cost of a queue's entry besides its bytes, so that tiny packets are bounded as well.
const ENTRY: usize = 64;

/// Output that was not read yet is joined up to this size.
const JOIN: usize = MAX_UNREAD / 2;

/// An event of a program on the server. Events come in the server's order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShellEvent {
    /// Output: with a terminal, all of it.
    Data(Bytes),
    /// Output to standard error, without a terminal.
    ExtendedData(Bytes),
    /// The program ended by itself.
    ExitStatus(u32),
    /// The program was ended by a signal.
    ExitSignal {
        /// Without `SIG`, for instance `TERM`.
        name: String,
        /// The program left a core dump.
        core_dumped: bool,
        /// The server's words, safe to show; often empty.
        message: String,
    },
    /// The server closed the channel: nothing follows.
    Closed,
    /// The session ended before the channel was closed: nothing follows.
    Disconnected(Disconnect),
}

/// The end of a session, with its reason.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) reason: Disconnect,
    /// The server refused the last authentication request and named nothing else to try.
    pub(crate) denied: bool,
}

/// State that the parts of a session share: output that waits to be read, and how the session ended.
#[derive(Debug)]
pub(crate) struct Inbound {
    state: Mutex<State>,
    end: watch::Sender<Option<End>>,
    sent: Notify,
}

#[derive(Debug, Default)]
struct State {
    channels: HashMap<ChannelId, Channel>,
    /// Cost of all queues, in bytes.
    unread: usize,
    /// The stream must not be read: the limit is reached.
    paused: bool,
    /// A writer needs the stream read nevertheless.
    overrun: bool,
    /// The stream must fail: the session was dropped.
    aborted: bool,
    /// This side is closing the session.
    closing: bool,
    /// The server has accepted the authentication.
    authenticated: bool,
    /// Bytes taken from the stream.
    read: u64,
    /// Number of banners received.
    banners: u64,
    /// Number of banners received before the last authentication request.
    banners_before: u64,
    stream_reader: Option<Waker>,
    stream_writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct Channel {
    queue: VecDeque<Entry>,
    /// Bytes of output in `queue`.
    length: usize,
    /// Bytes of output that the reader waits for: fewer don't wake it.
    wanted: usize,
    replies: VecDeque<bool>,
    closed: bool,
    /// The reader was dropped.
    abandoned: bool,
    reader: Option<Waker>,
    requester: Option<Waker>,
}

#[derive(Debug)]
enum Entry {
    Data { bytes: BytesMut, extended: bool },
    Event(ShellEvent),
}

impl Entry {
    fn cost(&self) -> usize {
        ENTRY
            + match self {
                Self::Data { bytes, .. } => bytes.len(),
                Self::Event(ShellEvent::ExitSignal { name, message, .. }) => name.len() + message.len(),
                Self::Event(_) => 0,
            }
    }
}

impl Inbound {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), end: watch::Sender::new(None), sent: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock panics, so the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- what the server sends ----

    /// Takes in output of a channel.
    pub(crate) fn push_data(&self, id: ChannelId, data: &[u8], extended: bool) {
        let mut state = self.state();
        let state = &mut *state;
        let Some(channel) = state.channels.get_mut(&id) else { return };
        if channel.abandoned || data.is_empty() {
            return;
        }
        match channel.queue.back_mut() {
            Some(Entry::Data { bytes, extended: same })
                if *same == extended && bytes.len() + data.len() <= JOIN =>
            {
                bytes.extend_from_slice(data);
                state.unread += data.len();
            }
            _ => {
                let entry = Entry::Data { bytes: BytesMut::from(data), extended };
                state.unread += entry.cost();
                channel.queue.push_back(entry);
            }
        }
        channel.length += data.len();
        state.paused |= state.unread >= MAX_UNREAD;
        if channel.length >= channel.wanted || state.paused {
            wake(&mut channel.reader);
        }
    }

    /// Takes in another event of a channel.
    pub(crate) fn push_event(&self, id: ChannelId, event: ShellEvent) {
        let mut state = self.state();
        let state = &mut *state;
        let Some(channel) = state.channels.get_mut(&id) else { return };
        if event == ShellEvent::Closed {
            channel.closed = true;
            wake(&mut channel.requester);
        }
        if channel.abandoned {
            if channel.closed {
                state.channels.remove(&id);
            }
            return;
        }
        let entry = Entry::Event(event);
        state.unread += entry.cost();
        channel.queue.push_back(entry);
        state.paused |= state.unread >= MAX_UNREAD;
        wake(&mut channel.reader);
    }

    /// Takes in the server's answer to a request of a channel.
    pub(crate) fn push_reply(&self, id: ChannelId, success: bool) {
        let mut state = self.state();
        if let Some(channel) = state.channels.get_mut(&id)
            && channel.replies.len() < MAX_REPLIES
        {
            channel.replies.push_back(success);
            wake(&mut channel.requester);
        }
    }

    /// Ends the session. What came before can still be read.
    pub(crate) fn finish(&self, reason: Disconnect, denied: bool) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(End { reason, denied });
            }
            first
        });
        let mut state = self.state();
        for channel in state.channels.values_mut() {
            wake(&mut channel.reader);
            wake(&mut channel.requester);
        }
    }

    /// Returns how the session ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// Resolves when the session has ended.
    pub(crate) async fn ended(&self) -> End {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await;
        // The sender lives in `self`, so waiting cannot fail.
        ended.ok().and_then(|end| end.clone()).unwrap_or(End { reason: Disconnect::Local, denied: false })
    }

    // ---- what a shell reads ----

    /// Notes that a channel has been opened. Called from two sides, whichever is first.
    pub(crate) fn open(&self, id: ChannelId) {
        self.state().channels.entry(id).or_default();
    }

    pub(crate) fn poll_event(&self, id: ChannelId, context: &Context<'_>) -> Poll<Option<ShellEvent>> {
        let mut state = self.state();
        let state = &mut *state;
        let Some(channel) = state.channels.get_mut(&id) else { return Poll::Ready(None) };
        channel.wanted = 0;
        let Some(entry) = channel.queue.pop_front() else {
            if channel.closed {
                state.channels.remove(&id);
                return Poll::Ready(None);
            }
            if let Some(end) = self.end() {
                channel.closed = true;
                return Poll::Ready(Some(ShellEvent::Disconnected(end.reason)));
            }
            keep(&mut channel.reader, context);
            return Poll::Pending;
        };
        if let Entry::Data { bytes, .. } = &entry {
            channel.length -= bytes.len();
        }
        state.unread -= entry.cost();
        state.resume();
        Poll::Ready(Some(match entry {
            Entry::Data { bytes, extended: false } => ShellEvent::Data(bytes.freeze()),
            Entry::Data { bytes, extended: true } => ShellEvent::ExtendedData(bytes.freeze()),
            Entry::Event(event) => event,
        }))
    }

    /// Ready when `wanted` bytes of output wait to be read, or no more is to come soon: something else follows, or the
    /// stream is not read.
    pub(crate) fn poll_gathered(&self, id: ChannelId, wanted: usize, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let paused = state.paused;
        let Some(channel) = state.channels.get_mut(&id) else { return Poll::Ready(()) };
        let is_last = matches!(channel.queue.back(), Some(Entry::Event(_)));
        if channel.length >= wanted || is_last || paused || channel.closed || self.end.borrow().is_some() {
            return Poll::Ready(());
        }
        channel.wanted = wanted;
        keep(&mut channel.reader, context);
        Poll::Pending
    }

    /// Returns the answer to the next request of a channel; `None` if there will be none.
    pub(crate) fn poll_reply(&self, id: ChannelId, context: &Context<'_>) -> Poll<Option<bool>> {
        let mut state = self.state();
        let Some(channel) = state.channels.get_mut(&id) else { return Poll::Ready(None) };
        match channel.replies.pop_front() {
            Some(reply) => Poll::Ready(Some(reply)),
            None if channel.closed || self.end.borrow().is_some() => Poll::Ready(None),
            None => {
                keep(&mut channel.requester, context);
                Poll::Pending
            }
        }
    }

    /// Drops what has come for a channel and what will come, since nobody reads it any more.
    pub(crate) fn abandon(&self, id: ChannelId) {
        let mut state = self.state();
        let state = &mut *state;
        let Some(channel) = state.channels.get_mut(&id) else { return };
        channel.abandoned = true;
        let dropped: usize = mem::take(&mut channel.queue).iter().map(Entry::cost).sum();
        channel.length = 0;
        if channel.closed {
            state.channels.remove(&id);
        }
        state.unread -= dropped;
        state.resume();
    }

    pub(crate) fn is_closed(&self, id: ChannelId) -> bool {
        self.state().channels.get(&id).is_none_or(|channel| channel.closed)
    }

    /// Returns the bytes of output that wait to be read, with what their keeping costs.
    pub(crate) fn unread(&self) -> usize {
        self.state().unread
    }

    // ---- what the stream below is asked ----

    /// Ready when the stream may be read; if not, the task is woken when it may.
    pub(crate) fn poll_may_read(&self, context: &Context<'_>) -> Poll<Result<(), Aborted>> {
        let mut state = self.state();
        if state.aborted {
            return Poll::Ready(Err(Aborted));
        }
        keep(&mut state.stream_reader, context);
        if state.paused && !(state.overrun && state.unread < MAX_OVERRUN) {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }

    /// Fails if the stream must not be written any more.
    pub(crate) fn may_write(&self, context: &Context<'_>) -> Result<(), Aborted> {
        let mut state = self.state();
        keep(&mut state.stream_writer, context);
        if state.aborted { Err(Aborted) } else { Ok(()) }
    }

    pub(crate) fn count_read(&self, bytes: usize) -> u64 {
        let mut state = self.state();
        state.read += bytes as u64;
        state.read
    }

    pub(crate) fn count_banner(&self) {
        self.state().banners += 1;
    }

    /// Notes that an authentication request is about to be sent.
    pub(crate) fn note_request(&self) {
        let mut state = self.state();
        state.banners_before = state.banners;
    }

    /// Returns `true` if the server has sent a banner since the last authentication request.
    pub(crate) fn has_had_banner(&self) -> bool {
        let state = self.state();
        state.banners > state.banners_before
    }

    /// Returns `true` if nothing but banners can have come since `mark`.
    pub(crate) fn is_silent_since(&self, mark: Mark) -> bool {
        let state = self.state();
        state.read == mark.read || state.banners != mark.banners
    }

    pub(crate) fn mark(&self) -> Mark {
        let state = self.state();
        Mark { read: state.read, banners: state.banners }
    }

    /// Has the stream read on for now, if it is not being read: a writer's message is not taken.
    pub(crate) fn overrun(&self) {
        let mut state = self.state();
        if state.paused {
            state.overrun = true;
            wake(&mut state.stream_reader);
        }
    }

    /// Notes that keys have been exchanged, so that writing does not depend on reading.
    pub(crate) fn keys_exchanged(&self) {
        self.state().overrun = false;
    }

    /// Notes that the server has accepted the authentication.
    pub(crate) fn set_authenticated(&self) {
        self.state().authenticated = true;
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.state().authenticated
    }

    /// Notes that this side is closing the session.
    pub(crate) fn set_closing(&self) {
        self.state().closing = true;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state().closing
    }

    /// Notes that all has been sent, SSH_MSG_DISCONNECT last, and that the stream was asked to shut down.
    pub(crate) fn set_sent(&self) {
        self.sent.notify_one();
    }

    /// Resolves once [`set_sent`](Self::set_sent) has been called; for one waiter.
    pub(crate) async fn sent(&self) {
        self.sent.notified().await;
    }

    /// Wakes the task that waits to read the stream.
    pub(crate) fn wake_reader(&self) {
        wake(&mut self.state().stream_reader);
    }

    /// Makes the stream fail at once, whatever state it is in.
    pub(crate) fn abort(&self) {
        let mut state = self.state();
        state.aborted = true;
        wake(&mut state.stream_reader);
        wake(&mut state.stream_writer);
    }
}

/// A position in what the server sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    read: u64,
    banners: u64,
}

/// Answers that wait for whoever asked: never more than were asked for, if the server is honest.
const MAX_REPLIES: usize = 8;

/// The session was cut by this side.
#[derive(Debug)]
pub(crate) struct Aborted;

impl State {
    fn resume(&mut self) {
        if self.paused && self.unread <= RESUME {
            self.paused = false;
            self.overrun = false;
            wake(&mut self.stream_reader);
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn keep(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(context.waker()) => {}
        _ => *slot = Some(context.waker().clone()),
    }
}
