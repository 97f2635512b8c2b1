//! Sessions against a server in memory, on a clock that stands still while anything can still happen.

mod login;
mod logout;
mod renewal;
mod retry;
pub(crate) mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use dayfly_platform::random::SystemRng;
use dayfly_wire::control::{DerpMap, Hostinfo, Login, MapResponse, Node, PingRequest, RegisterResponse};
use dayfly_wire::key::{DiscoPrivate, MachinePrivate, NodePublic};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep};

use self::server::{Incoming, Map, Server};
use super::{Control, ControlConfig, ControlError, ControlEvent, KeyExpiry, WATCHDOG};
use crate::{DialError, NodeKeys};

const SECOND: Duration = Duration::from_secs(1);

/// A session, and both ends of what it does.
struct Bench {
    control: Control,
    events: Receiver<ControlEvent>,
    requests: Receiver<Incoming>,
    server: Server,
    node_key: NodePublic,
    machine: dayfly_wire::key::MachinePublic,
}

fn start(change: impl FnOnce(&mut ControlConfig, &mut Server)) -> Bench {
    let (mut server, requests) = Server::new();
    let keys = NodeKeys { disco: DiscoPrivate::from_bytes([3; 32]), ..NodeKeys::generate() };
    let (machine, node_key) = (keys.machine.public(), keys.node.public());
    let mut config = ControlConfig {
        control_key: None,
        keys,
        key_store: None,
        auth_key: Some("secret".to_owned().into()),
        hostinfo: Hostinfo { hostname: "page".to_owned(), ..Hostinfo::default() },
        ephemeral: true,
        on_key_expiry: KeyExpiry::End,
    };
    change(&mut config, &mut server);
    let (control, events) = Control::start(Arc::new(server.clone()), config);
    Bench { control, events, requests, server, node_key, machine }
}

fn accepted() -> RegisterResponse {
    let login = Login { login_name: "ada".to_owned(), ..Login::default() };
    RegisterResponse { login, machine_authorized: true, ..RegisterResponse::default() }
}

fn unreachable() -> DialError {
    DialError::Unreachable { url: "https://control.test".to_owned(), reason: "refused".to_owned() }
}

impl Bench {
    async fn event(&mut self) -> ControlEvent {
        self.events.recv().await.expect("the session goes on")
    }

    async fn request(&mut self) -> Incoming {
        self.requests.recv().await.unwrap()
    }

