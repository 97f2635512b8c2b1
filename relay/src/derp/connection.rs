//! One client after the handshake: its frames in, its queues out.
//!
//! A connection is one task without buffers of its own while nothing happens. It reads into a buffer that all
//! connections of a thread share, takes the packets out of there into the queues of their receivers, and wakes
//! each receiver once. What has been queued for it since it last ran leaves by one gathering write.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dayfly_http::rate::TokenBucket;
use dayfly_http::websocket::close_code;
use dayfly_http::{Duplex, Read};
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{
    self, Frame, FrameError, FrameType, HEADER_LEN, Header, PeerGoneReason, Receiver, looks_like_disco,
};
use dayfly_wire::key::NodePublic;
use rand_core::Rng as _;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Server;
use super::metrics::{Drop, End, PeerGone, Tally};
use super::outbox::Batch;
use super::registry::{Peer, Reached};

/// Bytes that are read at once, and that one connection handles before others have their turn.
const READ_LEN: usize = 64 << 10;
/// Incomplete frames up to this length are kept and copied in front of what is read next; longer ones are read to
/// their end where they lie, so that a frame which drips in is not copied again and again.
const SHORT_PARTIAL: usize = 2 << 10;
/// The longest type-less frame that is skipped.
const MAX_SKIPPED: usize = derp::MAX_FRAME_LEN;
/// Rate at which a client is notified that a peer is not here: once a second, three at once (Tailscale
/// `derp/derpserver/derpserver.go`, `sendPeerGone` (tailscale v1.102.5)).
const NOT_HERE_PER_SECOND: f64 = 1.0;
const NOT_HERE_BURST: f64 = 3.0;
/// From how many remembered receivers on those are looked for that have gone.
const REACHED_SWEEP: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_LEN + SHORT_PARTIAL]);
}

/// Reasons why a connection ended.
#[derive(Debug, Error)]
pub(super) enum EndReason {
    #[error("the client left")]
    Left,
    #[error("the connection failed: {0}")]
    Io(io::Error),
    #[error("the client broke the protocol: {0}")]
    Frame(#[from] FrameError),
    #[error("the client used a frame of meshes, type {:#04x}", .0.0)]
    Mesh(FrameType),
    #[error("the client read nothing for {} s", .0.as_secs_f32())]
    WriteTimeout(Duration),
    #[error("too many newer connections of its key came")]
    Duplicate,
    #[error("the server goes down")]
    Shutdown,
}

impl EndReason {
    pub(super) const fn reason(&self) -> End {
        match self {
            Self::Left => End::Left,
            Self::Io(_) => End::Io,
            Self::Frame(_) | Self::Mesh(_) => End::Protocol,
            Self::WriteTimeout(_) => End::WriteTimeout,
            Self::Duplicate => End::Duplicate,
            Self::Shutdown => End::Shutdown,
        }
    }

    pub(super) const fn close_code(&self) -> u16 {
        match self {
            Self::Left | Self::Io(_) | Self::WriteTimeout(_) | Self::Shutdown => close_code::AWAY,
            Self::Frame(_) | Self::Mesh(_) | Self::Duplicate => close_code::POLICY,
        }
    }
}

/// The connection of one client.
pub(super) struct Connection<S> {
    link: Duplex<S>,
    core: Core,
    /// The beginning of a frame that has not come whole.
    partial: Vec<u8>,
    /// Frames that are being written.
    batch: Batch,
    /// The moment by which the client has to have read something, while something waits to be written.
    write_deadline: Option<Instant>,
    next_keep_alive: Instant,
    /// The moment until which nothing is read, since the client has sent more than it may.
    resume_reading: Option<Instant>,
}

/// The part of a connection that handles frames: all but the bytes.
struct Core {
    server: Arc<Server>,
    peer: Arc<Peer>,
    /// Bytes of a frame that is skipped that are still to come.
    skip: usize,
    /// The last Ping that was not answered yet.
    pong: Option<[u8; 8]>,
    reached: Reached,
    reached_sweep: usize,
    /// The receiver of the last packet: most packets go where the one before them went.
    last_receiver: Weak<Peer>,
    not_here: Option<TokenBucket>,
    rate: Option<TokenBucket>,
    /// Receivers whose queues were empty before this read.
    to_wake: Vec<Arc<Peer>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(server: Arc<Server>, link: Duplex<S>, peer: Arc<Peer>, early: Bytes) -> Self {
        let now = Instant::now();
        let rate =
            server.rate.map(|rate| TokenBucket::new(rate.bytes_per_second as f64, rate.burst as f64, now));
        let next_keep_alive = now + keep_alive_interval(server.timeouts.keep_alive);
        let core = Core {
            server,
            peer,
            skip: 0,
            pong: None,
            reached: Reached::new(),
            reached_sweep: REACHED_SWEEP,
            last_receiver: Weak::new(),
            not_here: None,
            rate,
            to_wake: Vec::new(),
        };
        Self {
            link,
            core,
            partial: early.into(),
            batch: Batch::default(),
            write_deadline: None,
            next_keep_alive,
            resume_reading: None,
        }
    }

