//! How the first initiations to a peer are repeated, once it is known to answer something else.

use std::time::Duration;

use dayfly_moment::Moment;

use super::support::Side::{A, B};
use super::support::*;
use crate::constants::*;
use crate::{Event, Key};

/// Tells A that B has answered within `round_trip`.
fn answers(pair: &mut Pair, round_trip: Duration) {
    let (peer, now) = (pair.key(B), pair.now);
    pair.a.peer_answers(&peer, round_trip, now);
}

/// A pair whose A has sent its first initiation, which is lost.
fn begun() -> (Pair, Moment) {
    let mut pair = Pair::new();
    pair.connect(A);
    pair.transmit(A);
    let began = pair.now;
    (pair, began)
}

fn retry(pair: &Pair) -> Moment {
    pair.a.poll_timeout().unwrap()
}

#[test]
fn an_initiation_of_long_ago_is_repeated_at_once_and_then_ever_more_rarely() {
    let (mut pair, began) = begun();
    pair.now = began + millis(120);
    answers(&mut pair, millis(5));
    let since = pair.now;
    assert!(retry(&pair) <= since);
    let mut last = since;
    let sent = pair.run_until(since + secs(60));
    assert_eq!(sent[0].0, since);
    for (at, ..) in &sent[1..] {
        let due = (last - since).clamp(ANSWER_RETRY, REKEY_TIMEOUT);
        let waited = *at - last;
        assert!((due..=due + MAX_JITTER.min(due / 8)).contains(&waited), "repeated after {waited:?}");
        last = *at;
    }
    // At 0, 40, 80, 160 ms and so on, up to 5 s, and then every 5 s.
    assert!((15..=19).contains(&sent.len()), "{} initiations", sent.len());
}

#[test]
fn an_initiation_that_was_just_sent_has_three_round_trips() {
    let (mut pair, began) = begun();
    pair.now = began + millis(60);
    answers(&mut pair, millis(60));
    assert_eq!(retry(&pair), began + millis(180));
    let (mut pair, began) = begun();
    pair.now = began + millis(2);
    answers(&mut pair, millis(2));
    assert_eq!(retry(&pair), began + ANSWER_RETRY);
}

#[test]
fn a_slow_answer_puts_nothing_off_and_slows_what_follows() {
    for round_trip in [millis(400), Duration::MAX] {
        let (mut pair, began) = begun();
        let before = retry(&pair);
        pair.now = began + millis(200);
        answers(&mut pair, round_trip);
        assert_eq!(retry(&pair), before);
        pair.run_until(before);
        let waits = retry(&pair) - before;
        let due = round_trip.saturating_mul(ANSWER_ROUND_TRIPS).min(REKEY_TIMEOUT);
        assert!((due..=due + MAX_JITTER).contains(&waits), "{waits:?}");
    }
}

#[test]
fn more_answers_do_not_bring_more_initiations() {
    let repeats = |every: Option<Duration>| {
        let (mut pair, began) = begun();
        pair.now = began + millis(100);
        answers(&mut pair, millis(10));
        let end = began + secs(5);
        let mut sent = 0;
        while pair.now < end {
            sent += pair.run_until(every.map_or(end, |every| (pair.now + every).min(end))).len();
            if every.is_some() {
                answers(&mut pair, millis(10));
            }
        }
        sent
    };
    let (one, many) = (repeats(None), repeats(Some(millis(30))));
    assert!(one.abs_diff(many) <= 1, "{one} with one answer, {many} with many");
}

#[test]
fn the_shortest_of_several_round_trips_counts() {
    for order in [[80, 20], [20, 80]] {
        let (mut pair, began) = begun();
        for round_trip in order {
            answers(&mut pair, millis(round_trip));
        }
        assert_eq!(retry(&pair), began + millis(60));
    }
}

#[test]
fn an_answer_before_the_handshake_counts_from_its_beginning() {
    let mut pair = Pair::new();
    answers(&mut pair, millis(1));
    assert_eq!((pair.a.poll_timeout(), pair.transmits(A).len()), (None, 0));
    pair.now += secs(100);
    pair.connect(A);
    pair.transmit(A);
    let wait = retry(&pair) - pair.now;
    assert!((ANSWER_RETRY..=ANSWER_RETRY + ANSWER_RETRY / 8).contains(&wait), "{wait:?}");
}

#[test]
fn an_answer_after_the_first_handshake_changes_nothing() {
    let mut pair = Pair::connected();
    let before = pair.a.poll_timeout();
    answers(&mut pair, millis(1));
    assert_eq!(pair.a.poll_timeout(), before);
    pair.now += REJECT_AFTER_TIME;
    pair.run_until(pair.now);
    pair.queue(A, &ipv4(1, 40));
    pair.transmit(A);
    let began = pair.now;
    pair.now += millis(500);
    answers(&mut pair, millis(1));
    assert!(retry(&pair) >= began + REKEY_TIMEOUT);
}

#[test]
fn what_was_known_of_a_peer_ends_with_its_first_handshake() {
    let (mut pair, began) = begun();
    pair.now = began + millis(1);
    answers(&mut pair, millis(1));
    pair.run_and_carry(millis(60));
    assert_eq!(pair.events(A), [Event::Established { peer: pair.key(B) }]);
    pair.now += REJECT_AFTER_TIME;
    pair.run_until(pair.now);
    pair.queue(A, &ipv4(1, 40));
    pair.transmit(A);
    assert!(retry(&pair) >= pair.now + REKEY_TIMEOUT);
}

#[test]
fn what_was_known_of_a_peer_ends_when_it_is_given_up() {
    let (mut pair, began) = begun();
    answers(&mut pair, millis(1));
    pair.run_until(began + secs(100));
    assert_eq!(pair.events(A), [Event::Unreachable { peer: pair.key(B) }]);
    pair.connect(A);
    pair.transmit(A);
    assert!(retry(&pair) >= pair.now + FIRST_RETRY);
}

#[test]
fn a_handshake_that_waits_for_its_answer_is_told() {
    let mut pair = Pair::new();
    let awaits = |pair: &Pair| pair.a.status(&pair.key(B), pair.now).unwrap().awaits_answer;
    assert!(!awaits(&pair));
    pair.connect(A);
    assert!(awaits(&pair));
    pair.carry_all();
    assert!(!awaits(&pair));
}

#[test]
fn an_unknown_peer_is_not_noted() {
    let mut pair = Pair::new();
    let unknown: Key = [9; 32];
    pair.a.peer_answers(&unknown, millis(1), pair.now);
    assert!(!pair.a.has_peer(&unknown));
    assert_eq!(pair.a.poll_timeout(), None);
}
