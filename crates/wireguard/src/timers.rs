//! A peer's timers, as deadlines (sections 6.2 to 6.6).

use std::time::Duration;

use dayfly_moment::Moment;
use rand_core::CryptoRng;

use crate::constants::{KEEPALIVE_TIMEOUT, MAX_JITTER, SILENCE_TIMEOUT};

/// Deadlines that follow from what was sent and received (section 6.5). Those of handshakes and of sessions are kept with
/// them.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Moment at which a handshake is to be begun.
    pub(crate) handshake: Option<Moment>,
    /// Data was received: an empty message is to be sent, unless something else is before.
    keepalive: Option<Moment>,
    /// Data was received after [`keepalive`](Self::keepalive) was set.
    keepalive_again: bool,
    /// Data was sent: a handshake is to be begun, unless something is received before.
    silence: Option<Moment>,
    /// An empty message is to be sent to keep what is between open.
    persistent: Option<Moment>,
    /// Time between the last message and [`persistent`](Self::persistent).
    interval: Option<Duration>,
    /// Random time that is added to some waits (section 6.4).
    jitter: Duration,
}

impl Timers {
    /// Sets how long after the last message, if ever, an empty one is sent. Without a message yet, that is at once.
    pub(crate) fn keep_alive(&mut self, interval: Option<Duration>) {
        let interval = interval.filter(|interval| !interval.is_zero());
        if self.interval != interval {
            self.interval = interval;
            self.persistent = interval.map(|_| Moment::START);
        }
    }

    /// Draws another jitter, and returns it.
    pub(crate) fn draw_jitter(&mut self, rng: &mut (impl CryptoRng + ?Sized)) -> Duration {
        let most = MAX_JITTER.as_millis() as u64;
        self.jitter = Duration::from_millis(u64::from(rng.next_u32()) % (most + 1));
        self.jitter
    }

    /// Takes note that an authentic message was sent.
    pub(crate) fn sent(&mut self, now: Moment) {
        self.keepalive = None;
        self.keepalive_again = false;
        self.persist(now);
    }

    /// Takes note that a message with a packet was sent.
    pub(crate) fn sent_data(&mut self, now: Moment) {
        self.sent(now);
        self.silence.get_or_insert(now + SILENCE_TIMEOUT + self.jitter);
    }

    /// Takes note that an authentic message was received.
    pub(crate) fn received(&mut self, now: Moment) {
        self.silence = None;
        self.persist(now);
    }

    /// Takes note that a message that is not empty was received.
    pub(crate) fn received_data(&mut self, now: Moment) {
        self.received(now);
        if self.keepalive.is_some() {
            self.keepalive_again = true;
        } else {
            self.keepalive = Some(now + KEEPALIVE_TIMEOUT);
        }
    }

    fn persist(&mut self, now: Moment) {
        self.persistent = self.interval.map(|interval| now + interval);
    }

    /// The first of the deadlines.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        [self.handshake, self.keepalive, self.silence, self.persistent].into_iter().flatten().min()
    }

    /// Returns `true` where a handshake is to be begun now, once.
    pub(crate) fn handshake_due(&mut self, now: Moment) -> bool {
        let wanted = due(&mut self.handshake, now);
        due(&mut self.silence, now) || wanted
    }

    /// Returns `true` where an empty message is to be sent now, as there was nothing else to answer with, once. To be
    /// called before that message is reported to [`sent`](Self::sent).
    pub(crate) fn keepalive_due(&mut self, now: Moment) -> bool {
        due(&mut self.keepalive, now)
    }

    /// Returns the moment at which another empty message is due after the one that is about to be sent, if one is.
    pub(crate) fn keepalive_again(&mut self, now: Moment) -> Option<Moment> {
        core::mem::take(&mut self.keepalive_again).then(|| now + KEEPALIVE_TIMEOUT)
    }

    /// Sets when an empty message is due.
    pub(crate) fn set_keepalive(&mut self, at: Option<Moment>) {
        self.keepalive = at;
    }

    /// Returns `true` where an empty message is to be sent now, to keep open what is between.
    pub(crate) fn persistent_due(&mut self, now: Moment) -> bool {
        let due = due(&mut self.persistent, now);
        if due {
            self.persist(now);
        }
        due
    }
}

/// Takes a deadline that has passed.
fn due(deadline: &mut Option<Moment>, now: Moment) -> bool {
    deadline.take_if(|deadline| *deadline <= now).is_some()
}
