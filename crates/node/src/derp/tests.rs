use std::time::Duration;

use bytes::Buf as _;
use dayfly_platform::random::SystemRng;
use dayfly_platform::time::Moment;
use dayfly_wire::derp::{self, Decoded, Frame, PeerGoneReason, Receiver, ServerInfo};
use dayfly_wire::key::{NodePrivate, NodePublic};
use proptest::prelude::*;

use super::*;

const START: Moment = Moment::from_start(Duration::from_secs(1000));
const PEER: NodePublic = NodePublic::from_bytes([9; 32]);

/// An event without its borrow, and with packets copied.
fn handle_all(client: &mut Client, bytes: &[u8], now: Moment) -> Result<Vec<String>, DerpError> {
    let mut bytes = bytes.to_vec();
    let mut rest = bytes.as_mut_slice();
    let mut events = Vec::new();
    loop {
        let progress = client.handle(rest, now, &mut SystemRng)?;
        let consumed = progress.consumed;
        events.extend(progress.event.map(|event| format!("{event:?}")));
        if consumed == 0 {
            return Ok(events);
        }
        rest = &mut rest[consumed..];
    }
}

/// The frames that wait to be written, read as a server reads them.
fn written(client: &mut Client) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(Decoded { frame, consumed }) = derp::decode(client.transmit(), Receiver::Server).unwrap() {
        frames.push(format!("{frame:?}"));
        client.transmit().advance(consumed);
    }
    assert!(client.transmit().is_empty());
    frames
}

/// Takes a server through the handshake with `client`, and returns the frames that admit it.
fn accept(client: &mut Client, server: &NodePrivate, info: &ServerInfo, now: Moment) -> Vec<u8> {
    let mut hello = Vec::new();
    derp::put_server_key(&mut hello, &server.public());
    assert!(handle_all(client, &hello, now).unwrap().is_empty());
    let sent = client.transmit().split();
    let Some(Decoded { frame: Frame::ClientInfo { key, sealed }, consumed }) =
        derp::decode(&sent, Receiver::Server).unwrap()
    else {
        panic!("the client did not answer");
    };
    assert_eq!(consumed, sent.len());
    let shared = server.shared(&key);
    assert!(derp::open_client_info(&shared, sealed).unwrap().can_ack_pings);
    let mut answer = Vec::new();
    derp::put_server_info(&mut answer, &shared, info, &mut SystemRng).unwrap();
    answer
}

fn ready_with(info: &ServerInfo) -> Client {
    let server = NodePrivate::generate(&mut SystemRng);
    let mut client = Client::new(NodePrivate::generate(&mut SystemRng), START);
    let answer = accept(&mut client, &server, info, START);
    let events = handle_all(&mut client, &answer, START).unwrap();
    assert_eq!(events, [format!("{:?}", Event::Ready { server_key: server.public(), info: *info })]);
    client
}

fn ready() -> Client {
    ready_with(&ServerInfo::default())
}

#[test]
fn a_complete_handshake_makes_the_client_ready() {
    let mut client = ready();
    assert!(client.is_ready());
    client.note_preferred(true);
    client.send_packet(&PEER, b"hi", START).unwrap();
    client.probe([4; 8], START);
    assert_eq!(
        written(&mut client),
        [
            "NotePreferred { home: true }".to_owned(),
            format!("SendPacket {{ dst: {PEER}, data: [104, 105] }}"),
            "Ping([4, 4, 4, 4, 4, 4, 4, 4])".into(),
        ]
    );
}

#[test]
fn nothing_is_sent_before_the_handshake_is_complete() {
    let mut client = Client::new(NodePrivate::generate(&mut SystemRng), START);
    client.note_preferred(true);
    client.probe([0; 8], START);
    assert_eq!(client.send_packet(&PEER, b"hi", START), Err(SendError::NotReady));
    assert!(client.transmit().is_empty());
}

#[test]
fn packets_are_handed_out_where_they_lie() {
    let mut client = ready();
    let mut bytes = Vec::new();
    derp::put_recv_packet(&mut bytes, &PEER, b"secret").unwrap();
    let end = bytes.len();
    let progress = client.handle(&mut bytes, START, &mut SystemRng).unwrap();
    assert_eq!(progress.consumed, end);
    let Some(Event::Packet { src: PEER, data }) = progress.event else {
        panic!("no packet");
    };
    data.fill(b'x');
    assert!(bytes.ends_with(b"xxxxxx"));
}

#[test]
fn every_other_frame_tells_what_it_should() {
    let mut client = ready();
    let mut bytes = Vec::new();
    derp::put_peer_gone(&mut bytes, &PEER, PeerGoneReason::NOT_HERE);
    derp::put_health(&mut bytes, "twice");
    derp::put_keep_alive(&mut bytes);
    derp::put_restarting(&mut bytes, Duration::from_secs(1), Duration::from_secs(9));
    bytes.extend([0x7f, 0, 0, 0, 1, 0]);
    derp::put_pong(&mut bytes, [3; 8]);
    derp::put_ping(&mut bytes, [5; 8]);
    assert_eq!(
        handle_all(&mut client, &bytes, START).unwrap(),
        [
            format!("PeerGone {{ peer: {PEER}, reason: PeerGoneReason(1) }}"),
            "Health(\"twice\")".into(),
            "Restarting { reconnect_in: 1s, try_for: 9s }".into(),
            "Pong([3, 3, 3, 3, 3, 3, 3, 3])".into(),
        ]
    );
    assert_eq!(written(&mut client), ["Pong([5, 5, 5, 5, 5, 5, 5, 5])"]);
}

