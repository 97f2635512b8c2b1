//! Leaving.

use std::sync::atomic::Ordering;

use dayfly_wire::control::RegisterResponse;
use tokio::time::Instant;

use super::server::Cut;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_logout_is_on_its_way_once_the_tasks_it_woke_have_run() {
    let mut bench = start(|_, _| {});
    let _map = bench.joined().await;
    let before = Instant::now();
    assert!(bench.control.logout_now());
    let request = bench.request().await;
    assert_eq!(before.elapsed(), Duration::ZERO, "no timer was needed");
    assert_eq!(request.path, "/machine/register");
    assert_eq!(request.body["Expiry"], "1970-01-01T00:02:03Z");
    assert_eq!(request.body["NodeKey"], bench.node_key.to_string());
    assert!(!bench.control.logout_now(), "once is enough");
    request.register(&RegisterResponse { node_key_expired: true, ..RegisterResponse::default() });
    assert!(matches!(bench.event().await, ControlEvent::LoggedOut));
    assert!(bench.events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_logout_ends_the_session_all_the_same() {
    let mut bench = start(|_, _| {});
    let _map = bench.joined().await;
    let before = Instant::now();
    let ignore = async { (bench.requests.recv().await, bench.requests.recv().await) };
    let (result, _requests) = tokio::join!(bench.control.logout(), ignore);
    assert!(matches!(result, Err(ControlError::TimedOut { .. })), "{result:?}");
    assert!(before.elapsed() < 9 * SECOND, "a page waits for ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_logout_without_a_connection_opens_one() {
    let mut bench = start(|_, _| {});
    let map = bench.joined().await;
    bench.server.fail_next(unreachable());
    map.hang_up();
    bench.disconnected().await;
    bench.connecting().await;
    bench.disconnected().await;
    let answer = async {
        let request = bench.requests.recv().await.unwrap();
        assert_eq!(request.body["Expiry"], "1970-01-01T00:02:03Z");
        request.register(&RegisterResponse::default());
    };
    let (result, ()) = tokio::join!(bench.control.logout(), answer);
    assert!(result.is_ok(), "{result:?}");
    assert!(matches!(bench.event().await, ControlEvent::LoggedOut));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_joined_ends_without_a_logout() {
    let mut bench = start(|_, server| (0..10).for_each(|_| server.fail_next(unreachable())));
    bench.connecting().await;
    bench.disconnected().await;
    assert!(bench.control.logout().await.is_ok());
    assert!(matches!(bench.event().await, ControlEvent::LoggedOut));
}

#[tokio::test(start_paused = true)]
async fn a_logout_on_a_connection_that_is_dead_is_sent_again_on_another() {
    for cut in [Cut::Silent, Cut::Closed] {
        let mut bench = start(|_, _| {});
        let map = bench.joined().await;
        let Bench { control, requests, .. } = &mut bench;
        let answer = async {
            if cut == Cut::Silent {
                map.cut(cut);
            } else {
                requests.recv().await.unwrap().cut(cut);
            }
            let request = requests.recv().await.unwrap();
            assert_eq!(request.body["Expiry"], "1970-01-01T00:02:03Z");
            request.register(&RegisterResponse::default());
        };
        let both = async { tokio::join!(answer, control.logout()) };
        let ((), result) = tokio::time::timeout(9 * SECOND, both).await.expect("it is sent again");
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(bench.server.dials.load(Ordering::Relaxed), 2);
        assert!(matches!(bench.event().await, ControlEvent::LoggedOut));
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_is_refused_is_not_called_done() {
    let mut bench = start(|_, _| {});
    let _map = bench.joined().await;
    let error = "node exist with different machine key";
    let answer = async {
        let refusal = RegisterResponse { error: error.to_owned(), ..RegisterResponse::default() };
        bench.requests.recv().await.unwrap().register(&refusal);
    };
    let (result, ()) = tokio::join!(bench.control.logout(), answer);
    assert!(matches!(&result, Err(ControlError::Logout(text)) if text == error), "{result:?}");
    assert!(matches!(bench.failed().await, ControlError::Logout(_)));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_logged_in_yet_a_refused_logout_is_no_failure() {
    let mut bench = start(|config, _| config.auth_key = None);
    bench.connecting().await;
    let page = "https://control.test/register/a".to_owned();
    bench.request().await.register(&RegisterResponse { auth_url: page, ..RegisterResponse::default() });
    assert!(matches!(bench.event().await, ControlEvent::AuthUrl(_)));
    let _followup = bench.request().await;
    let answer = async {
        let refusal = RegisterResponse { error: "unknown node".to_owned(), ..RegisterResponse::default() };
        bench.requests.recv().await.unwrap().register(&refusal);
    };
    let (result, ()) = tokio::join!(bench.control.logout(), answer);
    assert!(result.is_ok(), "{result:?}");
}
