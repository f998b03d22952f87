//! A database in MaxMind's format (MaxMind DB File Format 2.0), taken apart.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maxminddb::Reader;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::Code;
use super::table::{Builder, Table};
use crate::watched::Content;

/// Nodes and networks that are looked at while a database is read; the largest that are sold have some 20 million.
const MAX_STEPS: u32 = 100_000_000;
/// Ranges that are kept, neighbours with the same number as one.
const MAX_RANGES: usize = 4_000_000;
/// Bits of an address of either family; IPv4 is the lowest part of IPv6.
const BITS: u32 = 128;
/// The last IPv4 address, as a part of IPv6.
const LAST_FOUR: u128 = u32::MAX as u128;

/// Of an entry of an anonymous-IP database: it is there.
const LISTED: u32 = 1;
/// Of such an entry: it belongs to who rents out machines.
pub(super) const HOSTING: u32 = 2;

/// What is read out of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `country.iso_code` and `continent.code`.
    Country,
    /// `autonomous_system_number`.
    Asn,
    /// `is_hosting_provider`.
    Anonymous,
}

impl Kind {
    /// As it is called in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Asn => "asn",
            Self::Anonymous => "anonymous",
        }
    }
}

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct How {
    /// What is read out of it.
    pub kind: Kind,
    /// Beyond which age somebody is told, seconds.
    pub max_age_s: u64,
}

/// What is left of a database.
#[derive(Debug)]
pub struct Database {
    four: Table<u32>,
    six: Table<u128>,
    /// When it was built, seconds since 1970.
    pub built_s: u64,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(default)]
    iso_code: Option<&'a str>,
    #[serde(default)]
    code: Option<&'a str>,
}

#[derive(Deserialize)]
struct CountryRecord<'a> {
    #[serde(default, borrow)]
    country: Option<Named<'a>>,
    #[serde(default, borrow)]
    continent: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct AsnRecord {
    #[serde(default)]
    autonomous_system_number: Asn,
}

/// A number of any of the format's types for them: who writes such databases takes the shortest, or always the same.
#[derive(Debug, Default)]
struct Asn(u32);

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Asn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of an autonomous system")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Asn, E> {
                u32::try_from(value).map(Asn).map_err(|_| E::custom("it is too large"))
            }

            fn visit_i32<E: de::Error>(self, value: i32) -> Result<Asn, E> {
                u32::try_from(value).map(Asn).map_err(|_| E::custom("it is negative"))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[derive(Deserialize)]
struct AnonymousRecord {
    #[serde(default)]
    is_hosting_provider: bool,
}

/// The letters of a country at 0, of a continent at 2.
pub(super) fn letters(value: u32, from: usize) -> Option<Code> {
    let bytes = value.to_be_bytes();
    let code = bytes.get(from..from.saturating_add(2))?;
    code.iter().all(u8::is_ascii_uppercase).then(|| code.try_into().ok().map(Code)).flatten()
}

fn pack(country: Option<&str>, continent: Option<&str>) -> Result<u32, String> {
    let code = |text: Option<&str>, what: &str| match text {
        None => Ok([0; 2]),
        Some(text) => {
            Code::parse(text).map(|code| code.0).ok_or_else(|| format!("`{}` is no code of a {what}", text.escape_debug()))
        }
    };
    let ([a, b], [c, d]) = (code(country, "country")?, code(continent, "continent")?);
    Ok(u32::from_be_bytes([a, b, c, d]))
}

impl Database {
    /// The number of an address; 0 where there is none.
    #[inline]
    #[must_use]
    pub fn find(&self, address: IpAddr) -> u32 {
        match address.to_canonical() {
            IpAddr::V4(four) => self.four.find(four.to_bits()),
            IpAddr::V6(six) => self.six.find(six.to_bits()),
        }
    }

    /// Takes a whole file apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8], kind: Kind) -> Result<Self, String> {
        let damaged = |_| "it is no database in MaxMind's format, or a part of it is missing".to_owned();
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        let known = reader.metadata();
        let (count, bits) = (known.node_count, known.record_size);
        let four_only = known.ip_version == 4;
        let mut taking = Taking {
            reader: &reader,
            bytes,
            count,
            bits,
            kind,
            four_only,
            values: HashMap::new(),
            four: Builder::new(0),
            six: Builder::new(LAST_FOUR.saturating_add(1)),
        };
        taking.walk()?;
        let Taking { four, six, .. } = taking;
        let found = Self { four: four.finish(), six: six.finish(), built_s: known.build_epoch };
        // Of another kind, it would know nothing of anybody, and say so for ever.
        if found.entries() == 0 {
            let shown: String = known.database_type.chars().take(64).collect();
            return Err(format!("it says nothing as a database of `{}`; its type is `{}`", kind.as_str(), shown.escape_debug()));
        }
        Ok(found)
    }
}

/// A database that is being taken apart.
struct Taking<'r, 'b> {
    reader: &'r Reader<&'b [u8]>,
    bytes: &'b [u8],
    /// Nodes.
    count: u32,
    /// Of a record, two of which are a node.
    bits: u16,
    kind: Kind,
    four_only: bool,
    /// What was read at each place of the data.
    values: HashMap<u32, u32>,
    four: Builder<u32>,
    six: Builder<u128>,
}

