//! A token bucket, and the bound on log lines that is made of it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bound on how much happens in a time: `per_second` on average, `burst` at once.
#[derive(Debug)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    updated: Instant,
}

impl TokenBucket {
    /// Makes a bucket that is full.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, updated: now }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = now;
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst);
    }

    /// Returns `true` if all tokens will be back at `now`, so that a new bucket would be the same.
    pub fn is_full_at(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.updated);
        self.tokens + elapsed.as_secs_f64() * self.per_second >= self.burst
    }

    /// Takes one token. Returns `false` if there is none.
    pub fn try_take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }

    /// Takes `count` tokens, going into debt where there are fewer, and returns how long it takes to pay that back.
    pub fn charge(&mut self, count: usize, now: Instant) -> Option<Duration> {
        self.refill(now);
        self.tokens -= count as f64;
        (self.tokens < 0.0).then(|| Duration::from_secs_f64(-self.tokens / self.per_second))
    }
}

/// Log lines that strangers can cause: so many in a second.
const LOG_PER_SECOND: f64 = 1.0;
/// Log lines that strangers can cause at once, after a pause.
const LOG_BURST: f64 = 10.0;

/// A bound on lines of the log that strangers can cause: ten at once, and one a second.
#[derive(Debug)]
pub struct LogLimit(Mutex<(TokenBucket, u64)>);

impl Default for LogLimit {
    fn default() -> Self {
        Self(Mutex::new((TokenBucket::new(LOG_PER_SECOND, LOG_BURST, Instant::now()), 0)))
    }
}

impl LogLimit {
    /// Returns how many events went unlogged since the last line, if this one may be logged.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bucket, unlogged) = &mut *state;
        if bucket.try_take(Instant::now()) {
            return Some(std::mem::take(unlogged));
        }
        *unlogged += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rate_holds_after_it() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 50.0, start);
        assert_eq!(bucket.charge(50, start), None);
        assert_eq!(bucket.charge(100, start), Some(Duration::from_secs(1)));
        assert_eq!(bucket.charge(0, start + Duration::from_secs(1)), None);
        assert_eq!(
            bucket.charge(50, start + Duration::from_secs(10)),
            None,
            "no more than the burst is saved up"
        );
        assert!(bucket.charge(1, start + Duration::from_secs(10)).is_some());
    }

    #[test]
    fn takes_are_refused_until_a_token_is_back() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1.0, 3.0, start);
        assert_eq!((0..5).filter(|_| bucket.try_take(start)).count(), 3);
        assert!(!bucket.try_take(start + Duration::from_millis(900)));
        assert!(bucket.try_take(start + Duration::from_millis(2000)));
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_are_not_logged_are_counted_in_the_next_line() {
        let limit = LogLimit::default();
        assert_eq!((0..100).filter(|_| limit.pass().is_some()).count(), 10);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((limit.pass(), limit.pass()), (Some(90), None));
    }
}
