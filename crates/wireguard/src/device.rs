//! One node's WireGuard.

use std::fmt;
use std::time::Duration;

use dayfly_moment::Moment;
use dayfly_sorted::SortedMap;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::cookie::Checker;
use crate::crypto::Key;
use crate::error::{ReceiveError, SealError};
use crate::handshake::Responder;
use crate::indices::Indices;
use crate::load::Load;
use crate::message::{COOKIE_REPLY_LEN, Data, INITIATION_LEN, Message, RESPONSE_LEN, index};
use crate::outbox::{Event, Outbox, Transmit};
use crate::packet::ip_len;
use crate::peer::{Peer, PeerConfig, PeerStatus};
use crate::received::Received;
use crate::tai64n::Stamper;

/// One node's WireGuard, all its peers.
///
/// `now` is a monotonic clock that begins anywhere. Output: after any call, [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event) until they give nothing, and [`handle_timeout`](Self::handle_timeout) once
/// [`poll_timeout`](Self::poll_timeout) has passed.
///
/// The clock may stop, as that of a page does while its machine sleeps: what is due is done when it goes on.
pub struct Device {
    public_key: Key,
    context: Context,
    peers: SortedMap<Key, Box<Peer>>,
    /// Moments at which peers' timers are due; only of peers that have any.
    deadlines: SortedMap<Key, Moment>,
    checker: Checker,
    load: Load,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("peers", &self.peers.len()).finish_non_exhaustive()
    }
}

impl Device {
    /// Makes a device without peers. `epoch` is the Unix time at which `now` is zero: a peer takes a handshake only if it is
    /// of a later time than the last of the same key.
    #[must_use]
    pub fn new(private_key: Zeroizing<[u8; 32]>, epoch: Duration) -> Self {
        let public_key = crate::crypto::public_key(&private_key);
        Self {
            public_key,
            context: Context {
                private_key,
                stamper: Stamper::new(epoch),
                indices: Indices::default(),
                outbox: Outbox::default(),
            },
            peers: SortedMap::new(),
            deadlines: SortedMap::new(),
            checker: Checker::new(&public_key),
            load: Load::default(),
        }
    }

    /// Returns the public key, by which peers know this node.
    #[must_use]
    pub fn public_key(&self) -> Key {
        self.public_key
    }

    /// Adds a peer. One that is there already keeps its sessions and takes on the rest.
    pub fn add_peer(&mut self, config: PeerConfig) {
        let key = config.public_key;
        let peer = self.peers.get_or_insert_with(key, || Box::new(Peer::new(key)));
        peer.configure(config);
        schedule(&mut self.deadlines, &key, peer);
    }

    /// Removes a peer with its sessions and all that waits for it. Returns `true` where it was there.
    pub fn remove_peer(&mut self, peer: &Key) -> bool {
        let Some(mut removed) = self.peers.remove(peer) else { return false };
        removed.retire(&mut self.context);
        self.context.outbox.forget(peer);
        self.deadlines.remove(peer);
        true
    }

    /// Returns `true` for a peer that was added.
    #[must_use]
    pub fn has_peer(&self, peer: &Key) -> bool {
        self.peers.contains_key(peer)
    }

    /// Encrypts a packet in place, without allocating.
    ///
    /// `buffer` is [`sealed_len`](crate::sealed_len)`(packet_len)` bytes long, with the packet at
    /// [`DATA_OFFSET`](crate::DATA_OFFSET). It becomes the whole datagram; after an error, the packet is as it was.
    pub fn seal(
        &mut self,
        peer: &Key,
        buffer: &mut [u8],
        packet_len: usize,
        now: Moment,
    ) -> Result<(), SealError> {
        let (deadlines, peers) = (&mut self.deadlines, &mut self.peers);
        let found = peers.get_mut(peer).ok_or(SealError::UnknownPeer)?;
        found.seal(buffer, packet_len, now)?;
        schedule(deadlines, peer, found);
        Ok(())
    }

