//! Two devices side by side, and what they need.

use std::convert::Infallible;
use std::time::Duration;

use dayfly_moment::Moment;
use rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::{
    DATA_OFFSET, Device, Event, Key, PeerConfig, ReceiveError, Received, SealError, Transmit, sealed_len,
};

/// SplitMix64: randomness that is the same for each run of a seed.
pub(crate) struct TestRng(pub(crate) u64);

impl TestRng {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// `true` in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dest.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

pub(super) const EPOCH: Duration = Duration::from_secs(1_800_000_000);

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The moment at which the tests' clock has run for so many seconds.
pub(super) fn moment(seconds: u64) -> Moment {
    Moment::from_start(secs(seconds))
}

pub(super) fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) fn private_key(seed: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([seed; 32])
}

pub(super) fn config(public_key: Key) -> PeerConfig {
    PeerConfig { public_key, preshared_key: None, persistent_keepalive: None }
}

/// An IPv4 packet of `len` bytes, at least 28, that says `id`.
pub(crate) fn ipv4(id: u64, len: usize) -> Vec<u8> {
    let mut packet = vec![0xda; len];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    packet[20..28].copy_from_slice(&id.to_be_bytes());
    packet
}

pub(crate) fn id_of(packet: &[u8]) -> u64 {
    u64::from_be_bytes(packet[20..28].try_into().unwrap())
}

/// Two devices that know each other. Nothing between them is sent unless a test carries it.
pub(crate) struct Pair {
    pub(crate) a: Device,
    pub(crate) b: Device,
    pub(crate) now: Moment,
    pub(crate) rng: TestRng,
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    A,
    B,
}

use Side::{A, B};

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            A => B,
            B => A,
        }
    }
}

