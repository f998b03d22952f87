//! The examples of RFC 7541 appendix C, and what no peer may send.

use proptest::prelude::*;

use super::huffman;
use super::{Decoder, Encoder, Indexing, Malformed};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut fields = Vec::new();
    let take = |entry: &super::Entry<'_>| {
        fields.push(format!("{}: {}", String::from_utf8_lossy(entry.name), String::from_utf8_lossy(entry.value)));
    };
    decoder.decode(block, &mut Vec::new(), take)?;
    Ok(fields)
}

fn reads(most: usize, blocks: &[(&str, &[&str])]) {
    let mut decoder = Decoder::new(most);
    for (block, fields) in blocks {
        assert_eq!(decode(&mut decoder, &hex(block)).unwrap(), *fields, "{block}");
    }
}

const FIRST: &[&str] = &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND: &[&str] = &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"];
const THIRD: &[&str] =
    &[":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"];

#[test]
fn single_fields_of_appendix_c_2() {
    reads(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &["custom-key: custom-header"])]);
    reads(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"])]);
    reads(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"])]);
    reads(4096, &[("82", &[":method: GET"])]);
}

#[test]
fn requests_of_appendix_c_3_and_c_4() {
    reads(
        4096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST),
            ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD),
        ],
    );
    reads(
        4096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST),
            ("8286 84be 5886 a8eb 1064 9cbf", SECOND),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD),
        ],
    );
}

const DATE: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const LATER: &str = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION: &str = "location: https://www.example.com";
const COOKIE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

#[test]
fn answers_of_appendix_c_5_and_c_6_with_evictions() {
    let fields: [&[&str]; 3] = [
        &[":status: 302", "cache-control: private", DATE, LOCATION],
        &[":status: 307", "cache-control: private", DATE, LOCATION],
        &[":status: 200", "cache-control: private", LATER, LOCATION, "content-encoding: gzip", COOKIE],
    ];
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 54
         6e17 6874 7470 733a 2f2f 7777 772e 6578 616d 706c 652e 636f 6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d
         4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572
         7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
         97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf
         cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, coded] {
        let both: Vec<_> = blocks.into_iter().zip(fields).collect();
        reads(256, &both);
    }
}

#[test]
fn what_cannot_be_decoded() {
    for (block, why) in [
        ("80", "index 0"),
        ("be", "an index beyond the tables"),
        ("ffffffffffff7f", "an integer that does not end"),
        ("ff", "an integer that is cut off"),
        ("82 20", "a change of the table's size that is not at the beginning"),
        ("3fe21f", "a table above what SETTINGS allow"),
        ("0005 6162", "a name that is cut off"),
        ("0001 6185 ffffffff", "a value that is cut off"),
        ("0001 6184 ffff fffc", "EOS"),
        ("0001 6182 1fff", "padding of more than 7 bits"),
        ("0001 6181 18", "padding of zeros"),
        ("7f80 80 80 80 01 00", "an integer with more bytes than any needs"),
    ] {
        assert_eq!(decode(&mut Decoder::new(4096), &hex(block)), Err(Malformed), "{why}");
    }
    assert_eq!(decode(&mut Decoder::new(4096), &hex("3fe11f 82")).unwrap(), [":method: GET"]);
}

#[test]
fn an_entry_that_is_too_large_empties_the_table() {
    let mut decoder = Decoder::new(64);
    decode(&mut decoder, &hex("4001 6101 62")).unwrap();
    assert_eq!(decode(&mut decoder, b"\xbe").unwrap(), ["a: b"]);
    let mut large = vec![0x40, 1, b'a', 100];
    large.extend([b'x'; 100]);
    decode(&mut decoder, &large).unwrap();
    assert_eq!(decode(&mut decoder, b"\xbe"), Err(Malformed));
}

