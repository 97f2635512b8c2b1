//! A person who logs in, and the connections meanwhile.

use std::sync::atomic::Ordering;

use dayfly_wire::control::RegisterResponse;
use tokio::time::{Instant, sleep};

use super::server::Cut;
use super::*;
use crate::control::register::FOLLOWUP_LIMIT;

fn page(url: &str) -> RegisterResponse {
    RegisterResponse { auth_url: url.to_owned(), ..RegisterResponse::default() }
}

#[tokio::test(start_paused = true)]
async fn a_person_logs_in_on_a_page_which_may_change() {
    let mut bench = start(|config, _| config.auth_key = None);
    bench.connecting().await;
    let page = |url: &str| RegisterResponse { auth_url: url.to_owned(), ..RegisterResponse::default() };
    let request = bench.request().await;
    assert!(request.body.get("Auth").is_none() && request.body.get("Followup").is_none());
    request.register(&page("https://control.test/register/a"));
    for (shown, next) in [("a", Some("b")), ("b", None)] {
        let shown = format!("https://control.test/register/{shown}");
        let event = bench.event().await;
        assert!(matches!(&event, ControlEvent::AuthUrl(url) if *url == shown), "{event:?}");
        let request = bench.request().await;
        assert_eq!(request.body["Followup"], shown);
        assert_eq!(request.body["NodeKey"], bench.node_key.to_string());
        // People take their time.
        sleep(FOLLOWUP_LIMIT - SECOND).await;
        match next {
            Some(next) => request.register(&page(&format!("https://control.test/register/{next}"))),
            None => request.register(&accepted()),
        }
    }
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
    bench.mapped().await;
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_survives_its_connection() {
    let mut bench = start(|config, _| config.auth_key = None);
    bench.connecting().await;
    let url = "https://control.test/register/a";
    bench
        .request()
        .await
        .register(&RegisterResponse { auth_url: url.to_owned(), ..RegisterResponse::default() });
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(_)));
    let request = bench.request().await;
    request.cut(Cut::Closed);
    assert!(matches!(bench.disconnected().await.0, ControlError::Lost(_)));
    bench.connecting().await;
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(again) if again == url));
    let request = bench.request().await;
    assert_eq!(request.body["Followup"], url);
    request.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
}

/// Each connection may be dead without a sign of it: no one is waited on for ever, and nobody hears of the next.
#[tokio::test(start_paused = true)]
async fn a_person_may_take_long_while_connections_die_unnoticed() {
    let mut bench = start(|config, _| config.auth_key = None);
    bench.connecting().await;
    let url = "https://control.test/register/a";
    bench.request().await.register(&page(url));
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(_)));
    for dials in 1..4 {
        let request = bench.request().await;
        assert_eq!(request.body["Followup"], url);
        assert_eq!(bench.server.dials.load(Ordering::Relaxed), dials);
        request.cut(Cut::Silent);
        let before = Instant::now();
        while bench.requests.is_empty() {
            sleep(SECOND).await;
            assert!(before.elapsed() <= FOLLOWUP_LIMIT + SECOND);
        }
        assert!(before.elapsed() >= FOLLOWUP_LIMIT);
        assert!(bench.events.try_recv().is_err());
    }
    bench.request().await.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
    bench.mapped().await;
}

#[tokio::test(start_paused = true)]
async fn a_login_page_that_is_none_is_not_shown() {
    let mut bench = start(|config, _| config.auth_key = None);
    bench.connecting().await;
    let page = RegisterResponse { auth_url: "javascript:alert(1)".to_owned(), ..RegisterResponse::default() };
    bench.request().await.register(&page);
    assert!(matches!(bench.disconnected().await.0, ControlError::RegisterAnswer(_)));
}
