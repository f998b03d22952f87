//! A million keys in tables for a hundred thousand: bounded, and nobody who is limited is let through early.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::address_limit::AddressLimit;
use super::limit_table::mix;
use super::quota::book::Book;
use super::quota::entry::{Names, Place};
use super::quota::period::Span;
use super::rate_limit::{RateLimit, Tables};
use crate::exchange::Now;
use crate::ir;

const KEYS: u32 = 100_000;
const MANY: u64 = 1_000_000;
const NOW: Now = Now { monotonic_ns: 1, unix_ms: 1 };
/// Slots for a third more than keys, rounded up.
const SLOTS: u64 = 100_000 * 4 / 3 + 256;

fn spec(key: ir::LimitKey) -> ir::RateLimit {
    let (name, scope) = ("hour".into(), "route:a".into());
    ir::RateLimit { name, scope, count: 1, period_ms: 3_600_000, burst: 2, key, ..ir::RateLimit::default() }
}

/// Charges a million, with a few who have nothing left asking again and again in between.
fn crowd(passes: impl Fn(u64) -> bool) -> u64 {
    let limited = |key: u64| passes(MANY + key);
    for key in 0..50 {
        assert!(limited(key) && limited(key) && !limited(key));
    }
    let mut granted = 0;
    for key in 0..MANY {
        granted += u64::from(passes(key));
        if key % 1000 == 0 {
            assert!(!limited(key / 1000 % 50), "let through early, after {key} others");
        }
    }
    assert!((0..50).all(|key| !limited(key)));
    granted
}

#[test]
fn rates_by_caller_and_by_address() {
    let tables = Tables::new(KEYS);
    let rate = RateLimit::build(&spec(ir::LimitKey::Principal), &tables).unwrap();
    let granted = crowd(|key| rate.check(mix(key), NOW).is_ok());
    assert!(
        u64::from(KEYS) * 9 / 10 < granted && granted <= SLOTS + 2,
        "each place once, and two that the rest shares: {granted}"
    );
    assert!(tables.live(NOW) <= SLOTS && tables.overflowed() >= MANY - granted);

    let tables = Tables::new(KEYS);
    let address = AddressLimit::build(&spec(ir::LimitKey::Address), &tables, &[7; 32]).unwrap();
    let of = |key: u64| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(key).unwrap() | 0x0a00_0000));
    let granted = crowd(|key| address.check(of(key), NOW).is_ok());
    assert!(u64::from(KEYS) * 9 / 10 < granted && granted <= SLOTS + 2, "{granted}");
    assert!(tables.live(NOW) <= SLOTS);
}

#[test]
fn quotas() {
    let book = Arc::new(Book::default());
    book.set_keys(KEYS);
    let names = Names { scope: "route:a".into(), name: "month".into() };
    let span = Span { start_s: 0, end_s: 100 };
    let granted = crowd(|key| {
        let place = Place { id: u128::from(mix(key)) << 64 | u128::from(key), others: u128::MAX, names: &names, kept: true };
        book.charge(&place, span, 1, 2, || ("header".into(), "x".into())).is_ok()
    });
    assert_eq!(granted, u64::from(KEYS) - 50 + 2, "each place once, and two that the rest shares");
    assert_eq!(book.size().0, usize::try_from(KEYS).unwrap());
    assert_eq!(book.overflowed.get(), MANY - (u64::from(KEYS) - 50));
}
