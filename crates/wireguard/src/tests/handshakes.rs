//! Handshakes: what is answered, what is refused, what becomes of both sides' sessions.

use zeroize::Zeroizing;

use super::support::Side::{A, B};
use super::support::*;
use crate::message::kind;
use crate::{Device, Event, PeerConfig, ReceiveError, SealError};

#[test]
fn a_session_carries_packets_both_ways() {
    let mut pair = Pair::connected();
    for len in [28, 31, 32, 33, 1279, 1280, 9000] {
        pair.deliver(A, &ipv4(1, len));
        pair.deliver(B, &ipv4(2, len));
    }
    let (to_a, to_b) = (pair.key(A), pair.key(B));
    let now = pair.now;
    let (at_a, at_b) = (pair.a.status(&to_b, now).unwrap(), pair.b.status(&to_a, now).unwrap());
    assert!(at_a.has_session && at_b.has_session);
    assert_eq!((at_a.last_handshake, at_b.last_handshake), (Some(now), Some(now)));
    assert_eq!((at_a.bytes_sent, at_a.bytes_received), (at_b.bytes_received, at_b.bytes_sent));
}

#[test]
fn the_responder_sends_only_once_the_initiator_has() {
    let mut pair = Pair::new();
    pair.connect(A);
    let initiation = pair.transmit(A);
    assert_eq!(pair.receive(B, &initiation), Ok(Got::Handshake));
    assert_eq!(pair.seal(B, &ipv4(1, 40)), Err(SealError::NoSession));
    assert_eq!(pair.events(B), []);
    let response = pair.transmit(B);
    assert_eq!(pair.receive(A, &response), Ok(Got::Handshake));
    let keepalive = pair.transmit(A);
    assert_eq!((keepalive.len(), pair.receive(B, &keepalive)), (32, Ok(Got::Keepalive)));
    pair.deliver(B, &ipv4(1, 40));
}

#[test]
fn packets_wait_for_the_session_and_come_in_order() {
    let mut pair = Pair::new();
    assert_eq!(pair.seal(A, &ipv4(0, 40)), Err(SealError::NoSession));
    for id in 0..3 {
        assert!(pair.queue(A, &ipv4(id, 40 + id as usize)));
    }
    let initiation = pair.transmit(A);
    pair.receive(B, &initiation).unwrap();
    let response = pair.transmit(B);
    pair.receive(A, &response).unwrap();
    let packets = pair.transmits(A);
    let got: Vec<_> = packets.iter().map(|datagram| pair.receive(B, datagram).unwrap()).collect();
    assert_eq!(got, [40, 41, 42].map(|len| Got::Packet(ipv4(len as u64 - 40, len))));
}

#[test]
fn a_packet_queued_although_there_is_a_session_goes_at_once() {
    let mut pair = Pair::connected();
    assert!(pair.queue(A, &ipv4(9, 60)));
    let datagram = pair.transmit(A);
    assert_eq!(pair.receive(B, &datagram), Ok(Got::Packet(ipv4(9, 60))));
}

#[test]
fn both_initiating_at_once_end_in_a_working_session() {
    let mut pair = Pair::new();
    pair.queue(A, &ipv4(1, 40));
    pair.queue(B, &ipv4(2, 40));
    // Both initiations cross, then both responses.
    for _ in 0..3 {
        let (from_a, from_b) = (pair.transmits(A), pair.transmits(B));
        assert_eq!((from_a.len(), from_b.len()), (1, 1));
        pair.receive(B, &from_a[0]).unwrap();
        pair.receive(A, &from_b[0]).unwrap();
    }
    assert_eq!((pair.transmits(A), pair.transmits(B)), (vec![], vec![]));
    pair.deliver(A, &ipv4(3, 40));
    pair.deliver(B, &ipv4(4, 40));
    assert_eq!(pair.events(A), [Event::Established { peer: pair.key(B) }]);
    // No handshake is repeated.
    pair.rest(secs(9));
}