/// The kind of a datagram, without its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Got {
    Packet(Vec<u8>),
    Keepalive,
    Handshake,
    Nothing,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let mut a = Device::new(private_key(0xa1), EPOCH);
        let mut b = Device::new(private_key(0xb2), EPOCH);
        a.add_peer(config(b.public_key()));
        b.add_peer(config(a.public_key()));
        Self { a, b, now: moment(1000), rng: TestRng(7) }
    }

    /// A pair with a session that A began.
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new();
        pair.connect(A);
        pair.carry_all();
        assert_eq!(pair.events(A), [Event::Established { peer: pair.key(B) }]);
        assert_eq!(pair.events(B), [Event::Established { peer: pair.key(A) }]);
        pair
    }

    pub(crate) fn device(&mut self, side: Side) -> &mut Device {
        match side {
            A => &mut self.a,
            B => &mut self.b,
        }
    }

    pub(crate) fn key(&self, side: Side) -> Key {
        match side {
            A => self.a.public_key(),
            B => self.b.public_key(),
        }
    }

    fn parts(&mut self, side: Side) -> (&mut Device, Moment, &mut TestRng) {
        let device = match side {
            A => &mut self.a,
            B => &mut self.b,
        };
        (device, self.now, &mut self.rng)
    }

    pub(crate) fn connect(&mut self, side: Side) {
        let peer = self.key(side.other());
        let (device, now, rng) = self.parts(side);
        device.connect(&peer, now, rng);
    }

    pub(crate) fn queue(&mut self, side: Side, packet: &[u8]) -> bool {
        let peer = self.key(side.other());
        let (device, now, rng) = self.parts(side);
        device.queue(&peer, packet, now, rng)
    }

    /// The datagram of a packet.
    pub(crate) fn seal(&mut self, side: Side, packet: &[u8]) -> Result<Vec<u8>, SealError> {
        let peer = self.key(side.other());
        let mut buffer = vec![0xee; sealed_len(packet.len())];
        buffer[DATA_OFFSET..][..packet.len()].copy_from_slice(packet);
        let (device, now, _) = self.parts(side);
        device.seal(&peer, &mut buffer, packet.len(), now).map(|()| buffer)
    }

    /// Has `side` receive a datagram of the other.
    pub(crate) fn receive(&mut self, side: Side, datagram: &[u8]) -> Result<Got, ReceiveError> {
        let (source, mut datagram) = (self.key(side.other()), datagram.to_vec());
        let (device, now, rng) = self.parts(side);
        Ok(match device.handle(&source, &mut datagram, now, rng)? {
            Received::Packet { peer, packet } => {
                assert_eq!(peer, source);
                Got::Packet(packet.to_vec())
            }
            Received::Keepalive { peer } => {
                assert_eq!(peer, source);
                Got::Keepalive
            }
            Received::Handshake { peer } => {
                assert_eq!(peer, source);
                Got::Handshake
            }
            Received::Nothing => Got::Nothing,
        })
    }

    /// Returns what `side` has to send.
    pub(crate) fn transmits(&mut self, side: Side) -> Vec<Vec<u8>> {
        let to = self.key(side.other());
        let device = self.device(side);
        let all = std::iter::from_fn(|| device.poll_transmit());
        all.map(|Transmit { peer, datagram }| {
            assert_eq!(peer, to);
            datagram
        })
        .collect()
    }

    /// The one datagram that `side` has to send.
    pub(crate) fn transmit(&mut self, side: Side) -> Vec<u8> {
        let [datagram] = self.transmits(side).try_into().unwrap();
        datagram
    }

    pub(crate) fn events(&mut self, side: Side) -> Vec<Event> {
        let device = self.device(side);
        std::iter::from_fn(|| device.poll_event()).collect()
    }

    /// Carries what both have to send until they have nothing, and tells the types of messages that went.
    pub(crate) fn carry_all(&mut self) -> Vec<(Side, u8)> {
        let mut carried = Vec::new();
        loop {
            let before = carried.len();
            for side in [A, B] {
                for datagram in self.transmits(side) {
                    carried.push((side, datagram[0]));
                    self.receive(side.other(), &datagram).unwrap();
                }
            }
            if carried.len() == before {
                return carried;
            }
        }
    }

    /// Sends a packet with the session that there is, and has it received.
    pub(crate) fn deliver(&mut self, from: Side, packet: &[u8]) {
        let datagram = self.seal(from, packet).unwrap();
        assert_eq!(self.receive(from.other(), &datagram), Ok(Got::Packet(packet.to_vec())));
    }

    /// Moves the clock to `at` by way of all timeouts, and tells what was sent when by whom. Nothing is carried.
    pub(crate) fn run_until(&mut self, at: Moment) -> Vec<(Moment, Side, Vec<u8>)> {
        let mut sent = Vec::new();
        loop {
            let next = [self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= at) else { break };
            self.now = self.now.max(next);
            for side in [A, B] {
                let (device, now, rng) = self.parts(side);
                device.handle_timeout(now, rng);
                assert!(device.poll_timeout().is_none_or(|next| next > now), "a timeout that is never over");
                let now = self.now;
                sent.extend(self.transmits(side).into_iter().map(|datagram| (now, side, datagram)));
            }
        }
        self.now = at;
        sent
    }

    /// Moves the clock by `time`, in which nothing is to be sent.
    pub(crate) fn rest(&mut self, time: Duration) {
        let sent = self.run_until(self.now + time);
        assert_eq!(sent, [], "nothing was due");
    }
}

impl Pair {
    /// Moves the clock by `time`, and carries at once what is sent in it. Tells the types of messages that went.
    pub(crate) fn run_and_carry(&mut self, time: Duration) -> Vec<(Side, u8)> {
        let until = self.now + time;
        let mut carried = Vec::new();
        loop {
            let next = [self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
            let next = next.map_or(until, |next| next.max(self.now)).min(until);
            for (_, side, datagram) in self.run_until(next) {
                carried.push((side, datagram[0]));
                self.receive(side.other(), &datagram).unwrap();
            }
            carried.extend(self.carry_all());
            if next == until {
                return carried;
            }
        }
    }
}
