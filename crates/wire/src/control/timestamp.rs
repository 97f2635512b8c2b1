//! RFC 3339 timestamps as Go writes and reads them.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time by the wall clock, in seconds and nanoseconds since the Unix epoch.
///
/// Go's zero time, `0001-01-01T00:00:00Z`, is the default here too and means "none": a key that never expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

/// A text that is not an RFC 3339 time with a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time")]
pub struct TimestampError(String);

/// 0001-01-01T00:00:00Z.
const GO_ZERO_SECONDS: i64 = -62_135_596_800;
const SECONDS_PER_DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: a year has four digits (RFC 3339 section 1).
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;

impl Default for Timestamp {
    fn default() -> Self {
        Self { seconds: GO_ZERO_SECONDS, nanos: 0 }
    }
}

impl Timestamp {
    /// Makes the time that many seconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Returns whole seconds since the Unix epoch.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.seconds
    }

    /// Returns `true` for Go's zero time, which stands for "no time".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes()).ok_or_else(|| TimestampError(text.chars().take(40).collect()))
    }
}

/// RFC 3339 section 5.6 `date-time`; fractions beyond nanoseconds are cut off. A time whose zone moves it out of the years
/// that can be written becomes the nearest that can.
fn parse(text: &[u8]) -> Option<Timestamp> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let separators = [date_time[4], date_time[7], date_time[13], date_time[16]];
    if separators != *b"--::" || !matches!(date_time[10], b'T' | b't') {
        return None;
    }
    let year = digits(&date_time[..4])?;
    let (month, day) = (digits(&date_time[5..7])?, digits(&date_time[8..10])?);
    let (hour, minute) = (digits(&date_time[11..13])?, digits(&date_time[14..16])?);
    let second = digits(&date_time[17..])?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let day_seconds = hour * 3600 + minute * 60 + second.min(59);
    let seconds = days_from_epoch(year, month, day) * SECONDS_PER_DAY + day_seconds - offset(zone)?;
    Some(Timestamp { seconds: seconds.clamp(FIRST_SECOND, LAST_SECOND), nanos })
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, &c| c.is_ascii_digit().then(|| value * 10 + i64::from(c - b'0')))
}

fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let (fraction, zone) = rest.split_at(count);
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + fraction.get(place).map_or(0, |c| u32::from(c - b'0'));
    }
    Some((nanos, zone))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign, hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
            match sign {
                b'+' => Some(seconds),
                b'-' => Some(-seconds),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the first of January of a year of the proleptic Gregorian calendar, from 1970-01-01.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 719_162
}

fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    days_before_year(year) + (1..month).map(|month| days_in_month(year, month)).sum::<i64>() + day - 1
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with nine digits of a second where there is a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) =
            (self.seconds.div_euclid(SECONDS_PER_DAY), self.seconds.rem_euclid(SECONDS_PER_DAY));
        // 400 years have 146,097 days; the estimate is at most one year off.
        let mut year = 1970 + (days * 400).div_euclid(146_097);
        while days_before_year(year) > days {
            year -= 1;
        }
        while days_before_year(year + 1) <= days {
            year += 1;
        }
        let mut day = days - days_before_year(year);
        let mut month = 1;
        while day >= days_in_month(year, month) {
            day -= days_in_month(year, month);
            month += 1;
        }
        let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}", day + 1)?;
        if self.nanos != 0 {
            write!(f, ".{:09}", self.nanos)?;
        }
        f.write_str("Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().unix()
    }

    #[test]
    fn known_times_are_read() {
        assert_eq!(unix("1970-01-01T00:00:00Z"), 0);
        assert_eq!(unix("1970-01-01T00:02:03Z"), 123);
        assert_eq!(unix("2026-01-01T00:00:00Z"), 1_767_225_600);
        assert_eq!(unix("2024-02-29T12:30:15.123456789+02:00"), 1_709_202_615);
        assert_eq!(unix("2024-02-28T23:30:00-01:30"), unix("2024-02-29T01:00:00Z"));
        assert!("0001-01-01T00:00:00Z".parse::<Timestamp>().unwrap().is_zero());
    }

    #[test]
    fn times_whose_zone_moves_them_out_of_all_years_stay_readable() {
        for (text, written) in [
            ("9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z"),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), written);
            assert_eq!(written.parse(), Ok(time));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00Zx",
            "2026-01-01 00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn zero_and_logout_times_are_written_as_go_writes_them() {
        assert_eq!(Timestamp::default().to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_unix(123).to_string(), "1970-01-01T00:02:03Z");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in GO_ZERO_SECONDS..253_402_300_800_i64, nanos in 0..1_000_000_000_u32) {
            let time = Timestamp { seconds, nanos };
            proptest::prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }

        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
