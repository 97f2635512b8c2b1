//! Counting what a terminal has been given and has not parsed yet.

use std::collections::VecDeque;

/// With this many bytes unparsed, no more are taken from the shell. About 10 ms of a terminal's work: enough to keep
/// it busy, and little enough that Ctrl-C shows its effect at once.
pub const HIGH_WATER: usize = 192 * 1024;

/// Once full, more is taken when this few are left.
pub const LOW_WATER: usize = 96 * 1024;

/// The chunks on their way, in order.
#[derive(Debug, Default)]
pub(super) struct Flow {
    chunks: VecDeque<usize>,
    pending: usize,
    full: bool,
}

impl Flow {
    /// A chunk is about to be written.
    pub(super) fn sent(&mut self, length: usize) {
        self.chunks.push_back(length);
        self.pending += length;
        if self.pending >= HIGH_WATER {
            self.full = true;
        }
    }

    /// The oldest chunk is parsed. Whether whoever waits may go on.
    pub(super) fn parsed(&mut self) -> bool {
        self.pending -= self.chunks.pop_front().unwrap_or(0);
        if self.pending <= LOW_WATER {
            self.full = false;
        }
        !self.full
    }

    /// The newest chunk was not taken.
    pub(super) fn refused(&mut self) {
        self.pending -= self.chunks.pop_back().unwrap_or(0);
        if self.pending <= LOW_WATER {
            self.full = false;
        }
    }

    /// Returns `true` if more may be written.
    pub(super) fn is_open(&self) -> bool {
        !self.full
    }

    /// Bytes that are not parsed yet.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_at_the_high_mark_and_opens_at_the_low_one() {
        let mut flow = Flow::default();
        let chunk = 32 * 1024;
        while flow.is_open() {
            flow.sent(chunk);
        }
        assert_eq!(flow.pending(), HIGH_WATER);
        while !flow.is_open() {
            assert!(flow.pending() > LOW_WATER);
            flow.parsed();
        }
        assert_eq!(flow.pending(), LOW_WATER);
    }

    #[test]
    fn one_huge_chunk_closes_until_it_is_parsed() {
        let mut flow = Flow::default();
        flow.sent(10 * HIGH_WATER);
        assert!(!flow.is_open());
        assert!(flow.parsed());
        assert_eq!(flow.pending(), 0);
    }

    #[test]
    fn a_refused_chunk_is_not_waited_for() {
        let mut flow = Flow::default();
        flow.sent(10);
        flow.sent(HIGH_WATER);
        flow.refused();
        assert!(flow.is_open());
        assert_eq!(flow.pending(), 10);
    }

    #[test]
    fn a_callback_too_many_changes_nothing() {
        let mut flow = Flow::default();
        assert!(flow.parsed());
        assert_eq!(flow.pending(), 0);
    }
}
