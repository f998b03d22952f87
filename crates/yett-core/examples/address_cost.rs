//! What it costs to ask a list of a million addresses: nanoseconds a look-up of addresses in any order, half of which are on it, and
//! its memory; with a path, the same of a database of countries. `cargo run --release --example address_cost [COUNTRY.mmdb]`
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use yett_core::address_lists::Ranges;
use yett_core::geo::{Database, Kind};
use yett_core::watched::Content;

const ENTRIES: u64 = 1_000_000;
const ASKED: usize = 4_000_000;
const ROUNDS: usize = 3;

/// Numbers that look random and are the same each time.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

fn four(number: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number & 0xffff_ffff).unwrap_or_default()))
}

/// In a few networks, as lists of the world are: some of 32 bits have most of the entries.
fn six(number: u64) -> IpAddr {
    let registry: u64 = match number & 3 {
        0 => 0x2001,
        1 => 0x2400,
        2 => 0x2600,
        _ => 0x2a00,
    };
    let provider = (number >> 2) & 0x3f;
    IpAddr::V6(Ipv6Addr::from_bits(u128::from(registry << 48 | provider << 32 | (number >> 8 & 0xffff_ffff)) << 64))
}

/// All of one provider: what tells them apart stands in the middle of the address.
fn crowded(number: u64) -> IpAddr {
    let alone = if number & 0xffff == 0 { 0x3fff << 112 } else { 0 };
    IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number & 0xffff_ffff) << 32 | alone))
}

fn measure(name: &str, prefix: &str, make: fn(u64) -> IpAddr) -> Result<(), String> {
    let text: String =
        numbers(7).take(usize::try_from(ENTRIES).unwrap_or_default()).map(|n| format!("{}{prefix}\n", make(n))).collect();
    let ranges = Ranges::read(text.as_bytes())?;
    let known: Vec<IpAddr> = numbers(7).take(100_000).map(make).collect();
    let mut asked: Vec<IpAddr> = numbers(11).take(ASKED).map(make).collect();
    for (place, address) in asked.iter_mut().enumerate().filter(|(place, _)| place % 2 == 0) {
        if let Some(inside) = known.get(place * 7919 % known.len()) {
            *address = *inside;
        }
    }
    let mut best = u128::MAX;
    let mut found = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        found = asked.iter().filter(|address| black_box(&ranges).has(**address)).count();
        best = best.min(begun.elapsed().as_nanos() / ASKED as u128);
    }
    println!("{name}: {best} ns a look-up, {} ranges, {:.1} MB, {found} found", ranges.len(), ranges.bytes() as f64 / 1e6);
    Ok(())
}

/// The database at this path; addresses of both families.
fn places(path: &str) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let database = Database::parse(&bytes, Kind::Country)?;
    let read_ms = begun.elapsed().as_millis();
    let asked: Vec<IpAddr> = numbers(11).take(ASKED).map(|n| if n & 4 == 0 { four(n) } else { six(n) }).collect();
    let mut best = u128::MAX;
    let mut found = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        found = asked.iter().filter(|address| black_box(&database).find(**address) != 0).count();
        best = best.min(begun.elapsed().as_nanos() / ASKED as u128);
    }
    println!("places: {best} ns a look-up, read in {read_ms} ms, {} ranges, {found} found", database.entries());
    Ok(())
}

fn main() -> Result<(), String> {
    if let Some(path) = std::env::args().nth(1) {
        places(&path)?;
    }
    measure("IPv4", "", four)?;
    measure("IPv6 networks", "/64", six)?;
    measure("IPv6 addresses of one provider", "", crowded)
}
