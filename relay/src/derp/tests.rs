//! Clients in memory, on a clock that runs only while all wait.

use std::net::Ipv4Addr;

use bytes::BytesMut;
use dayfly_testkit::derp::{DerpClient, DerpClientError, Received};
use dayfly_wire::derp::{ClientInfo, FrameType, MAX_PACKET_LEN, PeerGoneReason};
use dayfly_wire::disco;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

use super::metrics::End;
use super::*;

fn server_with(rate: Option<ClientRate>) -> Arc<Server> {
    let metrics = Metrics::new(&dayfly_http::Registry::new("dayfly"));
    let key = NodePrivate::generate(&mut SystemRng);
    Arc::new(Server::new(key, None, rate, Timeouts::default(), metrics))
}

fn server() -> Arc<Server> {
    server_with(None)
}

/// A connection with `capacity` bytes between the ends.
fn open(server: &Arc<Server>, capacity: usize) -> DuplexStream {
    let (near, far) = duplex(capacity);
    let source = Source { ip: Ipv4Addr::LOCALHOST.into(), transport: "test" };
    tokio::spawn(Arc::clone(server).serve(Duplex::raw(far, Bytes::new()), source));
    near
}

async fn connect(server: &Arc<Server>) -> DerpClient<DuplexStream> {
    connect_as(server, NodePrivate::generate(&mut SystemRng)).await
}

async fn connect_as(server: &Arc<Server>, key: NodePrivate) -> DerpClient<DuplexStream> {
    connect_over(server, key, 1 << 20).await
}

async fn connect_over(server: &Arc<Server>, key: NodePrivate, capacity: usize) -> DerpClient<DuplexStream> {
    let stream = open(server, capacity);
    DerpClient::fast_start(stream, BytesMut::new(), key, server.public_key(), None).await.unwrap()
}

/// Waits for the next frame that is no news of duplicates.
async fn past_health(client: &mut DerpClient<DuplexStream>) -> Received {
    loop {
        match client.next().await.unwrap() {
            Received::Health(_) => {}
            received => return received,
        }
    }
}

