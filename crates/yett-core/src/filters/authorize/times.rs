//! Times of the week in a time zone.

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;

use crate::ir;

/// Minutes of a day.
const DAY: u16 = 1440;

/// A time of the week, in the clocks of a place.
#[derive(Debug)]
pub(super) struct Window {
    /// One bit a day, from Monday.
    days: u8,
    from: u16,
    to: u16,
    zone: Tz,
}

impl Window {
    pub(super) fn build(spec: &ir::TimeWindow) -> Result<Self, String> {
        let zone = zone(&spec.zone).ok_or_else(|| format!("there is no time zone `{}`", spec.zone))?;
        if spec.days.is_empty() || spec.days.iter().any(|day| *day > 6) {
            return Err("`times` needs days from Monday (0) to Sunday (6)".to_owned());
        }
        if spec.from_min >= DAY || spec.to_min > DAY || spec.from_min == spec.to_min {
            return Err("`times` begins and ends at different minutes of the day".to_owned());
        }
        let days = spec.days.iter().fold(0_u8, |days, day| days | 1_u8.checked_shl(u32::from(*day)).unwrap_or(0));
        Ok(Self { days, from: spec.from_min, to: spec.to_min, zone })
    }

    /// Whether the moment lies in it. A window that ends on the next day belongs to the day on which it begins.
    pub(super) fn holds(&self, unix_ms: u64) -> bool {
        let moment = i64::try_from(unix_ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
        let Some(here) = moment.map(|moment| moment.with_timezone(&self.zone)) else { return false };
        let minute = u16::try_from(here.hour().saturating_mul(60).saturating_add(here.minute())).unwrap_or(DAY);
        let today = here.weekday().num_days_from_monday();
        let on = |day: u32| self.days & 1_u8.checked_shl(day).unwrap_or(0) != 0;
        if self.from < self.to {
            return on(today) && (self.from..self.to).contains(&minute);
        }
        (on(today) && minute >= self.from) || (on((today + 6) % 7) && minute < self.to)
    }
}

/// The time zone of this IANA name; exact.
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::ir::TimeWindow;

    fn window(days: &[u8], from_min: u16, to_min: u16, zone: &str) -> Result<Window, String> {
        Window::build(&TimeWindow { days: days.to_vec(), from_min, to_min, zone: zone.to_owned() })
    }

    /// 2026-03-28, a Saturday, 22:30 UTC; in the night to Sunday Berlin goes from UTC+1 to UTC+2.
    const SATURDAY: u64 = 1_774_737_000_000;
    const HOUR: u64 = 3_600_000;

    #[test]
    fn it_is_the_clock_of_the_place() {
        let office = window(&[5], 23 * 60, 24 * 60, "Europe/Berlin").unwrap();
        assert!(office.holds(SATURDAY), "23:30 in Berlin");
        assert!(!office.holds(SATURDAY + HOUR), "00:30 on Sunday");
        let utc = window(&[5], 23 * 60, 24 * 60, "UTC").unwrap();
        assert!(!utc.holds(SATURDAY) && utc.holds(SATURDAY + HOUR));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins_and_summer_time_counts() {
        let night = window(&[5], 22 * 60, 6 * 60, "Europe/Berlin").unwrap();
        assert!(night.holds(SATURDAY) && night.holds(SATURDAY + 5 * HOUR), "05:30 on Sunday, by the new clock");
        assert!(!night.holds(SATURDAY + 6 * HOUR), "06:30");
        assert!(!night.holds(SATURDAY - 22 * HOUR), "01:30 on Saturday is Friday's night");
        assert!(!night.holds(SATURDAY + 24 * HOUR), "00:30 on Monday is Sunday's night");
    }

    #[test]
    fn what_is_no_time_does_not_load() {
        assert!(window(&[5], 0, 60, "Europe/Brelin").is_err());
        assert!(window(&[], 0, 60, "UTC").is_err());
        assert!(window(&[7], 0, 60, "UTC").is_err());
        assert!(window(&[1], 60, 60, "UTC").is_err());
        assert!(window(&[1], 1440, 60, "UTC").is_err());
    }
}
