//! Each timer of the paper's section 6, to the millisecond.

use super::support::Side::{A, B};
use super::support::*;
use crate::constants::*;
use crate::{Event, PeerConfig, ReceiveError, SealError};

const INITIATION: u8 = 1;
const DATA: u8 = 4;

#[test]
fn an_initiation_is_repeated_for_90_s_and_then_given_up() {
    let mut pair = Pair::new();
    assert!(pair.queue(A, &ipv4(1, 40)));
    let began = pair.now;
    let mut last = began;
    let first = pair.transmit(A);
    let sent = pair.run_until(began + secs(300));
    let mut seen = vec![first];
    for (at, side, datagram) in sent {
        let waited = at - last;
        // The peer was never met: it may be told of this side a moment later.
        let due = (last - began).clamp(FIRST_RETRY, REKEY_TIMEOUT);
        assert!((due..=due + MAX_JITTER.min(due / 8)).contains(&waited), "repeated after {waited:?}");
        assert_eq!((side, datagram[0]), (A, INITIATION));
        assert!(!seen.contains(&datagram), "an initiation is sent once");
        seen.push(datagram);
        last = at;
    }
    assert!(last - began < REKEY_ATTEMPT_TIME && last - began > REKEY_ATTEMPT_TIME - secs(6));
    assert_eq!(pair.events(A), [Event::Unreachable { peer: pair.key(B) }]);
    assert_eq!((pair.a.poll_timeout(), pair.a.indices()), (None, 0));

    // A packet tries anew, and what waited before is gone.
    assert!(pair.queue(A, &ipv4(2, 40)));
    let initiation = pair.transmit(A);
    pair.receive(B, &initiation).unwrap();
    let response = pair.transmit(B);
    pair.receive(A, &response).unwrap();
    let datagram = pair.transmit(A);
    assert_eq!(pair.receive(B, &datagram), Ok(Got::Packet(ipv4(2, 40))));
}

#[test]
fn an_initiation_to_a_peer_that_was_met_before_is_repeated_every_5_s() {
    let mut pair = Pair::connected();
    pair.now += REJECT_AFTER_TIME;
    pair.run_until(pair.now);
    assert!(pair.queue(A, &ipv4(1, 40)));
    pair.transmits(A);
    let mut last = pair.now;
    let sent = pair.run_until(last + secs(60));
    assert!(sent.len() > 9, "{}", sent.len());
    for (at, ..) in sent {
        assert!((REKEY_TIMEOUT..=REKEY_TIMEOUT + MAX_JITTER).contains(&(at - last)), "after {:?}", at - last);
        last = at;
    }
}

#[test]
fn jitter_differs() {
    let mut pair = Pair::new();
    pair.connect(A);
    pair.transmits(A);
    let mut last = pair.now;
    let mut waits = std::collections::BTreeSet::new();
    for (at, ..) in pair.run_until(pair.now + secs(80)) {
        waits.insert(at - last);
        last = at;
    }
    assert!(waits.len() > 5, "{waits:?}");
}

#[test]
fn connecting_again_while_a_handshake_runs_sends_nothing() {
    let mut pair = Pair::new();
    pair.connect(A);
    pair.transmit(A);
    pair.connect(A);
    pair.queue(A, &ipv4(1, 40));
    assert_eq!(pair.transmits(A), Vec::<Vec<u8>>::new());
    let mut pair = Pair::connected();
    pair.connect(A);
    assert_eq!(pair.transmits(A), Vec::<Vec<u8>>::new());
}

#[test]
fn a_session_is_over_after_180_s() {
    let mut pair = Pair::connected();
    let born = pair.now;
    let early = pair.seal(B, &ipv4(1, 40)).unwrap();
    let late = pair.seal(B, &ipv4(2, 40)).unwrap();
    pair.now = born + (REJECT_AFTER_TIME - millis(1));
    assert_eq!(pair.receive(A, &early), Ok(Got::Packet(ipv4(1, 40))));
    assert!(pair.seal(A, &ipv4(3, 40)).is_ok());
    // Refused by the clock, whether or not the timeout was handled.
    pair.now = born + REJECT_AFTER_TIME;
    assert_eq!(pair.receive(A, &late), Err(ReceiveError::Expired));
    assert_eq!(pair.seal(A, &ipv4(3, 40)), Err(SealError::NoSession));
    let peer = pair.key(B);
    assert!(!pair.a.status(&peer, pair.now).unwrap().has_session);
}

