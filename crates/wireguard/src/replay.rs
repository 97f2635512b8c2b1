//! Which counters of a session were received (section 5.4.6, after RFC 6479).

const WORDS: usize = 64;
const WORD_BITS: u64 = u64::BITS as u64;

/// Distance behind the newest counter at which one is still taken. A word's worth less than the bits that there are:
/// the word that the newest counter is in is shared with the oldest.
pub(crate) const WINDOW: u64 = (WORDS as u64 - 1) * WORD_BITS;

// The paper says about 2000.
const _: () = assert!(WINDOW >= 2048);

/// A sliding window over counters.
#[derive(Clone, Debug)]
pub(crate) struct ReplayWindow {
    /// One more than the newest counter that was marked.
    next: u64,
    /// A ring of bits, one for each counter in the window.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    pub(crate) fn new() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }

    /// Returns `true` for a counter that is new, and not too old to tell.
    pub(crate) fn is_new(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        self.next - counter <= WINDOW && self.word(counter) & bit(counter) == 0
    }

    /// Marks a counter that is new. To be called for authentic messages only, or anybody could move the window.
    pub(crate) fn mark(&mut self, counter: u64) {
        if counter >= self.next {
            let newest = self.next.saturating_sub(1) / WORD_BITS;
            let skipped = (counter / WORD_BITS - newest).min(WORDS as u64);
            for ahead in 1..=skipped {
                *self.word_mut((newest + ahead) * WORD_BITS) = 0;
            }
            self.next = counter.saturating_add(1);
        }
        *self.word_mut(counter) |= bit(counter);
    }

    fn word(&self, counter: u64) -> u64 {
        self.seen[(counter / WORD_BITS) as usize % WORDS]
    }

    fn word_mut(&mut self, counter: u64) -> &mut u64 {
        &mut self.seen[(counter / WORD_BITS) as usize % WORDS]
    }
}

fn bit(counter: u64) -> u64 {
    1 << (counter % WORD_BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::constants::REJECT_AFTER_MESSAGES;

    /// The window said simply: all counters that were taken, and the newest.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn take(&mut self, counter: u64) -> bool {
            let newest = self.0.last().copied();
            newest.is_none_or(|newest| counter > newest || newest - counter < WINDOW)
                && self.0.insert(counter)
        }
    }

    fn take(window: &mut ReplayWindow, counter: u64) -> bool {
        let new = window.is_new(counter);
        if new {
            window.mark(counter);
            assert!(!window.is_new(counter));
        }
        new
    }

    #[test]
    fn edges() {
        let mut window = ReplayWindow::new();
        assert!(take(&mut window, 0) && !take(&mut window, 0));
        assert!(take(&mut window, WINDOW) && !take(&mut window, 0));
        assert!(take(&mut window, 1) && !take(&mut window, 1));
        assert!(take(&mut window, WINDOW + 2) && !take(&mut window, 2));
        assert!(take(&mut window, 3));
        assert!(take(&mut window, REJECT_AFTER_MESSAGES - 1));
        assert!(!take(&mut window, REJECT_AFTER_MESSAGES - 1) && !take(&mut window, WINDOW + 3));
        assert!(take(&mut window, REJECT_AFTER_MESSAGES - WINDOW));
        assert!(!window.is_new(REJECT_AFTER_MESSAGES - WINDOW - 1));
    }

    /// Steps ahead of or behind the newest counter: most of them small, some about the window's width, some huge.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let wide = WINDOW as i64;
        let step = prop_oneof![
            8 => -40..40_i64,
            4 => -wide - 70..wide + 70,
            1 => -10 * wide..10 * wide,
            1 => Just(64), 1 => Just(-64), 1 => Just(wide), 1 => Just(-wide), 1 => Just(1 - wide),
        ];
        proptest::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn it_takes_what_the_model_takes(start in 0..100_000_u64, steps in steps()) {
            let (mut window, mut model) = (ReplayWindow::new(), Model::default());
            prop_assert!(take(&mut window, start) && model.take(start));
            for step in steps {
                let counter = model.0.last().unwrap().saturating_add_signed(step);
                prop_assert_eq!(take(&mut window, counter), model.take(counter), "counter {}", counter);
            }
        }
    }
}
