//! The look over JSON: what passes is what a strict reader reads, and places are right.

use proptest::prelude::*;
use serde_json::Value;

use super::{Fault, Wrong, pointer, scan};
use crate::ir::JsonBounds;
use crate::providers::json::value;

const WIDE: JsonBounds = JsonBounds { depth: 64, keys: 100_000, items: 100_000, string: 1 << 20, number: 400 };
const NARROW: JsonBounds = JsonBounds { depth: 3, keys: 4, items: 5, string: 6, number: 7 };

fn wrong(text: &[u8], bounds: &JsonBounds) -> Option<(Wrong, usize)> {
    scan(text, bounds).err().map(|Fault { wrong, at }| (wrong, at))
}

#[test]
fn one_value_and_nothing_else() {
    for good in [
        &b"null"[..],
        b" [ ] ",
        b"{}",
        b"-0.5e-3",
        b"\"\\ud83d\\ude00\\u00e9\"",
        br#"{"a":[1,{"b":[[],{}]},"x"],"":true}"#,
        b"18446744073709551615",
        b"-9223372036854775808",
    ] {
        assert_eq!(wrong(good, &WIDE), None, "{}", String::from_utf8_lossy(good));
    }
    for bad in [
        &b""[..],
        b" ",
        b"{} {}",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{'a':1}",
        b"[1}",
        b"[",
        b"{\"a\":1",
        b"]",
        b"01",
        b"-",
        b"+1",
        b".5",
        b"1.",
        b"1e",
        b"0x10",
        b"NaN",
        b"Infinity",
        b"tru",
        b"nulls",
        b"TRUE",
        b"\"a",
        b"\"\n\"",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"\"\\ud83d\"",
        b"\"\\ude00\\ud83d\"",
        b"\"\\ud83d\\u0041\"",
        b"\xef\xbb\xbf{}",
        b"\"\xff\"",
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"[1] // end",
        b"/**/[1]",
        b"\xfe\xff\x00[",
        b"[\x0c1]",
        b"{}\0",
    ] {
        assert!(matches!(wrong(bad, &WIDE), Some((Wrong::Malformed, _))), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn names_stand_once_however_they_are_written() {
    for twice in [
        r#"{"a":1,"a":1}"#.to_owned(),
        r#"{"a":1,"\u0061":2}"#.to_owned(),
        r#"[{"x":{"a":{},"b":0,"\u0062":0}}]"#.to_owned(),
        format!("{{{}\"n3\":0}}", (0..40).map(|n| format!("\"n{n}\":{{}},")).collect::<String>()),
    ] {
        let (found, at) = wrong(twice.as_bytes(), &WIDE).unwrap();
        assert_eq!(found, Wrong::Duplicate, "{twice}");
        assert_eq!(twice.as_bytes()[at], b'"');
    }
    // Not twice in one object.
    assert_eq!(wrong(br#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}],"A":0}"#, &WIDE), None);
}

#[test]
fn every_bound_is_kept_to_the_one() {
    for (good, bad, what) in [
        ("[[[1]]]", "[[[[1]]]]", Wrong::Depth),
        (r#"{"a":{"b":1,"c":2},"d":3}"#, r#"{"a":{"b":1,"c":2},"d":3,"e":4}"#, Wrong::Keys),
        ("[1,2,[3,4]]", "[1,2,[3,4,5]]", Wrong::Items),
        (r#"["123456"]"#, r#"["1234567"]"#, Wrong::String),
        (r#"{"123456":1}"#, r#"{"1234567":1}"#, Wrong::String),
        ("[1234567]", "[12345678]", Wrong::Number),
    ] {
        assert_eq!(wrong(good.as_bytes(), &NARROW), None, "{good}");
        assert_eq!(wrong(bad.as_bytes(), &NARROW).unwrap().0, what, "{bad}");
    }
    for number in ["18446744073709551616", "-9223372036854775809", "1e999", "-1e400", "99999999999999999999999999"] {
        assert_eq!(wrong(number.as_bytes(), &WIDE).unwrap().0, Wrong::Number, "{number}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(wrong(deep.as_bytes(), &WIDE), Some((Wrong::Depth, 64)));
}

#[test]
fn places_are_pointers() {
    for (text, depth, expected) in [
        (r#"{"a":1,"a":2}"#, 8, "/a"),
        (r#"{"a/b":[{},{"~":{"x":1,"x":2}}]}"#, 8, "/a~1b/1/~0/x"),
        (r#"[1,[2,{"k":"\"}","k":0}]]"#, 8, "/1/1/k"),
        (r#"{"a":[[[1]]]}"#, 3, "/a/0/0"),
        ("[[[", 2, "/0/0"),
        ("[1,2,x]", 8, "/2"),
        ("x", 8, ""),
    ] {
        let fault = scan(text.as_bytes(), &JsonBounds { depth, ..WIDE }).unwrap_err();
        assert_eq!(pointer(text.as_bytes(), fault.at), expected, "{text}");
    }
    // Whatever the place and however broken the text.
    for at in 0..20 {
        assert!(pointer(b"{\"a\\", at).len() < 10);
        assert!(pointer(b"]]]}\"", at).is_empty());
    }
}

/// Arbitrary JSON text with odd blanks, escapes and repetitions.
fn texts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,3})?([eE][-+]?[0-9]{1,3})?",
        "\"(a|b|\\\\u0061|\\\\n|\\\\ud83d\\\\ude00|é|\\\\ud800)*\"",
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("\"(a|b|\\\\u0061|c)?\"", inner), 0..5).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}:\n{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// The reading of a strict reader, and ours, are the same; `true` where both accept.
fn same(text: &[u8]) -> bool {
    let ours = scan(text, &WIDE);
    match (&ours, value(text)) {
        (Ok(()), Some(read)) => {
            let plain: Value = serde_json::from_slice(text).unwrap();
            assert_eq!(read, plain);
            true
        }
        (Ok(()), None) => panic!("only we accept {}", String::from_utf8_lossy(text)),
        (Err(Fault { wrong: Wrong::Malformed | Wrong::Duplicate, at }), Some(_)) => {
            panic!("only we refuse {} at {at}", String::from_utf8_lossy(text))
        }
        // Beyond the bounds, or wrong for both.
        (Err(fault), _) => {
            assert!(fault.at <= text.len());
            let shown = pointer(text, fault.at);
            assert!(shown.is_empty() || shown.starts_with('/'));
            false
        }
    }
}

proptest! {
    #[test]
    fn it_reads_as_a_strict_reader_does(text in texts()) {
        same(text.as_bytes());
    }
}

#[test]
fn fuzzed_bytes_are_read_alike_or_refused() {
    let deep = [b"[".repeat(40), b"]".repeat(40)].concat();
    let seeds: [&[u8]; 6] = [
        br#"{"amount":12,"lines":[{"sku":"a","n":1.5e3},{"sku":"\u0062\n","n":-0}],"note":null}"#,
        br#"{"a":1,"\u0061":2}"#,
        "[\"\\ud83d\\ude00é\", true, false, [[]], {\"\":{}}]".as_bytes(),
        b"18446744073709551616",
        b"1e308",
        &deep,
    ];
    let words: [&[u8]; 12] =
        [b"\"a\":", b",", b"[", b"]", b"{", b"}", b"\\u0061", b"\\ud800", b"1e999", b"\xef\xbb\xbf", b"null", b"\"\""];
    crate::fuzz::run("json", &seeds, &words, same);
}
