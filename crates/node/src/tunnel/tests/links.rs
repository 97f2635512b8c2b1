//! What a tunnel makes of relays that are away, or say too much.

use dayfly_wire::derp::PeerGoneReason;

use super::*;

fn is_up(world: &World) -> bool {
    world.sides[0].tunnel.relays().get(REGION).unwrap().is_ready()
}

/// How long it takes until the first side knows that its relay is away.
fn until_down(world: &mut World, limit: Duration) -> Duration {
    let start = world.now;
    world.run_until(limit, |world| (!is_up(world)).then_some(()));
    world.now - start
}

#[test]
fn a_relay_that_is_away_is_found_out_when_a_handshake_has_no_answer() {
    let mut world = World::connected(open_filter());
    world.run_for(10 * SECOND);
    world.sides[0].cut = true;
    let (now, peer) = (world.now, world.sides[1].key);
    world.sides[0].tunnel.connect_peer(&peer, now);
    until_down(&mut world, 5 * SECOND);
}

#[test]
fn a_relay_that_is_away_is_found_out_within_20_s_of_a_keystroke() {
    let mut world = World::connected(open_filter());
    world.listen();
    let handle = world.connect(address(1)).unwrap();
    let accepted = world.accepted();
    world.run_for(10 * SECOND);
    world.sides[0].cut = true;
    world.write(0, handle, b"x");
    until_down(&mut world, 20 * SECOND);
    world.disconnect_relay(0);
    world.connect_relay(0);
    let read =
        world.run_until(20 * SECOND, |world| Some(world.read(1, accepted)?).filter(|it| !it.is_empty()));
    assert_eq!(read, b"x");
}

#[test]
fn a_relay_that_answers_is_kept_while_a_machine_does_not() {
    let mut world = World::new(open_filter());
    world.connect_relay(0);
    let (now, peer) = (world.now, world.sides[1].key);
    world.sides[0].tunnel.connect_peer(&peer, now);
    world.run_for(80 * SECOND);
    let initiations = world.log.iter().filter(|(_, from, kind)| (*from, *kind) == (0, INITIATION)).count();
    assert!(initiations > 10 && is_up(&world));
}

/// Nobody may look for long: a relay must not be able to fill the memory meanwhile.
#[test]
fn what_a_relay_says_over_and_over_is_told_once() {
    let mut world = World::connected(open_filter());
    while world.sides[0].tunnel.poll_event().is_some() {}
    let peer = world.sides[1].key;
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        derp::put_restarting(&mut bytes, SECOND, SECOND);
        derp::put_health(&mut bytes, &"x".repeat(1000));
        derp::put_peer_gone(&mut bytes, &peer, PeerGoneReason::NOT_HERE);
    }
    let now = world.now;
    let done = world.sides[0].tunnel.handle_relay(REGION, &mut bytes, now).unwrap();
    assert_eq!(done, bytes.len());
    let told: Vec<_> = std::iter::from_fn(|| world.sides[0].tunnel.poll_event()).collect();
    assert_eq!(told, [TunnelEvent::Restarting(REGION), TunnelEvent::Progress]);
}