impl Taking<'_, '_> {
    /// From the lowest address to the highest.
    fn walk(&mut self) -> Result<(), String> {
        // Where IPv4 begins; other places lead there as well (RFC 3056, RFC 4380, mapped addresses), and are left out.
        let below = self.below_four()?;
        let mut open = vec![(0_u32, 0_u128, if self.four_only { 96_u32 } else { 0 })];
        let mut steps = 0_u32;
        while let Some((record, prefix, depth)) = open.pop() {
            steps = steps.saturating_add(1);
            if steps > MAX_STEPS || self.four.len().saturating_add(self.six.len()) > MAX_RANGES {
                return Err("it has more networks than any that is known".to_owned());
            }
            if record >= self.count {
                self.leaf(record, prefix, depth)?;
                continue;
            }
            if below == Some(record) && prefix != 0 {
                continue;
            }
            if depth >= BITS {
                return Err("its tree is deeper than an address".to_owned());
            }
            let (left, right) = self.node(record)?;
            let bit = 1_u128.checked_shl(127_u32.saturating_sub(depth)).unwrap_or(0);
            open.push((right, prefix | bit, depth.saturating_add(1)));
            open.push((left, prefix, depth.saturating_add(1)));
        }
        Ok(())
    }

    fn below_four(&self) -> Result<Option<u32>, String> {
        if self.four_only {
            return Ok(None);
        }
        let mut record = 0;
        for _ in 0..96 {
            if record >= self.count {
                return Ok(None);
            }
            record = self.node(record)?.0;
        }
        Ok((record < self.count).then_some(record))
    }

    /// Both records of a node.
    fn node(&self, index: u32) -> Result<(u32, u32), String> {
        let wide = usize::from(self.bits) / 4;
        let at = (index as usize).saturating_mul(wide);
        let node = self.bytes.get(at..at.saturating_add(wide));
        Ok(match node {
            Some([a, b, c, d, e, f]) => (u32::from_be_bytes([0, *a, *b, *c]), u32::from_be_bytes([0, *d, *e, *f])),
            Some([a, b, c, m, d, e, f]) => (u32::from_be_bytes([*m >> 4, *a, *b, *c]), u32::from_be_bytes([*m & 15, *d, *e, *f])),
            Some([a, b, c, d, e, f, g, h]) => (u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h])),
            _ => return Err("its tree ends too early".to_owned()),
        })
    }

    /// A network, or one without anything.
    fn leaf(&mut self, record: u32, prefix: u128, depth: u32) -> Result<(), String> {
        if record == self.count {
            return Ok(());
        }
        let value = match self.values.get(&record) {
            Some(value) => *value,
            None => {
                let value = self.value(prefix)?;
                self.values.insert(record, value);
                value
            }
        };
        if value == 0 {
            return Ok(());
        }
        let last = prefix | u128::MAX.checked_shr(depth).unwrap_or(0);
        let low = |number: u128| u32::try_from(number & LAST_FOUR).unwrap_or_default();
        if prefix <= LAST_FOUR {
            self.four.push(low(prefix), low(last.min(LAST_FOUR)), value)?;
        }
        if last > LAST_FOUR {
            self.six.push(prefix.max(LAST_FOUR.saturating_add(1)), last, value)?;
        }
        Ok(())
    }

    /// What stands for the network that begins here.
    fn value(&self, prefix: u128) -> Result<u32, String> {
        let address = match self.four_only {
            true => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(prefix & LAST_FOUR).unwrap_or_default())),
            false => IpAddr::V6(Ipv6Addr::from_bits(prefix)),
        };
        let damaged = |_| format!("what it says of {address} cannot be read");
        let found = self.reader.lookup(address).map_err(damaged)?;
        Ok(match self.kind {
            Kind::Country => {
                let record = found.decode::<CountryRecord<'_>>().map_err(damaged)?;
                let record = record.unwrap_or(CountryRecord { country: None, continent: None });
                pack(record.country.and_then(|one| one.iso_code), record.continent.and_then(|one| one.code))?
            }
            Kind::Asn => {
                let record = found.decode::<AsnRecord>().map_err(damaged)?;
                record.map_or(0, |record| record.autonomous_system_number.0)
            }
            Kind::Anonymous => match found.decode::<AnonymousRecord>().map_err(damaged)? {
                Some(record) => LISTED | if record.is_hosting_provider { HOSTING } else { 0 },
                None => 0,
            },
        })
    }
}

impl Content for Database {
    type How = How;
    const READ: &'static str = "geo_database_read";
    const FAILED: &'static str = "geo_database_failed";
    const MAX_FILE: u64 = 512 << 20;

    fn read(mut file: BufReader<File>, length: u64, how: How) -> Result<Self, String> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        let most = length.saturating_add(1);
        std::io::Read::take(&mut file, most).read_to_end(&mut bytes).map_err(|_| "it cannot be read")?;
        Self::parse(&bytes, how.kind)
    }

    fn entries(&self) -> usize {
        self.four.len().saturating_add(self.six.len())
    }

    fn bytes(&self) -> usize {
        self.four.bytes().saturating_add(self.six.bytes())
    }

    fn complaint(&self, how: How, now_s: u64) -> Option<(&'static str, String)> {
        let age_s = now_s.saturating_sub(self.built_s);
        let days = |seconds: u64| seconds / 86_400;
        (age_s > how.max_age_s).then(|| {
            ("geo_database_old", format!("it was built {} days ago, and {} are allowed", days(age_s), days(how.max_age_s)))
        })
    }
}
