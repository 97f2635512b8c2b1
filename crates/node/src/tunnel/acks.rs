//! Acknowledgements of what comes in over TCP, put off for a moment.
//!
//! Each acknowledgement is a message of its own for a relay and for every process on the way, as much work as a packet
//! of data. So while packets follow each other one acknowledgement stands for many of them, and the first of a pause
//! waits a moment, in which an answer may carry it. What a sender must know at once goes out at once: lost packets
//! (`smoltcp` answers those by itself), and what is sent along with data.

use std::time::Duration;

use dayfly_platform::time::Moment;

/// Bytes of packets that may wait for their acknowledgement: half of the queue that `derper` keeps for a client (32
/// packets: `derp/derpserver/derpserver.go`, `defaultPerClientSendQueueDepth` (tailscale v1.102.5)), so that what a sender then sends in one go fits in there.
const MAX_UNACKNOWLEDGED: usize = 16 * super::netstack::MTU;
/// Time that an acknowledgement may wait (RFC 9293 section 3.8.6.3 allows 500 ms).
const DELAY: Duration = Duration::from_millis(5);
/// Lateness of a due acknowledgement that shows that nobody keeps the time: browsers let timers of hidden pages wait for a
/// second and more, in which a sender takes its packets for lost.
const LATE: Duration = Duration::from_millis(50);
/// Time for which no acknowledgement waits once one was [`LATE`].
const PROMPT: Duration = Duration::from_secs(60);

/// Acknowledgements that are put off.
#[derive(Debug, Default)]
pub(super) struct Acks {
    bytes: usize,
    due: Option<Moment>,
    /// Moment before which nothing waits.
    prompt_until: Moment,
}

impl Acks {
    /// Takes note that a TCP packet of so many bytes has come in.
    pub(super) fn received(&mut self, bytes: usize, now: Moment) {
        if self.due.is_some_and(|due| now > due + LATE) {
            self.prompt_until = now + PROMPT;
        }
        self.bytes += bytes;
        self.due.get_or_insert(now + DELAY);
    }

    /// Returns `true` while there are some and they can wait longer.
    pub(super) fn may_wait(&self, now: Moment) -> bool {
        now >= self.prompt_until && self.bytes <= MAX_UNACKNOWLEDGED && self.due.is_some_and(|due| now < due)
    }

    /// Returns the moment until which they wait, if there are any.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Takes note that all have been sent.
    pub(super) fn sent(&mut self) {
        (self.bytes, self.due) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_for_a_timer_that_is_late() {
        let mut acks = Acks::default();
        let at = |millis| Moment::from_start(Duration::from_millis(millis));
        acks.received(1280, at(1000));
        assert!(acks.may_wait(at(1000)));
        // What the sender took for lost comes again.
        acks.received(1280, at(1300));
        assert!(!acks.may_wait(at(1300)));
        acks.sent();
        acks.received(1280, at(1400));
        assert!(!acks.may_wait(at(1400)));
        acks.sent();
        acks.received(1280, at(62_000));
        assert!(acks.may_wait(at(62_000)));
    }
}
