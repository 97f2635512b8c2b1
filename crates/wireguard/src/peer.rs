//! One peer: its sessions, its handshake, its timers.

use std::fmt;
use std::time::Duration;

use dayfly_moment::Moment;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::constants::{
    ANSWER_RETRY, ANSWER_ROUND_TRIPS, FIRST_RETRY, INITIATION_INTERVAL, REKEY_AFTER_MESSAGES,
    REKEY_AFTER_TIME, REKEY_ATTEMPT_TIME, REKEY_ON_RECEIVE, REKEY_TIMEOUT,
};
use crate::context::Context;
use crate::cookie::Writer;
use crate::crypto::Key;
use crate::error::{ReceiveError, SealError};
use crate::handshake::{Initiator, Responder};
use crate::message::{COOKIE_REPLY_LEN, Data, RESPONSE_LEN, index, sealed_len};
use crate::outbox::Event;
use crate::queue::{Queue, Waiting};
use crate::session::Session;
use crate::sessions::{Sessions, Slot};
use crate::tai64n::Tai64n;
use crate::timers::Timers;

/// Configuration of a peer.
#[derive(Clone)]
pub struct PeerConfig {
    /// The peer's public key.
    pub public_key: Key,
    /// Pre-shared key, against what a quantum computer may do to the handshake (section 5.2).
    pub preshared_key: Option<Zeroizing<[u8; 32]>>,
    /// Time without any message after which an empty one is sent; `None` for never.
    pub persistent_keepalive: Option<Duration>,
}

impl fmt::Debug for PeerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConfig")
            .field("public_key", &self.public_key)
            .field("persistent_keepalive", &self.persistent_keepalive)
            .finish_non_exhaustive()
    }
}

/// Status of a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerStatus {
    /// Packets can be sealed now.
    pub has_session: bool,
    /// An initiation was sent that has no answer yet.
    pub awaits_answer: bool,
    /// Moment at which the last handshake was complete.
    pub last_handshake: Option<Moment>,
    /// Bytes of authentic datagrams that were received.
    pub bytes_received: u64,
    /// Bytes of datagrams that were made for the peer.
    pub bytes_sent: u64,
}

/// Our handshake that has no answer yet.
struct Initiation {
    handshake: Initiator,
    local: u32,
    /// Moment at which the first of its initiations was sent.
    began: Moment,
    /// Moment at which the next is to be sent.
    retry: Moment,
}

/// Knowledge, by other ways than WireGuard, of a peer without any session so far.
#[derive(Clone, Copy)]
struct Answering {
    /// The shortest time in which it has answered.
    round_trip: Duration,
    /// Moment at which its first answer came.
    since: Moment,
}

pub(crate) struct Peer {
    key: Key,
    preshared_key: Zeroizing<[u8; 32]>,
    sessions: Sessions,
    initiation: Option<Initiation>,
    /// Moment at which our last initiation was sent.
    initiated: Option<Moment>,
    /// Answers by other ways than WireGuard, until the first handshake is complete.
    answering: Option<Answering>,
    /// The stamp of the newest of the peer's initiations, and when it came.
    answered: Option<(Tai64n, Moment)>,
    macs: Writer,
    queue: Queue,
    timers: Timers,
    last_handshake: Option<Moment>,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Peer {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            preshared_key: Zeroizing::default(),
            sessions: Sessions::default(),
            initiation: None,
            initiated: None,
            answering: None,
            answered: None,
            macs: Writer::new(&key),
            queue: Queue::default(),
            timers: Timers::default(),
            last_handshake: None,
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// Takes on a configuration. Handshakes that are begun from now on use its pre-shared key.
    pub(crate) fn configure(&mut self, config: PeerConfig) {
        self.preshared_key = config.preshared_key.unwrap_or_default();
        self.timers.keep_alive(config.persistent_keepalive);
    }

    /// Gives up all that the peer has of the device.
    pub(crate) fn retire(&mut self, context: &mut Context) {
        self.sessions.clear(&mut context.indices);
        self.drop_initiation(context);
    }

    pub(crate) fn status(&self, now: Moment) -> PeerStatus {
        PeerStatus {
            has_session: self.sessions.may_send(now),
            awaits_answer: self.initiation.is_some(),
            last_handshake: self.last_handshake,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
        }
    }

    /// Returns the moment at which [`handle_timeout`](Self::handle_timeout) is to be called.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let retry = self.initiation.as_ref().map(|initiation| initiation.retry);
        [self.sessions.expires(), retry, self.timers.deadline()].into_iter().flatten().min()
    }

    /// Seals a packet, or an empty message for a length of 0, where it lies.
    pub(crate) fn seal(
        &mut self,
        buffer: &mut [u8],
        packet_len: usize,
        now: Moment,
    ) -> Result<(), SealError> {
        let session = self.sessions.current().ok_or(SealError::NoSession)?;
        session.seal(buffer, packet_len, now)?;
        let old = session.initiator && session.age(now) >= REKEY_AFTER_TIME;
        if old || session.sent > REKEY_AFTER_MESSAGES {
            self.want_handshake(now);
        }
        if packet_len == 0 {
            self.timers.sent(now);
        } else {
            self.timers.sent_data(now);
        }
        self.bytes_sent += buffer.len() as u64;
        Ok(())
    }