    async fn connecting(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, ControlEvent::Connecting), "{event:?}");
    }

    /// The request that opens the map stream; updates on the way to it are taken note of.
    async fn stream_request(&mut self) -> Incoming {
        loop {
            let request = self.request().await;
            if request.is_stream() {
                return request;
            }
            assert_eq!(request.body["OmitPeers"], true, "{}", request.body);
            request.answer(200, "");
        }
    }

    async fn update(&mut self) -> Incoming {
        let request = self.request().await;
        assert!(request.path == "/machine/map" && !request.is_stream() && request.body["OmitPeers"] == true);
        request
    }

    async fn disconnected(&mut self) -> (ControlError, Duration) {
        match self.event().await {
            ControlEvent::Disconnected { error, retry_in } => (error, retry_in),
            event => panic!("{event:?}"),
        }
    }

    async fn failed(&mut self) -> ControlError {
        let event = self.event().await;
        let ControlEvent::Failed(error) = event else { panic!("{event:?}") };
        assert!(self.events.recv().await.is_none(), "the session has ended");
        error
    }

    /// Lets the node in; the first map has been read and the first update taken note of.
    async fn joined(&mut self) -> Map {
        self.connecting().await;
        self.request().await.register(&accepted());
        let event = self.event().await;
        assert!(matches!(event, ControlEvent::Registered(_)), "{event:?}");
        self.mapped().await
    }

    async fn mapped(&mut self) -> Map {
        let request = self.request().await;
        let mut map = request.map();
        self.update().await.answer(200, "");
        map.first();
        let event = self.event().await;
        assert!(matches!(event, ControlEvent::Map { first: true, .. }), "{event:?}");
        map
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_joins_by_auth_key_on_one_connection() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    let request = bench.request().await;
    assert_eq!(request.path, "/machine/register");
    assert_eq!(request.machine, bench.machine);
    assert_eq!(request.body["Auth"]["AuthKey"], "secret");
    assert_eq!(request.body["NodeKey"], bench.node_key.to_string());
    assert_eq!(request.body["Expiry"], "0001-01-01T00:00:00Z");
    assert_eq!(request.body["Ephemeral"], true);
    assert_eq!(request.body["Hostinfo"]["Hostname"], "page");
    request.register(&accepted());
    let ControlEvent::Registered(registered) = bench.event().await else { panic!() };
    assert_eq!((&*registered.login.login_name, registered.authorized), ("ada", true));

    let request = bench.request().await;
    assert_eq!(request.path, "/machine/map");
    assert_eq!(request.body["KeepAlive"], true);
    assert_eq!(request.body["DiscoKey"], DiscoPrivate::from_bytes([3; 32]).public().to_string());
    let mut map = request.map();
    let update = bench.update().await;
    assert_eq!(update.body["Hostinfo"]["Hostname"], "page");
    map.first();
    let ControlEvent::Map { message, first: true } = bench.event().await else { panic!() };
    assert_eq!(message.node.unwrap().id, 1);
    map.keep_alive();
    map.send(&MapResponse { derp_map: Some(DerpMap::default()), ..MapResponse::default() });
    let ControlEvent::Map { message, first: false } = bench.event().await else { panic!() };
    assert!(message.derp_map.is_some());
    assert_eq!(bench.server.dials.load(Ordering::Relaxed), 1);
    assert_eq!(bench.server.key_fetches.load(Ordering::Relaxed), 1);
}

/// An early payload as it is sent: a magic number, a length, JSON.
fn early_payload(json: &[u8]) -> Vec<u8> {
    [b"\xff\xff\xffTS", &(json.len() as u32).to_be_bytes()[..], json].concat()
}

#[tokio::test(start_paused = true)]
async fn an_early_payload_is_skipped() {
    let json = br#"{"nodeKeyChallenge":"chalpub:00"}"#;
    start(|_, server| server.early = early_payload(json)).joined().await;
}