#[test]
fn the_keys_of_a_session_that_is_over_are_gone() {
    let mut pair = Pair::connected();
    assert_eq!((pair.a.indices(), pair.b.indices()), (1, 1));
    pair.rest(REJECT_AFTER_TIME - millis(1));
    assert_eq!((pair.a.indices(), pair.b.indices()), (1, 1));
    pair.rest(millis(1));
    assert_eq!((pair.a.indices(), pair.b.indices()), (0, 0));
    assert_eq!((pair.a.poll_timeout(), pair.b.poll_timeout()), (None, None));
}

#[test]
fn received_data_is_answered_after_10_s_by_an_empty_message() {
    let mut pair = Pair::connected();
    pair.deliver(A, &ipv4(1, 40));
    let received = pair.now;
    let sent = pair.run_until(received + secs(12));
    let [(at, B, keepalive)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*at, keepalive.len()), (received + KEEPALIVE_TIMEOUT, 32));
    assert_eq!(pair.receive(A, keepalive), Ok(Got::Keepalive));
    // An empty message is not answered.
    pair.rest(secs(60));
}

#[test]
fn data_after_data_is_answered_once_more() {
    let mut pair = Pair::connected();
    let start = pair.now;
    for _ in 0..3 {
        pair.deliver(A, &ipv4(1, 40));
        pair.now += secs(2);
    }
    let sent = pair.run_until(start + secs(14));
    assert_eq!(sent.iter().map(|(at, ..)| *at - start).collect::<Vec<_>>(), [secs(10)]);
    pair.receive(A, &sent[0].2).unwrap();
    let sent = pair.run_until(start + secs(100));
    assert_eq!(sent.iter().map(|(at, ..)| *at - start).collect::<Vec<_>>(), [secs(20)]);
}

