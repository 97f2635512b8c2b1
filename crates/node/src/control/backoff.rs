//! Waits before the next attempt.

use std::time::Duration;

use rand_core::Rng;

/// Longest wait, as Go's client has it.
const MAX: Duration = Duration::from_secs(30);
/// Longest wait after a first failure.
const FIRST: Duration = Duration::from_millis(500);

/// Waits that double, each shortened by up to half at random so that many nodes don't come back at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(crate) fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(6)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        let jitter = rng.next_u32() % 1000;
        longest / 2 + longest / 2 * jitter / 1000
    }

    /// A success: the next wait is a first one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use dayfly_platform::random::SystemRng;

    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.next(&mut SystemRng)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[3] >= FIRST * 4 && waits[3] <= FIRST * 8);
        assert!(waits[11] >= MAX / 2 && waits[11] <= MAX);
        backoff.reset();
        assert!(backoff.next(&mut SystemRng) <= FIRST);
    }
}
