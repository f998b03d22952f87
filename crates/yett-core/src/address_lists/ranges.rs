//! Sorted ranges of addresses.

use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::steps::{Number, Steps};

/// Entries of one list.
pub const MAX_ENTRIES: usize = 2_000_000;
/// Bytes of one line.
const MAX_LINE: usize = 1024;
/// Ranges of one family, sorted, none of which meet.
#[derive(Debug)]
struct Sorted<T> {
    ranges: Vec<(T, T)>,
    steps: Steps<T>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { ranges: Vec::new(), steps: Steps::default() }
    }
}

impl<T: Number> Sorted<T> {
    fn of(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|later, kept| {
            let meets = kept.1.next().is_none_or(|behind| later.0 <= behind);
            if meets {
                kept.1 = kept.1.max(later.1);
            }
            meets
        });
        ranges.shrink_to_fit();
        let steps = Steps::of(ranges.len(), |place| ranges.get(place).map(|range| range.0));
        Self { ranges, steps }
    }

    fn has(&self, address: T) -> bool {
        let Some((from, to)) = self.steps.near(address) else { return false };
        let near = self.ranges.get(from..to).unwrap_or_default();
        let before = from.saturating_add(near.partition_point(|range| range.0 <= address));
        before.checked_sub(1).and_then(|index| self.ranges.get(index)).is_some_and(|range| address <= range.1)
    }

    fn bytes(&self) -> usize {
        self.ranges.capacity().saturating_mul(size_of::<(T, T)>()).saturating_add(self.steps.bytes())
    }
}

/// Ranges of both families; an IPv4-mapped address is the IPv4 address.
#[derive(Debug, Default)]
pub struct Ranges {
    four: Sorted<u32>,
    /// Whole networks of 64 bits, by their upper half: most lists have nothing else, and they take half the memory.
    networks: Sorted<u64>,
    six: Sorted<u128>,
}

/// The upper half of an IPv6 address.
fn upper(address: u128) -> u64 {
    u64::try_from(address >> 64).unwrap_or_default()
}

/// What a line says.
enum Entry {
    Four(u32, u32),
    Six(u128, u128),
}

impl Ranges {
    /// Of these networks.
    #[must_use]
    pub fn of(networks: &[IpNet]) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for network in networks {
            match between(network.network(), network.broadcast()) {
                Some(Entry::Four(first, last)) => four.push((first, last)),
                Some(Entry::Six(first, last)) => six.push((first, last)),
                None => {}
            }
        }
        Self::sorted(four, six)
    }

    /// Reads lines with an address, a network or a range (`192.0.2.1-192.0.2.9`); `#` and `;` begin a comment.
    ///
    /// # Errors
    /// The first line that is none of them; a text without an entry, or whose last line does not end.
    pub fn read(mut from: impl BufRead) -> Result<Self, String> {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        let mut line = Vec::new();
        let mut number = 0_u64;
        loop {
            line.clear();
            let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
            let count = std::io::Read::take(&mut from, limit).read_until(b'\n', &mut line).map_err(|_| "it cannot be read")?;
            if count == 0 {
                break;
            }
            number += 1;
            if line.last() != Some(&b'\n') {
                return Err(match count < MAX_LINE {
                    true => format!("line {number}: the last line does not end, so the file may have been cut"),
                    false => format!("line {number}: it is longer than {MAX_LINE} bytes"),
                });
            }
            let text = line.split(|b| matches!(b, b'#' | b';')).next().unwrap_or_default().trim_ascii();
            if text.is_empty() {
                continue;
            }
            match std::str::from_utf8(text).ok().and_then(entry) {
                Some(Entry::Four(first, last)) => four.push((first, last)),
                Some(Entry::Six(first, last)) => six.push((first, last)),
                None => return Err(format!("line {number}: it is no address, network or range")),
            }
            if four.len().saturating_add(six.len()) > MAX_ENTRIES {
                return Err(format!("it has more than {MAX_ENTRIES} entries"));
            }
        }
        if four.is_empty() && six.is_empty() {
            return Err("it has no entry".to_owned());
        }
        Ok(Self::sorted(four, six))
    }

    fn sorted(four: Vec<(u32, u32)>, six: Vec<(u128, u128)>) -> Self {
        let low = u128::from(u64::MAX);
        let whole = |(first, last): &(u128, u128)| first & low == 0 && last & low == low;
        let networks = six.iter().filter(|range| whole(range)).map(|(first, last)| (upper(*first), upper(*last))).collect();
        let others = six.into_iter().filter(|range| !whole(range)).collect();
        Self { four: Sorted::of(four), networks: Sorted::of(networks), six: Sorted::of(others) }
    }

    /// Whether an address is in one of them.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(four) => self.four.has(four.to_bits()),
            IpAddr::V6(six) => self.networks.has(upper(six.to_bits())) || self.six.has(six.to_bits()),
        }
    }

    /// How many, those of one kind that meet as one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.four.ranges.len().saturating_add(self.networks.ranges.len()).saturating_add(self.six.ranges.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.four.bytes().saturating_add(self.networks.bytes()).saturating_add(self.six.bytes())
    }
}