    /// Sends a packet as soon as there is a session, and begins a handshake if there is none. `false` for a packet that
    /// is too long.
    pub(crate) fn queue(
        &mut self,
        packet: &[u8],
        now: Moment,
        context: &mut Context,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> bool {
        let taken = self.queue.push(packet);
        if self.sessions.may_send(now) {
            self.flush(now, context);
        } else {
            self.begin(now, context, rng);
        }
        taken
    }

    /// Begins a handshake unless there is a session.
    pub(crate) fn connect(
        &mut self,
        now: Moment,
        context: &mut Context,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        if !self.sessions.may_send(now) {
            self.begin(now, context, rng);
        }
    }

    /// Has a handshake begun by the next call that has a generator.
    fn want_handshake(&mut self, now: Moment) {
        if self.initiation.is_none() {
            self.timers.handshake.get_or_insert(now);
        }
    }

    /// Begins a handshake unless one is running; later, if the last one began less than 5 s ago.
    fn begin(&mut self, now: Moment, context: &mut Context, rng: &mut (impl CryptoRng + ?Sized)) {
        if self.initiation.is_some() {
            return;
        }
        let earliest = self.initiated.map_or(now, |initiated| initiated + REKEY_TIMEOUT);
        if earliest > now {
            self.timers.handshake = Some(earliest);
        } else {
            self.initiate(now, now, context, rng);
        }
    }

    /// Sends an initiation of the handshake that began at `began`.
    fn initiate(
        &mut self,
        began: Moment,
        now: Moment,
        context: &mut Context,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        self.drop_initiation(context);
        self.timers.handshake = None;
        self.initiated = Some(now);
        let patience = self.patience(began, now);
        let jitter = self.timers.draw_jitter(rng).min(patience / 8);
        let retry = now + patience + jitter;
        let Some(local) = context.indices.allocate(self.key, rng) else {
            return self.give_up(context);
        };
        let stamp = context.stamper.stamp(now);
        let Some((handshake, mut message)) =
            Initiator::start(&context.private_key, &self.key, &self.preshared_key, local, stamp, rng)
        else {
            context.indices.free(local);
            return self.give_up(context);
        };
        self.macs.write(&mut message, now);
        self.initiation = Some(Initiation { handshake, local, began, retry });
        self.timers.sent(now);
        self.transmit(message.to_vec(), context);
    }

    /// Returns the time to wait for the answer to an initiation that is sent at `at`, in a handshake that began at `began`.
    fn patience(&self, began: Moment, at: Moment) -> Duration {
        let (since, least) = match (self.last_handshake, self.answering) {
            (Some(_), _) => return REKEY_TIMEOUT,
            (None, Some(Answering { round_trip, since })) => {
                (began.max(since), round_trip.saturating_mul(ANSWER_ROUND_TRIPS).max(ANSWER_RETRY))
            }
            (None, None) => (began, FIRST_RETRY),
        };
        (at - since).max(least).min(REKEY_TIMEOUT)
    }

    /// Takes note that the peer has answered something else within `round_trip`.
    pub(crate) fn answers(&mut self, round_trip: Duration, now: Moment) {
        if self.last_handshake.is_some() {
            return;
        }
        let answering = self.answering.get_or_insert(Answering { round_trip, since: now });
        answering.round_trip = answering.round_trip.min(round_trip);
        let began = self.initiation.as_ref().map(|initiation| initiation.began);
        if let (Some(began), Some(initiated)) = (began, self.initiated) {
            let retry = initiated + self.patience(began, initiated);
            if let Some(initiation) = &mut self.initiation {
                initiation.retry = initiation.retry.min(retry);
            }
        }
    }

    fn drop_initiation(&mut self, context: &mut Context) {
        if let Some(initiation) = self.initiation.take() {
            context.indices.free(initiation.local);
        }
    }

    fn give_up(&mut self, context: &mut Context) {
        self.drop_initiation(context);
        self.answering = None;
        self.queue.clear();
        context.outbox.event(Event::Unreachable { peer: self.key });
    }

    /// Answers an authentic initiation.
    pub(crate) fn respond(
        &mut self,
        initiation: Responder,
        received: usize,
        now: Moment,
        context: &mut Context,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(), ReceiveError> {
        let (stamp, remote) = (initiation.stamp, initiation.remote);
        if let Some((newest, came)) = self.answered {
            if stamp <= newest {
                return Err(ReceiveError::Replayed);
            }
            if now < came + INITIATION_INTERVAL {
                return Err(ReceiveError::TooOften);
            }
        }
        self.answered = Some((stamp, now));
        self.bytes_received += received as u64;
        self.timers.received(now);
        let local = context.indices.allocate(self.key, rng).ok_or(ReceiveError::Handshake)?;
        let (mut message, keys) = match initiation.respond(&self.preshared_key, local) {
            Ok(response) => response,
            Err(error) => {
                context.indices.free(local);
                return Err(error);
            }
        };
        let session = Session::new((local, remote), &keys.sealing, &keys.opening, false, now);
        self.sessions.install_responded(session, &mut context.indices);
        self.macs.write(&mut message, now);
        self.timers.sent(now);
        self.transmit(message.to_vec(), context);
        Ok(())
    }

    /// Ends our handshake with the peer's answer.
    pub(crate) fn finish(
        &mut self,
        response: &[u8; RESPONSE_LEN],
        now: Moment,
        context: &mut Context,
    ) -> Result<(), ReceiveError> {
        let local = index(response, 8);
        let initiation = self.initiation.as_mut().filter(|initiation| initiation.local == local);
        let (keys, remote) = initiation.ok_or(ReceiveError::UnknownIndex)?.handshake.finish(response)?;
        // Its number is the session's from now on.
        self.initiation = None;
        let session = Session::new((local, remote), &keys.sealing, &keys.opening, true, now);
        self.sessions.install_initiated(session, &mut context.indices);
        self.bytes_received += response.len() as u64;
        self.timers.received(now);
        // The peer may send only once it has received something in the session.
        let nothing_else = self.queue.is_empty();
        self.established(now, context);
        if nothing_else {
            self.send_keepalive(now, context);
        }
        Ok(())
    }

    fn established(&mut self, now: Moment, context: &mut Context) {
        self.timers.handshake = None;
        self.last_handshake = Some(now);
        self.answering = None;
        context.outbox.event(Event::Established { peer: self.key });
        self.flush(now, context);
    }

    /// Takes a cookie, with which the next of our handshake messages is sent.
    pub(crate) fn take_cookie(
        &mut self,
        reply: &[u8; COOKIE_REPLY_LEN],
        now: Moment,
    ) -> Result<(), ReceiveError> {
        self.macs.take(reply, now)
    }

    /// Opens a data message where it lies: the packet with its padding, empty for a keepalive.
    pub(crate) fn open<'a>(
        &mut self,
        data: Data<'a>,
        received: usize,
        now: Moment,
        context: &mut Context,
    ) -> Result<&'a mut [u8], ReceiveError> {
        let (slot, session) = self.sessions.find(data.receiver).ok_or(ReceiveError::UnknownIndex)?;
        let text = session.open(data, now)?;
        let ending = slot == Slot::Current && session.initiator && session.age(now) >= REKEY_ON_RECEIVE;
        self.bytes_received += received as u64;
        if slot == Slot::Next {
            self.sessions.promote(&mut context.indices);
            // The session that is there now is what our own handshake was for.
            self.drop_initiation(context);
            self.established(now, context);
        }
        if ending {
            self.want_handshake(now);
        }
        if text.is_empty() {
            self.timers.received(now);
        } else {
            self.timers.received_data(now);
        }
        Ok(text)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Moment,
        context: &mut Context,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        self.sessions.expire(now, &mut context.indices);
        if let Some(Initiation { began, retry, .. }) = self.initiation
            && retry <= now
        {
            if now - began >= REKEY_ATTEMPT_TIME {
                self.give_up(context);
            } else {
                self.initiate(began, now, context, rng);
            }
        }
        if self.timers.keepalive_due(now) {
            let again = self.timers.keepalive_again(now);
            self.send_keepalive(now, context);
            self.timers.set_keepalive(again);
        }
        if self.timers.persistent_due(now) && !self.send_keepalive(now, context) {
            self.begin(now, context, rng);
        }
        // Last, as an empty message of an old session asks for a new one.
        if self.timers.handshake_due(now) {
            self.begin(now, context, rng);
        }
    }

    /// Sends an empty message, if there is a session.
    fn send_keepalive(&mut self, now: Moment, context: &mut Context) -> bool {
        let mut datagram = vec![0; sealed_len(0)];
        let sealed = self.seal(&mut datagram, 0, now).is_ok();
        if sealed {
            context.outbox.transmit(self.key, datagram);
        }
        sealed
    }

    /// Sends what waits for a session.
    fn flush(&mut self, now: Moment, context: &mut Context) {
        while self.sessions.may_send(now) {
            let Some(Waiting { mut datagram, packet_len }) = self.queue.pop() else { break };
            if self.seal(&mut datagram, packet_len, now).is_ok() {
                context.outbox.transmit(self.key, datagram);
            }
        }
    }

    fn transmit(&mut self, datagram: Vec<u8>, context: &mut Context) {
        self.bytes_sent += datagram.len() as u64;
        context.outbox.transmit(self.key, datagram);
    }

    #[cfg(test)]
    pub(crate) fn counter(&mut self) -> Option<&mut u64> {
        self.sessions.current().map(|session| &mut session.sent)
    }
}
