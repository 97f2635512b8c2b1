//! Two nodes and a network between them that delays, loses, doubles and reorders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_moment::Moment;

use super::support::{EPOCH, TestRng, config, id_of, ipv4, millis, private_key, secs};
use crate::{DATA_OFFSET, Device, Event, Key, ReceiveError, Received, SealError, sealed_len};

/// One implementation of WireGuard with one peer.
pub(super) trait Node {
    fn send(&mut self, packet: &[u8], now: Moment);
    fn receive(&mut self, datagram: &[u8], now: Moment);
    fn timeout(&self) -> Option<Moment>;
    fn handle_timeout(&mut self, now: Moment);
    /// Takes the datagrams that wait to be sent.
    fn outgoing(&mut self) -> Vec<Vec<u8>>;
    /// Takes the packets that were received.
    fn delivered(&mut self) -> Vec<Vec<u8>>;
}

/// Ours. It asserts that nothing that the other side sends is taken for forged.
pub(super) struct Ours {
    pub(super) device: Device,
    peer: Key,
    rng: TestRng,
    outgoing: Vec<Vec<u8>>,
    delivered: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
    /// `true` if handshake messages may be refused for load.
    pub(super) expect_load: bool,
}

impl Ours {
    pub(super) fn new(key: u8, peer: Key, seed: u64) -> Self {
        let mut device = Device::new(private_key(key), EPOCH);
        device.add_peer(config(peer));
        let (outgoing, delivered, events) = Default::default();
        Self { device, peer, rng: TestRng(seed), outgoing, delivered, events, expect_load: false }
    }

    fn take(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.device.poll_event()));
        while let Some(transmit) = self.device.poll_transmit() {
            assert_eq!(transmit.peer, self.peer);
            self.outgoing.push(transmit.datagram);
        }
    }
}

impl Node for Ours {
    fn send(&mut self, packet: &[u8], now: Moment) {
        let mut buffer = vec![0; sealed_len(packet.len())];
        buffer[DATA_OFFSET..][..packet.len()].copy_from_slice(packet);
        match self.device.seal(&self.peer, &mut buffer, packet.len(), now) {
            Ok(()) => self.outgoing.push(buffer),
            Err(SealError::NoSession) => assert!(self.device.queue(&self.peer, packet, now, &mut self.rng)),
            Err(error) => panic!("{error}"),
        }
        self.take();
    }

    fn receive(&mut self, datagram: &[u8], now: Moment) {
        let mut datagram = datagram.to_vec();
        match self.device.handle(&self.peer, &mut datagram, now, &mut self.rng) {
            Ok(Received::Packet { peer, packet }) => {
                assert_eq!(peer, self.peer);
                self.delivered.push(packet.to_vec());
            }
            Ok(Received::Keepalive { .. } | Received::Handshake { .. } | Received::Nothing) => {}
            // What comes late or twice.
            Err(
                ReceiveError::UnknownIndex
                | ReceiveError::Replayed
                | ReceiveError::Expired
                | ReceiveError::TooOften,
            ) => {}
            Err(ReceiveError::UnderLoad) if self.expect_load => {}
            Err(error) => panic!("a datagram of the other side: {error}"),
        }
        self.take();
    }

    fn timeout(&self) -> Option<Moment> {
        self.device.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Moment) {
        self.device.handle_timeout(now, &mut self.rng);
        assert!(self.timeout().is_none_or(|next| next > now), "a timeout that is never over");
        self.take();
    }

    fn outgoing(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.outgoing)
    }

    fn delivered(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.delivered)
    }
}

/// The faults of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Of a hundred datagrams, how many are lost.
    pub(super) loss: u64,
    /// Of a hundred datagrams, how many come twice.
    pub(super) doubled: u64,
    /// Milliseconds that a datagram may take longer than the shortest: more is more reordering.
    pub(super) spread: u64,
}

pub(super) const CALM: Weather = Weather { loss: 0, doubled: 0, spread: 0 };
const LATENCY: u64 = 25;

/// Two nodes, what is on its way between them, and what has been.
pub(super) struct Network<A, B> {
    pub(super) a: A,
    pub(super) b: B,
    pub(super) now: Moment,
    pub(super) rng: TestRng,
    pub(super) weather: Weather,
    /// By the time of arrival, and in the order of sending.
    flying: BTreeMap<(Moment, u64), (bool, Vec<u8>)>,
    sent: u64,
    /// Packets that were given to each node to send, by their number.
    pub(super) packets: [BTreeMap<u64, Vec<u8>>; 2],
    /// The numbers of those that came out at the other.
    pub(super) arrived: [BTreeSet<u64>; 2],
    /// Datagrams that each node sent, by their type.
    pub(super) types: [[u64; 5]; 2],
}