#[test]
fn a_server_that_cannot_prove_its_key_is_refused() {
    let [server, impostor] = [(); 2].map(|()| NodePrivate::generate(&mut SystemRng));
    let key = NodePrivate::generate(&mut SystemRng);
    let mut client = Client::new(key.clone(), START);
    accept(&mut client, &server, &ServerInfo::default(), START);
    let mut answer = Vec::new();
    let shared = impostor.shared(&key.public());
    derp::put_server_info(&mut answer, &shared, &ServerInfo::default(), &mut SystemRng).unwrap();
    assert!(matches!(handle_all(&mut client, &answer, START), Err(DerpError::Handshake { .. })));
}

#[test]
fn frames_before_the_handshake_are_refused() {
    let mut client = Client::new(NodePrivate::generate(&mut SystemRng), START);
    let mut bytes = Vec::new();
    derp::put_keep_alive(&mut bytes);
    assert!(matches!(handle_all(&mut client, &bytes, START), Err(DerpError::Unexpected { .. })));
}

#[test]
fn another_protocol_is_named() {
    let mut client = Client::new(NodePrivate::generate(&mut SystemRng), START);
    let error = handle_all(&mut client, b"HTTP/1.1 400 Bad Request\r\n", START).unwrap_err();
    assert!(matches!(error, DerpError::Frame(_)));
}

#[test]
fn a_silent_server_times_out_at_each_stage() {
    let client = Client::new(NodePrivate::generate(&mut SystemRng), START);
    assert_eq!(client.poll_timeout(), Some(START + Duration::from_secs(10)));
    client.handle_timeout(START + Duration::from_secs(9)).unwrap();
    let error = client.handle_timeout(START + Duration::from_secs(10));
    assert!(matches!(error, Err(RelayError::HandshakeTimedOut)));

    let mut client = ready();
    assert_eq!(client.poll_timeout(), Some(START + Duration::from_secs(120)));
    let mut keep_alive = Vec::new();
    derp::put_keep_alive(&mut keep_alive);
    handle_all(&mut client, &keep_alive, START + Duration::from_secs(60)).unwrap();
    client.handle_timeout(START + Duration::from_secs(120)).unwrap();
    let error = client.handle_timeout(START + Duration::from_secs(180));
    assert!(matches!(error, Err(RelayError::Silent)));
}

#[test]
fn bytes_of_an_unfinished_frame_do_not_feed_the_watchdog() {
    let mut client = ready();
    handle_all(&mut client, &[6, 0, 0], START + Duration::from_secs(100)).unwrap();
    assert_eq!(client.poll_timeout(), Some(START + Duration::from_secs(120)));
}

#[test]
fn a_full_buffer_refuses_packets_and_still_answers_pings() {
    let mut client = ready();
    let data = vec![0; 60_000];
    let queued = (0..).take_while(|_| client.send_packet(&PEER, &data, START).is_ok()).count();
    assert_eq!(queued, TRANSMIT_CAP / (60_000 + 37));
    assert_eq!(client.send_packet(&PEER, &data, START), Err(SendError::Full));
    let mut pings = Vec::new();
    for _ in 0..100_000 {
        derp::put_ping(&mut pings, [1; 8]);
    }
    let before = client.transmit().len();
    handle_all(&mut client, &pings, START).unwrap();
    let after = client.transmit().len();
    assert!(after > before && after < TRANSMIT_CAP + (8 << 10), "{before} {after}");
}

#[test]
fn packets_over_64_kib_are_refused() {
    let mut client = ready();
    let error = client.send_packet(&PEER, &vec![0; 65_537], START).unwrap_err();
    assert!(matches!(error, SendError::TooLong(_)));
    client.send_packet(&PEER, &vec![0; 65_536], START).unwrap();
}

#[test]
fn the_relays_rate_limit_is_obeyed() {
    let mut client =
        ready_with(&ServerInfo { bytes_per_second: 1000, bytes_burst: 500, ..ServerInfo::default() });
    let limited = Err(SendError::RateLimited { bytes_per_second: 1000 });
    client.send_packet(&PEER, &[0; 363], START).unwrap();
    assert_eq!(client.send_packet(&PEER, &[0; 64], START), limited);
    let later = START + Duration::from_millis(1);
    client.send_packet(&PEER, &[0; 64], later).unwrap();
    let later = START + Duration::from_secs(50);
    client.send_packet(&PEER, &[0; 463], later).unwrap();
    assert_eq!(client.send_packet(&PEER, &[], later), limited);
}

proptest! {
    #[test]
    fn any_bytes_are_handled_without_panic(kind in 0..0x18u8, len in 0..90u8, mut body: Vec<u8>, is_ready: bool) {
        body.splice(0..0, [kind, 0, 0, 0, len]);
        let mut client = if is_ready { ready() } else { Client::new(NodePrivate::generate(&mut SystemRng), START) };
        let _ = handle_all(&mut client, &body, START);
    }
}

#[test]
fn a_probe_that_nothing_answers_ends_the_connection() {
    let mut client = ready();
    client.probe([1; 8], START);
    let due = START + Duration::from_secs(4);
    assert_eq!(client.poll_timeout(), Some(due));
    let mut pong = Vec::new();
    derp::put_pong(&mut pong, [1; 8]);
    let answered = START + Duration::from_secs(3);
    assert_eq!(handle_all(&mut client, &pong, answered).unwrap().len(), 1);
    client.handle_timeout(due).unwrap();
    client.probe([2; 8], due);
    assert!(matches!(client.handle_timeout(due + Duration::from_secs(4)), Err(RelayError::Silent)));
}