#[test]
fn both_initiating_at_once_work_whichever_message_is_lost() {
    for lost in 0..64 {
        let mut pair = Pair::new();
        pair.queue(A, &ipv4(1, 40));
        pair.queue(B, &ipv4(2, 40));
        let mut message = 0;
        for _ in 0..3 {
            let (from_a, from_b) = (pair.transmits(A), pair.transmits(B));
            for (to, datagram) in from_a.iter().map(|d| (B, d)).chain(from_b.iter().map(|d| (A, d))) {
                if lost >> message & 1 == 0 {
                    let _ = pair.receive(to, datagram);
                }
                message += 1;
            }
        }
        pair.carry_all();
        for _ in 0..4 {
            pair.run_and_carry(secs(6));
        }
        for from in [A, B] {
            let datagram = pair.seal(from, &ipv4(3, 40)).unwrap_or_else(|error| panic!("{lost:b}: {error}"));
            assert_eq!(pair.receive(from.other(), &datagram), Ok(Got::Packet(ipv4(3, 40))), "{lost:b}");
        }
    }
}

#[test]
fn a_rekeyed_session_still_takes_what_was_sent_in_the_one_before() {
    let mut pair = Pair::connected();
    pair.now += secs(121);
    let late = pair.seal(A, &ipv4(1, 40)).unwrap();
    let late_back = pair.seal(B, &ipv4(2, 40)).unwrap();
    assert_eq!(pair.run_and_carry(millis(1)), [(A, 1), (B, 2), (A, 4)]);
    assert_eq!(pair.a.indices(), 2);
    assert_eq!(pair.receive(B, &late), Ok(Got::Packet(ipv4(1, 40))));
    assert_eq!(pair.receive(A, &late_back), Ok(Got::Packet(ipv4(2, 40))));
    assert_eq!(pair.receive(B, &late), Err(ReceiveError::Replayed));
}

#[test]
fn a_replayed_initiation_is_refused() {
    let mut pair = Pair::new();
    pair.connect(A);
    let initiation = pair.transmit(A);
    pair.receive(B, &initiation).unwrap();
    pair.now += secs(1);
    assert_eq!(pair.receive(B, &initiation), Err(ReceiveError::Replayed));
}

#[test]
fn an_initiation_older_than_the_last_is_refused() {
    let mut pair = Pair::new();
    pair.connect(A);
    let older = pair.transmit(A);
    let sent = pair.run_until(pair.now + millis(300));
    assert_eq!(sent.len(), 1);
    pair.receive(B, &sent[0].2).unwrap();
    pair.now += secs(1);
    assert_eq!(pair.receive(B, &older), Err(ReceiveError::Replayed));
}

/// A peer that was started anew with the same key, at a clock that has gone on or back.
#[test]
fn a_restarted_peer_is_taken_if_its_time_has_gone_on() {
    for (later, taken) in [(true, Ok(Got::Handshake)), (false, Err(ReceiveError::Replayed))] {
        let mut pair = Pair::connected();
        let epoch = if later { EPOCH + secs(3600) } else { EPOCH - secs(3600) };
        pair.a = Device::new(private_key(0xa1), epoch);
        pair.a.add_peer(config(pair.b.public_key()));
        pair.now += secs(1);
        pair.connect(A);
        let initiation = pair.transmit(A);
        assert_eq!(pair.receive(B, &initiation), taken);
    }
}

#[test]
fn initiations_are_taken_every_20_ms_only() {
    let mut pair = Pair::connected();
    pair.now += secs(10);
    // The same node twice, so that two initiations are fresh.
    let mut initiations = [1, 2].map(|hour| {
        let mut twin = Device::new(private_key(0xa1), EPOCH + secs(3600 * hour));
        twin.add_peer(config(pair.b.public_key()));
        twin.connect(&pair.b.public_key(), pair.now, &mut pair.rng);
        twin.poll_transmit().unwrap().datagram
    });
    pair.receive(B, &initiations[0]).unwrap();
    pair.now += millis(19);
    assert_eq!(pair.receive(B, &initiations[1]), Err(ReceiveError::TooOften));
    pair.now += millis(1);
    assert_eq!(pair.receive(B, &initiations[1]), Ok(Got::Handshake));
    initiations[0][0] = 9;
    assert_eq!(pair.receive(B, &initiations[0]), Err(ReceiveError::Malformed));
}

