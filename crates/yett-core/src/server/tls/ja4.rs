//! JA4: what a client hello says of the program that sent it, as a short text (FoxIO, "JA4: TLS Client Fingerprinting").
//!
//! The library gives no list of extensions, so the bytes of the first hello are read a second time here. What cannot be read has no
//! fingerprint; whether it is a hello at all is the library's to say.

use std::fmt::Write;

use crate::providers::jwk::sha256;

/// `t13d1516h2_8daaf6152771_e5627efa2ab1`
pub type Ja4 = [u8; 36];

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// The hash of nothing, as the specification writes it.
const NOTHING: &str = "000000000000";

/// Takes parts from the front, as TLS writes them (RFC 8446 section 3).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        self.take(bytes).map(|taken| taken.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn two(&mut self) -> Option<u16> {
        self.number(2).and_then(|number| u16::try_from(number).ok())
    }

    /// What a length of so many bytes precedes.
    fn vector(&mut self, bytes: usize) -> Option<Reader<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Reader)
    }

    /// Numbers of two bytes but for those that clients make up (GREASE, RFC 8701).
    fn values(mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.two()).filter(|value| !is_grease(*value)).collect()
    }
}

fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The handshake message that records begin with, in however many of them it comes.
fn message(records: &[u8]) -> Option<Vec<u8>> {
    let (mut records, mut found) = (Reader(records), Vec::new());
    loop {
        let kind = records.number(1)?;
        records.take(2)?;
        let Reader(part) = records.vector(2)?;
        if kind != usize::from(HANDSHAKE) || part.is_empty() {
            return None;
        }
        found.extend_from_slice(part);
        let mut head = Reader(&found);
        if let (Some(kind), Some(length)) = (head.number(1), head.number(3)) {
            if kind != usize::from(CLIENT_HELLO) {
                return None;
            }
            if let Some(body) = head.take(length) {
                return Some(body.to_vec());
            }
        }
    }
}

/// One that somebody wrote down.
#[must_use]
pub fn read(text: &str) -> Option<Ja4> {
    let told: Ja4 = text.as_bytes().try_into().ok()?;
    let is_part = |(at, byte): (usize, &u8)| match at {
        10 | 23 => *byte == b'_',
        // What it speaks first stands there as it is: the first and the last byte of a name.
        8 | 9 => byte.is_ascii_alphanumeric(),
        0..8 => byte.is_ascii_digit() || byte.is_ascii_lowercase(),
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    told.iter().enumerate().all(is_part).then_some(told)
}

/// Of the first bytes of a connection.
#[must_use]
pub fn of(records: &[u8]) -> Option<Ja4> {
    let message = message(records)?;
    let mut hello = Reader(&message);
    let mut version = hello.two()?;
    hello.take(32)?;
    hello.vector(1)?;
    let mut ciphers = hello.vector(2)?.values();
    hello.vector(1)?;
    let (mut all, mut named, mut extensions, mut algorithms, mut alpn) = (0_usize, false, Vec::new(), Vec::new(), *b"00");
    // None at all in what is older than TLS 1.0.
    let mut list = if hello.0.is_empty() { Reader(&[]) } else { hello.vector(2)? };
    while !list.0.is_empty() {
        let kind = list.two()?;
        let mut body = list.vector(2)?;
        if is_grease(kind) {
            continue;
        }
        all += 1;
        match kind {
            SERVER_NAME => named = true,
            ALPN => alpn = protocol(body.vector(2)?.vector(1)?.0),
            SUPPORTED_VERSIONS => version = body.vector(1)?.values().into_iter().max().unwrap_or(version),
            SIGNATURE_ALGORITHMS => algorithms = body.vector(2)?.values(),
            _ => {}
        }
        if !matches!(kind, SERVER_NAME | ALPN) {
            extensions.push(kind);
        }
    }
    let mut text = String::with_capacity(36);
    let names = if named { 'd' } else { 'i' };
    let [first, last] = alpn.map(char::from);
    let _ = write!(text, "t{}{names}{:02}{:02}{first}{last}_", word(version), ciphers.len().min(99), all.min(99));
    ciphers.sort_unstable();
    extensions.sort_unstable();
    text += &hash(&listed(&ciphers));
    text.push('_');
    let mut told = listed(&extensions);
    if !algorithms.is_empty() {
        told = format!("{told}_{}", listed(&algorithms));
    }
    text += &hash(&told);
    text.into_bytes().try_into().ok()
}

fn word(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// The first and last character of a protocol; of its hexadecimal form where one of them is neither letter nor digit.
fn protocol(name: &[u8]) -> [u8; 2] {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return *b"00" };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [*first, *last];
    }
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    [digit(first >> 4), digit(last & 0x0f)]
}

fn listed(values: &[u16]) -> String {
    let mut out = String::with_capacity(values.len() * 5);
    for (index, value) in values.iter().enumerate() {
        let _ = write!(out, "{}{value:04x}", if index > 0 { "," } else { "" });
    }
    out
}

