//! The task that runs a node: takes in what the control server says, keeps relays connected, keeps time.

use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::task::{AbortOnDropHandle, spawn};
use dayfly_platform::time::sleep_until;
use dayfly_sorted::SortedMap;
use dayfly_wire::control::MapResponse;
use tokio::sync::mpsc;

use super::node_core::{NodeCore, wall_clock};
use super::pump::{self, RelayNote};
use super::{ControlState, NodeError, NodeEvent, NodeState, RelayState};
use crate::Dialer;
use crate::control::{Control, ControlEvent};
use crate::tunnel::TunnelEvent;

/// Longest sleep of a node: the timers of browsers overflow after 24 days, and a key may expire later than that.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Timers of browsers cut off what is less than a millisecond: with this added, none is early.
const TIMER_GRAIN: Duration = Duration::from_micros(999);

pub(super) struct Driver {
    core: Arc<NodeCore>,
    control: Arc<Control>,
    dialer: Arc<dyn Dialer>,
    notes: mpsc::Sender<RelayNote>,
    relay_notes: Option<mpsc::Receiver<RelayNote>>,
    relays: SortedMap<u32, AbortOnDropHandle<()>>,
    /// A map has come, and in it the node is approved.
    admitted: bool,
    running: bool,
}

/// Ends the node when its driver does, for whatever reason.
struct EndOnDrop(Arc<NodeCore>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
        self.0.state.send_if_modified(|state| {
            let dropped = !state.has_ended();
            if dropped {
                state.control = ControlState::Dropped;
            }
            dropped
        });
        self.0.events.close();
    }
}

impl Driver {
    pub(super) fn new(core: Arc<NodeCore>, control: Arc<Control>, dialer: Arc<dyn Dialer>) -> Self {
        let (notes, relay_notes) = mpsc::channel(16);
        Self {
            core,
            control,
            dialer,
            notes,
            relay_notes: Some(relay_notes),
            relays: SortedMap::new(),
            admitted: false,
            running: false,
        }
    }

    /// Runs until the session with the control server ends.
    pub(super) async fn run(mut self, mut control: mpsc::Receiver<ControlEvent>) {
        let core = Arc::clone(&self.core);
        let _guard = EndOnDrop(Arc::clone(&core));
        let Some(mut relay_notes) = self.relay_notes.take() else { return };
        let clock = core.clock();
        loop {
            let (events, due) = core.turn(|tunnel, _| {
                let events = std::iter::from_fn(|| tunnel.poll_event());
                events.collect::<Vec<_>>()
            });
            if events.is_empty() {
                let longest = clock.now() + LONGEST_SLEEP;
                let due = due.map_or(longest, |due| longest.min(due + TIMER_GRAIN));
                tokio::select! {
                    biased;
                    event = control.recv() => match event {
                        Some(event) => if self.control_event(event) { return },
                        None => return,
                    },
                    Some(note) = relay_notes.recv() => self.relay_note(note),
                    () = core.driver.notified() => {}
                    () = sleep_until(clock.instant(due)) => {}
                }
            }
            for event in events {
                self.tunnel_event(event);
            }
        }
    }

    /// Changes what those see who watch the node, then reports the event.
    fn report(&self, event: NodeEvent, change: impl FnOnce(&mut NodeState)) {
        self.core.state.send_modify(change);
        self.core.events.push(event);
    }

