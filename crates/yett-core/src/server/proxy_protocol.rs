//! PROXY protocol version 2: who a load balancer before the gateway took a connection from.
//!
//! Read before anything else on a connection, TLS included, and believed from the networks that the listener names
//! only. They have to send it; from anyone else it is refused. Version 1 is text, ends nowhere in particular and is
//! refused. <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::clock::monotonic_ns;
use super::deadline::after;
use crate::ir;
use crate::shared::Shared;

/// What every header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Bytes after the fixed part: addresses and TLVs.
pub const MAX_REST: usize = 4096;
/// `PP2_TYPE_CRC32C`
const TLV_CRC32C: u8 = 0x03;
/// Shortest pause between two events about refused connections, for each listener, in milliseconds.
const COMPLAIN_MS: u64 = 10_000;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The balancer's own connection, such as a health check: it stands for itself.
    Local,
    /// Made on behalf of this client.
    Proxied(SocketAddr),
}

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Something else came, or nothing in time.
    Missing,
    /// Version 1.
    VersionOne,
    /// It cannot be read, or says something that is not supported.
    Malformed,
    /// From an address that is not trusted.
    Untrusted,
}

/// How far a header has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// So many bytes are needed in all; fewer are there.
    Needs(usize),
    /// The whole header, of so many bytes.
    Done(Header, usize),
}

/// Reads a header. `bytes` start at the first byte of the connection; never looks beyond the header's end.
///
/// # Errors
/// See [`Refused`]; as soon as the bytes cannot become a header any more.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Refused> {
    let begins = bytes.get(..bytes.len().min(SIGNATURE.len())).unwrap_or_default();
    if !SIGNATURE.starts_with(begins) {
        let one = b"PROXY ";
        let text = bytes.get(..bytes.len().min(one.len())).unwrap_or_default();
        return Err(if one.starts_with(text) { Refused::VersionOne } else { Refused::Missing });
    }
    let Some([command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(Parsed::Needs(FIXED)) };
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Refused::Malformed),
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > MAX_REST {
        return Err(Refused::Malformed);
    }
    let end = FIXED + length;
    let Some(rest) = bytes.get(FIXED..end) else { return Ok(Parsed::Needs(end)) };
    let source = match family {
        // TCP over IPv4, TCP over IPv6; datagrams and sockets of one machine have no place here.
        0x11 => source4(rest),
        0x21 => source6(rest),
        _ => None,
    };
    let skip = match family {
        0x11 => 12,
        0x21 => 36,
        _ => 0,
    };
    let header = match (local, source) {
        // Its addresses do not count, whatever they are.
        (true, _) => Header::Local,
        (false, Some(source)) => Header::Proxied(source),
        (false, None) => return Err(Refused::Malformed),
    };
    // A LOCAL header of another family has a block of unknown shape, which is skipped whole.
    if !local || *family == 0 || source.is_some() {
        let head = bytes.get(..end).unwrap_or_default();
        tlvs(head, FIXED + skip)?;
    }
    Ok(Parsed::Done(header, end))
}

fn source4(rest: &[u8]) -> Option<SocketAddr> {
    let [a, b, c, d, _, _, _, _, high, low, _, _] = rest.first_chunk::<12>()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d)), u16::from_be_bytes([*high, *low])))
}

fn source6(rest: &[u8]) -> Option<SocketAddr> {
    let block = rest.first_chunk::<36>()?;
    let source = Ipv6Addr::from(*block.first_chunk::<16>()?);
    let [high, low, _, _] = block.last_chunk::<4>()?;
    Some(SocketAddr::new(IpAddr::V6(source).to_canonical(), u16::from_be_bytes([*high, *low])))
}

