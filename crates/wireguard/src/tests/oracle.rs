//! Against boringtun, Cloudflare's implementation.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use dayfly_moment::Moment;
use mock_instant::MockClock;
use proptest::prelude::*;

use super::network::{Network, Node, Ours, Weather};
use super::support::{millis, moment, secs};
use crate::Key;

const OURS: u8 = 0xa1;
const THEIRS: u8 = 0xb2;
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Interval at which boringtun is asked what is due: it has no deadlines to tell.
const TICK: Duration = Duration::from_millis(250);

fn public(seed: u8) -> Key {
    PublicKey::from(&StaticSecret::from([seed; 32])).to_bytes()
}

/// boringtun. It asserts that nothing that we send is taken for forged.
struct Oracle {
    tunnel: Tunn,
    next_tick: Moment,
    outgoing: Vec<Vec<u8>>,
    delivered: Vec<Vec<u8>>,
}

impl Oracle {
    fn new(start: Moment, index: u32, psk: Option<[u8; 32]>, limiter: Option<Arc<RateLimiter>>) -> Self {
        MockClock::set_time(start.since_start());
        let private = StaticSecret::from([THEIRS; 32]);
        let tunnel = Tunn::new(private, PublicKey::from(public(OURS)), psk, None, index & 0xff_ffff, limiter);
        Self { tunnel, next_tick: start, outgoing: Vec::new(), delivered: Vec::new() }
    }

    /// Takes a result, and tells whether there may be more.
    fn take(result: TunnResult<'_>, outgoing: &mut Vec<Vec<u8>>, delivered: &mut Vec<Vec<u8>>) -> bool {
        match result {
            TunnResult::Done => false,
            TunnResult::WriteToNetwork(datagram) => {
                outgoing.push(datagram.to_vec());
                true
            }
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                delivered.push(packet.to_vec());
                true
            }
            TunnResult::Err(
                // What comes late or twice, or when everything is over.
                WireGuardError::DuplicateCounter
                | WireGuardError::InvalidCounter
                | WireGuardError::NoCurrentSession
                | WireGuardError::WrongIndex
                | WireGuardError::UnexpectedPacket
                | WireGuardError::WrongTai64nTimestamp
                | WireGuardError::ConnectionExpired,
            ) => false,
            TunnResult::Err(error) => panic!("boringtun about our datagram: {error:?}"),
        }
    }
}

impl Node for Oracle {
    fn send(&mut self, packet: &[u8], now: Moment) {
        MockClock::set_time(now.since_start());
        let mut buffer = vec![0; 2048];
        let result = self.tunnel.encapsulate(packet, &mut buffer);
        Self::take(result, &mut self.outgoing, &mut self.delivered);
    }

    fn receive(&mut self, datagram: &[u8], now: Moment) {
        MockClock::set_time(now.since_start());
        let mut buffer = vec![0; 2048];
        let result = self.tunnel.decapsulate(Some(SOURCE), datagram, &mut buffer);
        Self::take(result, &mut self.outgoing, &mut self.delivered);
        // What it queued is sent when it is called with nothing.
        for _ in 0..300 {
            let result = self.tunnel.decapsulate(Some(SOURCE), &[], &mut buffer);
            if !Self::take(result, &mut self.outgoing, &mut self.delivered) {
                break;
            }
        }
    }

    fn timeout(&self) -> Option<Moment> {
        Some(self.next_tick)
    }

    fn handle_timeout(&mut self, now: Moment) {
        MockClock::set_time(now.since_start());
        let mut buffer = vec![0; 2048];
        Self::take(self.tunnel.update_timers(&mut buffer), &mut self.outgoing, &mut self.delivered);
        self.next_tick = now + TICK;
    }

    fn outgoing(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.outgoing)
    }

    fn delivered(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.delivered)
    }
}

fn network(seed: u64, limiter: Option<Arc<RateLimiter>>) -> Network<Ours, Oracle> {
    let start = moment(1000 + seed % 1000);
    let ours = Ours::new(OURS, public(THEIRS), seed);
    Network::new(ours, Oracle::new(start, seed as u32, None, limiter), start, seed)
}

#[test]
fn both_know_the_same_public_key_of_a_private_one() {
    for seed in [0, 1, OURS, THEIRS, 0xff] {
        assert_eq!(crate::crypto::public_key(&[seed; 32]), public(seed));
    }
}

