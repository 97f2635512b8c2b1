//! TAI64N time stamps, which order a peer's initiations (section 5.4.2).

use std::time::Duration;

use dayfly_moment::Moment;

/// A TAI64N label: seconds from 2^62 (and the ten leap seconds that were when TAI64 began), then nanoseconds, all big
/// endian, so that labels are ordered as their bytes are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Tai64n(pub(crate) [u8; Self::LEN]);

/// Precision of the stamps, about 17 ms: a stamp tells no more of this machine's clock than it must. The largest power
/// of two in 20 ms, the least time between two initiations that a receiver takes.
const PRECISION: u32 = 1 << 24;

impl Tai64n {
    pub(crate) const LEN: usize = 12;

    /// The stamp of a Unix time, rounded down.
    pub(crate) fn from_unix(time: Duration) -> Self {
        let seconds = (1_u64 << 62).saturating_add(10).saturating_add(time.as_secs());
        let nanoseconds = time.subsec_nanos() & !(PRECISION - 1);
        let mut label = [0; Self::LEN];
        label[..8].copy_from_slice(&seconds.to_be_bytes());
        label[8..].copy_from_slice(&nanoseconds.to_be_bytes());
        Self(label)
    }
}

/// Makes stamps of which each is later than the one before.
#[derive(Debug)]
pub(crate) struct Stamper {
    epoch: Duration,
    /// The last stamp's time.
    last: Option<Duration>,
}

impl Stamper {
    /// `epoch` is the Unix time at which the clock was zero.
    pub(crate) fn new(epoch: Duration) -> Self {
        Self { epoch, last: None }
    }

    /// The stamp of `now`, or the next one that is later than the last.
    pub(crate) fn stamp(&mut self, now: Moment) -> Tai64n {
        let mut time = self.epoch.saturating_add(now.since_start());
        if let Some(last) = self.last
            && Tai64n::from_unix(time) <= Tai64n::from_unix(last)
        {
            time = last.saturating_add(Duration::from_nanos(PRECISION.into()));
        }
        self.last = Some(time);
        Tai64n::from_unix(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of <https://cr.yp.to/libtai/tai64.html>: 1992-06-02 08:07:09 +0000, in TAI.
    #[test]
    fn a_label_is_the_standards() {
        let label = Tai64n::from_unix(Duration::from_secs(0x2a2b_2c2d - 10)).0;
        assert_eq!(label, [0x40, 0, 0, 0, 0x2a, 0x2b, 0x2c, 0x2d, 0, 0, 0, 0]);
    }

    #[test]
    fn stamps_are_coarse_and_ordered_as_time_is() {
        let at = |millis| Tai64n::from_unix(Duration::from_millis(millis));
        assert_eq!(at(1000), at(1016));
        assert!(at(1000) < at(1017));
        assert!(at(1999) < at(2000));
        assert!(at(0) < at(u64::MAX));
    }

    #[test]
    fn every_stamp_is_later_than_the_one_before() {
        let mut stamper = Stamper::new(Duration::from_secs(1_700_000_000));
        let mut last = stamper.stamp(Moment::START);
        // The clock stands, then runs, then steps back.
        for millis in [0, 0, 0, 1, 500, 501, 5000, 0, 0] {
            let stamp = stamper.stamp(Moment::from_start(Duration::from_millis(millis)));
            assert!(stamp > last);
            last = stamp;
        }
    }
}