fn hash(text: &str) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    sha256(text.as_bytes()).iter().take(6).fold(String::with_capacity(12), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::of;

    fn two(value: u16) -> [u8; 2] {
        value.to_be_bytes()
    }

    fn vector(bytes: usize, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_be_bytes();
        [&length[4 - bytes..], content].concat()
    }

    fn values(all: &[u16]) -> Vec<u8> {
        all.iter().flat_map(|value| two(*value)).collect()
    }

    fn hello(version: u16, ciphers: &[u16], extensions: Option<&[(u16, Vec<u8>)]>) -> Vec<u8> {
        let mut body = [two(version).as_slice(), &[7; 32], &vector(1, &[9; 32]), &vector(2, &values(ciphers)), &[1, 0]].concat();
        if let Some(extensions) = extensions {
            let all: Vec<u8> =
                extensions.iter().flat_map(|(kind, body)| [two(*kind).to_vec(), vector(2, body)].concat()).collect();
            body.extend(vector(2, &all));
        }
        [vec![1], vector(3, &body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [vec![22, 3, 1], vector(2, part)].concat()).collect()
    }

    /// The example of the specification: a browser, with GREASE, in the order that it sends.
    fn browser() -> Vec<u8> {
        let ciphers = [
            0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
            0x002f, 0x0035,
        ];
        let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let mut extensions = vec![
            (0x1a1a, vec![]),
            (0x001b, vec![2, 0, 2]),
            (0x0000, vector(2, &[vec![0], vector(2, b"shop.example")].concat())),
            (0x0033, vec![]),
            (0x0010, vector(2, &[vector(1, b"h2"), vector(1, b"http/1.1")].concat())),
            (0x4469, vec![]),
            (0x0017, vec![]),
            (0x002d, vec![1, 1]),
            (0x000d, vector(2, &values(&algorithms))),
            (0x0005, vec![1, 0, 0, 0, 0]),
            (0x0023, vec![]),
            (0x0012, vec![]),
            (0x002b, vector(1, &values(&[0x3a3a, 0x0304, 0x0303]))),
            (0xff01, vec![0]),
            (0x000b, vec![1, 0]),
            (0x000a, vec![]),
            (0x0015, vec![0; 200]),
        ];
        extensions.push((0xbaba, vec![0]));
        hello(0x0303, &ciphers, Some(&extensions))
    }

    fn text(records: &[u8]) -> Option<String> {
        of(records).map(|ja4| String::from_utf8(ja4.to_vec()).unwrap())
    }

    #[test]
    fn the_example_of_the_specification_in_one_record_or_many() {
        for size in [1, 7, 100, 16_000] {
            let found = text(&records(&browser(), size));
            assert_eq!(found.as_deref(), Some("t13d1516h2_8daaf6152771_e5627efa2ab1"), "records of {size} bytes");
        }
    }

    #[test]
    fn clients_without_extensions_names_or_ciphers() {
        let found = |message: &[u8]| text(&records(message, 16_000)).unwrap();
        assert_eq!(found(&hello(0x0301, &[], None)), "t10i000000_000000000000_000000000000");
        assert_eq!(found(&hello(0x0300, &[0x0a0a], Some(&[]))), "ts3i000000_000000000000_000000000000");
        let many: Vec<u16> = (1..=120).collect();
        assert!(found(&hello(0x0303, &many, None)).starts_with("t12i9900"));
        let alpn =
            |name: &[u8]| found(&hello(0x0303, &[], Some(&[(16, vector(2, &vector(1, name)))]))).get(8..10).unwrap().to_owned();
        assert_eq!([alpn(b"h2"), alpn(b"http/1.1"), alpn(b"x")], ["h2", "h1", "xx"]);
        assert_eq!([alpn(&[0xab]), alpn(&[0xab, 0xcd]), alpn(&[0x30, 0xab]), alpn(b"01\xab\xcd")], ["ab", "ad", "3b", "3d"]);
    }

    #[test]
    fn what_is_cut_short_or_no_hello_has_none() {
        let whole = records(&browser(), 16_000);
        for length in 0..whole.len() {
            assert!(of(&whole[..length]).is_none(), "{length} of {} bytes", whole.len());
        }
        assert!(of(b"GET / HTTP/1.1\r\n\r\n").is_none());
        assert!(of(&records(&[&[2][..], &browser()[1..]].concat(), 16_000)).is_none());
        assert!(of(&[22, 3, 1, 0, 0, 22, 3, 1, 0, 0]).is_none());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..500) {
            let _ = of(&bytes);
            let _ = of(&records(&[&[1, 0, (bytes.len() >> 8) as u8, bytes.len() as u8][..], &bytes].concat(), 64));
            let mut changed = records(&browser(), 16_000);
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 0x55;
                let _ = of(&changed);
            }
        }
    }
}