    /// Returns what is left when the connection has ended.
    pub(super) fn into_parts(self) -> (Arc<Peer>, Duplex<S>, Reached) {
        (self.core.peer, self.link, self.core.reached)
    }

    /// Writes `server_info`, then relays until the end.
    pub(super) async fn run(&mut self, server_info: Vec<u8>) -> EndReason {
        self.batch.own().extend_from_slice(&server_info);
        drop(server_info);
        // What came with the handshake may hold whole frames.
        let early = std::mem::take(&mut self.partial);
        if let Err(end) = self.core.handle_all(&early, &mut self.partial) {
            return end;
        }
        let mut sleep = pin!(sleep_until(self.next_keep_alive));
        std::future::poll_fn(|cx| self.poll(cx, sleep.as_mut())).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<EndReason> {
        loop {
            if let Poll::Ready(end) = self.poll_write(cx) {
                return Poll::Ready(end);
            }
            if let Poll::Ready(end) = self.poll_read(cx) {
                return Poll::Ready(end);
            }
            let deadline = [self.write_deadline, self.resume_reading]
                .into_iter()
                .flatten()
                .fold(self.next_keep_alive, Instant::min);
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            if self.write_deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(EndReason::WriteTimeout(self.core.server.timeouts.write));
            }
            if self.resume_reading.is_some_and(|deadline| deadline <= now) {
                self.resume_reading = None;
            }
            if self.next_keep_alive <= now {
                self.next_keep_alive = now + keep_alive_interval(self.core.server.timeouts.keep_alive);
                self.idle(now);
            }
        }
    }

    /// Sends a keep-alive and gives back memory that is not used, each time.
    fn idle(&mut self, now: Instant) {
        self.core.sweep_reached();
        if self.batch.is_empty() {
            self.batch.shrink();
            self.core.peer.outbox.shrink();
            derp::put_keep_alive(self.batch.own());
        }
        if self.core.not_here.as_ref().is_some_and(|bucket| bucket.is_full_at(now)) {
            self.core.not_here = None;
        }
    }