#[test]
fn repeated_words_are_read_alike() {
    let token = "Bearer ".to_owned() + &"abcXYZ019-_.".repeat(20);
    let mut words = Vec::new();
    huffman::encode(token.as_bytes(), &mut words);
    let mut block = vec![0x1f, 8];
    super::integer::encode(words.len(), 7, 0x80, &mut block);
    block.extend_from_slice(&words);
    let mut decoder = Decoder::new(4096);
    for _ in 0..3 {
        assert_eq!(decode(&mut decoder, &block).unwrap(), [format!("authorization: {token}")]);
    }
    // Another value of the same length in between, and words that say nothing.
    let mut other = block.clone();
    let last = other.len() - 1;
    other[last] = 0;
    let mut broken = block.clone();
    broken[20..40].fill(0xff);
    assert_eq!(decode(&mut decoder, &broken), Err(Malformed));
    for _ in 0..2 {
        assert_eq!(decode(&mut decoder, &other).is_ok(), decode(&mut Decoder::new(4096), &other).is_ok());
    }
    assert_eq!(decode(&mut decoder, &block).unwrap(), [format!("authorization: {token}")]);
}

#[test]
fn every_static_entry_is_what_its_name_says() {
    for entry in &super::statics::ENTRIES {
        assert_eq!(super::Kind::of(entry.name), entry.kind, "{:?}", String::from_utf8_lossy(entry.name));
        assert!(crate::headers::is_value(entry.value) && entry.clean);
    }
}

#[test]
fn the_encoder_follows_the_clients_table() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
    let mut sizes = Vec::new();
    for size in [4096, 4096, 0, 0, 64, 4096] {
        encoder.resize(size);
        let mut block = Vec::new();
        encoder.begin(&mut block);
        encoder.status(404, &mut block);
        encoder.field(b"x-team", b"orders", Indexing::Yes, &mut block);
        sizes.push(block.len());
        assert_eq!(decode(&mut decoder, &block).unwrap(), [":status: 404", "x-team: orders"]);
    }
    assert_eq!(sizes[1], 2, "known by its index");
    assert!(sizes[3] > 10, "not indexed without a table");
    // Down and up again between two blocks: the smallest is said as well (RFC 7541 section 4.2).
    encoder.resize(0);
    encoder.resize(100);
    let mut block = Vec::new();
    encoder.begin(&mut block);
    assert_eq!(block, hex("20 3f45"));
}

proptest! {
    #[test]
    fn words_are_read_as_they_were_written(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let (mut words, mut read) = (Vec::new(), Vec::new());
        huffman::encode(&text, &mut words);
        prop_assert_eq!(words.len(), huffman::encoded_len(&text));
        huffman::decode(&words, &mut read).unwrap();
        prop_assert_eq!(read, text);
    }

    #[test]
    fn fields_are_read_as_they_were_written(
        lists in prop::collection::vec(prop::collection::vec(("[a-z-]{1,12}", "[ -~]{0,80}", 0..3u8), 0..12), 1..12),
        sizes in prop::collection::vec(0..5000usize, 12),
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
        for (list, size) in lists.iter().zip(sizes) {
            encoder.resize(size);
            let mut block = Vec::new();
            encoder.begin(&mut block);
            for (name, value, indexing) in list {
                let indexing = [Indexing::Yes, Indexing::No, Indexing::Never][usize::from(*indexing)];
                encoder.field(name.as_bytes(), value.as_bytes(), indexing, &mut block);
            }
            let wanted: Vec<_> = list.iter().map(|(name, value, _)| format!("{name}: {value}")).collect();
            prop_assert_eq!(decode(&mut decoder, &block).unwrap(), wanted);
        }
    }
}

#[test]
fn fuzzed_blocks() {
    let seeds = [
        hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"),
        hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"),
        hex("3fe11f 82 1008 7061 7373 776f 7264 0673 6563 7265 74"),
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    crate::fuzz::run("http2_hpack", &seeds, &[b"\x3f\xe1\x1f", b"\x40\x01a\x01b", b"\xbe\xbf", b"\x20"], |data| {
        let (mut decoder, mut scratch) = (Decoder::new(4096), Vec::new());
        let mut bytes = 0;
        let mut further = false;
        for block in data.chunks(64) {
            let take = |entry: &super::Entry<'_>| {
                bytes += entry.name.len() + entry.value.len();
                assert_eq!(entry.kind, super::Kind::of(entry.name));
                assert_eq!(entry.clean, crate::headers::is_value(entry.value));
            };
            if decoder.decode(block, &mut scratch, take).is_err() {
                break;
            }
            further = true;
        }
        assert!(bytes <= data.len() * 4096, "one byte says at most one entry");
        further
    });
}
