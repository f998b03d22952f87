use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use tokio::net::UdpSocket;

use super::client::listed;
use super::message::{Found, Kind, Read, question, read, reverse};
use super::{Unanswered, lookup};

const NAME: &str = "1.2.0.192.in-addr.arpa";

fn wire(name: &str) -> Vec<u8> {
    let mut out: Vec<u8> = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    out.push(0);
    out
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [owner, &kind.to_be_bytes(), &1_u16.to_be_bytes(), &ttl.to_be_bytes(), &length, data].concat()
}

fn answer(id: u16, name: &str, kind: Kind, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = question(id, name, kind).unwrap();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    message.extend(records.concat());
    message
}

/// The name of the question.
const ASKED: [u8; 2] = [0xc0, 12];

fn names(list: &[&str], ttl_s: u32) -> Read {
    Read::Found(Found { names: list.iter().map(|name| (*name).to_owned()).collect(), addresses: vec![], ttl_s })
}

#[test]
fn names_of_addresses() {
    assert_eq!(reverse("192.0.2.1".parse().unwrap()), NAME);
    assert_eq!(reverse("::ffff:192.0.2.1".parse().unwrap()), NAME);
    let long = reverse("2001:db8::567:89ab".parse().unwrap());
    assert_eq!(long, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

#[test]
fn an_answer_is_to_the_question_that_was_asked() {
    let ptr = [record(&ASKED, 12, 300, &wire("Crawl-1.GoogleBot.com"))];
    let good = answer(7, NAME, Kind::Ptr, 0x8180, &ptr);
    let is = |message: &[u8]| read(message, 7, NAME, Kind::Ptr);
    assert_eq!(is(&good), names(&["crawl-1.googlebot.com"], 300));
    assert_eq!(read(&good, 8, NAME, Kind::Ptr), Read::Foreign, "another id");
    assert_eq!(is(&answer(7, "2.2.0.192.in-addr.arpa", Kind::Ptr, 0x8180, &ptr)), Read::Foreign, "another name");
    assert_eq!(is(&answer(7, NAME, Kind::A, 0x8180, &ptr)), Read::Foreign, "another kind");
    assert_eq!(is(&answer(7, NAME, Kind::Ptr, 0x0180, &ptr)), Read::Foreign, "a question");
    assert_eq!(is(&answer(7, NAME, Kind::Ptr, 0x8380, &ptr)), Read::Truncated);
    assert_eq!(is(&answer(7, NAME, Kind::Ptr, 0x8183, &[])), names(&[], 0), "no such name");
    assert_eq!(is(&answer(7, NAME, Kind::Ptr, 0x8182, &ptr)), Read::Failed);
    assert_eq!(
        is(&answer(7, NAME, Kind::Ptr, 0x8180, &[record(&wire("other.example"), 12, 1, &wire("a.googlebot.com"))])),
        names(&[], 0)
    );
    for length in 0..good.len() {
        assert_ne!(is(&good[..length]), names(&["crawl-1.googlebot.com"], 300), "{length} bytes of it");
    }
}

#[test]
fn aliases_are_followed_and_end() {
    let part = wire("1.0/25.2.0.192.in-addr.arpa");
    let delegated = [record(&ASKED, 5, 60, &part), record(&part, 12, 300, &wire("a.search.msn.com"))];
    assert_eq!(read(&answer(1, NAME, Kind::Ptr, 0x8180, &delegated), 1, NAME, Kind::Ptr), names(&["a.search.msn.com"], 60));
    let circle = [record(&ASKED, 5, 60, &part), record(&part, 5, 60, &wire(NAME))];
    assert_eq!(read(&answer(1, NAME, Kind::Ptr, 0x8180, &circle), 1, NAME, Kind::Ptr), names(&[], 0));
}

#[test]
fn names_that_are_none() {
    let is = |data: &[u8]| read(&answer(1, NAME, Kind::Ptr, 0x8180, &[record(&ASKED, 12, 60, data)]), 1, NAME, Kind::Ptr);
    // one label that would be four as a text
    assert_eq!(is(&[&[15][..], b"x.googlebot.com", &[0]].concat()), Read::Failed);
    assert_eq!(is(&[&[3][..], b"a\0b", &[0]].concat()), Read::Failed);
    assert_eq!(is(&[0x40, 0]), Read::Failed, "a label of no kind");
    let start = answer(1, NAME, Kind::Ptr, 0x8180, &[record(&ASKED, 12, 60, &[])]).len() as u8;
    assert_eq!(is(&[0xc0, start]), Read::Failed, "a name that points to itself");
    assert_eq!(is(&[0xc0, start + 2, 0xc0, start]), Read::Failed, "ahead");
    assert_eq!(is(&[&[1, b'a', 0xc0, start][..]].concat()), Read::Failed, "back to its own beginning");
    assert_eq!(is(&wire("a'b.googlebot.com")), names(&[], 0), "no name of a host");
    assert_eq!(is(&[&wire("a.googlebot.com")[..], &[0]].concat()), Read::Failed, "more than a name");
    let long = vec!["a".repeat(63); 5].join(".");
    assert_eq!(is(&wire(&long)), Read::Failed);
    assert_eq!(question(1, &long, Kind::Ptr), None);
    assert_eq!(question(1, "a..b", Kind::A), None);
}

#[test]
fn addresses() {
    let data = [record(&ASKED, 1, 60, &[192, 0, 2, 1]), record(&ASKED, 1, 30, &[192, 0, 2, 2]), record(&ASKED, 1, 5, &[1])];
    let found = Found { names: vec![], addresses: ips(&["192.0.2.1", "192.0.2.2"]), ttl_s: 30 };
    assert_eq!(read(&answer(1, "a.example", Kind::A, 0x8180, &data), 1, "a.example", Kind::A), Read::Found(found));
    let six = [record(&ASKED, 28, u32::MAX, &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])];
    let found = Found { names: vec![], addresses: ips(&["2001:db8::1"]), ttl_s: 0 };
    assert_eq!(read(&answer(1, "a.example", Kind::Aaaa, 0x8180, &six), 1, "a.example", Kind::Aaaa), Read::Found(found));
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn resolvers_of_the_system() {
    let text = "# a\nnameserver 192.0.2.1\nsearch x\n nameserver\t2001:db8::1 # b\nnameserver fe80::1%eth0\nnameserver\nnameservers 1.1.1.1\n";
    let found: Vec<String> = listed(text).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
}

#[tokio::test]
async fn the_next_resolver_is_asked_and_lies_are_passed_over() {
    let good = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dead = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addresses: [SocketAddr; 2] = [dead.local_addr().unwrap(), good.local_addr().unwrap()];
    // a closed port answers at once that it is closed
    drop(dead);
    let server = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (_, from) = good.recv_from(&mut buffer).await.unwrap();
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        let lie = [record(&ASKED, 12, 60, &wire("evil.example"))];
        good.send_to(&answer(id ^ 1, NAME, Kind::Ptr, 0x8180, &lie), from).await.unwrap();
        good.send_to(&answer(id, "9.2.0.192.in-addr.arpa", Kind::Ptr, 0x8180, &lie), from).await.unwrap();
        good.send_to(b"", from).await.unwrap();
        good.send_to(&answer(id, NAME, Kind::Ptr, 0x8180, &[record(&ASKED, 12, 60, &wire("a.example"))]), from).await.unwrap();
    });
    assert_eq!(lookup(&addresses, NAME, Kind::Ptr).await.unwrap().names, ["a.example"]);
    server.await.unwrap();
    assert_eq!(lookup(&[], NAME, Kind::Ptr).await, Err(Unanswered::Silent));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..120) {
        let _ = read(&bytes, 1, NAME, Kind::Ptr);
        let part = wire("1.0/25.2.0.192.in-addr.arpa");
        let records = [record(&ASKED, 5, 60, &part), record(&part, 12, 300, &wire("a.search.msn.com"))];
        let mut changed = answer(1, NAME, Kind::Ptr, 0x8180, &records);
        let _ = read(&[&changed[..], &bytes].concat(), 1, NAME, Kind::Ptr);
        if let (Some(byte), Some(other)) = (changed.get_mut(at), bytes.first()) {
            *byte ^= other;
        }
        let _ = read(&changed, 1, NAME, Kind::Ptr);
    }
}
