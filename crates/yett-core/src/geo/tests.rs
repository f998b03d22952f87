//! Databases that tests write: read as the library reads them, refused where they are damaged, never a panic.

use std::net::IpAddr;
use std::panic::catch_unwind;

use ipnet::IpNet;
use proptest::prelude::*;

use super::database::{Database, Kind, letters};
use super::{Code, is_private};

/// A database of countries in MaxMind's format, record sizes 24, 28 and 32.
pub(super) struct Writer {
    nodes: Vec<[Target; 2]>,
    data: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Target {
    Node(usize),
    Nothing,
    Data(usize),
}

fn text(out: &mut Vec<u8>, value: &str) {
    assert!(value.len() < 29);
    out.push(0x40 | u8::try_from(value.len()).unwrap());
    out.extend_from_slice(value.as_bytes());
}

fn number(out: &mut Vec<u8>, key: &str, kind: u8, value: u64) {
    text(out, key);
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let size = u8::try_from(bytes.len()).unwrap();
    if kind < 8 {
        out.push(kind << 5 | size);
    } else {
        out.extend_from_slice(&[size, kind - 7]);
    }
    out.extend_from_slice(&bytes);
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { nodes: vec![[Target::Nothing; 2]], data: Vec::new() }
    }

    pub(super) fn country(&mut self, iso: &str) -> usize {
        let at = self.data.len();
        self.data.push(0xe2);
        text(&mut self.data, "continent");
        self.data.push(0xe1);
        text(&mut self.data, "code");
        text(&mut self.data, "EU");
        text(&mut self.data, "country");
        self.data.push(0xe1);
        text(&mut self.data, "iso_code");
        text(&mut self.data, iso);
        at
    }

    pub(super) fn insert(&mut self, network: IpNet, at: usize) {
        let (bits, depth) = match network {
            IpNet::V4(four) => (u128::from(four.network().to_bits()), usize::from(four.prefix_len()) + 96),
            IpNet::V6(six) => (six.network().to_bits(), usize::from(six.prefix_len())),
        };
        self.set(bits, depth, Target::Data(at));
    }

