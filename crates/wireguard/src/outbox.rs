//! What waits for the caller: datagrams and events.

use std::collections::VecDeque;

use crate::constants::{MAX_EVENTS, MAX_TRANSMITS};
use crate::crypto::Key;

/// A datagram to be sent.
#[derive(Debug, Eq, PartialEq)]
pub struct Transmit {
    /// The peer to send it to. For a cookie reply, the `source` that the answered message came from.
    pub peer: Key,
    /// The whole datagram.
    pub datagram: Vec<u8>,
}

/// Change in the sessions with a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A handshake is complete: packets can be sealed. Reported for each new session, about every two minutes.
    Established {
        /// The peer.
        peer: Key,
    },
    /// Handshakes had no answer for 90 s. The packets that waited were dropped; another packet tries anew.
    Unreachable {
        /// The peer.
        peer: Key,
    },
}

/// Datagrams and events, both bounded.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Outbox {
    /// Queues a datagram; drops it when [`MAX_TRANSMITS`] wait, as a full link would.
    pub(crate) fn transmit(&mut self, peer: Key, datagram: Vec<u8>) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back(Transmit { peer, datagram });
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(crate) fn next_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Drops what waits for a peer.
    pub(crate) fn forget(&mut self, peer: &Key) {
        self.transmits.retain(|transmit| transmit.peer != *peer);
        self.events.retain(|event| {
            let (Event::Established { peer: of } | Event::Unreachable { peer: of }) = event;
            of != peer
        });
    }
}