#[test]
fn nobody_unknown_is_answered() {
    let mut pair = Pair::new();
    let peer = pair.key(A);
    assert!(pair.b.remove_peer(&peer) && !pair.b.remove_peer(&peer) && !pair.b.has_peer(&peer));
    pair.connect(A);
    let initiation = pair.transmit(A);
    assert_eq!(pair.receive(B, &initiation), Err(ReceiveError::UnknownPeer));
    assert_eq!(pair.transmits(B), Vec::<Vec<u8>>::new());
    assert_eq!(pair.seal(B, &ipv4(0, 40)), Err(SealError::UnknownPeer));
    assert!(!pair.queue(B, &ipv4(0, 40)));
    assert_eq!((pair.b.indices(), pair.b.poll_timeout()), (0, None));
}

#[test]
fn a_changed_handshake_message_is_refused_and_the_true_one_still_taken() {
    let mut pair = Pair::new();
    pair.connect(A);
    let initiation = pair.transmit(A);
    for at in 0..initiation.len() {
        let mut changed = initiation.clone();
        changed[at] ^= 0x80;
        let refused = pair.receive(B, &changed);
        // Nothing is expected in the second MAC unless there is load.
        assert_eq!(refused.is_ok(), at >= 132, "byte {at}: {refused:?}");
        if refused.is_ok() {
            break;
        }
    }
    let response = pair.transmit(B);
    for at in 0..response.len() - 16 {
        let mut changed = response.clone();
        changed[at] ^= 0x80;
        assert!(pair.receive(A, &changed).is_err(), "byte {at}");
    }
    assert_eq!(pair.receive(A, &response), Ok(Got::Handshake));
    assert_eq!(pair.receive(A, &response), Err(ReceiveError::UnknownIndex), "a response is taken once");
    pair.carry_all();
    pair.deliver(B, &ipv4(5, 50));
}

/// A response whose first MAC is right, as who knows A's public key can make it, to an initiation that it saw.
#[test]
fn a_forged_response_does_not_spoil_the_handshake() {
    let mut pair = Pair::new();
    pair.connect(A);
    let initiation = pair.transmit(A);
    pair.receive(B, &initiation).unwrap();
    let response = pair.transmit(B);
    let mut forged = response.clone();
    forged[12..60].fill(9);
    let mac1 = crate::crypto::mac(&crate::crypto::mac1_key(&pair.key(A)), &forged[..60]).unwrap();
    forged[60..76].copy_from_slice(&mac1);
    assert_eq!(pair.receive(A, &forged), Err(ReceiveError::Unauthenticated));
    assert_eq!(pair.receive(A, &response), Ok(Got::Handshake));
    pair.carry_all();
    pair.deliver(A, &ipv4(5, 50));
    pair.deliver(B, &ipv4(6, 50));
}

#[test]
fn changed_data_is_refused_and_moves_nothing() {
    let mut pair = Pair::connected();
    let datagram = pair.seal(A, &ipv4(1, 40)).unwrap();
    for at in 0..datagram.len() {
        let mut changed = datagram.clone();
        changed[at] ^= 1;
        assert!(pair.receive(B, &changed).is_err(), "byte {at}");
    }
    assert_eq!(pair.receive(B, &datagram), Ok(Got::Packet(ipv4(1, 40))));
    assert_eq!(pair.receive(B, &datagram), Err(ReceiveError::Replayed));
}

#[test]
fn what_is_no_ip_packet_is_refused() {
    let mut pair = Pair::connected();
    let datagram = pair.seal(A, &[0x15; 40]).unwrap();
    assert_eq!(pair.receive(B, &datagram), Err(ReceiveError::NoIpPacket));
}

#[test]
fn a_buffer_of_another_length_is_refused() {
    let mut pair = Pair::connected();
    let (peer, now) = (pair.key(B), pair.now);
    for (buffer, packet) in
        [(48, 17), (48, 0), (0, 0), (31, 0), (33, 0), (48, usize::MAX), (48, usize::MAX - 20)]
    {
        let sealed = pair.a.seal(&peer, &mut vec![0; buffer], packet, now);
        assert_eq!(sealed, Err(SealError::Buffer), "{buffer} bytes for {packet}");
    }
}