    /// Writes what waits. Pending when all is written, or the client has to read first.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        self.core.peer.outbox.register(cx);
        loop {
            if self.batch.is_empty() {
                let closing = self.core.peer.outbox.take(&mut self.batch);
                if let Some(payload) = self.core.pong.take() {
                    derp::put_pong(self.batch.own(), payload);
                }
                if self.batch.is_empty() {
                    if closing {
                        let goes_down = self.core.server.restart.get().is_some();
                        return Poll::Ready(if goes_down {
                            EndReason::Shutdown
                        } else {
                            EndReason::Duplicate
                        });
                    }
                    return self.poll_flush(cx);
                }
            }
            let slices = self.batch.slices().map(IoSlice::new);
            match Pin::new(&mut self.link).poll_write_vectored(cx, &slices) {
                Poll::Ready(Ok(0)) => return Poll::Ready(EndReason::Left),
                Poll::Ready(Ok(written)) => {
                    self.write_deadline = None;
                    self.batch.advance(written);
                    self.count_written();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(EndReason::Io(error)),
                Poll::Pending => {
                    self.await_reader();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Counts what went out, answers to a WebSocket's own frames included.
    fn count_written(&mut self) {
        match self.link.take_written() {
            0 => {}
            written => {
                self.core.server.metrics.bytes_sent.inc_by(written);
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        let flushed = Pin::new(&mut self.link).poll_flush(cx);
        self.count_written();
        match flushed {
            Poll::Ready(Ok(())) => self.write_deadline = None,
            Poll::Ready(Err(error)) => return Poll::Ready(EndReason::Io(error)),
            Poll::Pending => self.await_reader(),
        }
        Poll::Pending
    }

    fn await_reader(&mut self) {
        if self.write_deadline.is_none() {
            self.write_deadline = Some(Instant::now() + self.core.server.timeouts.write);
        }
    }

    /// Reads and handles what has come. Pending when that is all, or others have their turn.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        if self.resume_reading.is_some() {
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut handled = 0;
            loop {
                let read = match ready!(self.poll_read_once(cx, scratch)) {
                    Ok(Read { socket: 0, .. }) => return Poll::Ready(EndReason::Left),
                    Ok(Read { socket: read, .. }) => read,
                    Err(end) => return Poll::Ready(end),
                };
                handled += read;
                if let Some(rate) = &mut self.core.rate {
                    let now = Instant::now();
                    if let Some(pause) = rate.charge(read, now) {
                        self.core.server.metrics.reads_delayed.inc();
                        self.resume_reading = Some(now + pause);
                        return Poll::Pending;
                    }
                }
                if handled >= READ_LEN || self.core.pong.is_some() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        })
    }

    /// Reads once, handles the frames that are whole, and keeps the rest.
    fn poll_read_once(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Result<Read, EndReason>> {
        let kept = self.partial.len();
        if kept > SHORT_PARTIAL {
            let whole = frame_len(&self.partial).unwrap_or(kept);
            let missing = whole.saturating_sub(kept).min(scratch.len());
            let read = ready!(self.poll_socket(cx, &mut scratch[..missing]))?;
            self.partial.extend_from_slice(&scratch[..read.payload]);
            if self.partial.len() == whole {
                let frame = std::mem::take(&mut self.partial);
                self.core.handle_all(&frame, &mut self.partial)?;
            }
            return Poll::Ready(Ok(read));
        }
        let read = ready!(self.poll_socket(cx, &mut scratch[kept..]))?;
        if read.payload == 0 {
            return Poll::Ready(Ok(read));
        }
        scratch[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        self.core.handle_all(&scratch[..kept + read.payload], &mut self.partial)?;
        Poll::Ready(Ok(read))
    }

    /// Reads once and counts the bytes: here, for what is kept of a frame is handled again with its rest.
    fn poll_socket(&mut self, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<Result<Read, EndReason>> {
        let read = ready!(self.link.poll_read_once(cx, target)).map_err(EndReason::Io)?;
        self.core.server.metrics.bytes_received.inc_by(read.socket as u64);
        Poll::Ready(Ok(read))
    }
}

impl Core {
    /// Handles all whole frames in `bytes`, puts the rest into `partial`, and wakes whom packets are for.
    fn handle_all(&mut self, bytes: &[u8], partial: &mut Vec<u8>) -> Result<(), EndReason> {
        let mut tally = Tally::default();
        let result = self.handle_whole(bytes, partial, &mut tally);
        for peer in self.to_wake.drain(..) {
            peer.outbox.wake();
        }
        if self.to_wake.capacity() > 64 {
            self.to_wake = Vec::new();
        }
        self.server.metrics.add(&tally);
        result
    }

    fn handle_whole(
        &mut self,
        bytes: &[u8],
        partial: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), EndReason> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let mut rest = &bytes[skipped..];
        while let Some((head, after)) = rest.split_first_chunk::<HEADER_LEN>() {
            let header = Header::parse(*head);
            if !is_handled(header.kind) {
                if header.len > MAX_SKIPPED {
                    let (kind, len) = (header.kind, header.len);
                    return Err(FrameError::TooLong { kind, len, max: MAX_SKIPPED }.into());
                }
                self.heard();
                let skipped = header.len.min(after.len());
                self.skip = header.len - skipped;
                rest = &after[skipped..];
                continue;
            }
            header.check(Receiver::Server)?;
            let Some((payload, after)) = after.split_at_checked(header.len) else { break };
            self.handle(header.kind, payload, tally)?;
            rest = after;
        }
        if rest.is_empty() {
            if partial.capacity() > SHORT_PARTIAL {
                *partial = Vec::new();
            }
        } else {
            partial.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Makes this connection the one that its key's packets go to, as any frame does.
    fn heard(&self) {
        if !self.peer.is_active() {
            self.server.registry.activate(&self.peer);
            self.server.metrics.duplicate_switches.inc();
        }
    }

    fn handle(&mut self, kind: FrameType, payload: &[u8], tally: &mut Tally) -> Result<(), EndReason> {
        self.heard();
        match Frame::parse(kind, payload)? {
            Frame::SendPacket { dst, data } => {
                tally.packets_received += 1;
                let disco = looks_like_disco(data);
                match self.receiver(&dst) {
                    Some(receiver) => self.relay(receiver, data, disco, tally),
                    None => {
                        tally.drops[Drop::NotHere as usize] += 1;
                        if disco {
                            self.not_here(&dst);
                        }
                    }
                }
            }
            Frame::Ping(payload) => self.pong = Some(payload),
            Frame::NotePreferred { home } => tracing::trace!(id = self.peer.id, home, "home noted"),
            Frame::WatchConns | Frame::ClosePeer { .. } | Frame::ForwardPacket { .. } => {
                return Err(EndReason::Mesh(kind));
            }
            _ => {}
        }
        Ok(())
    }

    /// The connection that packets for `key` go to, which is remembered as reached.
    fn receiver(&mut self, key: &NodePublic) -> Option<Arc<Peer>> {
        // A connection that is active is the one that the registry would find.
        if let Some(last) = self.last_receiver.upgrade().filter(|last| last.key == *key && last.is_active()) {
            return Some(last);
        }
        let receiver = self.server.registry.find(key)?;
        self.last_receiver = Arc::downgrade(&receiver);
        if receiver.id != self.peer.id && !self.reached.contains_key(&receiver.id) {
            if self.reached.len() >= self.reached_sweep {
                self.sweep_reached();
            }
            self.reached.insert(receiver.id, Arc::downgrade(&receiver));
        }
        Some(receiver)
    }

    fn relay(&mut self, receiver: Arc<Peer>, data: &[u8], disco: bool, tally: &mut Tally) {
        let Ok(pushed) = receiver.outbox.push_packet(&self.peer.key, data, disco) else {
            return;
        };
        tally.packets_relayed += 1;
        tally.drops[if disco { Drop::DiscoQueueFull } else { Drop::QueueFull } as usize] +=
            pushed.dropped as u64;
        if pushed.wake {
            self.to_wake.push(receiver);
        }
    }

    /// Forgets receivers that have gone.
    fn sweep_reached(&mut self) {
        self.reached.retain(|_, peer| peer.strong_count() > 0);
        self.reached.shrink_to_fit();
        self.reached_sweep = REACHED_SWEEP.max(2 * self.reached.len());
    }

    /// Notifies the client that a peer it looks for is not here, unless it was notified so often just now.
    fn not_here(&mut self, peer: &NodePublic) {
        let now = Instant::now();
        let bucket =
            self.not_here.get_or_insert_with(|| TokenBucket::new(NOT_HERE_PER_SECOND, NOT_HERE_BURST, now));
        if bucket.try_take(now) && self.peer.outbox.push_peer_gone(peer, PeerGoneReason::NOT_HERE) {
            self.server.metrics.peer_gone.of(PeerGone::NotHere).inc();
        }
    }
}

/// Returns `true` for frames of a client that mean anything to a server. The others are skipped by their length, as newer clients may
/// send what we don't know.
const fn is_handled(kind: FrameType) -> bool {
    matches!(
        kind,
        FrameType::SEND_PACKET
            | FrameType::PING
            | FrameType::NOTE_PREFERRED
            | FrameType::FORWARD_PACKET
            | FrameType::WATCH_CONNS
            | FrameType::CLOSE_PEER
    )
}

/// The length of the frame that `bytes` begin with, header included.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().copied().map(|head| HEADER_LEN + Header::parse(head).len)
}

/// Returns the interval and up to a twelfth more, so that clients which came at once are not written to at once for ever.
fn keep_alive_interval(interval: Duration) -> Duration {
    interval + interval.mul_f64(f64::from(SystemRng.next_u32()) / f64::from(u32::MAX) / 12.0)
}