impl<A: Node, B: Node> Network<A, B> {
    pub(super) fn new(a: A, b: B, start: Moment, seed: u64) -> Self {
        let (flying, packets, arrived, types) = Default::default();
        let (rng, weather) = (TestRng(seed), CALM);
        Self { a, b, now: start, rng, weather, flying, sent: 0, packets, arrived, types }
    }

    fn node(&mut self, b: bool) -> &mut dyn Node {
        if b { &mut self.b } else { &mut self.a }
    }

    /// Gives a node a packet to send, and tells its number.
    pub(super) fn send(&mut self, from_b: bool) -> u64 {
        let id = self.packets[usize::from(from_b)].len() as u64;
        let len = 28 + self.rng.below(1253) as usize;
        let packet = ipv4(id, len);
        self.packets[usize::from(from_b)].insert(id, packet.clone());
        let now = self.now;
        self.node(from_b).send(&packet, now);
        self.collect();
        id
    }

    /// Puts what the nodes have to send on its way, and checks what came out of them.
    fn collect(&mut self) {
        for from_b in [false, true] {
            for datagram in self.node(from_b).outgoing() {
                self.types[usize::from(from_b)][usize::from(datagram[0])] += 1;
                let copies = 1 + u64::from(self.rng.chance(self.weather.doubled));
                for _ in 0..copies {
                    if self.rng.chance(self.weather.loss) {
                        continue;
                    }
                    let delay = LATENCY + self.rng.below(self.weather.spread + 1);
                    self.sent += 1;
                    self.flying.insert((self.now + millis(delay), self.sent), (!from_b, datagram.clone()));
                }
            }
            for packet in self.node(from_b).delivered() {
                let sender = usize::from(!from_b);
                let id = id_of(&packet);
                assert_eq!(self.packets[sender].get(&id), Some(&packet), "a packet that was never sent");
                assert!(self.arrived[sender].insert(id), "packet {id} came twice");
            }
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let flying = self.flying.first_key_value().map(|((at, _), _)| *at);
            let next = [flying, self.a.timeout(), self.b.timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            while let Some(first) = self.flying.first_entry().filter(|first| first.key().0 <= self.now) {
                let (to_b, datagram) = first.remove();
                let now = self.now;
                self.node(to_b).receive(&datagram, now);
                self.collect();
            }
            for b in [false, true] {
                let now = self.now;
                if self.node(b).timeout().is_some_and(|at| at <= now) {
                    self.node(b).handle_timeout(now);
                    self.collect();
                }
            }
        }
        self.now = until;
    }

    /// Packets that were sent and did not arrive.
    pub(super) fn missing(&self) -> usize {
        (0..2).map(|side| self.packets[side].len() - self.arrived[side].len()).sum()
    }

    /// A random schedule of traffic for `time`: bursts, trickles, silences, in weather that changes.
    pub(super) fn live(&mut self, time: Duration, worst: Weather) {
        let until = self.now + time;
        while self.now < until {
            self.weather = Weather {
                loss: self.rng.below(worst.loss + 1),
                doubled: self.rng.below(worst.doubled + 1),
                spread: self.rng.below(worst.spread + 1),
            };
            // Outages, which handshakes and rekeying fall into.
            if worst.loss > 0 && self.rng.chance(5) {
                self.weather.loss = 100;
            }
            match self.rng.below(6) {
                0 => self.run(secs(self.rng.0 % 45)),
                1 => self.run(secs(60 + self.rng.0 % 200)),
                2 => {
                    for _ in 0..self.rng.below(60) {
                        let from = self.rng.chance(50);
                        self.send(from);
                    }
                }
                _ => {
                    let (gap, only) = (200 + self.rng.below(4000), self.rng.below(3));
                    for _ in 0..self.rng.below(30) {
                        let from = if only < 2 { only == 1 } else { self.rng.chance(50) };
                        self.send(from);
                        self.run(millis(gap));
                    }
                }
            }
        }
    }

    /// In calm weather, traffic both ways goes through again after at most `time`, and stays.
    pub(super) fn heals_within(&mut self, time: Duration) {
        self.weather = CALM;
        let until = self.now + time;
        while self.now < until {
            for from in [false, true] {
                self.send(from);
            }
            self.run(secs(1));
        }
        let mut healed = Vec::new();
        for _ in 0..150 {
            healed.push((self.send(false), self.send(true)));
            self.run(secs(1));
        }
        for (from_a, from_b) in healed {
            assert!(self.arrived[0].contains(&from_a), "packet {from_a} of A");
            assert!(self.arrived[1].contains(&from_b), "packet {from_b} of B");
        }
    }
}