#[test]
fn preshared_keys_have_to_agree() {
    let psk = |byte| Some(Zeroizing::new([byte; 32]));
    for (ours, theirs, agree) in [(psk(1), psk(1), true), (psk(1), psk(2), false), (psk(1), None, false)] {
        let mut pair = Pair::new();
        let (a, b) = (pair.key(A), pair.key(B));
        pair.a.add_peer(PeerConfig { preshared_key: ours, ..config(b) });
        pair.b.add_peer(PeerConfig { preshared_key: theirs, ..config(a) });
        pair.connect(A);
        let initiation = pair.transmit(A);
        pair.receive(B, &initiation).unwrap();
        let response = pair.transmit(B);
        let taken = pair.receive(A, &response);
        assert_eq!(taken, if agree { Ok(Got::Handshake) } else { Err(ReceiveError::Unauthenticated) });
    }
}

#[test]
fn adding_a_peer_again_keeps_its_session() {
    let mut pair = Pair::connected();
    let peer = pair.key(B);
    pair.a.add_peer(config(peer));
    pair.deliver(A, &ipv4(1, 40));
    pair.deliver(B, &ipv4(2, 40));
}

#[test]
fn removing_a_peer_removes_all_of_it() {
    let mut pair = Pair::connected();
    let (peer, now) = (pair.key(B), pair.now);
    let in_flight = pair.seal(B, &ipv4(1, 40)).unwrap();
    pair.now += secs(121);
    pair.seal(A, &ipv4(1, 40)).unwrap();
    pair.a.handle_timeout(now + secs(121), &mut pair.rng);
    assert_eq!(pair.a.indices(), 2);
    assert!(pair.a.remove_peer(&peer));
    assert_eq!((pair.a.indices(), pair.a.poll_timeout(), pair.a.poll_transmit()), (0, None, None));
    assert_eq!(pair.a.status(&peer, now), None);
    assert_eq!(pair.receive(A, &in_flight), Err(ReceiveError::UnknownIndex));
}

#[test]
fn a_peer_whose_key_is_of_small_order_is_unreachable() {
    let mut pair = Pair::new();
    let peer = [0; 32];
    pair.a.add_peer(config(peer));
    assert!(pair.a.queue(&peer, &ipv4(0, 40), pair.now, &mut pair.rng));
    assert_eq!(pair.events(A), [Event::Unreachable { peer }]);
    assert_eq!((pair.transmits(A), pair.a.indices()), (vec![], 0));
    pair.rest(secs(100));
}

#[test]
fn debug_output_tells_no_key() {
    let mut pair = Pair::connected();
    pair.a.add_peer(PeerConfig { preshared_key: Some(Zeroizing::new([0x77; 32])), ..config([1; 32]) });
    let told = format!(
        "{:?} {:?}",
        pair.a,
        PeerConfig { preshared_key: Some(Zeroizing::new([0x77; 32])), ..config([1; 32]) }
    );
    assert!(!told.contains("119") && !told.contains("161"), "{told}");
}

#[test]
fn messages_have_the_papers_layout() {
    let mut pair = Pair::new();
    pair.connect(A);
    let initiation = pair.transmit(A);
    assert_eq!(
        (initiation.len(), &initiation[..4], &initiation[132..]),
        (148, &kind::INITIATION[..], &[0; 16][..])
    );
    pair.receive(B, &initiation).unwrap();
    let response = pair.transmit(B);
    assert_eq!(
        (response.len(), &response[..4], &response[8..12]),
        (92, &kind::RESPONSE[..], &initiation[4..8])
    );
    pair.receive(A, &response).unwrap();
    let keepalive = pair.transmit(A);
    assert_eq!((keepalive.len(), &keepalive[..4]), (32, &kind::DATA[..]));
    assert_eq!((&keepalive[4..8], &keepalive[8..16]), (&response[4..8], &[0; 8][..]));
    let data = pair.seal(A, &ipv4(1, 40)).unwrap();
    assert_eq!((data.len(), &data[8..16]), (16 + 48 + 16, &[1, 0, 0, 0, 0, 0, 0, 0][..]));
}