/// Checks the list of type, length and value that ends a header, and its checksum if it has one; nothing else in it counts.
fn tlvs(head: &[u8], from: usize) -> Result<(), Refused> {
    let mut at = from;
    let mut summed = false;
    while at < head.len() {
        let [kind, high, low] = head.get(at..).and_then(<[u8]>::first_chunk::<3>).ok_or(Refused::Malformed)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = head.get(at + 3..at + 3 + length).ok_or(Refused::Malformed)?;
        if *kind == TLV_CRC32C {
            let sum: [u8; 4] = value.try_into().map_err(|_| Refused::Malformed)?;
            if summed || crc32c(head, at + 3) != u32::from_be_bytes(sum) {
                return Err(Refused::Malformed);
            }
            summed = true;
        }
        at += 3 + length;
    }
    Ok(())
}

/// CRC-32C (RFC 9260 appendix A) of `bytes`, with the four from `blank` on taken as zero.
fn crc32c(bytes: &[u8], blank: usize) -> u32 {
    let mut sum = u32::MAX;
    for (at, byte) in bytes.iter().enumerate() {
        sum ^= u32::from(if (blank..blank + 4).contains(&at) { 0 } else { *byte });
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(sum & 1));
        }
    }
    !sum
}

/// A listener's `proxy_protocol`.
#[derive(Debug)]
pub struct ProxyProtocol {
    addresses: Vec<IpNet>,
    /// Monotonic nanoseconds before which no further event is written.
    quiet_until: AtomicU64,
}

impl ProxyProtocol {
    /// From the document.
    #[must_use]
    pub fn build(spec: &ir::ProxyProtocol) -> Self {
        Self { addresses: spec.addresses.clone(), quiet_until: AtomicU64::new(0) }
    }

    /// Whether this address announces clients. Whoever does not stands for itself.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let address = peer.to_canonical();
        self.addresses.iter().any(|network| network.contains(&address))
    }

    /// Who the other end of a fresh connection stands for; `None` where the connection has to be closed, which is counted.
    pub async fn identify(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        time: Duration,
        shared: &Shared,
        listener: &str,
    ) -> Option<SocketAddr> {
        let address = peer.ip().to_canonical();
        let outcome = if self.trusts(address) {
            match tokio::time::timeout(time, read(stream)).await {
                Ok(outcome) => outcome.map(|header| match header {
                    Header::Local => peer,
                    Header::Proxied(source) => source,
                }),
                Err(_) => Err(Refused::Missing),
            }
        } else {
            // Whoever sends nothing in time has nothing to say of others either: the limits of the protocol apply.
            match tokio::time::timeout(time, announced(stream)).await {
                Ok(true) => Err(Refused::Untrusted),
                Ok(false) | Err(_) => Ok(peer),
            }
        };
        outcome.map_err(|refused| self.complain(refused, shared, listener, address)).ok()
    }

    fn complain(&self, refused: Refused, shared: &Shared, listener: &str, peer: IpAddr) {
        let counters = &shared.counters;
        let (counter, detail) = match refused {
            Refused::Missing => (&counters.proxy_protocol_missing, "a trusted address sent no PROXY protocol header"),
            Refused::VersionOne => (&counters.proxy_protocol_malformed, "version 1 of the PROXY protocol; let it send version 2"),
            Refused::Malformed => (&counters.proxy_protocol_malformed, "a PROXY protocol header that cannot be read"),
            Refused::Untrusted => {
                (&counters.proxy_protocol_untrusted, "a PROXY protocol header from an address that is not trusted")
            }
        };
        counter.increment();
        let now = monotonic_ns();
        let quiet = self.quiet_until.load(Ordering::Relaxed);
        let mine = || self.quiet_until.compare_exchange(quiet, after(now, COMPLAIN_MS), Ordering::Relaxed, Ordering::Relaxed);
        if now >= quiet && mine().is_ok() {
            let peer = peer.to_string();
            shared.events.push(
                "warning",
                "proxy_protocol_refused",
                &[("listener", listener), ("peer", &peer), ("detail", detail)],
            );
        }
    }
}

