//! Disco without UDP: pings are answered, and peers are pinged of whom a first handshake awaits an answer.
//!
//! A peer that has not been told of this node drops its initiations in silence, and WireGuard has to wait before it repeats
//! them. `tailscaled` answers pings over a relay as soon as it knows whose they are, and drops them before
//! (`wgengine/magicsock`: `handleDiscoMessage`, `handlePingLocked`). So a pong tells that an initiation would be answered from
//! now on, and how long that takes. Besides, relays tell of peers that are not there only where they relay disco.

use std::collections::VecDeque;
use std::time::Duration;

use dayfly_platform::time::Moment;
use dayfly_sorted::SortedMap;
use dayfly_wire::disco::{self, Envelope, Message, TxId};
use dayfly_wire::key::{DiscoPrivate, DiscoPublic, NodePublic};
use dayfly_wireguard::Device;

use super::path::Path;
use super::peers::Peer;
use super::relays::{Link, Relays};

/// The next ping is sent after a quarter of the time since the first, within these bounds.
const LEAST_INTERVAL: Duration = Duration::from_millis(30);
const MOST_INTERVAL: Duration = Duration::from_secs(1);
/// For how long a peer is pinged over one relay connection.
const PING_TIME: Duration = Duration::from_secs(10);
/// Pings to one peer of which pongs are taken, the newest. As the intervals grow, one of them is always older than a round
/// trip soon, however long that is.
const MAX_SENT: usize = 8;

/// This node's key of path discovery, and the pings that are under way.
pub(super) struct Disco {
    key: DiscoPrivate,
    public: DiscoPublic,
    /// Peers of whom a first handshake awaits an answer.
    pinged: SortedMap<NodePublic, Pings>,
}

/// The pings to one peer.
#[derive(Default)]
struct Pings {
    /// The region they go over, and when the first was sent.
    began: Option<(u32, Moment)>,
    /// When the next is due.
    next: Moment,
    /// Those that have no pong yet, and when they were sent; the newest are last.
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

    /// When the ping was sent whose pong this is, told once.
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

    /// Nothing that was sent to this peer counts any more.
    pub(super) fn forget(&mut self, peer: &NodePublic) {
        self.pinged.remove(peer);
    }

    /// Nothing that was sent counts any more.
    pub(super) fn forget_all(&mut self) {
        self.pinged.clear();
    }

    /// The connection to a region is lost, with the pings in it: the next one begins anew.
    pub(super) fn relay_lost(&mut self, region: u32) {
        for pings in self.pinged.values_mut() {
            if pings.began.is_some_and(|(over, _)| over == region) {
                *pings = Pings::default();
            }
        }
    }

    /// Pings whose pong would be taken.
    #[cfg(test)]
    pub(super) fn awaited(&self) -> usize {
        self.pinged.values().map(|pings| pings.sent.len()).sum()
    }
}

impl Path {
    /// WireGuard has sent something to a peer: if that begins to make its acquaintance, it is to be pinged.
    pub(super) fn note_handshake(&mut self, peer: &NodePublic) {
        if is_first_handshake(&self.wireguard, peer, self.now) {
            self.disco.pinged.get_or_insert_with(*peer, Pings::default);
        }
    }

    /// Sends the pings that are due. Called once WireGuard's messages are sent, so that an initiation is ahead of its ping.
    pub(super) fn send_pings(&mut self) {
        let Self { wireguard, peers, relays, home, rng, now, disco, .. } = self;
        if disco.pinged.is_empty() {
            return;
        }
        disco.pinged.retain(|peer, _| is_first_handshake(wireguard, peer, *now));
        let node = Some(NodePublic::from_bytes(wireguard.public_key()));
        for (to, pings) in
            disco.pinged.iter_mut().filter(|(_, pings)| pings.due().is_some_and(|at| at <= *now))
        {
            let Some(peer) = peers.get_mut(to) else { continue };
            let Some((region, theirs)) = way(peer, relays, *home) else { continue };
            let Some(shared) = peer.disco_key(&disco.key, &theirs) else { continue };
            let mut tx_id = TxId::default();
            rng.fill_bytes(&mut tx_id);
            let ping = Message::Ping { tx_id, node }.seal(&disco.public, shared, rng);
            relays.send(region, to, &ping, *now);
            pings.send(tx_id, region, *now);
        }
    }

    /// When the next ping is due.
    pub(super) fn next_ping(&self) -> Option<Moment> {
        let due = |(to, pings): (&NodePublic, &Pings)| {
            way(self.peers.get(to)?, &self.relays, self.home)?;
            pings.due()
        };
        self.disco.pinged.iter().filter_map(due).min()
    }

    /// A disco message that came from `src`. Pings are answered, so that `tailscale ping` works; pongs of this node's own
    /// pings are told to WireGuard. All else is about UDP.
    pub(super) fn disco_message(&mut self, region: u32, src: &NodePublic, data: &[u8]) {
        let Self { wireguard, peers, rng, now, disco, .. } = self;
        let Ok(envelope) = Envelope::parse(data) else { return };
        let Some(peer) = peers.get_mut(src) else { return };
        let Some(shared) = peer.disco_key(&disco.key, &envelope.sender) else { return };
        match envelope.open(shared) {
            Ok(Message::Ping { tx_id, .. }) => {
                let Ok(port) = u16::try_from(region) else { return };
                let pong = Message::Pong { tx_id, src: disco::derp_address(port) };
                let pong = pong.seal(&disco.public, shared, rng);
                peer.heard_at(region);
                self.send_to_relay(region, src, &pong);
            }
            Ok(Message::Pong { tx_id, .. }) => {
                let sent = disco.pinged.get_mut(src).and_then(|pings| pings.answered(&tx_id));
                let Some(sent) = sent else { return };
                peer.heard_at(region);
                wireguard.peer_answers(src.as_bytes(), *now - sent, *now);
            }
            _ => {}
        }
    }
}

/// Whether an initiation to a peer that never had a session awaits its answer.
fn is_first_handshake(wireguard: &Device, peer: &NodePublic, now: Moment) -> bool {
    let status = wireguard.status(peer.as_bytes(), now);
    status.is_some_and(|status| status.awaits_answer && status.last_handshake.is_none())
}

/// Over which region a ping would leave at once, and by which key: none where the relay says that the peer is gone. What
/// waited for a connection would tell a wrong time.
fn way(peer: &Peer, relays: &Relays, home: Option<u32>) -> Option<(u32, DiscoPublic)> {
    let region = peer.region().or(home)?;
    let open = peer.gone.is_none() && relays.get(region).is_some_and(Link::is_ready);
    Some((region, peer.disco?)).filter(|_| open)
}
