//! Times that come again (crontab(5)) in a time zone, and last.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;

use crate::filters::authorize::times::zone;
use crate::ir;

/// The longest, in minutes: so far it is looked back for a beginning, once a minute.
const LONGEST: u32 = 1440;

/// A compiled schedule.
#[derive(Debug)]
pub struct Calendar {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    zone: Tz,
    long: u32,
    /// The minute that was asked last, twice, and whether it was inside; so that nearly every request reads one number.
    known: AtomicU64,
}

/// One bit a value; all of them where none is listed.
fn bits(values: &[u8], least: u8, most: u8, what: &str) -> Result<u64, String> {
    if values.is_empty() {
        return Ok(u64::MAX);
    }
    let bit = |value: &u8| {
        let fits = (least..=most).contains(value);
        fits.then(|| 1_u64.checked_shl(u32::from(*value)).unwrap_or(0))
            .ok_or_else(|| format!("a schedule has no {what} `{value}`"))
    };
    values.iter().try_fold(0, |bits, value| Ok(bits | bit(value)?))
}

impl Calendar {
    /// Compiles one; says what is out of range.
    pub fn build(spec: &ir::Calendar) -> Result<Self, String> {
        if !(1..=LONGEST).contains(&spec.minutes_long) {
            return Err(format!("a schedule lasts 1 to {LONGEST} minutes"));
        }
        Ok(Self {
            minutes: bits(&spec.minutes, 0, 59, "minute")?,
            hours: bits(&spec.hours, 0, 23, "hour")?,
            days: bits(&spec.days, 1, 31, "day of the month")?,
            months: bits(&spec.months, 1, 12, "month")?,
            weekdays: bits(&spec.weekdays, 0, 6, "day of the week")?,
            zone: zone(&spec.zone).ok_or_else(|| format!("there is no time zone `{}`", spec.zone))?,
            long: spec.minutes_long,
            known: AtomicU64::new(u64::MAX),
        })
    }

    /// Whether the moment lies in it.
    pub fn holds(&self, unix_ms: u64) -> bool {
        let minute = unix_ms / 60_000;
        let known = self.known.load(Ordering::Relaxed);
        if known / 2 == minute {
            return known % 2 == 1;
        }
        let inside = (0..u64::from(self.long)).any(|back| minute.checked_sub(back).is_some_and(|begin| self.begins(begin)));
        self.known.store(minute * 2 + u64::from(inside), Ordering::Relaxed);
        inside
    }

    fn begins(&self, minute: u64) -> bool {
        let moment = i64::try_from(minute * 60).ok().and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
        let Some(here) = moment.map(|moment| moment.with_timezone(&self.zone)) else { return false };
        let on = |set: u64, value: u32| set & 1_u64.checked_shl(value).unwrap_or(0) != 0;
        let (day, weekday) = (on(self.days, here.day()), on(self.weekdays, here.weekday().num_days_from_sunday()));
        // crontab(5): two restrictions of the day are alternatives.
        let either = self.days != u64::MAX && self.weekdays != u64::MAX;
        on(self.minutes, here.minute())
            && on(self.hours, here.hour())
            && on(self.months, here.month())
            && if either { day || weekday } else { day && weekday }
    }
}

#[cfg(test)]
mod tests {
    use super::Calendar;
    use crate::ir;

    const MINUTE: u64 = 60_000;
    /// 2026-03-29 00:00 UTC, a Sunday; at 01:00 UTC Berlin goes from 02:00 to 03:00.
    const SUNDAY: u64 = 1_774_742_400_000;

    fn calendar(spec: ir::Calendar) -> Calendar {
        Calendar::build(&ir::Calendar { minutes_long: spec.minutes_long.max(1), ..spec }).unwrap()
    }

    fn berlin() -> ir::Calendar {
        ir::Calendar { zone: "Europe/Berlin".to_owned(), ..ir::Calendar::default() }
    }

    #[test]
    fn it_begins_at_each_minute_that_fits_and_lasts() {
        let hourly = calendar(ir::Calendar { minutes: vec![0], minutes_long: 5, ..berlin() });
        for (minute, inside) in [(0, true), (4, true), (5, false), (30, false), (59, false), (60, true)] {
            assert_eq!(hourly.holds(SUNDAY + minute * MINUTE), inside, "minute {minute}");
            assert_eq!(hourly.holds(SUNDAY + minute * MINUTE + 59_999), inside, "minute {minute}, remembered");
        }
        assert!(hourly.holds(SUNDAY), "back in time, as tools ask");
    }

    #[test]
    fn hours_are_those_of_the_place_and_a_skipped_one_never_comes() {
        let two = calendar(ir::Calendar { minutes: vec![30], hours: vec![2], ..berlin() });
        let inside = (0..24 * 60).filter(|minute| two.holds(SUNDAY + minute * MINUTE)).count();
        assert_eq!(inside, 0, "02:30 is skipped on this Sunday");
        assert!(two.holds(SUNDAY + 24 * 60 * MINUTE + 30 * MINUTE), "00:30 UTC on Monday");
        let night = calendar(ir::Calendar { minutes: vec![0], hours: vec![23], minutes_long: 120, ..berlin() });
        assert!(night.holds(SUNDAY - 2 * 60 * MINUTE) && night.holds(SUNDAY - MINUTE) && !night.holds(SUNDAY));
    }

    #[test]
    fn a_day_of_the_month_or_of_the_week() {
        let utc = |days: Vec<u8>, weekdays: Vec<u8>| {
            calendar(ir::Calendar { minutes: vec![0], hours: vec![0], days, weekdays, zone: "UTC".to_owned(), ..berlin() })
        };
        let monday = SUNDAY + 24 * 60 * MINUTE;
        assert!(utc(vec![29], vec![]).holds(SUNDAY) && !utc(vec![29], vec![]).holds(monday));
        assert!(utc(vec![], vec![0]).holds(SUNDAY) && !utc(vec![], vec![0]).holds(monday));
        let both = utc(vec![30], vec![0]);
        assert!(both.holds(SUNDAY) && both.holds(monday) && !both.holds(monday + 24 * 60 * MINUTE));
        let march = calendar(ir::Calendar { months: vec![4], ..berlin() });
        assert!(!march.holds(SUNDAY));
    }

    #[test]
    fn what_is_no_time_does_not_load() {
        let bad = |change: fn(&mut ir::Calendar)| {
            let mut spec = ir::Calendar { minutes_long: 1, ..berlin() };
            change(&mut spec);
            Calendar::build(&spec).is_err()
        };
        assert!(!bad(|_| ()));
        assert!(bad(|spec| spec.minutes = vec![60]) && bad(|spec| spec.hours = vec![24]) && bad(|spec| spec.days = vec![0]));
        assert!(bad(|spec| spec.months = vec![13]) && bad(|spec| spec.weekdays = vec![7]));
        assert!(bad(|spec| spec.minutes_long = 0) && bad(|spec| spec.minutes_long = 1441));
        assert!(bad(|spec| "Europe/Brelin".clone_into(&mut spec.zone)));
    }
}