/// Reads exactly the header: what follows it belongs to TLS or HTTP.
async fn read(stream: &mut TcpStream) -> Result<Header, Refused> {
    let mut bytes = Vec::with_capacity(64);
    loop {
        let missing = match parse(&bytes)? {
            Parsed::Done(header, _) => return Ok(header),
            Parsed::Needs(all) => all.saturating_sub(bytes.len()),
        };
        let taken = (&mut *stream).take(u64::try_from(missing).unwrap_or(0)).read_buf(&mut bytes).await;
        if !matches!(taken, Ok(count) if count > 0) {
            return Err(Refused::Missing);
        }
    }
}

/// Whether the connection begins with a header, seen without taking a byte.
async fn announced(stream: &TcpStream) -> bool {
    let mut bytes = [0; SIGNATURE.len()];
    let Ok(count) = stream.peek(&mut bytes).await else { return false };
    // A part of it is neither TLS nor HTTP, and both refuse it themselves.
    matches!(bytes.get(..count), Some(seen) if seen.len() >= 6 && (SIGNATURE.starts_with(seen) || seen.starts_with(b"PROXY ")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value);
        bytes
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x01, 0xbb];

    fn six(source: &str) -> Vec<u8> {
        let mut block = source.parse::<Ipv6Addr>().unwrap().octets().to_vec();
        block.extend([0; 16]);
        block.extend([0x1f, 0x90, 0x01, 0xbb]);
        block
    }

    fn done(bytes: &[u8]) -> Header {
        let Ok(Parsed::Done(header, used)) = parse(bytes) else { panic!("{:?}", parse(bytes)) };
        assert_eq!(used, bytes.len());
        header
    }

    fn summed(block: &[u8]) -> Vec<u8> {
        let mut bytes = header(0x21, 0x11, &[block, &tlv(TLV_CRC32C, &[0; 4])].concat());
        let at = bytes.len() - 4;
        let sum = crc32c(&bytes, at).to_be_bytes();
        bytes[at..].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn both_families() {
        assert_eq!(done(&header(0x21, 0x11, &FOUR)), Header::Proxied("192.0.2.7:8080".parse().unwrap()));
        assert_eq!(done(&header(0x21, 0x21, &six("2001:db8::7"))), Header::Proxied("[2001:db8::7]:8080".parse().unwrap()));
        // one client, one key of limits, whatever the balancer's socket was
        assert_eq!(done(&header(0x21, 0x21, &six("::ffff:192.0.2.7"))), Header::Proxied("192.0.2.7:8080".parse().unwrap()));
    }

    #[test]
    fn health_checks_stand_for_themselves() {
        for (family, block) in [(0, &[][..]), (0x11, &FOUR), (0x11, &[]), (0x31, &[0; 216]), (0, &[4, 0, 1, 9])] {
            assert_eq!(done(&header(0x20, family, block)), Header::Local);
        }
        assert_eq!(parse(&header(0x20, 0, &[4, 0, 9, 9])), Err(Refused::Malformed));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let plain = header(0x21, 0x11, &FOUR);
        for (command, family) in
            [(0x21, 0x12), (0x21, 0x22), (0x21, 0x31), (0x21, 0), (0x21, 0x41), (0x22, 0x11), (0x11, 0x11), (0x31, 0x11)]
        {
            assert_eq!(parse(&header(command, family, &[0; 216])), Err(Refused::Malformed), "{command:x} {family:x}");
        }
        assert_eq!(parse(&header(0x21, 0x11, &FOUR[..11])), Err(Refused::Malformed));
        assert_eq!(parse(&header(0x21, 0x21, &FOUR)), Err(Refused::Malformed));
        let mut long = plain.clone();
        long[14..16].copy_from_slice(&4097_u16.to_be_bytes());
        assert_eq!(parse(&long), Err(Refused::Malformed), "refused before it is read");
        assert_eq!(parse(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n"), Err(Refused::VersionOne));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(Refused::Missing));
        assert_eq!(parse(b"\x16\x03\x01"), Err(Refused::Missing));
        assert_eq!(parse(b"\r\n\r\nGET"), Err(Refused::Missing));
    }

    #[test]
    fn tlvs_fit_exactly() {
        let with = |tail: &[u8]| header(0x21, 0x11, &[&FOUR[..], tail].concat());
        assert!(matches!(done(&with(&[tlv(4, b""), tlv(1, b"h2"), tlv(0x20, &[7; 300])].concat())), Header::Proxied(_)));
        for tail in [&[4][..], &[4, 0], &[4, 0, 2, 1], &[3, 0, 3, 1, 2, 3]] {
            assert_eq!(parse(&with(tail)), Err(Refused::Malformed), "{tail:?}");
        }
    }

    #[test]
    fn the_checksum_is_checked() {
        assert_eq!(crc32c(b"123456789", 100), 0xe306_9283);
        let good = summed(&[&FOUR[..], &tlv(2, b"host")].concat());
        assert!(matches!(done(&good), Header::Proxied(_)));
        // the type of the checksum itself is what says that there is one
        for at in (16..good.len()).filter(|at| *at != good.len() - 7) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(parse(&bad).is_err(), "byte {at}");
        }
        let twice = header(0x21, 0x11, &[&FOUR[..], &tlv(3, &[0; 4]), &tlv(3, &[0; 4])].concat());
        assert_eq!(parse(&twice), Err(Refused::Malformed));
    }

    proptest! {
        #[test]
        fn never_past_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..80), tail in proptest::collection::vec(any::<u8>(), 0..40)) {
            for data in [bytes.clone(), header(0x21, 0x11, &bytes), header(0x20, 0x21, &bytes)] {
                let alone = parse(&data);
                if let Ok(Parsed::Needs(all)) = alone {
                    prop_assert!(all > data.len() && all <= FIXED + MAX_REST);
                }
                if let Ok(Parsed::Done(_, used)) = alone {
                    prop_assert!(used <= data.len());
                    prop_assert_eq!(parse(&[&data[..used], &tail[..]].concat()), alone);
                    for cut in 0..used {
                        prop_assert!(matches!(parse(&data[..cut]), Ok(Parsed::Needs(all)) if all > cut));
                    }
                }
            }
        }
    }

    #[test]
    fn fuzz_a_header_is_one_however_it_arrives() {
        let mut six_tlvs = six("2001:db8::1");
        six_tlvs.extend(tlv(0x04, b"pad"));
        let seeds =
            [header(0x21, 0x11, &FOUR), header(0x21, 0x21, &six_tlvs), header(0x20, 0x00, &[]), header(0x21, 0x31, &[0; 216])];
        let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
        let words: [&[u8]; 4] = [SIGNATURE, b"\x03\0\x04\0\0\0\0", b"\x20\0\x05", b"PROXY TCP4 "];
        crate::fuzz::run("proxy_protocol", &seeds, &words, |data| {
            let whole = parse(data);
            if let Ok(Parsed::Done(_, end)) = whole {
                assert!((FIXED..=FIXED + MAX_REST).contains(&end) && end <= data.len());
                assert_eq!(parse(&data[..end]), whole, "what follows does not count");
                for cut in 0..end {
                    match parse(&data[..cut]) {
                        Ok(Parsed::Needs(needs)) => assert!(cut < needs && needs <= end, "{cut} {needs} {end}"),
                        other => panic!("the first {cut} bytes give {other:?}"),
                    }
                }
            }
            // It asks for what is missing, never for what is there, and a fault is not taken back.
            if let Ok(Parsed::Needs(needs)) = whole {
                assert!(needs > data.len() && needs <= FIXED + MAX_REST);
            }
            if whole.is_err() {
                let more: Vec<u8> = data.iter().copied().chain([0; 8]).collect();
                assert!(parse(&more).is_err(), "taken back");
            }
            whole.is_ok()
        });
    }
}
