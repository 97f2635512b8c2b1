//! A node key that has expired, and the one that takes its place.

use std::io;
use std::sync::Mutex;

use dayfly_platform::BoxFuture;
use tokio::sync::watch;

use super::*;
use crate::KeyStore;

/// A store that is done with each key when the test says so.
struct Store {
    /// Node keys to be stored, with the key that each replaces.
    asked: Mutex<Vec<(NodePublic, Option<NodePublic>)>>,
    /// Outcome of each; `None` is not yet.
    end: watch::Sender<Option<Result<(), &'static str>>>,
}

impl Store {
    fn new(end: Option<Result<(), &'static str>>) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), end: watch::Sender::new(end) })
    }

    fn asked(&self) -> Vec<(NodePublic, Option<NodePublic>)> {
        self.asked.lock().unwrap().clone()
    }
}

impl KeyStore for Store {
    fn save(&self, keys: &NodeKeys) -> BoxFuture<io::Result<()>> {
        self.asked.lock().unwrap().push((keys.node.public(), keys.replaced));
        let mut end = self.end.subscribe();
        Box::pin(async move {
            let end = end.wait_for(Option::is_some).await.unwrap();
            end.unwrap().map_err(io::Error::other)
        })
    }
}

fn expired() -> RegisterResponse {
    RegisterResponse { node_key_expired: true, ..RegisterResponse::default() }
}

fn expired_map() -> MapResponse {
    let node = Node { id: 1, expired: true, ..Node::default() };
    MapResponse { node: Some(Box::new(node)), ..MapResponse::default() }
}

impl Bench {
    async fn renewed(&mut self) -> NodePublic {
        match self.event().await {
            ControlEvent::NodeKey(key) => key.public(),
            event => panic!("{event:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewed_key_is_stored_before_the_server_sees_it() {
    let store = Store::new(None);
    let key_store: Arc<dyn KeyStore> = store.clone();
    let mut bench = start(|config, _| config.key_store = Some(key_store));
    bench.connecting().await;
    bench.request().await.register(&expired());
    sleep(SECOND).await;
    assert!(bench.requests.is_empty() && bench.events.is_empty());
    store.end.send_replace(Some(Ok(())));
    let key = bench.renewed().await;
    let request = bench.request().await;
    assert_eq!(request.body["NodeKey"], key.to_string());
    assert_eq!(store.asked(), [(key, Some(bench.node_key))]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_stored_is_not_used_and_the_next_is_tried() {
    let store = Store::new(Some(Err("disk full")));
    let key_store: Arc<dyn KeyStore> = store.clone();
    let mut bench = start(|config, _| config.key_store = Some(key_store));
    for end in [None, Some(Ok(()))] {
        bench.connecting().await;
        bench.request().await.register(&expired());
        let (error, _) = bench.disconnected().await;
        let text = if store.asked().len() == 1 { "disk full" } else { "it took 10 s" };
        assert!(matches!(&error, ControlError::KeysNotStored(why) if why == text), "{error}");
        store.end.send_replace(end);
    }
    bench.connecting().await;
    let request = bench.request().await;
    assert_eq!(request.body["NodeKey"], bench.node_key.to_string());
    request.register(&expired());
    let key = bench.renewed().await;
    assert_eq!(bench.request().await.body["NodeKey"], key.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_key_expires_registers_under_a_new_one_where_it_is_to() {
    let mut bench = start(|config, _| config.on_key_expiry = KeyExpiry::Renew);
    let mut map = bench.joined().await;
    map.send(&expired_map());
    assert!(matches!(bench.event().await, ControlEvent::Map { .. }));
    let key = bench.renewed().await;
    assert_ne!(key, bench.node_key);

    let request = bench.request().await;
    assert_eq!(request.path, "/machine/register");
    assert_eq!(request.body["NodeKey"], key.to_string());
    assert_eq!(request.body["OldNodeKey"], bench.node_key.to_string());
    assert!(request.body.get("Auth").is_none(), "the credential was wiped");
    let url = "https://control.test/register/a".to_owned();
    request.register(&RegisterResponse { auth_url: url.clone(), ..RegisterResponse::default() });
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(page) if page == url));
    bench.request().await.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
    let request = bench.request().await;
    assert_eq!(request.body["NodeKey"], key.to_string());
    let mut map = request.map();
    bench.update().await.answer(200, "");
    map.first();
    assert!(matches!(bench.event().await, ControlEvent::Map { first: true, .. }));

    // And again, a year later.
    map.send(&expired_map());
    assert!(matches!(bench.event().await, ControlEvent::Map { .. }));
    assert_ne!(bench.renewed().await, key);
    assert_eq!(bench.request().await.body["OldNodeKey"], key.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_calls_each_new_key_expired_is_not_asked_for_ever() {
    let mut bench = start(|config, _| config.on_key_expiry = KeyExpiry::Renew);
    let mut map = bench.joined().await;
    map.send(&expired_map());
    assert!(matches!(bench.event().await, ControlEvent::Map { .. }));
    bench.renewed().await;
    bench.request().await.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
    let mut map = bench.stream_request().await.map();
    map.send(&expired_map());
    assert!(matches!(bench.event().await, ControlEvent::Map { .. }));
    assert!(matches!(bench.failed().await, ControlError::KeyRefused));
}