    fn set(&mut self, bits: u128, depth: usize, target: Target) {
        let mut node = 0;
        for step in 0..depth {
            let side = usize::from(bits >> (127 - step) & 1 == 1);
            if step + 1 == depth {
                self.nodes[node][side] = target;
                return;
            }
            node = match self.nodes[node][side] {
                Target::Node(next) => next,
                other => {
                    self.nodes.push([other; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side] = Target::Node(next);
                    next
                }
            };
        }
    }

    /// Where IPv4 begins, also reached by addresses that have one inside.
    pub(super) fn alias(&mut self) {
        let mut node = 0;
        for _ in 0..96 {
            let Target::Node(next) = self.nodes[node][0] else { return };
            node = next;
        }
        self.set(0x2002 << 112, 16, Target::Node(node));
        self.set(0xffff << 32, 96, Target::Node(node));
    }

    pub(super) fn bytes(&self, bits: u16) -> Vec<u8> {
        let count = u32::try_from(self.nodes.len()).unwrap();
        let mut out = Vec::new();
        for node in &self.nodes {
            let [left, right] = node.map(|target| match target {
                Target::Node(index) => u32::try_from(index).unwrap(),
                Target::Nothing => count,
                Target::Data(at) => count + 16 + u32::try_from(at).unwrap(),
            });
            let (left, right) = (left.to_be_bytes(), right.to_be_bytes());
            match bits {
                24 => out.extend([left[1], left[2], left[3], right[1], right[2], right[3]]),
                28 => out.extend([left[1], left[2], left[3], left[0] << 4 | right[0], right[1], right[2], right[3]]),
                _ => out.extend(left.into_iter().chain(right)),
            }
        }
        out.extend([0; 16]);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        out.push(0xe9);
        number(&mut out, "binary_format_major_version", 5, 2);
        number(&mut out, "binary_format_minor_version", 5, 0);
        number(&mut out, "build_epoch", 9, 1_700_000_000);
        text(&mut out, "database_type");
        text(&mut out, "Test-Country");
        text(&mut out, "description");
        out.push(0xe0);
        number(&mut out, "ip_version", 5, 6);
        text(&mut out, "languages");
        out.extend([0x00, 0x04]);
        number(&mut out, "node_count", 6, count.into());
        number(&mut out, "record_size", 5, bits.into());
        out
    }
}

fn country(database: &Database, address: &str) -> Option<String> {
    letters(database.find(address.parse().unwrap()), 0).map(|code| code.as_str().to_owned())
}

fn small() -> Writer {
    let mut writer = Writer::new();
    let (de, fr) = (writer.country("DE"), writer.country("FR"));
    for (network, at) in
        [("192.0.2.0/24", de), ("192.0.2.128/25", fr), ("198.51.100.7/32", de), ("2001:db8::/32", fr), ("2001:db8:1::/48", de)]
    {
        writer.insert(network.parse().unwrap(), at);
    }
    writer.alias();
    writer
}

#[test]
fn every_record_size_says_the_same() {
    for bits in [24, 28, 32] {
        let database = Database::parse(&small().bytes(bits), Kind::Country).unwrap();
        assert_eq!(database.built_s, 1_700_000_000);
        for (address, wanted) in [
            ("192.0.2.1", Some("DE")),
            ("192.0.2.128", Some("FR")),
            ("192.0.2.255", Some("FR")),
            ("192.0.3.0", None),
            ("192.0.1.255", None),
            ("198.51.100.7", Some("DE")),
            ("198.51.100.8", None),
            ("::ffff:192.0.2.1", Some("DE")),
            ("2001:db8::1", Some("FR")),
            ("2001:db8:1::", Some("DE")),
            ("2001:db8:2::", Some("FR")),
            ("2001:db9::", None),
            ("2002:c000:201::", None),
            ("::1", None),
            ("ffff::", None),
        ] {
            assert_eq!(country(&database, address).as_deref(), wanted, "{address}, {bits}");
        }
    }
}

#[test]
fn what_is_no_database_of_that_kind_is_refused() {
    let bytes = small().bytes(24);
    let why = |bytes: &[u8], kind| Database::parse(bytes, kind).unwrap_err();
    assert!(why(&bytes, Kind::Asn).contains("its type is `Test-Country`"));
    assert!(why(b"", Kind::Country).contains("no database"));
    assert!(why(b"192.0.2.1\n", Kind::Country).contains("no database"));
    assert!(why(&bytes[..bytes.len() / 2], Kind::Country).contains("no database"));
    let mut writer = Writer::new();
    let odd = writer.country("de");
    writer.insert("192.0.2.0/24".parse().unwrap(), odd);
    assert!(why(&writer.bytes(24), Kind::Country).contains("`de` is no code of a country"));
    assert!(why(&Writer::new().bytes(24), Kind::Country).contains("says nothing"));
    let mut looped = small();
    let last = looped.nodes.len() - 1;
    looped.nodes[last] = [Target::Node(0); 2];
    assert!(why(&looped.bytes(24), Kind::Country).contains("deeper than an address"));
}

/// Cut anywhere, and with any one bit changed, a file is read or refused, within bounds, and nothing else happens.
#[test]
fn damage_never_panics() {
    let whole = small().bytes(28);
    let try_one = |bytes: Vec<u8>, what: String| {
        let read = catch_unwind(|| {
            for kind in [Kind::Country, Kind::Asn, Kind::Anonymous] {
                if let Ok(database) = Database::parse(&bytes, kind) {
                    for address in ["192.0.2.1", "2001:db8::1", "0.0.0.0", "255.255.255.255", "::", "ffff::"] {
                        let _ = database.find(address.parse::<IpAddr>().unwrap());
                    }
                }
            }
        });
        assert!(read.is_ok(), "{what}");
    };
    for length in 0..whole.len() {
        try_one(whole[..length].to_vec(), format!("cut at {length}"));
    }
    // The tree is long and alike: a tenth of it, and all of the data and the metadata.
    let tree = small().nodes.len() * 7;
    for place in (0..tree).step_by(10).chain(tree..whole.len()) {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            try_one(bytes, format!("bit {bit} of byte {place}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What is left of a database says what the library finds in it.
    #[test]
    fn as_the_library_reads_it(
        four in prop::collection::vec((any::<u32>(), 1_u8..=32, 0_usize..4), 1..60),
        six in prop::collection::vec((any::<u128>(), 4_u8..=128, 0_usize..4), 0..40),
        bits in prop::sample::select(vec![24_u16, 28, 32]),
        asked in prop::collection::vec(any::<u32>(), 50),
    ) {
        let mut writer = Writer::new();
        let known: Vec<usize> = ["DE", "FR", "US", "JP"].map(|iso| writer.country(iso)).to_vec();
        let mut addresses: Vec<IpAddr> = asked.into_iter().map(|number| IpAddr::V4(number.into())).collect();
        let networks = four.into_iter().map(|(address, length, at)| (IpNet::new(IpAddr::V4(address.into()), length), at));
        let networks = networks.chain(six.into_iter().map(|(address, length, at)| {
            (IpNet::new(IpAddr::V6((address | 1 << 127).into()), length), at)
        }));
        for (network, at) in networks {
            let network = network.unwrap().trunc();
            writer.insert(network, known[at]);
            addresses.extend([network.network(), network.broadcast()]);
        }
        let bytes = writer.bytes(bits);
        let database = Database::parse(&bytes, Kind::Country).unwrap();
        let reader = maxminddb::Reader::from_source(bytes.as_slice()).unwrap();
        for address in addresses {
            let wanted: Option<String> =
                reader.lookup(address).unwrap().decode_path(&maxminddb::path!["country", "iso_code"]).unwrap();
            prop_assert_eq!(country(&database, &address.to_string()), wanted, "{}", address);
        }
    }
}

#[test]
fn codes_are_two_capital_letters() {
    assert_eq!(Code::parse("DE").unwrap().as_str(), "DE");
    for wrong in ["", "D", "de", "DEU", "D1", "Ä"] {
        assert_eq!(Code::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn addresses_of_no_public_network() {
    let inside = [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ];
    for address in inside {
        assert!(is_private(address.parse().unwrap()), "{address}");
    }
    for address in ["100.63.255.255", "100.128.0.0", "172.32.0.0", "192.0.2.1", "8.8.8.8", "2001:db8::1", "2a00::1", "fec0::1"] {
        assert!(!is_private(address.parse().unwrap()), "{address}");
    }
}