fn entry(text: &str) -> Option<Entry> {
    if text.contains('/') {
        let network: IpNet = text.parse().ok()?;
        // Which of two was meant is unknown.
        return if network.trunc() == network { between(network.network(), network.broadcast()) } else { None };
    }
    match text.split_once('-') {
        Some((first, last)) => between(first.trim_ascii().parse().ok()?, last.trim_ascii().parse().ok()?),
        None => {
            let one: IpAddr = text.parse().ok()?;
            between(one, one)
        }
    }
}

fn between(first: IpAddr, last: IpAddr) -> Option<Entry> {
    let mapped = |address: Ipv6Addr| address.to_ipv4_mapped().map(Ipv4Addr::to_bits);
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Some(Entry::Four(first.to_bits(), last.to_bits())),
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Some(match (mapped(first), mapped(last)) {
            (Some(first), Some(last)) => Entry::Four(first, last),
            _ => Entry::Six(first.to_bits(), last.to_bits()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{MAX_ENTRIES, Ranges};

    fn has(ranges: &Ranges, text: &str) -> bool {
        ranges.has(text.parse().unwrap())
    }

    #[test]
    fn addresses_networks_ranges_and_comments() {
        let text = "# a list\n\n192.0.2.1\n198.51.100.0/25 ; SBL1\n203.0.113.9 - 203.0.113.20\r\n2001:db8::/32 # documentation\n\
                    2001:db9::5-2001:db9::7\n::ffff:10.0.0.0/104\n";
        let ranges = Ranges::read(text.as_bytes()).unwrap();
        assert_eq!(ranges.len(), 6);
        for inside in [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "198.51.100.0",
            "198.51.100.127",
            "203.0.113.9",
            "203.0.113.20",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::6",
            "10.1.2.3",
        ] {
            assert!(has(&ranges, inside), "{inside}");
        }
        for outside in [
            "192.0.2.0",
            "192.0.2.2",
            "198.51.100.128",
            "198.51.99.255",
            "203.0.113.8",
            "203.0.113.21",
            "2001:db7:ffff::",
            "2001:db9::4",
            "2001:db9::8",
            "::1",
            "0.0.0.0",
            "255.255.255.255",
            "11.0.0.0",
            "::c000:201",
        ] {
            assert!(!has(&ranges, outside), "{outside}");
        }
    }

    #[test]
    fn what_is_damaged_says_where() {
        for (text, why) in [
            ("", "no entry"),
            ("# nothing\n", "no entry"),
            ("192.0.2.1", "does not end"),
            ("192.0.2.1\n10.0.0.0/1", "does not end"),
            ("192.0.2.1\nexample.com\n", "line 2"),
            ("10.0.0.1/8\n", "line 1"),
            ("10.0.0.0/33\n", "line 1"),
            ("192.0.2.9-192.0.2.1\n", "line 1"),
            ("192.0.2.1-2001:db8::1\n", "line 1"),
            ("192.0.2.256\n", "line 1"),
            ("192.0.2.1,192.0.2.2\n", "line 1"),
            ("192.0.2.1 192.0.2.2\n", "line 1"),
            ("<html>\n", "line 1"),
            ("192.0.2.1\n\0\0\0\n", "line 2"),
            ("010.0.0.1\n", "line 1"),
        ] {
            let error = Ranges::read(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        assert!(Ranges::read("1".repeat(5000).as_bytes()).unwrap_err().contains("longer than"));
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let ranges =
            Ranges::read("10.0.0.0/25\n10.0.0.128/25\n10.0.0.5\n10.0.1.0/24\n0.0.0.0\n255.255.255.255\n::/1\n".as_bytes());
        let ranges = ranges.unwrap();
        assert_eq!(ranges.len(), 4);
        for inside in ["10.0.0.0", "10.0.1.255", "0.0.0.0", "255.255.255.255", "::", "7fff::"] {
            assert!(has(&ranges, inside), "{inside}");
        }
        for outside in ["10.0.2.0", "9.255.255.255", "0.0.0.1", "255.255.255.254", "8000::"] {
            assert!(!has(&ranges, outside), "{outside}");
        }
    }

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

    #[test]
    fn as_a_walk_over_all_entries_says() {
        let low = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap();
        for spread in [0, 12, 20] {
            let mut next = numbers(7 + spread);
            let mut text = String::new();
            let mut all: Vec<(IpAddr, IpAddr)> = Vec::new();
            for _ in 0..400 {
                let first = low(next.next().unwrap()) >> spread;
                let last = first.saturating_add(low(next.next().unwrap()) >> 22);
                let six = u128::from(next.next().unwrap()) << (64 - spread);
                let end = six + u128::from(next.next().unwrap() >> 20);
                for pair in
                    [(IpAddr::V4(first.into()), IpAddr::V4(last.into())), (IpAddr::V6(six.into()), IpAddr::V6(end.into()))]
                {
                    text.push_str(&format!("{}-{}\n", pair.0, pair.1));
                    all.push(pair);
                }
            }
            let ranges = Ranges::read(text.as_bytes()).unwrap();
            let slow = |address: IpAddr| all.iter().any(|(first, last)| *first <= address && address <= *last);
            let edges = all.iter().flat_map(|(first, last)| [*first, *last]).collect::<Vec<_>>();
            for address in edges {
                let near: Vec<IpAddr> = match address {
                    IpAddr::V4(four) => {
                        [0_u32, 1, u32::MAX].map(|by| IpAddr::V4(four.to_bits().wrapping_add(by).into())).to_vec()
                    }
                    IpAddr::V6(six) => {
                        [0_u128, 1, u128::MAX].map(|by| IpAddr::V6(six.to_bits().wrapping_add(by).into())).to_vec()
                    }
                };
                for one in near {
                    assert_eq!(ranges.has(one), slow(one), "{one}");
                }
            }
        }
    }

    /// A million entries take less than 64 MiB, whichever family they are of.
    #[test]
    fn a_million_entries() {
        const MILLION: u32 = 1_000_000;
        let four: String = (0..MILLION).map(|n| format!("{}\n", std::net::Ipv4Addr::from(n * 4096 + 1))).collect();
        let six: String = (0..MILLION)
            .map(|n| format!("{}/64\n", std::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) | (u128::from(n) << 65))))
            .collect();
        for (text, inside, outside) in [(&four, "0.0.16.1", "0.0.16.2"), (&six, "2001:db8::2:0:0:0:1", "2001:db8::1:0:0:0:1")] {
            let ranges = Ranges::read(text.as_bytes()).unwrap();
            assert_eq!(ranges.len(), MILLION as usize);
            assert!(ranges.bytes() <= 64 << 20, "{} bytes", ranges.bytes());
            assert!(has(&ranges, inside) && !has(&ranges, outside));
        }
        assert!(MAX_ENTRIES * size_of::<(u128, u128)>() <= 64_000_000);
    }
}