    /// Keeps a packet until there is a session, and begins a handshake for it: for when [`seal`](Self::seal) said
    /// [`SealError::NoSession`].
    ///
    /// The newest [`MAX_QUEUED_PACKETS`](crate::MAX_QUEUED_PACKETS) of each peer are kept, in at most
    /// [`MAX_QUEUED_BYTES`](crate::MAX_QUEUED_BYTES). `false` when the packet was not taken: there is no such peer, or it
    /// is longer than that by itself.
    pub fn queue(
        &mut self,
        peer: &Key,
        packet: &[u8],
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> bool {
        let Some(found) = self.peers.get_mut(peer) else { return false };
        let taken = found.queue(packet, now, &mut self.context, rng);
        schedule(&mut self.deadlines, peer, found);
        taken
    }

    /// Begins a handshake now, unless there is a usable session or a handshake is running. No two begin within 5 s.
    pub fn connect(&mut self, peer: &Key, now: Moment, rng: &mut (impl CryptoRng + ?Sized)) {
        if let Some(found) = self.peers.get_mut(peer) {
            found.connect(now, &mut self.context, rng);
            schedule(&mut self.deadlines, peer, found);
        }
    }

    /// Takes note that a peer has answered something else than a handshake, over the same carrier and within `round_trip`:
    /// it is there, and knows this device's key.
    ///
    /// Until its first handshake is complete, initiations to it are repeated after
    /// [`ANSWER_ROUND_TRIPS`](crate::constants::ANSWER_ROUND_TRIPS) of the shortest `round_trip` so far, and not
    /// before [`ANSWER_RETRY`](crate::constants::ANSWER_RETRY); with each more, after as long as all since the first call.
    /// The one that is under way is never repeated later than it was going to be. After that handshake nothing changes.
    pub fn peer_answers(&mut self, peer: &Key, round_trip: Duration, now: Moment) {
        if let Some(found) = self.peers.get_mut(peer) {
            found.answers(round_trip, now);
            schedule(&mut self.deadlines, peer, found);
        }
    }

    /// Takes a received datagram, and decrypts it in place.
    ///
    /// `source` is whatever names the sender to the carrier, for DERP its node key. Cookies are made for it; nothing is
    /// proved by it, and peers are known by their handshakes alone. After an error the datagram's content is undefined.
    pub fn handle<'a>(
        &mut self,
        source: &Key,
        datagram: &'a mut [u8],
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Received<'a>, ReceiveError> {
        let len = datagram.len();
        match Message::parse(datagram)? {
            Message::Data(data) => self.handle_data(data, len, now),
            Message::Initiation(message) => self.handle_initiation(source, message, now, rng),
            Message::Response(message) => self.handle_response(source, message, now, rng),
            Message::CookieReply(message) => self.handle_cookie_reply(message, now),
        }
    }

