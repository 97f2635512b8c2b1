//! Conduct of a node when one of several relays fails.

use dayfly_platform::time::timeout;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_region_that_is_connected_already_becomes_home_when_home_is_lost() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 2]).await;
    let listener = far.listen();
    let mut client = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let mut server = far.accept(listener).await;
    exchange(&mut client, &mut server, b"before").await;
    relays.set_down(1, true);
    let reported = timeout(Duration::from_secs(30), async { while near.reported_home().await != 2 {} }).await;
    assert!(reported.is_ok(), "the control server does not hear of it");
    assert_eq!(near.node.status().home, Some(2));
    exchange(&mut client, &mut server, b"after").await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_takes_nothing_holds_up_nobody_else() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 2]).await;
    let mut third = Member::start(&relays).await;
    let message = MapResponse {
        node: Some(Box::new(third.entry(2, 1))),
        peers: vec![near.entry(0, 1)],
        derp_map: Some(derp_map(&[1])),
        packet_filter: Some(open_filter()),
        ..MapResponse::default()
    };
    third.send(&message);
    third.running().await;
    near.send(&MapResponse { peers_changed: vec![third.entry(2, 1)], ..MapResponse::default() });
    near.event(|event| matches!(event, NodeEvent::MapChanged).then_some(())).await;

    let (at_far, at_third) = (far.listen(), third.listen());
    let mut to_far = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let mut to_third = near.node.connect("node2", PORT, |_| {}).await.unwrap();
    let (mut far_server, mut third_server) = (far.accept(at_far).await, third.accept(at_third).await);
    exchange(&mut to_third, &mut third_server, b"before").await;
    // So much that TCP has come to send all of its buffer at once.
    let data = vec![7; 6 << 20];
    let (sent, received) = tokio::join!(to_far.write_all(&data), async {
        let mut read = vec![0; data.len()];
        far_server.read_exact(&mut read).await
    });
    sent.unwrap();
    received.unwrap();

    relays.set_stuck(2);
    let written = timeout(Duration::from_millis(500), to_far.write_all(&data)).await;
    assert!(written.is_err(), "the relay takes it");
    let is_busy = || near.node.inner.core.with(|tunnel, now| tunnel.relays().is_busy(now));
    assert!(is_busy());
    let exchanged = timeout(Duration::from_secs(3), exchange(&mut to_third, &mut third_server, b"x")).await;
    assert!(exchanged.is_ok());
    assert!(!is_busy());
}