/// Returns `true` once the server has admitted the client of `stream`.
async fn is_admitted(stream: DuplexStream) -> bool {
    let mut client = DerpClient::new(stream, BytesMut::new(), NodePrivate::generate(&mut SystemRng));
    match client.admitted().await {
        Ok(()) => true,
        Err(DerpClientError::Rejected) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn assert_silent(client: &mut DerpClient<DuplexStream>) {
    let silent = timeout(Duration::from_secs(1), client.next()).await;
    assert!(silent.is_err(), "{silent:?}");
}

fn raw(kind: FrameType, len: u32, payload: &[u8]) -> Vec<u8> {
    [&[kind.0][..], &len.to_be_bytes(), payload].concat()
}

fn disco_packet() -> Vec<u8> {
    let mut packet = vec![0; 100];
    packet[..disco::MAGIC.len()].copy_from_slice(&disco::MAGIC);
    packet
}

#[tokio::test(start_paused = true)]
async fn packets_reach_their_peer_whatever_their_length() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    for len in [0, 1, 1280, MAX_PACKET_LEN] {
        let packet = vec![len as u8; len];
        a.send(&b.public(), &packet).await.unwrap();
        assert_eq!(b.next().await.unwrap(), Received::Packet(a.public(), packet));
    }
    a.send(&a.public(), b"to myself").await.unwrap();
    assert_eq!(a.next().await.unwrap(), Received::Packet(a.public(), b"to myself".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn frames_arrive_byte_by_byte_and_many_at_once() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    let mut out = Vec::new();
    for i in 0..40_u8 {
        derp::put_send_packet(&mut out, &b.public(), &vec![i; 100 * usize::from(i)]).unwrap();
        out.extend(raw(FrameType(0x7e), 3, b"new"));
    }
    for byte in &out {
        a.write(std::slice::from_ref(byte)).await.unwrap();
        if *byte == 39 {
            tokio::task::yield_now().await;
        }
    }
    a.write(&out).await.unwrap();
    for i in (0..40_u8).chain(0..40) {
        assert_eq!(b.next().await.unwrap(), Received::Packet(a.public(), vec![i; 100 * usize::from(i)]));
    }
}

#[tokio::test(start_paused = true)]
async fn each_byte_is_counted_once_however_frames_are_cut() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    let mut out = Vec::new();
    // One that is kept in front of what is read next, and one that is read to its end where it lies.
    for len in [100, 10_000] {
        derp::put_send_packet(&mut out, &b.public(), &vec![0; len]).unwrap();
    }
    for piece in out.chunks(30) {
        a.write(piece).await.unwrap();
        // Time passes only when the server has read this and waits for more.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for len in [100, 10_000] {
        assert_eq!(b.next().await.unwrap(), Received::Packet(a.public(), vec![0; len]));
    }
    assert_eq!(server.metrics.bytes_received.get(), out.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_comes_with_the_handshake_is_handled() {
    let server = server();
    let key = NodePrivate::generate(&mut SystemRng);
    let mut client = DerpClient::new(open(&server, 1 << 20), BytesMut::new(), key.clone());
    let mut out = Vec::new();
    derp::put_client_info(&mut out, &key, server.public_key(), &ClientInfo::default(), &mut SystemRng)
        .unwrap();
    derp::put_send_packet(&mut out, &client.public(), b"early").unwrap();
    out.extend_from_slice(&raw(FrameType::SEND_PACKET, 37, client.public().as_bytes()));
    client.write(&out).await.unwrap();
    client.admitted().await.unwrap();
    assert_eq!(client.next().await.unwrap(), Received::Packet(client.public(), b"early".to_vec()));
    client.write(b"split").await.unwrap();
    assert_eq!(client.next().await.unwrap(), Received::Packet(client.public(), b"split".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn whoever_got_packets_is_told_that_their_sender_left_each_time() {
    let server = server();
    let mut b = connect(&server).await;
    let key = NodePrivate::generate(&mut SystemRng);
    for _ in 0..2 {
        let mut a = connect_as(&server, key.clone()).await;
        a.send(&b.public(), b"hello").await.unwrap();
        assert_eq!(b.next().await.unwrap(), Received::Packet(key.public(), b"hello".to_vec()));
        drop(a);
        assert_eq!(b.next().await.unwrap(), Received::PeerGone(key.public(), PeerGoneReason::DISCONNECTED));
    }
    let silent = connect_as(&server, key.clone()).await;
    drop(silent);
    assert_silent(&mut b).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_has_left_when_its_last_connection_has() {
    let server = server();
    let mut b = connect(&server).await;
    let key = NodePrivate::generate(&mut SystemRng);
    let mut first = connect_as(&server, key.clone()).await;
    first.send(&b.public(), b"1").await.unwrap();
    assert!(matches!(b.next().await.unwrap(), Received::Packet(..)));
    let second = connect_as(&server, key.clone()).await;
    drop(first);
    assert_silent(&mut b).await;
    drop(second);
    assert_eq!(b.next().await.unwrap(), Received::PeerGone(key.public(), PeerGoneReason::DISCONNECTED));
}

#[tokio::test(start_paused = true)]
async fn duplicate_key_newest_wins_until_an_older_one_is_heard() {
    let server = server();
    let mut sender = connect(&server).await;
    let key = NodePrivate::generate(&mut SystemRng);
    let mut old = connect_as(&server, key.clone()).await;
    let mut new = connect_as(&server, key.clone()).await;
    sender.send(&key.public(), b"1").await.unwrap();
    assert_eq!(past_health(&mut new).await, Received::Packet(sender.public(), b"1".to_vec()));
    // Even a stray Pong counts.
    let mut pong = Vec::new();
    derp::put_pong(&mut pong, [0; 8]);
    old.write(&pong).await.unwrap();
    old.sync().await.unwrap();
    sender.send(&key.public(), b"2").await.unwrap();
    assert_eq!(past_health(&mut old).await, Received::Packet(sender.public(), b"2".to_vec()));
    drop(old);
    sender.sync().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    sender.send(&key.public(), b"3").await.unwrap();
    assert_eq!(past_health(&mut new).await, Received::Packet(sender.public(), b"3".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn only_disco_learns_that_a_peer_is_not_here_and_not_too_often() {
    let server = server();
    let mut client = connect(&server).await;
    let nobody = NodePublic::from_bytes([9; 32]);
    client.send(&nobody, b"not disco").await.unwrap();
    client.sync().await.unwrap();
    for _ in 0..10 {
        client.send(&nobody, &disco_packet()).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(client.next().await.unwrap(), Received::PeerGone(nobody, PeerGoneReason::NOT_HERE));
    }
    assert_silent(&mut client).await;
    client.send(&nobody, &disco_packet()).await.unwrap();
    assert_eq!(client.next().await.unwrap(), Received::PeerGone(nobody, PeerGoneReason::NOT_HERE));
}

#[tokio::test(start_paused = true)]
async fn packets_to_nobody_leave_nothing_behind() {
    let server = server();
    let mut client = connect(&server).await;
    for i in 0..10_000_u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&i.to_be_bytes());
        client.send(&NodePublic::from_bytes(key), b"x").await.unwrap();
    }
    client.sync().await.unwrap();
    let mut connections = 0;
    server.registry.for_each(|_| connections += 1);
    assert_eq!(connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_comes_before_proxies_lose_patience() {
    let server = server();
    let mut client = connect(&server).await;
    for _ in 0..3 {
        let before = Instant::now();
        assert_eq!(client.next().await.unwrap(), Received::KeepAlive);
        // Many proxies close what was silent for 60 s.
        assert!((25..=50).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_is_cut_off_and_holds_nobody_up() {
    let server = server();
    let (mut sender, mut other) = (connect(&server).await, connect(&server).await);
    let key = NodePrivate::generate(&mut SystemRng);
    let stalled = connect_over(&server, key, 4096).await;
    let start = Instant::now();
    for _ in 0..2_000 {
        sender.send(&stalled.public(), &[0; 1280]).await.unwrap();
    }
    sender.send(&other.public(), b"on time").await.unwrap();
    assert_eq!(other.next().await.unwrap(), Received::Packet(sender.public(), b"on time".to_vec()));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(server.registry.find(&stalled.public()).is_none());
    assert_eq!(server.metrics.ends.of(End::WriteTimeout).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_over_its_rate_is_slowed_down_and_loses_nothing() {
    let rate = ClientRate { bytes_per_second: 100_000, burst: 70_000 };
    let server = server_with(Some(rate));
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    let start = Instant::now();
    let b_key = b.public();
    let sending = async {
        for i in 0..500_u32 {
            a.send(&b_key, &[&i.to_be_bytes()[..], &[0; 996]].concat()).await.unwrap();
        }
    };
    let receiving = async {
        for i in 0..500_u32 {
            let Received::Packet(_, data) = b.next().await.unwrap() else { panic!("not a packet") };
            assert_eq!(data[..4], i.to_be_bytes());
        }
    };
    tokio::join!(sending, receiving);
    // 500 frames of 1,037 bytes, less the burst, at 100 kB/s: the last ones may still be on their way in.
    let elapsed = start.elapsed().as_secs_f64();
    assert!((3.5..5.0).contains(&elapsed), "{elapsed}");
}

/// Frames that a fresh client gets after sending `bytes`, besides those of the handshake.
async fn after(server: &Arc<Server>, bytes: &[u8]) -> Received {
    let mut client = connect(server).await;
    client.write(bytes).await.unwrap();
    let mut ping = Vec::new();
    derp::put_ping(&mut ping, [1; 8]);
    let _: std::io::Result<()> = client.stream().write_all(&ping).await;
    client.next().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn malformed_frames_end_the_connection() {
    let server = server();
    for (what, bytes) in [
        ("4 GiB", raw(FrameType::SEND_PACKET, u32::MAX, b"")),
        ("more than a packet", raw(FrameType::SEND_PACKET, 32 + MAX_PACKET_LEN as u32 + 1, b"")),
        ("less than a key", raw(FrameType::SEND_PACKET, 31, &[0; 31])),
        ("a short ping", raw(FrameType::PING, 7, &[0; 7])),
        ("a long ping", raw(FrameType::PING, 1001, &[0; 1001])),
        ("a long preference", raw(FrameType::NOTE_PREFERRED, 2, &[0; 2])),
        ("no preference", raw(FrameType::NOTE_PREFERRED, 0, b"")),
        ("mesh: watch", raw(FrameType::WATCH_CONNS, 0, b"")),
        ("mesh: close", raw(FrameType::CLOSE_PEER, 32, &[0; 32])),
        ("mesh: forward", raw(FrameType::FORWARD_PACKET, 64, &[0; 64])),
        ("4 GiB of nothing known", raw(FrameType(0x77), u32::MAX, b"")),
    ] {
        assert_eq!(after(&server, &bytes).await, Received::Closed, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_mean_nothing_here_are_skipped() {
    let server = server();
    for (what, bytes) in [
        ("unknown", raw(FrameType(0x77), 100_000, &[0x12; 100_000])),
        ("unknown and empty", raw(FrameType(0xff), 0, b"")),
        ("the server's", raw(FrameType::PEER_GONE, 1, &[0])),
        ("a late handshake", raw(FrameType::CLIENT_INFO, 10, &[0; 10])),
        ("a stray pong", raw(FrameType::PONG, 8, &[0; 8])),
        ("a preference", raw(FrameType::NOTE_PREFERRED, 1, &[1])),
        ("a ping with more in it", raw(FrameType::NOTE_PREFERRED, 1, &[0])),
    ] {
        assert_eq!(after(&server, &bytes).await, Received::Pong([1; 8]), "{what}");
    }
    assert_eq!(after(&server, &raw(FrameType::PING, 9, &[1; 9])).await, Received::Pong([1; 8]));
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_prove_nothing_are_rejected_at_once() {
    let server = server();
    let key = NodePrivate::generate(&mut SystemRng);
    let other = NodePrivate::generate(&mut SystemRng);
    let mut wrong_server = Vec::new();
    derp::put_client_info(&mut wrong_server, &key, &other.public(), &ClientInfo::default(), &mut SystemRng)
        .unwrap();
    let mut wrong_key = Vec::new();
    derp::put_client_info(&mut wrong_key, &key, server.public_key(), &ClientInfo::default(), &mut SystemRng)
        .unwrap();
    wrong_key[5..37].copy_from_slice(other.public().as_bytes());
    let deep = {
        let shared = key.shared(server.public_key());
        let sealed = shared.seal(&mut SystemRng, &[b'['; 100_000]);
        raw(
            FrameType::CLIENT_INFO,
            32 + sealed.len() as u32,
            &[&key.public().as_bytes()[..], &sealed].concat(),
        )
    };
    for (what, bytes) in [
        ("another server's", wrong_server),
        ("another client's", wrong_key),
        ("deep JSON", deep),
        ("not first", raw(FrameType::PING, 8, &[0; 8])),
        ("too short", raw(FrameType::CLIENT_INFO, 10, &[0; 10])),
        ("4 GiB", raw(FrameType::CLIENT_INFO, u32::MAX, b"")),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ] {
        let start = Instant::now();
        let mut client = DerpClient::new(open(&server, 1 << 20), BytesMut::new(), key.clone());
        client.write(&bytes).await.unwrap();
        let admitted = client.admitted().await;
        assert!(matches!(admitted, Err(DerpClientError::Rejected)), "{what}: {admitted:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{what}");
    }
    let mut connections = 0;
    server.registry.for_each(|_| connections += 1);
    assert_eq!(connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_drips_is_cut_off_after_ten_seconds() {
    let server = server();
    let mut stream = open(&server, 1 << 20);
    let start = Instant::now();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            if stream.write_all(&[FrameType::CLIENT_INFO.0]).await.is_err() {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), drip).await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_that_the_server_goes_down() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    server.restart(Restart { reconnect_within: Duration::from_secs(2), try_for: Duration::from_secs(30) });
    for client in [&mut a, &mut b] {
        assert_eq!(client.next().await.unwrap(), Received::Restarting);
        assert_eq!(client.next().await.unwrap(), Received::Closed);
    }
    let mut late = connect(&server).await;
    assert_eq!(late.next().await.unwrap(), Received::Restarting);
    assert_eq!(late.next().await.unwrap(), Received::Closed);
}

/// Opens a WebSocket and completes the handshake on it. Masks are zero, so that frames are what they hold.
async fn open_websocket(server: &Arc<Server>) -> DuplexStream {
    let (mut near, far) = duplex(1 << 16);
    let source = Source { ip: Ipv4Addr::LOCALHOST.into(), transport: "test" };
    tokio::spawn(Arc::clone(server).serve(Duplex::websocket(far, Bytes::new()), source));
    let mut info = Vec::new();
    let key = NodePrivate::generate(&mut SystemRng);
    derp::put_client_info(&mut info, &key, server.public_key(), &ClientInfo::default(), &mut SystemRng)
        .unwrap();
    let [high, low] = (info.len() as u16).to_be_bytes();
    near.write_all(&[0x82, 0x80 | 126, high, low, 0, 0, 0, 0]).await.unwrap();
    near.write_all(&info).await.unwrap();
    near
}

#[tokio::test(start_paused = true)]
async fn frames_of_websockets_that_carry_nothing_are_charged_and_counted() {
    let rate = ClientRate { bytes_per_second: 100_000, burst: 70_000 };
    for (what, frame) in [("pongs", [0x8a, 0x80, 0, 0, 0, 0]), ("empty messages", [0x82, 0x80, 0, 0, 0, 0])] {
        let server = server_with(Some(rate));
        let mut client = open_websocket(&server).await;
        let start = Instant::now();
        client.write_all(&frame.repeat(100_000)).await.unwrap();
        // 600 kB, less the burst and what may still be on its way in.
        let elapsed = start.elapsed().as_secs_f64();
        assert!((4.0..6.0).contains(&elapsed), "{what}: {elapsed}");
        assert!(server.metrics.bytes_received.get() > 450_000, "{what}");
    }
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A ClientInfo frame whose sealed content is `json`.
fn client_info(server: &Server, key: &NodePrivate, json: &[u8]) -> Vec<u8> {
    let sealed = key.shared(server.public_key()).seal(&mut SystemRng, json);
    raw(FrameType::CLIENT_INFO, 32 + sealed.len() as u32, &[&key.public().as_bytes()[..], &sealed].concat())
}

#[tokio::test(start_paused = true)]
async fn strangers_write_little_into_the_log_and_nothing_of_their_own() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = server();
    let key = NodePrivate::generate(&mut SystemRng);
    let json = format!("{{\"version\":\"{}\"}}", "\u{7f}strange".repeat(250));
    let info = client_info(&server, &key, json.as_bytes());
    for _ in 0..1_000 {
        let mut client = open(&server, 1 << 20);
        client.write_all(&info).await.unwrap();
        assert!(!is_admitted(client).await);
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("client rejected"));
    assert!(!logged.contains("strange"), "a stranger's words");
    assert!(logged.len() < 8 << 10, "{} bytes", logged.len());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_of_more_than_a_few_kilobytes_is_rejected() {
    let server = server();
    for (len, admitted) in [(3_000, true), (5_000, false)] {
        let key = NodePrivate::generate(&mut SystemRng);
        let json = format!("{{\"version\":2,\"AppName\":\"{}\"}}", "x".repeat(len));
        let info = client_info(&server, &key, json.as_bytes());
        let mut client = open(&server, 1 << 20);
        client.write_all(&info).await.unwrap();
        assert_eq!(is_admitted(client).await, admitted, "{len}");
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_bounded_and_the_older_one_is_notified() {
    let server = server();
    let key = NodePrivate::generate(&mut SystemRng);
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(connect_as(&server, key.clone()).await);
    }
    let mut newest = clients.pop().unwrap();
    newest.sync().await.unwrap();
    let mut connections = 0;
    server.registry.for_each(|_| connections += 1);
    assert_eq!(connections, 8, "so many connections of one key are kept");
    for (i, client) in clients.iter_mut().enumerate() {
        assert!(matches!(client.next().await.unwrap(), Received::Health(text) if !text.is_empty()), "{i}");
        if i < 4 {
            assert_eq!(past_health(client).await, Received::Closed, "{i}");
        }
    }
    assert_eq!(server.metrics.ends.of(End::Duplicate).get(), 4);
    let mut last = clients.pop().unwrap();
    drop((clients, newest));
    assert_eq!(last.next().await.unwrap(), Received::Health(String::new()), "it is its key's only one again");
}
