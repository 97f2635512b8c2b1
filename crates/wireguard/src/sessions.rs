//! The up to three sessions with one peer (section 6.3).

use dayfly_moment::Moment;

use crate::indices::Indices;
use crate::session::Session;

/// Slot of a session among a peer's sessions (section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Slot {
    Previous,
    Current,
    Next,
}

/// A peer's sessions. Each that leaves frees its number, and its keys are wiped.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Session that the peer may still send in.
    previous: Option<Box<Session>>,
    /// Session that we send in.
    current: Option<Box<Session>>,
    /// Session whose handshake we answered, until the peer uses it and so proves to have our answer.
    next: Option<Box<Session>>,
}

fn drop_session(session: Option<Box<Session>>, indices: &mut Indices) {
    if let Some(session) = session {
        indices.free(session.local);
    }
}

impl Sessions {
    /// Takes in a session whose handshake we began: its answer proves that the peer has it, so it is current at once.
    pub(crate) fn install_initiated(&mut self, session: Session, indices: &mut Indices) {
        drop_session(self.previous.take(), indices);
        // A next one that the peer has not used yet may still come to be used, where both sides began a handshake at
        // once: each sends in its own then.
        self.previous = match self.next.take() {
            Some(next) => {
                drop_session(self.current.take(), indices);
                Some(next)
            }
            None => self.current.take(),
        };
        self.current = Some(Box::new(session));
    }

    /// Takes in a session whose handshake the peer began.
    pub(crate) fn install_responded(&mut self, session: Session, indices: &mut Indices) {
        drop_session(self.previous.take(), indices);
        drop_session(self.next.replace(Box::new(session)), indices);
    }

    /// The peer has used the next session: it becomes current.
    pub(crate) fn promote(&mut self, indices: &mut Indices) {
        if let Some(next) = self.next.take() {
            drop_session(self.previous.take(), indices);
            self.previous = self.current.replace(next);
        }
    }

    pub(crate) fn current(&mut self) -> Option<&mut Session> {
        self.current.as_deref_mut()
    }

    pub(crate) fn may_send(&self, now: Moment) -> bool {
        self.current.as_ref().is_some_and(|session| session.may_send(now))
    }

    /// The session that messages name by `local`.
    pub(crate) fn find(&mut self, local: u32) -> Option<(Slot, &mut Session)> {
        let slots = [
            (Slot::Current, &mut self.current),
            (Slot::Next, &mut self.next),
            (Slot::Previous, &mut self.previous),
        ];
        slots
            .into_iter()
            .filter_map(|(slot, session)| Some((slot, session.as_deref_mut()?)))
            .find(|(_, session)| session.local == local)
    }

    /// Returns the moment at which the first of the sessions is over.
    pub(crate) fn expires(&self) -> Option<Moment> {
        [&self.previous, &self.current, &self.next]
            .into_iter()
            .flatten()
            .map(|session| session.expires())
            .min()
    }

    /// Drops the sessions that are over.
    pub(crate) fn expire(&mut self, now: Moment, indices: &mut Indices) {
        for slot in [&mut self.previous, &mut self.current, &mut self.next] {
            drop_session(slot.take_if(|session| session.expires() <= now), indices);
        }
    }

    /// Drops all sessions.
    pub(crate) fn clear(&mut self, indices: &mut Indices) {
        for slot in [&mut self.previous, &mut self.current, &mut self.next] {
            drop_session(slot.take(), indices);
        }
    }
}