    /// Takes in an event of the session with the control server. Returns `true` when it was the last one.
    fn control_event(&mut self, event: ControlEvent) -> bool {
        match event {
            ControlEvent::Connecting => {
                self.report(NodeEvent::Connecting, |state| state.control = ControlState::Connecting);
            }
            ControlEvent::AuthUrl(url) => {
                self.report(NodeEvent::AuthUrl(url.clone()), |state| {
                    state.control = ControlState::Connected;
                    state.auth_url = Some(url);
                });
            }
            ControlEvent::NodeKey(key) => {
                // To its peers the node is another one until the next map.
                (self.admitted, self.running) = (false, false);
                self.core.with(|tunnel, _| tunnel.set_node_key(*key));
                self.core.state.send_modify(|state| (state.registered, state.running) = (None, false));
            }
            ControlEvent::Registered(registered) => {
                self.report(NodeEvent::Registered(registered.clone()), |state| {
                    state.control = ControlState::Connected;
                    state.auth_url = None;
                    state.registered = Some(registered);
                });
            }
            ControlEvent::Map { message, first } => self.map_changed(*message, first),
            ControlEvent::Disconnected { error, retry_in } => {
                self.report(NodeEvent::Disconnected { error: error.clone(), retry_in }, |state| {
                    state.control = ControlState::Disconnected;
                    state.last_error = Some(error.into());
                });
            }
            ControlEvent::LoggedOut => {
                self.report(NodeEvent::LoggedOut, |state| state.end(ControlState::LoggedOut));
                return true;
            }
            ControlEvent::Failed(error) => {
                self.report(NodeEvent::Failed(error.clone()), |state| {
                    state.end(ControlState::Failed);
                    state.last_error = Some(error.into());
                });
                return true;
            }
        }
        false
    }

    fn map_changed(&mut self, message: MapResponse, first: bool) {
        let (needs_approval, ssh_policy_changes) = {
            let now = wall_clock();
            let mut map = self.core.map();
            map.apply(message, first, now);
            let control_time = map.control_time(now);
            self.core.with(|tunnel, now| tunnel.update(&map, control_time, now));
            (map.needs_approval(), map.ssh_policy_changes())
        };
        let is_news = needs_approval && (first || self.admitted);
        self.admitted = !needs_approval;
        self.running &= self.admitted;
        let running = self.running;
        self.core.state.send_modify(|state| {
            state.control = ControlState::Connected;
            (state.needs_approval, state.running) = (needs_approval, running);
            state.map_changes += 1;
            state.ssh_policy_changes = ssh_policy_changes;
        });
        if is_news {
            self.core.events.push(NodeEvent::NeedsApproval);
        }
        self.core.events.push(NodeEvent::MapChanged);
        self.maybe_running();
    }

    fn tunnel_event(&mut self, event: TunnelEvent) {
        match event {
            TunnelEvent::Dial(region) => {
                let task =
                    pump::keep(Arc::clone(&self.core), Arc::clone(&self.dialer), region, self.notes.clone());
                self.relays.insert(region, AbortOnDropHandle::new(spawn(task)));
            }
            TunnelEvent::Close(region) => {
                self.relays.remove(&region);
                self.relay_changed(region, RelayState::Closed);
            }
            TunnelEvent::Ready(region) => {
                self.relay_changed(region, RelayState::Connected);
                self.maybe_running();
            }
            TunnelEvent::Home(region) => {
                self.control.set_home_region(region);
                self.core.state.send_modify(|state| state.home = Some(region));
                self.maybe_running();
            }
            TunnelEvent::Restarting(region) => self.relay_changed(region, RelayState::Restarting),
            TunnelEvent::Progress => {}
        }
        self.core.progress.send_replace(());
    }

    fn relay_note(&self, note: RelayNote) {
        self.relay_changed(note.region, note.state);
        self.core.progress.send_replace(());
    }

    fn relay_changed(&self, region: u32, state: RelayState) {
        let code = self.core.map().region_code(region);
        if let RelayState::Failed { error, .. } = &state {
            let error = NodeError::Relay { region, code: code.clone(), error: error.clone() };
            self.core.state.send_modify(|state| state.last_error = Some(error));
        }
        self.core.events.push(NodeEvent::Relay { region, code, state });
    }

    fn maybe_running(&mut self) {
        if self.running || !self.admitted {
            return;
        }
        if self.core.with(|tunnel, _| tunnel.home_is_ready()) {
            self.running = true;
            self.report(NodeEvent::Running, |state| state.running = true);
        }
    }
}
