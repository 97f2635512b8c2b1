//! When what comes in over TCP is acknowledged.
//!
//! Each acknowledgement is a message of its own for a relay and for every process on the way, as much work as a packet
//! of data. So while packets follow each other one acknowledgement stands for many of them, and the first of a pause
//! waits a moment, in which an answer may carry it. What a sender must know at once goes out at once: lost packets
//! (`smoltcp` answers those by itself), and what is sent along with data.

use std::time::Duration;

/// Bytes of packets that may wait for their acknowledgement: half of the queue that `derper` keeps for a client (32
/// packets, `derp/derp_server.go`), so that what a sender then sends in one go fits in there.
const MAX_UNACKNOWLEDGED: usize = 16 * super::netstack::MTU;
/// How long it may wait (RFC 9293 section 3.8.6.3 allows 500 ms).
const DELAY: Duration = Duration::from_millis(5);

/// Acknowledgements that are put off.
#[derive(Debug, Default)]
pub(super) struct Acks {
    bytes: usize,
    due: Option<Duration>,
}

impl Acks {
    /// A TCP packet of so many bytes has been taken in.
    pub(super) fn received(&mut self, bytes: usize, now: Duration) {
        self.bytes += bytes;
        self.due.get_or_insert(now + DELAY);
    }

    /// Whether there are some that can wait longer.
    pub(super) fn may_wait(&self, now: Duration) -> bool {
        self.bytes <= MAX_UNACKNOWLEDGED && self.due.is_some_and(|due| now < due)
    }

    /// Until when they wait, if there are any.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// They have been sent.
    pub(super) fn sent(&mut self) {
        *self = Self::default();
    }
}