#[test]
fn either_begins_and_packets_go_both_ways() {
    for from_b in [false, true] {
        let mut network = network(1, None);
        network.send(from_b);
        network.run(secs(1));
        for _ in 0..100 {
            network.send(false);
            network.send(true);
            network.run(millis(50));
        }
        assert_eq!(network.missing(), 0);
        assert_eq!(network.types[usize::from(from_b)][1], 1, "one handshake");
        assert_eq!(network.types[usize::from(!from_b)][1], 0);
    }
}

#[test]
fn hours_of_calm_lose_nothing_and_rekey() {
    for from_b in [false, true] {
        let mut network = network(2, None);
        network.send(from_b);
        network.run(secs(1));
        for _ in 0..3600 {
            network.send(false);
            network.send(true);
            network.run(secs(1));
        }
        assert_eq!(network.missing(), 0);
        let initiations = network.types[0][1] + network.types[1][1];
        assert!((28..=31).contains(&initiations), "{initiations} handshakes in an hour");
    }
}

#[test]
fn both_beginning_at_once_is_settled() {
    let mut network = network(3, None);
    network.send(false);
    network.send(true);
    network.run(secs(1));
    for _ in 0..1000 {
        network.send(false);
        network.send(true);
        network.run(secs(1));
    }
    assert_eq!(network.missing(), 0);
}

#[test]
fn its_cookie_is_taken_and_used() {
    // It is always under load.
    let limiter = Arc::new(RateLimiter::new(&PublicKey::from(public(THEIRS)), 0));
    let mut network = network(4, Some(limiter));
    network.send(false);
    network.run(millis(200));
    assert_eq!((network.types[1][3], network.types[1][2]), (1, 0), "a cookie instead of a response");
    network.run(millis(200));
    assert_eq!((network.types[0][1], network.types[1][2]), (2, 1));
    assert_eq!(network.missing(), 0);
}

#[test]
fn it_takes_and_uses_our_cookie() {
    let mut network = network(5, None);
    let flood = |network: &mut Network<Ours, Oracle>| {
        let junk = super::cookies::junk(&public(OURS), 9);
        for _ in 0..crate::constants::LOAD_THRESHOLD + 1 {
            let Ours { device, .. } = &mut network.a;
            assert!(device.handle(&[0xff; 32], &mut junk.clone(), network.now, &mut network.rng).is_err());
            while device.poll_transmit().is_some() {}
        }
    };
    network.send(true);
    flood(&mut network);
    network.run_under_load();
    assert_eq!((network.types[0][3], network.types[0][2]), (1, 0), "a cookie instead of a response");
    network.run(millis(4700));
    while network.types[1][1] < 2 {
        network.run(millis(10));
    }
    flood(&mut network);
    network.run_under_load();
    network.run(secs(1));
    assert_eq!((network.types[0][3], network.types[0][2]), (1, 1));
    assert_eq!(network.missing(), 0);
}

impl Network<Ours, Oracle> {
    /// Runs while our device is under load, which it tells by an error that the test expects.
    fn run_under_load(&mut self) {
        self.a.expect_load = true;
        self.run(millis(100));
        self.a.expect_load = false;
    }
}

#[test]
fn preshared_keys_agree_with_its() {
    let start = moment(1000);
    for (theirs, agree) in [([7; 32], true), ([8; 32], false)] {
        let mut ours = Ours::new(OURS, public(THEIRS), 6);
        ours.device.add_peer(crate::PeerConfig {
            preshared_key: Some(zeroize::Zeroizing::new([7; 32])),
            ..super::support::config(public(THEIRS))
        });
        let oracle = Oracle::new(start, 6, Some(theirs), None);
        if agree {
            let mut network = Network::new(ours, oracle, start, 6);
            network.send(false);
            network.run(secs(1));
            network.send(true);
            network.run(secs(1));
            assert_eq!(network.missing(), 0);
        } else {
            let mut oracle = oracle;
            ours.send(&super::support::ipv4(0, 40), start);
            oracle.receive(&ours.outgoing()[0], start);
            let response = oracle.outgoing();
            let mut response = response[0].clone();
            let refused =
                ours.device.handle(&public(THEIRS), &mut response, start, &mut super::support::TestRng(1));
            assert_eq!(refused, Err(crate::ReceiveError::Unauthenticated));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn bad_weather_breaks_nothing(seed: u64) {
        let mut network = network(seed, None);
        network.live(secs(1800), Weather { loss: 30, doubled: 20, spread: 900 });
        network.heals_within(secs(200));
    }

    #[test]
    fn reordering_and_doubling_alone_are_no_trouble(seed: u64) {
        let mut network = network(seed, None);
        network.live(secs(1800), Weather { loss: 0, doubled: 50, spread: 400 });
        network.heals_within(secs(200));
    }
}
