//! Disco over relays: pings of peers are answered, and peers whose first handshake is unanswered are pinged.
//!
//! A peer that does not know this node yet drops its initiations in silence, and WireGuard has to wait before it repeats
//! them. `tailscaled` answers pings over a relay as soon as it knows whose they are, and drops them before
//! (`wgengine/magicsock/magicsock.go`, `Conn.handleDiscoMessage` and `Conn.handlePingLocked` (tailscale v1.102.5)). So a pong
//! says that an initiation would be answered from now on, and how long that takes. Besides, relays report peers that are
//! not there only where they relay disco.

use std::collections::VecDeque;
use std::time::Duration;

use dayfly_platform::time::Moment;
use dayfly_sorted::SortedMap;
use dayfly_wire::disco::{self, Envelope, Message, TxId};
use dayfly_wire::key::{DiscoPrivate, DiscoPublic, NodePublic};
use dayfly_wireguard::Device;
use rand_core::CryptoRng;

use super::peers::{Peer, Peers};
use super::relays::{RelayLink, Relays};

/// The next ping is sent after a quarter of the time since the first, within these bounds.
const LEAST_INTERVAL: Duration = Duration::from_millis(30);
const MOST_INTERVAL: Duration = Duration::from_secs(1);
/// Time for which a peer is pinged over one relay connection.
const PING_TIME: Duration = Duration::from_secs(10);
/// Pings to one peer of which pongs are taken, the newest. As the intervals grow, one of them is always older than a round
/// trip soon, however long that is.
const MAX_SENT: usize = 8;

/// This node's disco key, and the pings that are under way.
pub(super) struct Disco {
    key: DiscoPrivate,
    public: DiscoPublic,
    /// Peers whose first handshake is unanswered.
    pinged: SortedMap<NodePublic, Pings>,
}

/// The pings to one peer.
#[derive(Default)]
struct Pings {
    /// Region that the pings go over, and when the first was sent.
    began: Option<(u32, Moment)>,
    /// Moment at which the next is due.
    next: Moment,
    /// Pings without a pong, and when they were sent; the newest are last.
    sent: VecDeque<(TxId, Moment)>,
}

impl Pings {
    fn due(&self) -> Option<Moment> {
        let over = self.began.is_some_and(|(_, began)| self.next >= began + PING_TIME);
        (!over).then_some(self.next)
    }

    fn send(&mut self, tx_id: TxId, region: u32, now: Moment) {
        let (_, began) = *self.began.get_or_insert((region, now));
        self.began = Some((region, began));
        let interval = ((now - began) / 4).clamp(LEAST_INTERVAL, MOST_INTERVAL);
        self.next = now + interval;
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((tx_id, now));
    }

    /// Returns the moment at which the ping with this number was sent, once.
    fn answered(&mut self, tx_id: &TxId) -> Option<Moment> {
        let at = self.sent.iter().position(|(sent, _)| sent == tx_id)?;
        self.sent.remove(at).map(|(_, sent)| sent)
    }
}

impl Disco {
    pub(super) fn new(key: DiscoPrivate) -> Self {
        let public = key.public();
        Self { key, public, pinged: SortedMap::new() }
    }

    /// Forgets all pings to this peer.
    pub(super) fn forget(&mut self, peer: &NodePublic) {
        self.pinged.remove(peer);
    }

    /// Forgets all pings.
    pub(super) fn forget_all(&mut self) {
        self.pinged.clear();
    }

    /// Forgets the pings over a region whose connection is lost; over the next one they begin anew.
    pub(super) fn relay_lost(&mut self, region: u32) {
        for pings in self.pinged.values_mut() {
            if pings.began.is_some_and(|(over, _)| over == region) {
                *pings = Pings::default();
            }
        }
    }

    /// Takes note that WireGuard has sent something to a peer: one that was never met is to be pinged.
    pub(super) fn note_handshake(&mut self, wireguard: &Device, peer: &NodePublic, now: Moment) {
        if is_first_handshake(wireguard, peer, now) {
            self.pinged.get_or_insert_with(*peer, Pings::default);
        }
    }

