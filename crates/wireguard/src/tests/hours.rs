//! Two devices for hours, in good and in bad weather.

use proptest::prelude::*;

use super::network::{Network, Ours, Weather};
use super::support::{config, moment, private_key, secs};
use crate::{Device, Event, Key};

fn public(seed: u8) -> Key {
    Device::new(private_key(seed), secs(0)).public_key()
}

fn network(seed: u64) -> Network<Ours, Ours> {
    let a = Ours::new(0xa1, public(0xb2), seed);
    let b = Ours::new(0xb2, public(0xa1), seed ^ 0x55);
    Network::new(a, b, moment(seed % 100_000), seed)
}

#[test]
fn calm_hours_lose_no_packet_and_rekeys_every_two_minutes() {
    let mut network = network(1);
    for _ in 0..5400 {
        network.send(false);
        network.send(true);
        network.run(secs(1));
    }
    // Both began at once, so that each has a session of its own to rekey, in turn.
    assert_eq!(network.missing(), 0);
    let initiations = network.types[0][1] + network.types[1][1];
    assert!((42..=92).contains(&initiations), "{initiations} handshakes in 90 minutes");
    assert_eq!(network.types[0][1] + network.types[1][1], network.types[0][2] + network.types[1][2]);
    assert!(!network.a.events.iter().any(|event| matches!(event, Event::Unreachable { .. })));
    for node in [&network.a, &network.b] {
        assert!(node.device.indices() <= 4);
    }
}

#[test]
fn traffic_one_way_only_is_not_lost_either() {
    for from_b in [false, true] {
        let mut network = network(2);
        for _ in 0..3600 {
            network.send(from_b);
            network.run(secs(1));
        }
        assert_eq!(network.missing(), 0);
        let initiations = network.types[usize::from(from_b)][1];
        assert!((28..=31).contains(&initiations), "{initiations} handshakes in an hour");
        assert_eq!(network.types[usize::from(!from_b)][1], 0);
    }
}

#[test]
fn sparse_traffic_needs_a_handshake_each_time_and_loses_nothing() {
    let mut network = network(3);
    for round in 0..30 {
        network.send(round % 2 == 0);
        network.run(secs(200));
    }
    assert_eq!(network.missing(), 0);
    assert_eq!((network.a.device.indices(), network.b.device.indices()), (0, 0));
}

#[test]
fn a_peer_that_was_started_anew_is_reached_again() {
    let mut network = network(4);
    network.send(false);
    network.run(secs(1));
    let mut device = Device::new(private_key(0xb2), super::support::EPOCH + secs(1));
    device.add_peer(config(public(0xa1)));
    network.b.device = device;
    // A does not know. What it sends is lost, until nothing is heard for 15 s.
    for _ in 0..17 {
        network.send(false);
        network.run(secs(1));
    }
    let after = network.send(false);
    network.run(secs(1));
    assert!(network.arrived[0].contains(&after));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn bad_weather_breaks_nothing(seed: u64) {
        let mut network = network(seed);
        network.live(secs(2 * 3600), Weather { loss: 30, doubled: 20, spread: 900 });
        prop_assert!(network.arrived.iter().any(|arrived| arrived.len() > 50));
        network.heals_within(secs(25));
        for node in [&network.a, &network.b] {
            prop_assert!(node.device.indices() <= 4);
        }
    }
}