#[test]
fn data_that_is_answered_by_data_needs_no_empty_message() {
    let mut pair = Pair::connected();
    pair.deliver(A, &ipv4(1, 40));
    pair.now += secs(9);
    pair.deliver(B, &ipv4(2, 40));
    let answered = pair.now;
    let sent = pair.run_until(answered + secs(12));
    let [(at, A, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*at, answered + KEEPALIVE_TIMEOUT);
}

#[test]
fn data_without_any_answer_begins_a_handshake_after_15_s() {
    for from in [A, B] {
        let mut pair = Pair::connected();
        pair.seal(from, &ipv4(1, 40)).unwrap();
        let start = pair.now;
        pair.now += secs(5);
        pair.seal(from, &ipv4(2, 40)).unwrap();
        let sent = pair.run_until(start + secs(16));
        let [(at, side, datagram)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((*side, datagram[0]), (from, INITIATION));
        assert!((SILENCE_TIMEOUT..=SILENCE_TIMEOUT + MAX_JITTER).contains(&(*at - start)));
        // The session may be used meanwhile.
        pair.deliver(from, &ipv4(3, 40));
    }
}

#[test]
fn an_empty_message_is_an_answer() {
    let mut pair = Pair::connected();
    pair.deliver(A, &ipv4(1, 40));
    let carried = pair.run_and_carry(secs(60));
    assert_eq!(carried, [(B, DATA)]);
}

#[test]
fn the_initiator_rekeys_when_it_sends_after_120_s() {
    let mut pair = Pair::connected();
    pair.now += REKEY_AFTER_TIME - millis(1);
    pair.deliver(A, &ipv4(1, 40));
    pair.deliver(B, &ipv4(2, 40));
    pair.rest(secs(0));
    pair.now += millis(1);
    pair.deliver(A, &ipv4(3, 40));
    assert_eq!(pair.a.poll_timeout(), Some(pair.now));
    let carried = pair.run_and_carry(millis(1));
    assert_eq!(carried, [(A, 1), (B, 2), (A, 4)]);
    assert_eq!(pair.events(A), [Event::Established { peer: pair.key(B) }]);
    pair.deliver(A, &ipv4(4, 40));
    pair.deliver(B, &ipv4(5, 40));
}

#[test]
fn the_responder_does_not_rekey_by_time() {
    let mut pair = Pair::connected();
    pair.now += secs(170);
    let datagram = pair.seal(B, &ipv4(1, 40)).unwrap();
    pair.rest(secs(9));
    drop(datagram);
}

#[test]
fn the_initiator_rekeys_when_it_receives_after_165_s() {
    let mut pair = Pair::connected();
    pair.now += REKEY_ON_RECEIVE - millis(1);
    pair.deliver(B, &ipv4(1, 40));
    assert!(pair.a.poll_timeout().unwrap() > pair.now);
    pair.now += millis(1);
    pair.deliver(B, &ipv4(2, 40));
    assert_eq!(pair.run_and_carry(millis(1)), [(A, 1), (B, 2), (A, 4)]);
}

#[test]
fn the_responder_does_not_rekey_when_it_receives() {
    let mut pair = Pair::connected();
    pair.now += REKEY_ON_RECEIVE;
    let datagram = pair.seal(A, &ipv4(1, 40)).unwrap();
    pair.transmits(A);
    pair.receive(B, &datagram).unwrap();
    assert!(pair.b.poll_timeout().unwrap() > pair.now);
}

#[test]
fn a_session_with_many_messages_is_rekeyed_by_either_side() {
    for from in [A, B] {
        let mut pair = Pair::connected();
        let peer = pair.key(from.other());
        *pair.device(from).counter(&peer).unwrap() = REKEY_AFTER_MESSAGES - 1;
        pair.deliver(from, &ipv4(1, 40));
        pair.rest(secs(0));
        pair.now += REKEY_TIMEOUT;
        pair.deliver(from, &ipv4(2, 40));
        assert_eq!(pair.run_and_carry(millis(1)), [(from, 1), (from.other(), 2), (from, 4)]);
    }
}

#[test]
fn a_session_with_all_messages_is_not_used_again() {
    let mut pair = Pair::connected();
    let peer = pair.key(B);
    *pair.a.counter(&peer).unwrap() = REJECT_AFTER_MESSAGES - 1;
    let last = pair.seal(A, &ipv4(1, 40)).unwrap();
    assert_eq!(pair.seal(A, &ipv4(2, 40)), Err(SealError::NoSession));
    assert_eq!(pair.receive(B, &last), Ok(Got::Packet(ipv4(1, 40))));
    let mut beyond = last;
    beyond[8..16].copy_from_slice(&REJECT_AFTER_MESSAGES.to_le_bytes());
    assert_eq!(pair.receive(B, &beyond), Err(ReceiveError::Expired));
}

#[test]
fn a_persistent_keepalive_is_sent_when_nothing_else_is() {
    let mut pair = Pair::new();
    let b = pair.key(B);
    pair.a.add_peer(PeerConfig { persistent_keepalive: Some(secs(25)), ..config(b) });
    // The first begins the handshake.
    assert_eq!(pair.run_and_carry(millis(0)), [(A, 1), (B, 2), (A, 4)]);
    let start = pair.now;
    let sent = pair.run_until(start + secs(30));
    let [(at, A, keepalive)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*at, keepalive.len()), (start + secs(25), 32));
    pair.now = start + secs(40);
    pair.deliver(B, &ipv4(1, 40));
    // What was received counts too, and is answered after 10 s.
    let sent = pair.run_until(start + secs(100));
    let times: Vec<_> = sent.iter().filter(|(_, side, _)| *side == A).map(|(at, ..)| *at - start).collect();
    assert_eq!(times, [secs(50), secs(75), secs(100)]);
    // Adding the peer again without one ends it.
    pair.a.add_peer(config(b));
    assert!(pair.run_until(start + secs(170)).iter().all(|(_, side, _)| *side == B));
}

#[test]
fn a_clock_that_stood_for_hours_goes_on() {
    let mut pair = Pair::connected();
    pair.deliver(A, &ipv4(1, 40));
    pair.deliver(B, &ipv4(2, 40));
    pair.now += secs(5 * 3600);
    assert_eq!(pair.seal(A, &ipv4(3, 40)), Err(SealError::NoSession));
    assert!(pair.queue(A, &ipv4(3, 40)));
    let carried = pair.carry_all();
    assert_eq!(carried, [(A, 1), (B, 2), (A, 4)]);
    pair.deliver(B, &ipv4(4, 40));
}

#[test]
fn two_handshakes_are_5_s_apart_at_least() {
    let mut pair = Pair::connected();
    let began = pair.now;
    let peer = pair.key(B);
    *pair.a.counter(&peer).unwrap() = REJECT_AFTER_MESSAGES;
    assert!(pair.queue(A, &ipv4(1, 40)));
    let sent = pair.run_until(began + secs(6));
    assert_eq!((sent.len(), sent[0].0, sent[0].2[0]), (1, began + REKEY_TIMEOUT, INITIATION));
}
