//! Messages of DNS: one question out, one answer in. An answer is a stranger's bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a name on the wire (RFC 1035 section 2.3.4).
const LONGEST: usize = 255;
/// Records of an answer that are read.
const RECORDS: usize = 64;
/// Aliases that are followed, of the names of addresses.
const ALIASES: usize = 8;
/// Names or addresses that are kept.
const KEPT: usize = 16;
/// Pointers that one name may have.
const POINTERS: usize = 16;
const INTERNET: u16 = 1;
const ALIAS: u16 = 5;
const NO_SUCH_NAME: u16 = 3;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A = 1,
    /// Names of an address.
    Ptr = 12,
    /// IPv6 addresses.
    Aaaa = 28,
}

/// What was found; empty where there is no such name, or nothing of that kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Host names, lower case, without a trailing dot: letters, digits, `-` and `_` only.
    pub names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Seconds for which it is good: the least of all records that led to it.
    pub ttl_s: u32,
}

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// No answer to this question: somebody else's, or nobody's.
    Foreign,
    /// There is more than fits into a datagram.
    Truncated,
    /// The resolver does not know, or what it says cannot be read.
    Failed,
    /// The answer.
    Found(Found),
}

/// The name under which names of an address stand (RFC 1035 section 3.5, RFC 3596 section 2.5).
#[must_use]
pub fn reverse(address: IpAddr) -> String {
    use std::fmt::Write;
    let mut name = String::with_capacity(72);
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
            name.push_str("in-addr.arpa");
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name.push_str("ip6.arpa");
        }
    }
    name
}

/// A question; `None` where there is no such name.
#[must_use]
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len().saturating_add(18));
    out.extend_from_slice(&id.to_be_bytes());
    // Recursion desired, one question, nothing else.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() > 12 + LONGEST {
        return None;
    }
    for number in [kind as u16, INTERNET] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Some(out)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn two(&mut self) -> Option<u16> {
        self.take(2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes)
    }

    fn four(&mut self) -> Option<u32> {
        self.take(4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes)
    }

    /// A name in lower case, with dots between its labels. A pointer leads back only, so it ends (RFC 1035 section 4.1.4); a label with
    /// a dot or anything invisible in it is none, for as a text it would be two.
    fn name(&mut self) -> Option<String> {
        let (mut name, mut at, mut bytes, mut pointers) = (String::new(), self.at, 0_usize, 0_usize);
        let mut lowest = self.at;
        let mut after = None;
        loop {
            let length = usize::from(*self.message.get(at)?);
            match length {
                0 => {
                    self.at = after.unwrap_or(at.checked_add(1)?);
                    return Some(name);
                }
                1..=63 => {
                    let start = at.checked_add(1)?;
                    let label = self.message.get(start..start.checked_add(length)?)?;
                    bytes = bytes.checked_add(length)?.checked_add(1)?;
                    let plain = label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
                    if !plain || bytes > LONGEST {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                    at = start.checked_add(length)?;
                }
                192..=255 => {
                    let low = usize::from(*self.message.get(at.checked_add(1)?)?);
                    let to = (length & 63) << 8 | low;
                    pointers = pointers.checked_add(1)?;
                    if to >= lowest || pointers > POINTERS {
                        return None;
                    }
                    after = after.or(at.checked_add(2));
                    (at, lowest) = (to, to);
                }
                _ => return None,
            }
        }
    }
}

/// Whether it is a name of a host, as such names are made.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        !label.is_empty() && plain
    };
    !name.is_empty() && name.split('.').all(label)
}

/// Reads what came for a question.
#[must_use]
pub fn read(message: &[u8], id: u16, name: &str, kind: Kind) -> Read {
    let mut reader = Reader { message, at: 0 };
    let Some(flags) = ours(&mut reader, id, name, kind) else { return Read::Foreign };
    if flags & 0x0200 != 0 {
        return Read::Truncated;
    }
    match flags & 15 {
        0 => records(reader, name, kind).map_or(Read::Failed, Read::Found),
        NO_SUCH_NAME => Read::Found(Found::default()),
        _ => Read::Failed,
    }
}

/// The flags of an answer with this id to this very question; the reader stands behind it.
fn ours(reader: &mut Reader<'_>, id: u16, name: &str, kind: Kind) -> Option<u16> {
    let same = reader.two()? == id;
    let flags = reader.two()?;
    let one = reader.two()? == 1;
    reader.take(6)?;
    let asked = reader.name()?.eq_ignore_ascii_case(name);
    let kinds = reader.two()? == kind as u16 && reader.two()? == INTERNET;
    // An answer, of an ordinary question.
    (same && one && asked && kinds && flags & 0xf800 == 0x8000).then_some(flags)
}

struct Record {
    owner: String,
    kind: u16,
    ttl_s: u32,
    target: Target,
}

enum Target {
    Name(String),
    Address(IpAddr),
    Other,
}

fn records(mut reader: Reader<'_>, name: &str, kind: Kind) -> Option<Found> {
    let count = usize::from(reader.message.get(6..8).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes)?);
    let mut all = Vec::new();
    for _ in 0..count.min(RECORDS) {
        all.push(record(&mut reader)?);
    }
    let mut found = Found { ttl_s: u32::MAX, ..Found::default() };
    let mut owner = name.to_ascii_lowercase();
    // Parts of networks are delegated by aliases (RFC 2317). A name that proves something is no alias: where it leads may be a stranger's.
    for _ in 0..if kind == Kind::Ptr { ALIASES } else { 0 } {
        let Some(alias) = all.iter().find(|one| one.kind == ALIAS && one.owner == owner) else { break };
        let Target::Name(next) = &alias.target else { return None };
        found.ttl_s = found.ttl_s.min(alias.ttl_s);
        owner.clone_from(next);
    }
    for one in all.into_iter().filter(|one| one.kind == kind as u16 && one.owner == owner) {
        match one.target {
            Target::Name(name) if is_host(&name) && found.names.len() < KEPT => found.names.push(name),
            Target::Address(address) if found.addresses.len() < KEPT => found.addresses.push(address),
            _ => continue,
        }
        found.ttl_s = found.ttl_s.min(one.ttl_s);
    }
    if found.names.is_empty() && found.addresses.is_empty() {
        return Some(Found::default());
    }
    Some(found)
}

fn record(reader: &mut Reader<'_>) -> Option<Record> {
    let owner = reader.name()?;
    let (kind, class, ttl_s) = (reader.two()?, reader.two()?, reader.four()?);
    let length = usize::from(reader.two()?);
    let end = reader.at.checked_add(length)?;
    let target = match (class, kind, length) {
        (INTERNET, ALIAS | 12, _) => {
            let name = reader.name()?;
            if reader.at != end {
                return None;
            }
            Target::Name(name)
        }
        (INTERNET, 1, 4) => Target::Address(Ipv4Addr::from(<[u8; 4]>::try_from(reader.take(4)?).ok()?).into()),
        (INTERNET, 28, 16) => Target::Address(Ipv6Addr::from(<[u8; 16]>::try_from(reader.take(16)?).ok()?).into()),
        _ => {
            reader.take(length)?;
            Target::Other
        }
    };
    // A time with the highest bit set is none (RFC 2181 section 8).
    Some(Record { owner, kind, ttl_s: if ttl_s > i32::MAX.unsigned_abs() { 0 } else { ttl_s }, target })
}
