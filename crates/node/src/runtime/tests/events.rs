//! The events of a node, for readers of any pace, and the state that says the same.

use std::collections::BTreeMap;

use dayfly_wire::control::{Login, User};
use proptest::prelude::*;

use super::*;
use crate::runtime::event::EventQueue;
use crate::{ControlError, ControlState, NodeError, Registered};

/// Events in an order in which a node may report them, as `choices` have it.
fn reported(choices: &[u8]) -> Vec<NodeEvent> {
    let (mut connected, mut registered, mut mapped, mut waiting, mut running) =
        (false, false, false, false, false);
    let mut events = Vec::new();
    for &choice in choices {
        let with_map = connected && registered;
        match choice % 12 {
            0 if !connected => {
                events.push(NodeEvent::Connecting);
                connected = true;
            }
            1 if connected && !registered => events.push(NodeEvent::AuthUrl(format!("https://x/{choice}"))),
            2 if connected && !registered => {
                let (user, login) = (User::default(), Login::default());
                events.push(NodeEvent::Registered(Box::new(Registered { user, login, authorized: true })));
                registered = true;
            }
            3..=5 if with_map => {
                events.push(NodeEvent::MapChanged);
                (mapped, waiting) = (true, waiting && choice % 12 != 3);
            }
            6 if with_map && !waiting => {
                events.extend([NodeEvent::NeedsApproval, NodeEvent::MapChanged]);
                (mapped, waiting, running) = (true, true, false);
            }
            7 if mapped && !waiting && !running => {
                events.push(NodeEvent::Running);
                running = true;
            }
            8 | 9 => {
                let (region, code) = (u32::from(choice / 12) % 4, String::new());
                let state = if choice % 12 == 8 { RelayState::Connecting } else { RelayState::Connected };
                events.push(NodeEvent::Relay { region, code, state });
            }
            10 if connected => {
                let retry_in = Duration::from_secs(u64::from(choice));
                events.push(NodeEvent::Disconnected { error: ControlError::MapEnded, retry_in });
                connected = false;
            }
            // The node's key is renewed.
            11 if with_map && choice > 200 => (registered, mapped, running) = (false, false, false),
            _ => {}
        }
    }
    events
}

/// Knowledge of a reader who has followed the events.
#[derive(Debug, Default, PartialEq)]
struct Known {
    control: String,
    auth_url: Option<String>,
    registered: bool,
    running: bool,
    needs_approval: bool,
    relays: BTreeMap<u32, RelayState>,
}

impl Known {
    fn follow(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::Relay { region, state, .. } => {
                self.relays.insert(*region, state.clone());
                return;
            }
            NodeEvent::Connecting => return "connecting".clone_into(&mut self.control),
            NodeEvent::Disconnected { retry_in, .. } => {
                self.control = format!("disconnected, {retry_in:?}");
                return;
            }
            NodeEvent::AuthUrl(url) => self.auth_url = Some(url.clone()),
            NodeEvent::Registered(_) => (self.registered, self.auth_url) = (true, None),
            NodeEvent::NeedsApproval => (self.needs_approval, self.running) = (true, false),
            NodeEvent::Running => {
                assert!(self.registered, "running before it is registered");
                (self.needs_approval, self.running) = (false, true);
                return;
            }
            NodeEvent::MapChanged => assert!(self.registered, "a map before the registration"),
            NodeEvent::Failed(_) | NodeEvent::LoggedOut => {}
        }
        "connected".clone_into(&mut self.control);
    }
}

