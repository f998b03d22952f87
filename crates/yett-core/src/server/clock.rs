//! The clocks, read once per event, and the Date field.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::exchange::Now;

/// The instant from which monotonic nanoseconds count.
fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

/// Nanoseconds since process start, on a clock that never goes back.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(base().elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The instant of a monotonic time.
#[must_use]
pub fn instant(monotonic_ns: u64) -> tokio::time::Instant {
    let base = base();
    base.checked_add(Duration::from_nanos(monotonic_ns)).unwrap_or(base).into()
}

/// How long the wall clock is carried on from the other one before it is asked again.
const ANCHOR_NS: u64 = 50_000_000;

/// Reads both clocks. The wall clock is asked 20 times a second and thread, and counted on in between.
#[must_use]
pub fn now() -> Now {
    thread_local! {
        static ANCHOR: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let monotonic_ns = monotonic_ns();
    let (at, unix_ns) = ANCHOR.get();
    let passed = monotonic_ns.saturating_sub(at);
    if unix_ns != 0 && passed < ANCHOR_NS {
        return Now { monotonic_ns, unix_ms: (unix_ns + passed) / 1_000_000 };
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_ns = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
    ANCHOR.set((monotonic_ns, unix_ns));
    Now { monotonic_ns, unix_ms: unix_ns / 1_000_000 }
}

/// An HTTP date (RFC 9110 section 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type HttpDate = [u8; 29];

/// The date of a time, formatted once a second and thread.
#[must_use]
pub fn http_date(unix_ms: u64) -> HttpDate {
    thread_local! {
        static LAST: Cell<(u64, HttpDate)> = const { Cell::new((u64::MAX, [b' '; 29])) };
    }
    let second = unix_ms / 1000;
    let (known, text) = LAST.get();
    if known == second {
        return text;
    }
    let text = format_date(second);
    LAST.set((second, text));
    text
}

/// Days to year, month, day after Howard Hinnant's `civil_from_days`.
fn format_date(unix_s: u64) -> HttpDate {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = unix_s / 86_400;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let pick = |list: &[&'static str], index: u64| usize::try_from(index).ok().and_then(|i| list.get(i).copied()).unwrap_or("");
    let text = format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        pick(&DAYS, days % 7),
        pick(&MONTHS, month),
        unix_s / 3600 % 24,
        unix_s / 60 % 60,
        unix_s % 60,
    );
    text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}

#[cfg(test)]
mod tests {
    use super::{format_date, monotonic_ns, now};

    #[test]
    fn dates_are_those_of_rfc_9110() {
        assert_eq!(&format_date(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&format_date(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&format_date(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(&format_date(4_102_444_799), b"Thu, 31 Dec 2099 23:59:59 GMT");
    }

    #[test]
    fn clocks_go_forward() {
        let first = monotonic_ns();
        assert!(now().monotonic_ns >= first);
        assert!(now().unix_ms > 1_700_000_000_000);
    }
}
