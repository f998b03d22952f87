//! Tests of the YAML reader.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MAX_BYTES, MAX_DEPTH, parse, parse_bytes};

fn value(text: &str) -> Value {
    serde_json::from_str::<Value>(&parse(text).unwrap()).unwrap()["value"].clone()
}

fn marks(text: &str) -> Vec<u64> {
    let document: Value = serde_json::from_str(&parse(text).unwrap()).unwrap();
    document["marks"].as_array().unwrap().iter().map(|m| m.as_u64().unwrap()).collect()
}

fn refusal(text: &str) -> String {
    let error = parse(text).unwrap_err();
    format!("{}:{}: {}", error.line, error.column, error.message)
}

#[test]
fn scalars_follow_the_core_schema() {
    let text = "[08, 1_000, yes, no, on, off, ~, null, true, False, 0x1F, 0o17, -7, +3, 1.5, .5, 1e3, 12:30, 2026-01-01, '5', \"5\", 5%, .]";
    let expected = json!([
        8,
        "1_000",
        "yes",
        "no",
        "on",
        "off",
        null,
        null,
        true,
        false,
        31,
        15,
        -7,
        3,
        1.5,
        0.5,
        1000.0,
        "12:30",
        "2026-01-01",
        "5",
        "5",
        "5%",
        "."
    ]);
    assert_eq!(value(text), expected);
}

#[test]
fn marks_follow_the_document() {
    assert_eq!(marks("a: 1\nbé: [x, {c: d}]\n"), [1, 1, 1, 1, 1, 4, 2, 1, 2, 5, 2, 6, 2, 9, 2, 10, 2, 13]);
    assert_eq!(marks(""), [1, 1]);
}

#[test]
fn order_of_keys_is_kept() {
    assert!(parse("b: 1\na: 2\n").unwrap().starts_with("{\"value\":{\"b\":1,\"a\":2}"));
}

#[test]
fn an_empty_document_is_null() {
    for text in ["", "# nothing\n", "---\n", "\u{feff}"] {
        assert_eq!(value(text), Value::Null, "{text:?}");
    }
}

#[test]
fn what_readers_disagree_about_is_refused() {
    let cases = [
        ("a: 1\nb: 2\na: 3\n", "3:1: the key `a` appears twice; the first is on line 1"),
        ("a: &x 1\n", "1:4: anchors are not supported"),
        ("a: &x 1\nb: *x\n", "1:4: anchors"),
        ("a: *x\n", "1:4: not valid YAML"),
        ("a: !!str 1\n", "1:4: tags are not supported"),
        ("a: !x {b: c}\n", "1:4: tags are not supported"),
        ("a:\n  <<: {b: c}\n", "2:3: merge keys are not supported"),
        ("404: a\n", "1:1: a key has to be text; write `\"404\"`"),
        ("true: a\n", "1:1: a key has to be text"),
        ("? [a]\n: b\n", "1:3: a key has to be text"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document starts here"),
        ("a: .inf\n", "1:4: `.inf` is not a number"),
        ("a: 99999999999999999999\n", "1:4: the number `99999999999999999999` is too large"),
        ("a: \"b\\0c\"\n", "1:4: the text contains U+0000"),
        ("a: b\u{7}\n", "1:5: the character U+0007 is not allowed"),
        ("a: 1\nb: \u{0}\n", "2:4: the character U+0000 is not allowed"),
        ("%YAML 1.1\n---\na: 1\n", "1:1: directives are not supported"),
        ("a:\n  b: c\n\td: e\n", "3:1: not valid YAML: while scanning a plain scalar, found a tab; indent with spaces"),
        ("a: b\n  c: d\n", "2:4: not valid YAML: mapping values are not allowed in this context; check the indentation"),
    ];
    for (text, expected) in cases {
        let message = refusal(text);
        assert!(message.starts_with(expected), "{text:?}: {message}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(refusal(&nested(MAX_DEPTH + 1)).contains("nested more than 64 levels"));
    assert!(refusal(&"[".repeat(100_000)).contains("nested more than 64 levels"));
    assert!(refusal(&" ".repeat(MAX_BYTES + 1)).contains("larger than 16 MiB"));
}

#[test]
fn other_encodings_are_refused() {
    let error = parse_bytes(b"a: 1\nb: \xff\n").unwrap_err();
    assert_eq!((error.line, error.column), (2, 4));
    assert!(parse_bytes(b"\xef\xbb\xbfa: 1\n").is_ok());
    assert!(parse_bytes(b"\xff\xfea\0").is_err());
}

#[test]
fn five_thousand_routes_are_read_whole() {
    let mut text = String::from("routes:\n");
    for index in 0..5000 {
        write!(
            text,
            "  r{index}:\n    match: {{hosts: any, path: \"/r{index}/{{id}}\", methods: {{any_of: [GET, POST]}}}}\n    authenticate: id\n    authorize: {{scopes: orders.read}}\n    service: origin\n"
        )
        .unwrap();
    }
    let json = value(&text);
    let routes = json["routes"].as_object().unwrap();
    assert_eq!(routes.len(), 5000);
    assert_eq!(routes["r4999"]["match"]["methods"]["any_of"], serde_json::json!(["GET", "POST"]));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z:\\-{}\\[\\],#&*!|>'\"%@` \n\t0-9\\\\é?<]{0,80}") {
        if let Ok(json) = parse(&text) {
            prop_assert!(serde_json::from_str::<Value>(&json).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(json) = parse_bytes(&bytes) {
            prop_assert!(serde_json::from_str::<Value>(&json).is_ok());
        }
    }

    #[test]
    fn what_json_says_yaml_says(pairs in proptest::collection::btree_map("[a-z]{1,8}", "[ -~é]{0,20}", 0..10)) {
        let expected = json!(pairs);
        prop_assert_eq!(value(&expected.to_string()), expected);
    }
}

#[test]
fn fuzz_documents_are_read_as_json_or_refused_with_a_place() {
    let seeds: [&[u8]; 3] = [
        b"version: 1\nlisteners: {a: {address: 127.0.0.1:0, plaintext: \"x\"}}\nroutes:\n  b:\n    match: {hosts: any, path: /c}\n",
        b"- 'it''s'\n- |\n  block\n  text\n- >-\n  folded\n- [1, 0x1f, 1e3, ~, true]\n",
        b"\"a\\u00e9\": {\"b\": [null, -1.5]} # comment\n",
    ];
    let words: [&[u8]; 14] =
        [b": ", b"- ", b"&a ", b"*a", b"<<: ", b"!!str ", b"{", b"}", b"[", b"]", b"\n  ", b"---\n", b"|\n", b"\xef\xbb\xbf"];
    crate::fuzz::run("yaml", &seeds, &words, |data| match parse_bytes(data) {
        Ok(json) => {
            let read: Value = serde_json::from_str(&json).expect("what is given on is JSON");
            assert!(read.get("value").is_some() && read.get("marks").is_some());
            true
        }
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
            false
        }
    });
}
