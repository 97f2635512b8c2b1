//! Whether too many handshake messages come (section 5.3).

use dayfly_moment::Moment;
use dayfly_sorted::SortedMap;

use crate::constants::{LOAD_THRESHOLD, LOAD_WINDOW, MAX_SOURCES, MESSAGES_PER_SOURCE};
use crate::crypto::Key;

/// Counts handshake messages in windows of a second. It is load from the message on that is one too many, until the end
/// of the first window in which no message is.
#[derive(Debug, Default)]
pub(crate) struct Load {
    window_ends: Moment,
    messages: u32,
    /// There was load in the window before.
    before: bool,
    /// Number of messages taken from each source under load, in this window.
    sources: SortedMap<Key, u32>,
}

impl Load {
    /// Counts a message whose first MAC is right. Returns `true` where it came under load.
    pub(crate) fn count(&mut self, now: Moment) -> bool {
        if now >= self.window_ends {
            let adjacent = now < self.window_ends + LOAD_WINDOW;
            self.before = adjacent && self.messages > LOAD_THRESHOLD;
            self.messages = 0;
            self.window_ends = now + LOAD_WINDOW;
            self.sources.clear();
        }
        self.messages = self.messages.saturating_add(1);
        self.before || self.messages > LOAD_THRESHOLD
    }

    /// Counts a message of a source that showed its cookie under load. Returns `true` where it is taken.
    pub(crate) fn admit(&mut self, source: &Key) -> bool {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(source) {
            return false;
        }
        let taken = self.sources.get_or_insert_with(*source, || 0);
        *taken += 1;
        *taken <= MESSAGES_PER_SOURCE
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn load_begins_at_the_threshold_and_ends_with_a_calm_window() {
        let mut load = Load::default();
        for message in 0..LOAD_THRESHOLD + 5 {
            assert_eq!(load.count(at(100)), message >= LOAD_THRESHOLD, "message {message}");
        }
        assert!(load.count(at(1099)));
        assert!(load.count(at(1100)) && load.count(at(2099)), "the window after the flood");
        assert!(!load.count(at(2100)), "the window after a calm one");
    }

    #[test]
    fn a_flood_long_ago_is_forgotten() {
        let mut load = Load::default();
        for _ in 0..2 * LOAD_THRESHOLD {
            load.count(Moment::START);
        }
        assert!(!load.count(at(2000)));
    }

    #[test]
    fn each_source_has_its_share() {
        let mut load = Load::default();
        load.count(Moment::START);
        for message in 0..MESSAGES_PER_SOURCE + 3 {
            assert_eq!(load.admit(&[1; 32]), message < MESSAGES_PER_SOURCE);
        }
        assert!(load.admit(&[2; 32]));
        for source in 2..=MAX_SOURCES as u64 {
            let mut key = [0xff; 32];
            key[..8].copy_from_slice(&source.to_le_bytes());
            assert_eq!(load.admit(&key), source < MAX_SOURCES as u64, "source {source}");
        }
        load.count(at(1000));
        assert!(load.admit(&[1; 32]));
    }
}
