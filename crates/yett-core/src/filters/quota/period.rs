//! Hours, days, weeks and months of a time zone.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::filters::authorize::times::zone;
use crate::ir;

/// Longest time that the clocks of a place skip at once, minutes: a day, at the date line.
const SKIPPED: i64 = 1440;
const HOUR_S: i64 = 3600;

/// One period: seconds since 1970, without the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start_s: u64,
    /// When the next begins.
    pub end_s: u64,
}

/// A part of the calendar in a time zone.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    unit: ir::Period,
    zone: Tz,
}

impl Periods {
    /// Says which zone there is not.
    pub fn build(unit: ir::Period, name: &str) -> Result<Self, String> {
        let zone = zone(name).ok_or_else(|| format!("there is no time zone `{name}`"))?;
        Ok(Self { unit, zone })
    }

    /// The period that the moment lies in. A time that no calendar has is one period for ever.
    #[must_use]
    pub fn at(&self, unix_ms: u64) -> Span {
        let now_s = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
        let found = self.find(now_s).map(|(start, end)| (start, if end > now_s { end } else { now_s.saturating_add(HOUR_S) }));
        let (start, end) = found.unwrap_or((0, i64::MAX));
        Span { start_s: u64::try_from(start).unwrap_or(0), end_s: u64::try_from(end).unwrap_or(u64::MAX) }
    }

    fn find(&self, now_s: i64) -> Option<(i64, i64)> {
        let here = DateTime::<Utc>::from_timestamp(now_s, 0)?.with_timezone(&self.zone);
        let today = here.date_naive();
        let (first, next) = match self.unit {
            // By the clock and not by its name: an hour that comes twice is two.
            ir::Period::Hour => {
                let start = now_s.checked_sub(i64::from(here.minute()) * 60 + i64::from(here.second()))?;
                return Some((start, start.checked_add(HOUR_S)?));
            }
            ir::Period::Day => (today, today.checked_add_days(Days::new(1))?),
            ir::Period::Week => {
                let monday = today.checked_sub_days(Days::new(today.weekday().num_days_from_monday().into()))?;
                (monday, monday.checked_add_days(Days::new(7))?)
            }
            ir::Period::Month => {
                let first = today.with_day(1)?;
                (first, first.checked_add_months(Months::new(1))?)
            }
        };
        Some((self.begin(first)?, self.begin(next)?))
    }

    /// The first moment of a day: midnight, the first of two, or what comes after one that is skipped.
    fn begin(&self, day: NaiveDate) -> Option<i64> {
        let midnight = day.and_time(NaiveTime::MIN);
        (0..=SKIPPED).find_map(|minutes| {
            let local = midnight.checked_add_signed(TimeDelta::try_minutes(minutes)?)?;
            Some(self.zone.from_local_datetime(&local).earliest()?.timestamp())
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::Periods;
    use crate::ir::Period;

    fn at(text: &str) -> u64 {
        u64::try_from(DateTime::parse_from_rfc3339(text).unwrap().timestamp()).unwrap()
    }

    fn span(unit: Period, zone: &str, moment: &str) -> (u64, u64) {
        let span = Periods::build(unit, zone).unwrap().at(at(moment) * 1000 + 999);
        (span.start_s, span.end_s)
    }

    #[test]
    fn days_are_those_of_the_place_and_have_23_or_25_hours() {
        let berlin = |moment| span(Period::Day, "Europe/Berlin", moment);
        assert_eq!(berlin("2026-03-28T22:59:59Z"), (at("2026-03-27T23:00:00Z"), at("2026-03-28T23:00:00Z")));
        let (start, end) = berlin("2026-03-28T23:00:00Z");
        assert_eq!((start, end - start), (at("2026-03-28T23:00:00Z"), 23 * 3600), "summer time begins");
        let (start, end) = berlin("2026-10-25T12:00:00Z");
        assert_eq!((start, end - start), (at("2026-10-24T22:00:00Z"), 25 * 3600), "summer time ends");
    }

    #[test]
    fn an_hour_that_comes_twice_is_two_and_one_that_is_skipped_is_none() {
        let berlin = |moment| span(Period::Hour, "Europe/Berlin", moment);
        assert_eq!(berlin("2026-10-25T00:30:00Z"), (at("2026-10-25T00:00:00Z"), at("2026-10-25T01:00:00Z")));
        assert_eq!(berlin("2026-10-25T01:30:00Z"), (at("2026-10-25T01:00:00Z"), at("2026-10-25T02:00:00Z")));
        assert_eq!(berlin("2026-03-29T00:59:59Z").1, berlin("2026-03-29T01:00:00Z").0);
        assert_eq!(span(Period::Hour, "Asia/Kolkata", "2026-03-29T01:15:00Z").0, at("2026-03-29T00:30:00Z"));
    }

    #[test]
    fn months_end_when_they_end_and_weeks_begin_on_monday() {
        let month = |zone, moment| span(Period::Month, zone, moment);
        assert_eq!(month("UTC", "2028-02-29T23:59:59Z"), (at("2028-02-01T00:00:00Z"), at("2028-03-01T00:00:00Z")));
        assert_eq!(month("UTC", "2026-12-31T23:59:59Z").1, at("2027-01-01T00:00:00Z"));
        assert_eq!(month("America/New_York", "2026-12-01T04:59:59Z").1, at("2026-12-01T05:00:00Z"));
        assert_eq!(month("Pacific/Kiritimati", "2026-11-30T10:00:00Z").0, at("2026-11-30T10:00:00Z"));
        let week = span(Period::Week, "UTC", "2026-11-29T12:00:00Z");
        assert_eq!(week, (at("2026-11-23T00:00:00Z"), at("2026-11-30T00:00:00Z")));
    }

    #[test]
    fn a_midnight_that_is_skipped_or_comes_twice() {
        let beirut = span(Period::Day, "Asia/Beirut", "2026-03-29T10:00:00Z");
        assert_eq!(beirut.0, at("2026-03-28T22:00:00Z"), "00:00 is skipped; the day begins at 01:00");
        let havana = span(Period::Day, "America/Havana", "2026-11-01T12:00:00Z");
        assert_eq!((havana.0, havana.1 - havana.0), (at("2026-11-01T04:00:00Z"), 25 * 3600), "the first of two midnights");
        let apia = span(Period::Day, "Pacific/Apia", "2011-12-30T09:59:59Z");
        assert_eq!(apia.1, at("2011-12-30T10:00:00Z"), "the 30th was left out");
    }

    #[test]
    fn what_no_calendar_has_is_one_period() {
        let span = Periods::build(Period::Day, "UTC").unwrap().at(u64::MAX);
        assert_eq!(span.start_s, 0);
        assert!(Periods::build(Period::Day, "Europe/Brelin").is_err());
    }

    proptest! {
        /// Every moment lies in its period, and the second in which a period ends is the first of another.
        #[test]
        fn periods_join(
            seconds in 1_767_225_600_u64..2_082_758_400, unit in 0_usize..4,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana", "Asia/Kathmandu"]),
        ) {
            let unit = [Period::Hour, Period::Day, Period::Week, Period::Month][unit];
            let periods = Periods::build(unit, zone).unwrap();
            let span = periods.at(seconds * 1000);
            prop_assert!(span.start_s <= seconds && seconds < span.end_s);
            prop_assert_eq!(periods.at((span.end_s - 1) * 1000).end_s, span.end_s);
            let next = periods.at(span.end_s * 1000);
            prop_assert!(next.start_s != span.start_s);
            prop_assert!(next.start_s >= span.start_s + 1800);
        }
    }
}
