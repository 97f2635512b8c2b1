//! Points in time for state machines that read no clock.
//!
//! A [`Moment`] says when, a [`Duration`] how long. Whoever drives a state machine has a clock and hands its `now` in; the
//! state machine hands out the moment at which it is to be called again.
//!
//! ```
//! use std::time::Duration;
//!
//! use dayfly_moment::Moment;
//!
//! /// Ends a session that was idle for a minute.
//! struct Watchdog {
//!     heard: Moment,
//! }
//!
//! impl Watchdog {
//!     fn poll_timeout(&self) -> Moment {
//!         self.heard + Duration::from_secs(60)
//!     }
//! }
//!
//! let now = Moment::from_start(Duration::from_secs(5));
//! let watchdog = Watchdog { heard: now };
//! assert_eq!(watchdog.poll_timeout() - now, Duration::from_secs(60));
//! ```

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time on some monotonic clock, to be compared with others of the same clock only.
///
/// Sums and differences saturate, so that none panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The clock's zero: the earliest moment, and the default.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment at which the clock has run for `elapsed`.
    #[must_use]
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Time from the clock's zero to this moment.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }
}

/// A later moment; the last that there is, where the sum is beyond it.
impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

/// Time from `earlier` to this moment; zero where `earlier` is not earlier.
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_saturate() {
        let [early, late] = [3, 10].map(|seconds| Moment::from_start(Duration::from_secs(seconds)));
        assert_eq!(late - early, Duration::from_secs(7));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early + Duration::from_secs(7), late);
        let end = Moment::from_start(Duration::MAX);
        assert_eq!(late + Duration::MAX, end);
        assert_eq!(end - Moment::START, Duration::MAX);
        assert_eq!(late.since_start(), Duration::from_secs(10));
    }

    #[test]
    fn a_moment_moves_on() {
        let mut now = Moment::default();
        now += Duration::from_millis(5);
        now += Duration::MAX;
        assert_eq!(now, Moment::from_start(Duration::MAX));
    }
}