#[tokio::test(start_paused = true)]
async fn an_early_payload_beyond_its_limit_ends_the_connection() {
    let mut bench = start(|_, server| server.early = early_payload(&[b' '; 5000]));
    bench.connecting().await;
    let (error, _) = bench.disconnected().await;
    assert!(matches!(&error, ControlError::Lost(text) if text.contains("5000 bytes")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_pinned_key_is_not_fetched() {
    let mut bench = start(|config, server| config.control_key = Some(server.public_key()));
    bench.joined().await;
    assert_eq!(bench.server.key_fetches.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_node_key_is_replaced_once() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    let expired = RegisterResponse { node_key_expired: true, ..RegisterResponse::default() };
    bench.request().await.register(&expired);
    let ControlEvent::NodeKey(key) = bench.event().await else { panic!() };
    let request = bench.request().await;
    assert_eq!(request.body["OldNodeKey"], bench.node_key.to_string());
    assert_eq!(request.body["NodeKey"], key.public().to_string());
    request.register(&expired);
    assert!(matches!(bench.failed().await, ControlError::KeyRefused));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_told_in_the_servers_words() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    let refusal =
        RegisterResponse { error: "authkey already used".to_owned(), ..RegisterResponse::default() };
    bench.request().await.register(&refusal);
    let error = bench.failed().await;
    assert!(matches!(&error, ControlError::Register(text) if text == "authkey already used"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    bench.request().await.too_many("17");
    let (error, retry_in) = bench.disconnected().await;
    assert!(matches!(error, ControlError::RateLimited { .. }));
    assert_eq!(retry_in, 17 * SECOND);
    let before = Instant::now();
    bench.joined().await;
    assert!(before.elapsed() >= 17 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_failing_server_is_tried_again() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    bench.request().await.answer(503, "starting up");
    let (error, _) = bench.disconnected().await;
    assert!(matches!(&error, ControlError::RegisterStatus { status: 503, text } if text == "starting up"));
    bench.joined().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_tried_again_ever_more_slowly() {
    let mut bench = start(|_, server| (0..10).for_each(|_| server.fail_next(unreachable())));
    let mut waits = Vec::new();
    for _ in 0..10 {
        bench.connecting().await;
        let (error, retry_in) = bench.disconnected().await;
        assert!(matches!(error, ControlError::Dial(DialError::Unreachable { .. })), "{error}");
        waits.push(retry_in);
    }
    assert!(waits[0] <= SECOND && waits[9] >= 15 * SECOND && waits[9] <= 30 * SECOND, "{waits:?}");
    bench.joined().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_cannot_be_dialled_is_final() {
    let bad = DialError::BadAddress { url: "ftp://x".to_owned(), reason: "scheme".to_owned() };
    let mut bench = start(|_, server| server.fail_next(bad));
    bench.connecting().await;
    assert!(matches!(bench.failed().await, ControlError::Dial(DialError::BadAddress { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_server_with_another_key_than_the_pinned_one_is_not_spoken_to() {
    let other = MachinePrivate::generate(&mut SystemRng).public();
    let mut bench = start(|config, _| config.control_key = Some(other));
    for _ in 0..2 {
        bench.connecting().await;
        let (error, _) = bench.disconnected().await;
        assert!(matches!(error, ControlError::Handshake(_)), "{error}");
    }
    assert_eq!(bench.server.key_fetches.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_stream_and_keep_alives_prevent_that() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    for _ in 0..5 {
        sleep(WATCHDOG - SECOND).await;
        map.keep_alive();
    }
    assert!(bench.events.try_recv().is_err());
    let before = Instant::now();
    let (error, _) = bench.disconnected().await;
    assert!(matches!(error, ControlError::Watchdog), "{error}");
    assert!(before.elapsed() >= WATCHDOG - SECOND && before.elapsed() <= WATCHDOG + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_text_never_ends_is_not_waited_for() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    bench.request().await.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
    let _text = bench.stream_request().await.begin(503);
    let before = Instant::now();
    assert!(matches!(bench.disconnected().await.0, ControlError::Watchdog));
    assert!(before.elapsed() <= WATCHDOG + SECOND);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_make_no_message_do_not_count_as_life() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    map.raw(vec![100, 0, 0, 0]);
    let before = Instant::now();
    while before.elapsed() < 110 * SECOND {
        sleep(10 * SECOND).await;
        map.raw(vec![b' ']);
    }
    assert!(matches!(bench.disconnected().await.0, ControlError::Watchdog));
    assert!(before.elapsed() <= WATCHDOG + SECOND);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_the_stream_goes_on_with_the_same_key_and_without_registering() {
    let mut bench = start(|_, _| {});
    bench.joined().await.hang_up();
    assert!(matches!(bench.disconnected().await.0, ControlError::Lost(_) | ControlError::MapEnded));
    bench.connecting().await;
    bench.mapped().await;
    assert_eq!(bench.server.dials.load(Ordering::Relaxed), 2);
    assert_eq!(bench.server.key_fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_the_server_forgot_has_come_to_its_end() {
    let mut bench = start(|_, _| {});
    bench.joined().await.hang_up();
    bench.disconnected().await;
    bench.connecting().await;
    let request = bench.stream_request().await;
    request.answer(404, "node not found");
    let error = bench.failed().await;
    assert!(matches!(&error, ControlError::NodeRemoved(text) if text == "node not found"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_first_message_without_the_node_ends_the_stream() {
    let mut bench = start(|_, _| {});
    bench.connecting().await;
    bench.request().await.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
    let mut map = bench.stream_request().await.map();
    map.send(&MapResponse { domain: "tail.test".to_owned(), ..MapResponse::default() });
    assert!(matches!(bench.disconnected().await.0, ControlError::MapWithoutNode));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_ends_the_stream() {
    for bytes in [b"\x02\0\0\0{x".to_vec(), u32::MAX.to_le_bytes().to_vec()] {
        let mut bench = start(|_, _| {});
        let mut map = bench.joined().await;
        map.raw(bytes);
        assert!(matches!(bench.disconnected().await.0, ControlError::MapMessage(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_node_is_told_so() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    let node = Node { id: 1, expired: true, ..Node::default() };
    map.send(&MapResponse { node: Some(Box::new(node)), ..MapResponse::default() });
    assert!(matches!(bench.event().await, ControlEvent::Map { .. }));
    assert!(matches!(bench.failed().await, ControlError::KeyExpired));
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_node_are_told_beside_the_stream() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    bench.control.set_home_region(7);
    bench.control.update_hostinfo(|hostinfo| hostinfo.os = "js".to_owned());
    let update = bench.update().await;
    assert_eq!(update.body["Hostinfo"]["NetInfo"]["PreferredDERP"], 7);
    assert_eq!(update.body["Hostinfo"]["OS"], "js", "changes made together are sent together");
    update.answer(200, "");
    bench.control.set_home_region(7);
    map.send(&MapResponse { domain: "x".to_owned(), ..MapResponse::default() });
    assert!(matches!(bench.event().await, ControlEvent::Map { first: false, .. }));
    assert!(bench.requests.try_recv().is_err(), "what has not changed is not sent");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_not_taken_is_told_again() {
    let mut bench = start(|_, _| {});
    let _map = bench.joined().await;
    bench.control.set_home_region(7);
    bench.update().await.answer(500, "");
    let before = Instant::now();
    let update = bench.update().await;
    assert_eq!(update.body["Hostinfo"]["NetInfo"]["PreferredDERP"], 7);
    assert!(before.elapsed() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_removed_while_its_stream_stays_open_learns_it_by_its_next_change() {
    let mut bench = start(|_, _| {});
    let _map = bench.joined().await;
    bench.control.set_home_region(7);
    bench.update().await.answer(404, "node not found");
    assert!(matches!(bench.failed().await, ControlError::NodeRemoved(_)));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_session_closes_its_connection() {
    let Bench { control, requests, mut events, mut server, .. } = {
        let mut bench = start(|_, _| {});
        let _map = bench.joined().await;
        bench
    };
    server.early = Vec::new();
    drop((control, server));
    assert!(events.recv().await.is_none());
    // The server's side of the connection ends, and with it the last sender of requests.
    let mut requests = requests;
    assert!(requests.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_echo_of_the_server_comes_back() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    let payload = base64::engine::general_purpose::STANDARD.encode("POST /echo HTTP/1.1\r\n\r\nhello");
    let ping = PingRequest {
        url: "https://unused/machine/c2n?id=1".to_owned(),
        url_is_noise: true,
        types: "c2n".to_owned(),
        payload,
        ..PingRequest::default()
    };
    map.send(&MapResponse { keep_alive: true, ping_request: Some(ping), ..MapResponse::default() });
    let request = bench.request().await;
    assert_eq!(request.path, "/machine/c2n");
    assert!(request.raw.ends_with(b"\r\n\r\nhello"));
}

#[tokio::test(start_paused = true)]
async fn a_large_map_arrives_whole() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    let peers: Vec<_> =
        (2..6000).map(|id| Node { id, name: format!("node-{id}.tail.test."), ..Node::default() }).collect();
    let message = MapResponse { peers, ..MapResponse::default() };
    map.send(&message);
    let ControlEvent::Map { message: received, .. } = bench.event().await else { panic!() };
    assert_eq!(*received, message);
}
