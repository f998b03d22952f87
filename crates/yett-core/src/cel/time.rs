//! Timestamps and durations: nanoseconds, their texts, and the parts of a moment in a time zone.

use std::fmt::Write;

use chrono::{DateTime, Datelike, FixedOffset, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::value::Failure;

const SECOND: i128 = 1_000_000_000;
/// 0001-01-01T00:00:00Z.
const FIRST: i128 = -62_135_596_800 * SECOND;
/// 9999-12-31T23:59:59.999999999Z.
const LAST: i128 = 253_402_300_800 * SECOND - 1;
/// About 10,000 years.
const LONGEST: i128 = 315_576_000_000 * SECOND + (SECOND - 1);

pub(super) fn checked_time(nanoseconds: Option<i128>) -> Result<i128, Failure> {
    nanoseconds.filter(|time| (FIRST..=LAST).contains(time)).ok_or(Failure::Overflow)
}

pub(super) fn checked_span(nanoseconds: Option<i128>) -> Result<i128, Failure> {
    nanoseconds.filter(|span| (-LONGEST..=LONGEST).contains(span)).ok_or(Failure::Overflow)
}

pub(super) fn from_seconds(seconds: i64) -> Result<i128, Failure> {
    checked_time(Some(i128::from(seconds) * SECOND))
}

pub(super) fn to_seconds(nanoseconds: i128) -> i64 {
    i64::try_from(nanoseconds.div_euclid(SECOND)).unwrap_or(i64::MAX)
}

/// RFC 3339.
pub(super) fn parse_time(text: &str) -> Result<i128, Failure> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| Failure::Conversion)?;
    // chrono reads a lower case `t` and a blank as well.
    if !text.contains('T') {
        return Err(Failure::Conversion);
    }
    checked_time(Some(i128::from(time.timestamp()) * SECOND + i128::from(time.timestamp_subsec_nanos())))
}

fn moment(nanoseconds: i128) -> Result<DateTime<Utc>, Failure> {
    let seconds = i64::try_from(nanoseconds.div_euclid(SECOND)).map_err(|_| Failure::Overflow)?;
    let rest = u32::try_from(nanoseconds.rem_euclid(SECOND)).map_err(|_| Failure::Overflow)?;
    DateTime::from_timestamp(seconds, rest).ok_or(Failure::Overflow)
}

/// RFC 3339, with as many digits of a second as are needed.
pub(super) fn show_time(nanoseconds: i128) -> Result<String, Failure> {
    let time = moment(nanoseconds)?;
    let mut text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
    fraction(&mut text, nanoseconds.rem_euclid(SECOND).unsigned_abs());
    text.push('Z');
    Ok(text)
}

/// Seconds, such as `1.5s`.
pub(super) fn show_span(nanoseconds: i128) -> String {
    let mut text = if nanoseconds < 0 { "-".to_owned() } else { String::new() };
    let whole = nanoseconds.unsigned_abs();
    let _ = write!(text, "{}", whole / SECOND.unsigned_abs());
    fraction(&mut text, whole % SECOND.unsigned_abs());
    text.push('s');
    text
}

fn fraction(text: &mut String, nanoseconds: u128) {
    if nanoseconds > 0 {
        let digits = format!("{nanoseconds:09}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
}

/// A sum such as `1h30m` or `-1.5s`; units are h, m, s, ms, us and ns.
pub(super) fn parse_span(text: &str) -> Result<i128, Failure> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(Failure::Conversion);
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Failure::Conversion)?;
        let (number, after) = rest.split_at(length);
        let units =
            [("ms", 1_000_000), ("us", 1_000), ("µs", 1_000), ("ns", 1), ("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)];
        let (unit, scale) = units.iter().find(|(unit, _)| after.starts_with(unit)).ok_or(Failure::Conversion)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') || whole.len() > 18 {
            return Err(Failure::Conversion);
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Failure::Conversion)? };
        let digits = part.get(..part.len().min(15)).unwrap_or_default();
        let places = 10_i128.pow(u32::try_from(digits.len()).unwrap_or(0));
        let part: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Failure::Conversion)? };
        let value = whole.checked_mul(*scale).and_then(|value| value.checked_add(part * *scale / places));
        sum = value.and_then(|value| sum.checked_add(value)).ok_or(Failure::Overflow)?;
        rest = after.get(unit.len()..).unwrap_or_default();
    }
    checked_span(Some(sign * sum))
}

