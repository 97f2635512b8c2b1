//! A network that has come back, or a page that is looked at again.

use std::sync::atomic::Ordering;

use dayfly_wire::control::RegisterResponse;
use tokio::time::Instant;

use super::server::Cut;
use super::*;
use crate::control::register::FOLLOWUP_LIMIT;

#[tokio::test(start_paused = true)]
async fn a_network_that_is_back_is_not_waited_for() {
    let mut bench = start(|_, server| (0..10).for_each(|_| server.fail_next(unreachable())));
    for _ in 0..9 {
        bench.connecting().await;
        bench.disconnected().await;
    }
    bench.connecting().await;
    assert!(bench.disconnected().await.1 >= 15 * SECOND);
    let before = Instant::now();
    tokio::task::yield_now().await;
    bench.control.retry_now();
    bench.connecting().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dead_map_stream_is_found_out_when_somebody_wants_to_know() {
    let mut bench = start(|_, _| {});
    let map = bench.joined().await;
    map.cut(Cut::Silent);
    let before = Instant::now();
    tokio::task::yield_now().await;
    bench.control.retry_now();
    let (error, _) = bench.disconnected().await;
    assert!(matches!(error, ControlError::TimedOut { .. }), "{error}");
    assert!(before.elapsed() <= 6 * SECOND);
    bench.connecting().await;
    bench.mapped().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_wait_for_a_login_is_found_out_when_somebody_wants_to_know() {
    let mut bench = start(|config, _| config.auth_key = None);
    bench.connecting().await;
    let url = "https://control.test/register/a";
    let page = RegisterResponse { auth_url: url.to_owned(), ..RegisterResponse::default() };
    bench.request().await.register(&page);
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(_)));
    let followup = bench.request().await;
    followup.cut(Cut::Silent);
    tokio::task::yield_now().await;
    bench.control.retry_now();
    let found_out = tokio::time::timeout(6 * SECOND, bench.disconnected()).await;
    assert!(found_out.is_ok(), "the next followup would be sent after {FOLLOWUP_LIMIT:?}");
    bench.connecting().await;
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(again) if again == url));
    let request = bench.request().await;
    assert_eq!(request.body["Followup"], url);
    request.register(&accepted());
    assert!(matches!(bench.event().await, ControlEvent::Registered(_)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_works_is_kept_however_often_it_is_tried() {
    let mut bench = start(|_, _| {});
    let mut map = bench.joined().await;
    for _ in 0..3 {
        bench.control.retry_now();
        sleep(20 * SECOND).await;
        map.keep_alive();
    }
    assert!(bench.events.try_recv().is_err());
    assert_eq!(bench.server.dials.load(Ordering::Relaxed), 1);
}
