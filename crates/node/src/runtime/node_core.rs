//! The state that the driver, the relay connections and the users of a node share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dayfly_platform::random::SystemRng;
use dayfly_platform::time::{Clock, Moment, unix_now};
use dayfly_wire::control::{DerpRegion, Timestamp};
use dayfly_wire::key::{DiscoPrivate, NodePrivate};
use tokio::sync::{Notify, watch};

use super::event::EventQueue;
use super::state::NodeState;
use crate::netmap::NetMap;
use crate::tunnel::Tunnel;

/// The node's state. Locks are held for moments only, and the map's is never taken while the tunnel's is held.
pub(super) struct NodeCore {
    tunnel: Mutex<Timed>,
    map: Mutex<NetMap>,
    clock: Clock,
    /// Wakes the driver: there are events, or something is due earlier than it knows.
    pub(super) driver: Notify,
    /// Changes whenever something happened that an attempt to connect may wait for.
    pub(super) progress: watch::Sender<()>,
    /// Ends the waits of relay connections for their next attempt.
    retry: Notify,
    /// State of the node, for those who watch it.
    pub(super) state: watch::Sender<NodeState>,
    /// Events that nobody has read yet.
    pub(super) events: Arc<EventQueue>,
}

struct Timed {
    tunnel: Tunnel,
    /// Time at which the driver will wake by itself.
    armed: Option<Moment>,
    ended: bool,
}

impl NodeCore {
    pub(super) fn new(node_key: NodePrivate, disco: DiscoPrivate) -> Self {
        let clock = Clock::start();
        let tunnel = Tunnel::new(node_key, disco, unix_now(), clock.now(), Box::new(SystemRng));
        Self {
            tunnel: Mutex::new(Timed { tunnel, armed: None, ended: false }),
            map: Mutex::new(NetMap::new()),
            clock,
            driver: Notify::new(),
            progress: watch::Sender::new(()),
            retry: Notify::new(),
            state: watch::Sender::default(),
            events: Arc::default(),
        }
    }

    pub(super) fn map(&self) -> MutexGuard<'_, NetMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed(&self) -> MutexGuard<'_, Timed> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Does something with the tunnel, and sees to it that what follows from it is done.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Tunnel, Moment) -> T) -> T {
        let now = self.clock.now();
        let mut timed = self.timed();
        let Timed { tunnel, armed, .. } = &mut *timed;
        let result = act(tunnel, now);
        let earlier = match (tunnel.poll_timeout(now), *armed) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if earlier || tunnel.has_events() {
            self.driver.notify_one();
        }
        result
    }

    /// Does what is due, for the driver, and returns when to come again.
    pub(super) fn turn<T>(&self, act: impl FnOnce(&mut Tunnel, Moment) -> T) -> (T, Option<Moment>) {
        let now = self.clock.now();
        let mut timed = self.timed();
        let Timed { tunnel, armed, .. } = &mut *timed;
        if tunnel.poll_timeout(now).is_some_and(|due| due <= now) {
            tunnel.handle_timeout(now);
        }
        let result = act(tunnel, now);
        *armed = tunnel.poll_timeout(now);
        (result, *armed)
    }

    /// Returns `true` once the node has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.timed().ended
    }

    /// The node has ended: cuts all connections.
    pub(super) fn end(&self) {
        {
            let mut timed = self.timed();
            timed.ended = true;
            timed.tunnel.abort(self.clock.now());
        }
        self.progress.send_replace(());
        self.driver.notify_one();
    }

    /// The server's clock.
    pub(super) fn control_time(&self) -> Timestamp {
        self.map().control_time(wall_clock())
    }

    /// A region of the map of relays.
    pub(super) fn region(&self, region: u32) -> Option<DerpRegion> {
        self.map().derp_region(region).cloned()
    }

    /// Ends the waits of relay connections for their next attempt, and finds out which are dead.
    pub(super) fn retry_relays(&self) {
        self.with(|tunnel, now| tunnel.probe_relays(now));
        self.retry.notify_waiters();
    }

    /// Resolves when somebody wants relays to be tried again.
    pub(super) async fn retried(&self) {
        self.retry.notified().await;
    }
}

/// The wall clock, which may be wrong.
pub(super) fn wall_clock() -> Timestamp {
    Timestamp::from_unix(i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX))
}