/// Where clocks are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    Fixed(FixedOffset),
    Named(Tz),
}

/// An IANA name, or a distance such as `-07:30`.
pub(super) fn zone(name: &str) -> Result<Zone, Failure> {
    if let Ok(named) = name.parse() {
        return Ok(Zone::Named(named));
    }
    let (sign, clock) = match name.strip_prefix('-') {
        Some(clock) => (-1, clock),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    let (hours, minutes) = clock.split_once(':').ok_or(Failure::Conversion)?;
    let number = |text: &str, most: i32| -> Result<i32, Failure> {
        let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i32>().ok().filter(|number| fits && *number <= most).ok_or(Failure::Conversion)
    };
    let seconds = sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60);
    FixedOffset::east_opt(seconds).map(Zone::Fixed).ok_or(Failure::Conversion)
}

/// A part of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "getFullYear" => Self::FullYear,
            "getMonth" => Self::Month,
            "getDate" => Self::Date,
            "getDayOfMonth" => Self::DayOfMonth,
            "getDayOfWeek" => Self::DayOfWeek,
            "getDayOfYear" => Self::DayOfYear,
            "getHours" => Self::Hours,
            "getMinutes" => Self::Minutes,
            "getSeconds" => Self::Seconds,
            "getMilliseconds" => Self::Milliseconds,
            _ => return None,
        })
    }

    /// Whether a duration has it as well.
    pub(super) const fn is_of_spans(self) -> bool {
        matches!(self, Self::Hours | Self::Minutes | Self::Seconds | Self::Milliseconds)
    }

    pub(super) fn of_time(self, nanoseconds: i128, zone: Option<Zone>) -> Result<i64, Failure> {
        let utc = moment(nanoseconds)?;
        let offset = match zone {
            None => return Ok(self.read(&utc)),
            Some(Zone::Fixed(offset)) => offset,
            Some(Zone::Named(named)) => named.offset_from_utc_datetime(&utc.naive_utc()).fix(),
        };
        Ok(self.read(&utc.with_timezone(&offset)))
    }

    fn read<T: Datelike + Timelike>(self, time: &T) -> i64 {
        match self {
            Self::FullYear => i64::from(time.year()),
            Self::Month => i64::from(time.month0()),
            Self::Date => i64::from(time.day()),
            Self::DayOfMonth => i64::from(time.day0()),
            Self::DayOfWeek => i64::from(time.weekday().num_days_from_sunday()),
            Self::DayOfYear => i64::from(time.ordinal0()),
            Self::Hours => i64::from(time.hour()),
            Self::Minutes => i64::from(time.minute()),
            Self::Seconds => i64::from(time.second()),
            Self::Milliseconds => i64::from(time.nanosecond() / 1_000_000),
        }
    }

    /// Of a duration: all of it in that unit, but milliseconds are what is left of its seconds.
    pub(super) fn of_span(self, nanoseconds: i128) -> Result<i64, Failure> {
        let value = match self {
            Self::Hours => nanoseconds / (3600 * SECOND),
            Self::Minutes => nanoseconds / (60 * SECOND),
            Self::Seconds => nanoseconds / SECOND,
            Self::Milliseconds => nanoseconds / 1_000_000 % 1000,
            _ => return Err(Failure::NoOverload),
        };
        i64::try_from(value).map_err(|_| Failure::Overflow)
    }
}
