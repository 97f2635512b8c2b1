//! What a node has reported, kept so that a test can wait for something that may have happened already.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dayfly_node::{NodeEvent, NodeEvents};

/// Events that are held; older ones are only in the node's log.
const EVENTS: usize = 1000;

/// The events of one node.
#[derive(Debug, Default)]
pub(super) struct Events {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Events since the start, without the first `dropped` ones.
    events: Vec<NodeEvent>,
    dropped: usize,
    closed: bool,
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what comes from a node until it ends.
    pub(super) async fn keep(self: Arc<Self>, mut receiver: NodeEvents) {
        while let Some(event) = receiver.recv().await {
            tracing::info!(?event, "the node reports");
            let mut state = self.lock();
            if state.events.len() == EVENTS {
                state.events.drain(..EVENTS / 2);
                state.dropped += EVENTS / 2;
            }
            state.events.push(event);
            self.changed.notify_all();
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Returns the number of events so far.
    pub(super) fn mark(&self) -> usize {
        let state = self.lock();
        state.dropped + state.events.len()
    }

    /// Waits for the first event after `mark` that `find` finds something in.
    pub(super) fn after<T>(
        &self,
        mark: usize,
        what: &str,
        limit: Duration,
        mut find: impl FnMut(&NodeEvent) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        let mut seen = mark;
        let mut state = self.lock();
        loop {
            let from = seen.saturating_sub(state.dropped);
            if let Some(found) = state.events.iter().skip(from).find_map(&mut find) {
                return Ok(found);
            }
            seen = state.dropped + state.events.len();
            let tail = || state.events.iter().rev().take(5).rev().collect::<Vec<_>>();
            if state.closed {
                bail!("the node ended without {what}; the last it reported: {:?}", tail());
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                bail!("no {what} within {limit:?}; the last that the node reported: {:?}", tail());
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