proptest! {
    #[test]
    fn a_slow_reader_comes_to_know_the_same_in_the_order_that_is_promised(
        choices in prop::collection::vec(any::<u8>(), 0..3000),
        reads in prop::collection::vec((0..800_usize, 0..100_usize), 0..6),
    ) {
        let queue = Arc::new(EventQueue::default());
        let mut reader = NodeEvents::new(&queue);
        let (mut exact, mut known) = (Known::default(), Known::default());
        let mut seen = Vec::new();
        let mut reads = reads.into_iter();
        let mut pause = reads.next();
        for event in reported(&choices) {
            exact.follow(&event);
            queue.push(event);
            if let Some((wait, count)) = &mut pause {
                match wait.checked_sub(1) {
                    Some(less) => *wait = less,
                    None => {
                        seen.extend(std::iter::from_fn(|| reader.try_recv()).take(*count));
                        pause = reads.next();
                    }
                }
            }
        }
        let rest: Vec<_> = std::iter::from_fn(|| reader.try_recv()).collect();
        prop_assert!(rest.len() <= 64, "{}", rest.len());
        seen.extend(rest);
        seen.iter().for_each(|event| known.follow(event));
        prop_assert_eq!(known, exact);

        let first = |of: fn(&NodeEvent) -> bool| seen.iter().position(of).unwrap_or(usize::MAX);
        let map = first(|event| matches!(event, NodeEvent::MapChanged));
        prop_assert!(map <= first(|event| matches!(event, NodeEvent::Running)));
        let last_approval = seen.iter().rposition(|event| matches!(event, NodeEvent::NeedsApproval));
        let last_map = seen.iter().rposition(|event| matches!(event, NodeEvent::MapChanged));
        prop_assert!(last_approval < last_map || last_approval.is_none());
    }
}

#[test]
fn up_to_64_unread_events_are_kept_one_by_one() {
    let queue = Arc::new(EventQueue::default());
    let mut reader = NodeEvents::new(&queue);
    for region in 0..64 {
        queue.push(NodeEvent::Relay { region: region % 2, code: String::new(), state: RelayState::Closed });
    }
    assert_eq!(std::iter::from_fn(|| reader.try_recv()).count(), 64);
}

#[tokio::test]
async fn a_reader_gets_what_was_reported_before_the_end_and_then_nothing() {
    let queue = Arc::new(EventQueue::default());
    let mut reader = NodeEvents::new(&queue);
    let reading = tokio::spawn(async move {
        let last = reader.recv().await;
        (last, reader.recv().await)
    });
    tokio::task::yield_now().await;
    queue.push(NodeEvent::LoggedOut);
    queue.close();
    queue.push(NodeEvent::MapChanged);
    let (last, none) = reading.await.unwrap();
    assert!(matches!(last, Some(NodeEvent::LoggedOut)) && none.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_events_nobody_reads_follows_ten_thousand_maps() {
    let relays = Relays::default();
    let [mut near, far] = pair(&relays, [1, 1]).await;
    let _server = far.listen();
    while near.events.try_recv().is_some() {}
    let before = near.node.state().map_changes;
    for change in 1..=10_000_u64 {
        let peer = MapNode { name: format!("node-{change}.tail.test."), ..far.entry(1, 1) };
        near.send(&MapResponse { peers_changed: vec![peer], ..MapResponse::default() });
        if change % 100 == 0 {
            let mut states = near.node.watch();
            states.wait_for(|state| state.map_changes == before + change).await.unwrap();
        }
    }
    near.node.connect("node-10000", PORT, |_| {}).await.unwrap();
    let unread: Vec<_> = std::iter::from_fn(|| near.events.try_recv()).collect();
    assert!(matches!(unread.as_slice(), [NodeEvent::MapChanged]), "{unread:?}");
}

#[tokio::test(start_paused = true)]
async fn the_state_says_where_the_node_stands() {
    let relays = Relays::default();
    relays.set_down(1, true);
    let mut member = Member::start(&relays).await;
    let own = member.entry(0, 1);
    member.send(&MapResponse {
        node: Some(Box::new(own.clone())),
        derp_map: Some(derp_map(&[1])),
        ..MapResponse::default()
    });
    let mut states = member.node.watch();
    let state = states.wait_for(|state| state.last_error.is_some()).await.unwrap().clone();
    assert!(matches!(&state.last_error, Some(NodeError::Relay { region: 1, .. })), "{state:?}");
    assert_eq!((state.control, state.running, state.home), (ControlState::Connected, false, None));
    assert!(state.registered.is_some_and(|registered| registered.authorized));

    relays.set_down(1, false);
    member.node.running().await.unwrap();
    assert_eq!((member.node.state().running, member.node.state().home), (true, Some(1)));

    let waiting = MapNode { machine_authorized: false, ..own };
    member.send(&MapResponse { node: Some(Box::new(waiting)), ..MapResponse::default() });
    let state = states.wait_for(|state| state.needs_approval).await.unwrap().clone();
    assert!(!state.running);

    drop(member.node);
    let state = states.wait_for(NodeState::has_ended).await.unwrap().clone();
    assert_eq!(state.control, ControlState::Dropped);
}