    /// Sends the pings that are due, to the relays of the peers that are pinged.
    pub(super) fn send_pings(
        &mut self,
        wireguard: &Device,
        peers: &mut Peers,
        relays: &mut Relays,
        home: Option<u32>,
        rng: &mut dyn CryptoRng,
        now: Moment,
    ) {
        if self.pinged.is_empty() {
            return;
        }
        self.pinged.retain(|peer, _| is_first_handshake(wireguard, peer, now));
        let node = Some(NodePublic::from_bytes(wireguard.public_key()));
        for (to, pings) in self.pinged.iter_mut().filter(|(_, pings)| pings.due().is_some_and(|at| at <= now))
        {
            let Some(peer) = peers.get_mut(to) else { continue };
            let Some((region, theirs)) = way(peer, relays, home) else { continue };
            let Some(shared) = peer.disco_key(&self.key, &theirs) else { continue };
            let mut tx_id = TxId::default();
            rng.fill_bytes(&mut tx_id);
            let ping = Message::Ping { tx_id, node }.seal(&self.public, shared, rng);
            relays.send(region, to, &ping, now);
            pings.send(tx_id, region, now);
        }
    }

    /// Returns the moment at which the next ping is due.
    pub(super) fn poll_timeout(&self, peers: &Peers, relays: &Relays, home: Option<u32>) -> Option<Moment> {
        let due = |(to, pings): (&NodePublic, &Pings)| {
            way(peers.get(to)?, relays, home)?;
            pings.due()
        };
        self.pinged.iter().filter_map(due).min()
    }

    /// Takes a disco message that `peer`, whose node key is `src`, has sent over a relay. Pings are answered, so that
    /// `tailscale ping` works, and pongs of this node's own pings are reported. All else is about UDP.
    pub(super) fn handle(
        &mut self,
        region: u32,
        src: &NodePublic,
        data: &[u8],
        peer: &mut Peer,
        rng: &mut dyn CryptoRng,
    ) -> Option<Answer> {
        let envelope = Envelope::parse(data).ok()?;
        let shared = peer.disco_key(&self.key, &envelope.sender)?;
        match envelope.open(shared).ok()? {
            Message::Ping { tx_id, .. } => {
                let src = disco::derp_address(u16::try_from(region).ok()?);
                Some(Answer::Pong(Message::Pong { tx_id, src }.seal(&self.public, shared, rng)))
            }
            Message::Pong { tx_id, .. } => self.pinged.get_mut(src)?.answered(&tx_id).map(Answer::PingSent),
            _ => None,
        }
    }

    /// Pings whose pong would be taken.
    #[cfg(test)]
    pub(super) fn awaited(&self) -> usize {
        self.pinged.values().map(|pings| pings.sent.len()).sum()
    }
}

/// Consequence of a disco message.
pub(super) enum Answer {
    /// It was a ping: this pong answers it.
    Pong(Vec<u8>),
    /// It was the pong of a ping that was sent at this moment.
    PingSent(Moment),
}

/// Returns `true` while an initiation to a peer that never had a session is unanswered.
fn is_first_handshake(wireguard: &Device, peer: &NodePublic, now: Moment) -> bool {
    let status = wireguard.status(peer.as_bytes(), now);
    status.is_some_and(|status| status.awaits_answer && status.last_handshake.is_none())
}

/// Returns the region over which a ping would leave at once, and the key it would be sealed for; none where the relay says
/// that the peer is not there. A ping that waited for a connection would measure a wrong time.
fn way(peer: &Peer, relays: &Relays, home: Option<u32>) -> Option<(u32, DiscoPublic)> {
    let region = peer.region().or(home)?;
    let open = peer.gone.is_none() && relays.get(region).is_some_and(RelayLink::is_ready);
    Some((region, peer.disco?)).filter(|_| open)
}
