//! Load, and the cookies that are asked for under it.

use super::support::Side::{A, B};
use super::support::*;
use crate::constants::*;
use crate::crypto::{mac, mac1_key};
use crate::message::kind;
use crate::{Key, ReceiveError};

/// A message with the right first MAC, which anybody can make.
pub(super) fn junk(to: &Key, seed: u8) -> Vec<u8> {
    let mut message = vec![seed; 148];
    message[..4].copy_from_slice(&kind::INITIATION);
    let mac1 = mac(&mac1_key(to), &message[..116]).unwrap();
    message[116..132].copy_from_slice(&mac1);
    message
}

/// Sends so many messages to B that it is under load, from a source of their own.
fn flood(pair: &mut Pair) {
    let message = junk(&pair.key(B), 5);
    for _ in 0..LOAD_THRESHOLD {
        let mut message = message.clone();
        let refused = pair.b.handle(&[0xff; 32], &mut message, pair.now, &mut pair.rng);
        assert_eq!(refused, Err(ReceiveError::Unauthenticated));
    }
}

/// Has A send an initiation to B under load, and take the cookie that B answers with.
fn cookie_for_a(pair: &mut Pair) -> Vec<u8> {
    pair.connect(A);
    let initiation = pair.transmit(A);
    flood(pair);
    assert_eq!(pair.receive(B, &initiation), Err(ReceiveError::UnderLoad));
    let reply = pair.transmit(B);
    assert_eq!((reply.len(), &reply[..4], &reply[4..8]), (64, &kind::COOKIE_REPLY[..], &initiation[4..8]));
    reply
}

#[test]
fn under_load_a_cookie_is_asked_for_and_lets_in() {
    let mut pair = Pair::new();
    let reply = cookie_for_a(&mut pair);
    assert_eq!(pair.receive(A, &reply), Ok(Got::Nothing));
    assert_eq!(pair.receive(A, &reply), Err(ReceiveError::Unauthenticated), "a cookie is taken once");
    // The next initiation is not sent earlier for it.
    let sent = pair.run_until(pair.now + millis(300));
    assert_eq!(sent.len(), 1);
    assert_ne!(sent[0].2[132..], [0; 16]);
    pair.now += 2 * LOAD_WINDOW;
    flood(&mut pair);
    assert_eq!(pair.receive(B, &sent[0].2), Ok(Got::Handshake));
    pair.carry_all();
    pair.deliver(A, &ipv4(1, 40));
}

#[test]
fn a_cookie_is_good_for_its_source_only() {
    let mut pair = Pair::new();
    let reply = cookie_for_a(&mut pair);
    pair.receive(A, &reply).unwrap();
    let sent = pair.run_until(pair.now + secs(6));
    flood(&mut pair);
    let mut initiation = sent[0].2.clone();
    let elsewhere = pair.b.handle(&[0xaa; 32], &mut initiation, pair.now, &mut pair.rng);
    assert_eq!(elsewhere, Err(ReceiveError::UnderLoad));
    assert_eq!(
        pair.b.poll_transmit().unwrap().peer,
        [0xaa; 32],
        "the answer goes where the message came from"
    );
}

#[test]
fn a_cookie_is_forgotten_before_its_maker_does() {
    let mut pair = Pair::new();
    let reply = cookie_for_a(&mut pair);
    pair.receive(A, &reply).unwrap();
    let came = pair.now;
    let mut with_cookie = 0;
    for _ in 0..2 {
        for (at, _, initiation) in pair.run_until(pair.now + secs(90)) {
            let has_cookie = initiation[132..] != [0; 16];
            assert_eq!(has_cookie, at - came < COOKIE_LIFETIME - COOKIE_LATENCY);
            with_cookie += usize::from(has_cookie);
        }
        pair.connect(A);
        pair.transmits(A);
    }
    assert!(with_cookie > 10);
}

#[test]
fn the_secret_of_cookies_changes_every_two_minutes() {
    let mut pair = Pair::new();
    let reply = cookie_for_a(&mut pair);
    pair.receive(A, &reply).unwrap();
    let sent = pair.run_until(pair.now + secs(6));
    pair.now += COOKIE_LIFETIME;
    flood(&mut pair);
    assert_eq!(pair.receive(B, &sent[0].2), Err(ReceiveError::UnderLoad));
}

#[test]
fn a_changed_cookie_reply_is_refused() {
    let mut pair = Pair::new();
    let reply = cookie_for_a(&mut pair);
    for at in 0..reply.len() {
        let mut changed = reply.clone();
        changed[at] ^= 1;
        assert!(pair.receive(A, &changed).is_err(), "byte {at}");
    }
    assert_eq!(pair.receive(A, &reply), Ok(Got::Nothing));
}

#[test]
fn a_source_with_a_cookie_has_a_share_under_load() {
    let mut pair = Pair::new();
    let reply = cookie_for_a(&mut pair);
    pair.receive(A, &reply).unwrap();
    let sent = pair.run_until(pair.now + secs(6));
    flood(&mut pair);
    for message in 0..MESSAGES_PER_SOURCE + 2 {
        let expected = match message {
            0 => Ok(Got::Handshake),
            1..MESSAGES_PER_SOURCE => Err(ReceiveError::Replayed),
            _ => Err(ReceiveError::UnderLoad),
        };
        assert_eq!(pair.receive(B, &sent[0].2), expected, "message {message}");
    }
}

#[test]
fn a_message_without_the_first_mac_is_not_counted() {
    let mut pair = Pair::new();
    pair.connect(A);
    let initiation = pair.transmit(A);
    let mut wrong = initiation.clone();
    wrong[120] ^= 1;
    for _ in 0..2 * LOAD_THRESHOLD {
        assert_eq!(pair.receive(B, &wrong), Err(ReceiveError::Mac));
    }
    assert_eq!(pair.receive(B, &initiation), Ok(Got::Handshake));
}

#[test]
fn what_waits_to_be_sent_is_bounded() {
    let mut pair = Pair::new();
    let message = junk(&pair.key(B), 5);
    for _ in 0..MAX_TRANSMITS + 500 {
        let _ = pair.b.handle(&[0xff; 32], &mut message.clone(), pair.now, &mut pair.rng);
    }
    assert_eq!(std::iter::from_fn(|| pair.b.poll_transmit()).count(), MAX_TRANSMITS);
}
