//! The events of a node, and the queue in which they wait for their reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::control::{ControlError, Registered};
use crate::derp::RelayError;

/// Unread events that are kept one by one. Beyond them the queue is merged.
const KEPT: usize = 64;
/// Regions of which an event is kept when the queue is merged.
const KEPT_REGIONS: usize = 32;

/// State of a relay connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// It is being opened.
    Connecting,
    /// It is ready for packets.
    Connected,
    /// It was lost or could not be opened; it is tried again by itself.
    Failed {
        /// The failure.
        error: RelayError,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The relay has announced that it restarts.
    Restarting,
    /// It was closed, since it was not used.
    Closed,
}

/// Event of a node, reported when it happens.
///
/// In order: [`Registered`](Self::Registered) comes before the first [`MapChanged`](Self::MapChanged), that before
/// [`Running`](Self::Running), [`NeedsApproval`](Self::NeedsApproval) before the `MapChanged` of the map that says so, and
/// nothing after [`Failed`](Self::Failed) or [`LoggedOut`](Self::LoggedOut).
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// The control server is being connected to.
    Connecting,
    /// A person has to log in on this page; the node goes on by itself then.
    AuthUrl(String),
    /// The control server has registered the node.
    Registered(Box<Registered>),
    /// The map has changed: see [`Node::with_netmap`](crate::Node::with_netmap).
    MapChanged,
    /// An administrator of the tailnet has to approve this node; it goes on by itself then. Reported again after the
    /// control server was lost.
    NeedsApproval,
    /// The node is in the tailnet: it knows its peers and can be reached. Reported once, and again after each approval and
    /// each renewed key that it needed since.
    Running,
    /// A relay connection has changed.
    Relay {
        /// The relay's region.
        region: u32,
        /// Short name of the region.
        code: String,
        /// Its state now.
        state: RelayState,
    },
    /// The control server is not connected; connections to peers go on, and it is tried again by itself.
    Disconnected {
        /// The failure.
        error: ControlError,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The node has ended for good. The last event.
    Failed(ControlError),
    /// The node has logged out. The last event.
    LoggedOut,
}

/// The events of a node, for one reader, who need not read them.
///
/// Nothing waits for the reader. A `MapChanged` that follows another unread one is left out, for the map is read as it is
/// then; and once 64 others wait, the last of each kind (and of each relay's region) is kept. So the last events are
/// always true, in the order that [`NodeEvent`] promises.
#[derive(Debug)]
pub struct NodeEvents(Arc<EventQueue>);

/// Queue in which a node's events wait.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    state: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    events: VecDeque<NodeEvent>,
    /// There will be no more, or nobody to read them.
    closed: bool,
}

impl NodeEvents {
    pub(super) fn new(queue: &Arc<EventQueue>) -> Self {
        Self(Arc::clone(queue))
    }

    /// Waits for the next event; `None` once the node has ended. It can be cancelled without losing one.
    pub async fn recv(&mut self) -> Option<NodeEvent> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut pending = self.0.pending();
                if let Some(event) = pending.events.pop_front() {
                    return Some(event);
                }
                if pending.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Returns the next event if there is one.
    pub fn try_recv(&mut self) -> Option<NodeEvent> {
        self.0.pending().events.pop_front()
    }
}

impl Drop for NodeEvents {
    fn drop(&mut self) {
        let mut pending = self.0.pending();
        pending.closed = true;
        pending.events.clear();
    }
}

impl EventQueue {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an event.
    pub(super) fn push(&self, event: NodeEvent) {
        {
            let mut pending = self.pending();
            if pending.closed {
                return;
            }
            if matches!(event, NodeEvent::MapChanged) && ends_with_map(&pending.events) {
                return;
            }
            pending.events.push_back(event);
            if pending.events.len() > KEPT {
                merge(&mut pending.events);
            }
        }
        self.changed.notify_one();
    }

    /// Ends the queue: what is in it can still be read.
    pub(super) fn close(&self) {
        self.pending().closed = true;
        self.changed.notify_one();
    }
}

/// Returns `true` where the last event that is not a relay's is a changed map.
fn ends_with_map(events: &VecDeque<NodeEvent>) -> bool {
    let last = events.iter().rev().find(|event| !matches!(event, NodeEvent::Relay { .. }));
    matches!(last, Some(NodeEvent::MapChanged))
}

/// Kind of an event, of which one is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connecting,
    AuthUrl,
    Registered,
    MapChanged,
    NeedsApproval,
    Running,
    Relay(u32),
    Disconnected,
    End,
}

fn kind(event: &NodeEvent) -> Kind {
    match event {
        NodeEvent::Connecting => Kind::Connecting,
        NodeEvent::AuthUrl(_) => Kind::AuthUrl,
        NodeEvent::Registered(_) => Kind::Registered,
        NodeEvent::MapChanged => Kind::MapChanged,
        NodeEvent::NeedsApproval => Kind::NeedsApproval,
        NodeEvent::Running => Kind::Running,
        NodeEvent::Relay { region, .. } => Kind::Relay(*region),
        NodeEvent::Disconnected { .. } => Kind::Disconnected,
        NodeEvent::Failed(_) | NodeEvent::LoggedOut => Kind::End,
    }
}

/// Keeps the last event of each kind, and what [`NodeEvent`] promises to come before it.
fn merge(events: &mut VecDeque<NodeEvent>) {
    let mut kept: VecDeque<NodeEvent> = VecDeque::with_capacity(KEPT);
    let (mut regions, mut needs_map, mut needs_registered) = (0, false, false);
    let is_kept = |kept: &VecDeque<NodeEvent>, of| kept.iter().any(|event| kind(event) == of);
    while let Some(event) = events.pop_back() {
        let of = kind(&event);
        let keep = match of {
            Kind::Relay(_) if !is_kept(&kept, of) => {
                regions += 1;
                regions <= KEPT_REGIONS
            }
            // The map that was there before the node ran, and the registration before that.
            Kind::MapChanged if needs_map => true,
            Kind::Registered if needs_registered => true,
            // A page on which a person has logged in since.
            Kind::AuthUrl if is_kept(&kept, Kind::Registered) => false,
            _ => !is_kept(&kept, of),
        };
        if keep {
            needs_map = of == Kind::Running || needs_map && of != Kind::MapChanged;
            needs_registered = of == Kind::MapChanged || needs_registered && of != Kind::Registered;
            kept.push_front(event);
        }
    }
    *events = kept;
}
