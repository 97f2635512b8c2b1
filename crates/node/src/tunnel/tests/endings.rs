//! When a TCP connection ends whose other side is away, and when it does not.

use dayfly_wire::control::Node;

use super::*;
use crate::tunnel::netstack::SILENCE;

const TYPED: &[u8] = b"typed meanwhile";

#[test]
fn a_machine_that_is_switched_off_ends_its_connections() {
    for typed in [true, false] {
        let mut world = World::connected(open_filter());
        world.listen();
        let handle = world.connect(address(1)).unwrap();
        world.accepted();
        world.live_for(SECOND);
        world.disconnect_relay(1);
        if typed {
            world.write(0, handle, TYPED);
        }
        world.live_for(300 * SECOND);
        assert_eq!(world.fault(handle), None, "it may still come back");
        world.live_for(SILENCE - 300 * SECOND + SECOND);
        assert_eq!(world.fault(handle), Some(TcpFault::TimedOut));
    }
}

#[test]
fn five_minutes_without_a_network_end_no_connection() {
    for (away, typed) in [(0, true), (0, false), (1, true), (1, false)] {
        let mut world = World::connected(open_filter());
        world.listen();
        let handle = world.connect(address(1)).unwrap();
        let accepted = world.accepted();
        world.live_for(SECOND);
        world.disconnect_relay(away);
        world.live_for(SECOND);
        if typed {
            world.write(0, handle, TYPED);
        }
        world.live_for(299 * SECOND);
        world.connect_relay(away);
        world.live_for(SILENCE);
        if typed {
            assert_eq!(world.read(1, accepted).unwrap(), TYPED);
        }
        world.transfer((0, handle), accepted, 1000, 10 * SECOND);
        world.transfer((1, accepted), handle, 1000, 10 * SECOND);
    }
}

/// Laptops sleep for longer than any limit, and their clocks go on.
#[test]
fn what_a_machine_slept_through_ends_no_connection() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    world.live_for(SECOND);
    world.now += 8 * 3600 * SECOND;
    for side in &mut world.sides {
        side.tunnel.handle_timeout(world.now);
    }
    world.settle();
    assert!(!world.sides[0].connected, "the relay has hung up meanwhile");
    world.run_for(60 * SECOND);
    world.connect_relay(0);
    world.connect_relay(1);
    world.transfer((0, handle), accepted, 1000, 120 * SECOND);
}

#[test]
fn a_machine_that_is_removed_ends_its_connections_at_once() {
    let mut world = World::connected(open_filter());
    world.listen();
    let open = world.connect(address(1)).unwrap();
    world.accepted();
    let now = world.now;
    let begun = world.sides[0].tunnel.connect_tcp(address(1), PORT + 1, now).unwrap();
    let second = nodes(&world)[1].clone();
    tell(&mut world, 0, vec![second]);
    assert_eq!((world.fault(open), world.poll_connected(begun)), (None, None));
    tell(&mut world, 0, Vec::new());
    assert_eq!(world.fault(open), Some(TcpFault::NoRoute));
    assert_eq!(world.poll_connected(begun), Some(Err(TcpFault::NoRoute)));
}

#[test]
fn a_key_expires_without_a_word_of_the_control_server() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    world.accepted();
    let second = Node { key_expiry: Some(Timestamp::from_unix(100)), ..nodes(&world)[1].clone() };
    let key = second.key;
    // That is at the time zero of its clock.
    tell(&mut world, 0, vec![second]);
    world.live_for(100 * SECOND);
    assert_eq!(world.fault(handle), None);
    world.live_for(SECOND);
    assert_eq!(world.fault(handle), Some(TcpFault::NoRoute));
    let tunnel = &world.sides[0].tunnel;
    assert!(tunnel.peers().get(&key).is_none() && tunnel.peers().route(address(1)).is_none());
    assert!(tunnel.wireguard_status(&key, world.now).is_none());
    assert_eq!(tunnel.peers().next_expiry(), None);
}
