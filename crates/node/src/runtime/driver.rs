//! The task that runs a node: takes in what the control server says, keeps relays connected, keeps time.

use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::task::{AbortOnDropHandle, spawn};
use dayfly_platform::time::sleep_until;
use dayfly_sorted::SortedMap;
use dayfly_wire::control::{DerpRegion, MapResponse};
use tokio::sync::mpsc;

use super::node_core::{NodeCore, wall_clock};
use super::pump::{self, RelayNote};
use super::{ControlState, NodeError, NodeEvent, NodeState, RelayState};
use crate::Dialer;
use crate::control::{Control, ControlEvent};
use crate::netmap::NetMap;
use crate::tunnel::TunnelEvent;
use crate::tunnel::relays::Link;

/// Regions that are tried at once for a home; the first to answer becomes it.
const CANDIDATES: usize = 12;
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
                self.core.with(|tunnel, now| tunnel.set_node_key(*key, now));
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
        // Relays may reject a node that is not approved, and it has nobody to talk to.
        if self.admitted {
            self.choose_home();
        }
        self.core.events.push(NodeEvent::MapChanged);
        self.maybe_running();
    }

    /// Sees to it that a home is being looked for, unless there is a good one.
    fn choose_home(&self) {
        let candidates = {
            let map = self.core.map();
            candidates(&map)
        };
        let new_home = self.core.with(|tunnel, now| {
            let lost =
                tunnel.home().is_none_or(|home| tunnel.relays().get(home).is_none_or(Link::is_failing));
            if !lost {
                return None;
            }
            // One that is connected already tells of no connection.
            let ready =
                candidates.iter().find(|region| tunnel.relays().get(**region).is_some_and(Link::is_ready));
            match ready {
                Some(region) => tunnel.set_home(Some(*region)),
                None => candidates.iter().for_each(|region| tunnel.open_relay(*region, now)),
            }
            ready.copied()
        });
        if let Some(region) = new_home {
            self.home_changed(region);
        }
    }

    fn home_changed(&self, region: u32) {
        self.control.set_home_region(region);
        self.core.state.send_modify(|state| state.home = Some(region));
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
                let new_home = self.core.with(|tunnel, _| {
                    let home_is_up = tunnel.home().is_some_and(|home| {
                        home == region || tunnel.relays().get(home).is_some_and(|link| !link.is_failing())
                    });
                    if !home_is_up {
                        tunnel.set_home(Some(region));
                    }
                    !home_is_up
                });
                if new_home {
                    self.home_changed(region);
                }
                self.relay_changed(region, RelayState::Connected);
                self.maybe_running();
            }
            TunnelEvent::Restarting(region) => self.relay_changed(region, RelayState::Restarting),
            TunnelEvent::Progress => {}
        }
        self.core.progress.send_replace(());
    }

    fn relay_note(&self, note: RelayNote) {
        if matches!(note.state, RelayState::Failed { .. }) {
            self.choose_home();
        }
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
        let ready = self.core.with(|tunnel, _| {
            tunnel.home().is_some_and(|home| tunnel.relays().get(home).is_some_and(|link| link.is_ready()))
        });
        if ready {
            self.running = true;
            self.report(NodeEvent::Running, |state| state.running = true);
        }
    }
}

/// The regions to look for a home in. Those where peers are come first: that is where this node's packets go.
fn candidates(map: &NetMap) -> Vec<u32> {
    let usable = |region: &&DerpRegion| region.nodes.iter().any(|node| !node.stun_only);
    let good = |region: &&DerpRegion| !region.avoid && !region.no_measure_no_home;
    let mut regions: Vec<&DerpRegion> = map.derp_regions().filter(usable).filter(good).collect();
    if regions.is_empty() {
        regions = map.derp_regions().filter(usable).collect();
    }
    let mut peers: SortedMap<u32, usize> = SortedMap::new();
    for peer in map.peers().filter(|peer| peer.online() != Some(false)) {
        *peers.get_or_insert_with(peer.home_region().unwrap_or_default(), || 0) += 1;
    }
    regions
        .sort_by_key(|region| std::cmp::Reverse(peers.get(&region.region_id).copied().unwrap_or_default()));
    regions.into_iter().take(CANDIDATES).map(|region| region.region_id).collect()
}