    fn handle_data<'a>(
        &mut self,
        data: Data<'a>,
        len: usize,
        now: Moment,
    ) -> Result<Received<'a>, ReceiveError> {
        let (peer, found) = by_index(&self.context.indices, &mut self.peers, data.receiver)?;
        let opened = found.open(data, len, now, &mut self.context);
        schedule(&mut self.deadlines, &peer, found);
        let text = opened?;
        if text.is_empty() {
            return Ok(Received::Keepalive { peer });
        }
        let packet = ip_len(text).and_then(|len| text.get_mut(..len)).ok_or(ReceiveError::NoIpPacket)?;
        Ok(Received::Packet { peer, packet })
    }

    fn handle_initiation<'a>(
        &mut self,
        source: &Key,
        message: &[u8; INITIATION_LEN],
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Received<'a>, ReceiveError> {
        self.admit(source, message, now, rng)?;
        let initiation = Responder::read(&self.context.private_key, message, rng)?;
        let peer = initiation.peer;
        let found = self.peers.get_mut(&peer).ok_or(ReceiveError::UnknownPeer)?;
        let answered = found.respond(initiation, message.len(), now, &mut self.context, rng);
        schedule(&mut self.deadlines, &peer, found);
        answered.map(|()| Received::Handshake { peer })
    }

    fn handle_response<'a>(
        &mut self,
        source: &Key,
        message: &[u8; RESPONSE_LEN],
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Received<'a>, ReceiveError> {
        self.admit(source, message, now, rng)?;
        let (peer, found) = by_index(&self.context.indices, &mut self.peers, index(message, 8))?;
        let finished = found.finish(message, now, &mut self.context);
        schedule(&mut self.deadlines, &peer, found);
        finished.map(|()| Received::Handshake { peer })
    }

    fn handle_cookie_reply<'a>(
        &mut self,
        message: &[u8; COOKIE_REPLY_LEN],
        now: Moment,
    ) -> Result<Received<'a>, ReceiveError> {
        let (_, found) = by_index(&self.context.indices, &mut self.peers, index(message, 4))?;
        found.take_cookie(message, now).map(|()| Received::Nothing)
    }

    /// Admits a handshake message that is worth its computation: its first MAC is right, and its second, if many come. A
    /// cookie is sent where that is all that is missing (section 5.3).
    fn admit(
        &mut self,
        source: &Key,
        message: &[u8],
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(), ReceiveError> {
        if !self.checker.verify_mac1(message) {
            return Err(ReceiveError::Mac);
        }
        if !self.load.count(now) {
            return Ok(());
        }
        if self.checker.verify_mac2(message, source, now, rng) {
            return if self.load.admit(source) { Ok(()) } else { Err(ReceiveError::UnderLoad) };
        }
        if let Some(reply) = self.checker.reply(message, source, now, rng) {
            self.context.outbox.transmit(*source, reply.to_vec());
        }
        Err(ReceiveError::UnderLoad)
    }

    /// Returns the next datagram to send: handshakes, cookies, keepalives, and packets that waited for a session.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.context.outbox.next_transmit()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.context.outbox.next_event()
    }

    /// Returns the moment at which [`handle_timeout`](Self::handle_timeout) is to be called, if nothing else is before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.deadlines.values().min().copied()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment, rng: &mut (impl CryptoRng + ?Sized)) {
        let due: Vec<Key> =
            self.deadlines.iter().filter(|(_, at)| **at <= now).map(|(peer, _)| *peer).collect();
        for peer in due {
            if let Some(found) = self.peers.get_mut(&peer) {
                found.handle_timeout(now, &mut self.context, rng);
                schedule(&mut self.deadlines, &peer, found);
            }
        }
    }

    /// Returns the status of a peer; `None` for one that was not added.
    #[must_use]
    pub fn status(&self, peer: &Key, now: Moment) -> Option<PeerStatus> {
        self.peers.get(peer).map(|peer| peer.status(now))
    }

    /// Numbers in use.
    #[cfg(test)]
    pub(crate) fn indices(&self) -> usize {
        self.context.indices.len()
    }

    /// The counter of the next message to a peer.
    #[cfg(test)]
    pub(crate) fn counter(&mut self, peer: &Key) -> Option<&mut u64> {
        self.peers.get_mut(peer)?.counter()
    }
}

fn by_index<'a>(
    indices: &Indices,
    peers: &'a mut SortedMap<Key, Box<Peer>>,
    index: u32,
) -> Result<(Key, &'a mut Peer), ReceiveError> {
    let peer = indices.peer(index).ok_or(ReceiveError::UnknownIndex)?;
    Ok((peer, peers.get_mut(&peer).ok_or(ReceiveError::UnknownIndex)?))
}

/// Notes when a peer's timers are due.
fn schedule(deadlines: &mut SortedMap<Key, Moment>, key: &Key, peer: &Peer) {
    match (peer.deadline(), deadlines.get_mut(key)) {
        (Some(at), Some(noted)) => *noted = at,
        (Some(at), None) => {
            deadlines.insert(*key, at);
        }
        (None, Some(_)) => {
            deadlines.remove(key);
        }
        (None, None) => {}
    }
}
