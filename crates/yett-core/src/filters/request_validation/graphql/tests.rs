use proptest::prelude::*;
use serde_json::{Value, json};

use super::GraphQl;
use super::lexer::place;
use super::reader::{Size, read};
use crate::filters::request_validation::json::document::Document;
use crate::ir::{self, JsonBounds};

const BOUNDS: JsonBounds = JsonBounds { depth: 32, keys: 1000, items: 1000, string: 65_536, number: 40 };

fn graphql(more: Value) -> GraphQl {
    let mut spec = json!({"depth": 4, "aliases": 3, "directives": 2, "cost": 100, "batch": 1, "operations": ["query", "mutation"],
        "list_arguments": ["first", "last"], "persisted": "refuse"});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let spec: ir::GraphQl = serde_json::from_value(spec).unwrap();
    GraphQl::build(&spec).unwrap()
}

/// The reason, and what is said first; empty where the request passes.
fn judged(graphql: &GraphQl, request: &Value) -> String {
    let text = request.to_string();
    match graphql.body(&Document::read(text.as_bytes(), &BOUNDS).unwrap()) {
        Ok(()) => String::new(),
        Err(rejected) => {
            let error = rejected.errors[0].document();
            format!(
                "{} {}: {}",
                rejected.refusal.reason.code(),
                error["pointer"].as_str().unwrap(),
                error["detail"].as_str().unwrap()
            )
        }
    }
}

fn asked(more: Value, query: &str) -> String {
    judged(&graphql(more), &json!({"query": query}))
}

#[test]
fn queries_pass() {
    for query in [
        "{a}",
        "query { a, b { c } }",
        "\u{feff}# a comment\nquery Q($n: [Int!]! = [1, 2] @d, $o: In = {a: {b: [\"x\", $v, E, null, 1.5e3, true]}}) @d { a(x: $n) { b } }",
        "query Q { ...F ... on T { b } ... @include(if: true) { c } } fragment F on Query { a ...G } fragment G on Query { d }",
        "mutation M { on(fragment: \"\"\"a \\\"\"\" \" b\"\"\", query: \"\\u{1F600}\\u0041\\n\") { mutation } }",
        "\"described\" query Q { a }",
        "query Q { __typename a { __typename } }",
        "query A($first: Int) { a(first: $first) { b } }",
    ] {
        assert_eq!(asked(json!({}), query), "", "{query}");
    }
}

#[test]
fn what_is_no_graphql_is_refused_and_the_place_told() {
    for (query, place) in [
        ("", "line 1, column 1"),
        ("{", "line 1, column 2"),
        ("{}", "line 1, column 2"),
        ("{a{}}", "line 1, column 4"),
        ("{a}}", "line 1, column 4"),
        ("{a} {b}", "line 1, column 1"),
        ("{\n  é }", "line 2, column 3"),
        ("# é\r\n{ a(b: ) }", "line 2, column 8"),
        ("{ a() }", "line 1, column 5"),
        ("{ a(b: [1, 2}) }", "line 1, column 13"),
        ("{ a(b: {c 1}) }", "line 1, column 11"),
        ("{ a(b: \"c\nd\") }", "line 1, column 10"),
        ("{ a(b: \"\"\"c) }", "line 1, column 8"),
        ("{ a(b: 01) }", "line 1, column 9"),
        ("{ a(b: 1.) }", "line 1, column 10"),
        ("{ a: }", "line 1, column 6"),
        ("{ ...F }", "line 1, column 3"),
        ("{ ...F } fragment F on T { a } fragment F on T { b }", "line 1, column 32"),
        ("{ ...F } fragment on on T { a }", "line 1, column 19"),
        ("{ ...F } fragment F($a: Int) on T { a }", "line 1, column 20"),
        ("type T { a: Int }", "line 1, column 1"),
        ("fragment F on T { a }", "line 1, column 22"),
        ("query Q { a } query Q { b }", "line 1, column 15"),
        ("query Q { a } query R { b }", "line 1, column 1"),
        ("{ a } \u{1}", "line 1, column 7"),
        ("{ a(b: $) }", "line 1, column 9"),
        ("query Q($a) { a }", "line 1, column 11"),
        ("query Q($a: [Int) { a }", "line 1, column 17"),
    ] {
        let told = asked(json!({}), query);
        assert!(told.starts_with(&format!("graphql_malformed /query: {place}: ")), "{query}: {told}");
    }
}

#[test]
fn fragments_that_lead_to_themselves_are_refused() {
    for query in [
        "{ ...A } fragment A on T { ...A }",
        "{ ...A } fragment A on T { a ...B } fragment B on T { b { ...C } } fragment C on T { ... { ...A } }",
        "{ a ...A } fragment A on T { ...B } fragment B on T { ...A }",
    ] {
        assert!(asked(json!({}), query).contains("leads to itself"), "{query}");
    }
}

#[test]
fn bounds_hold_and_fragments_count_wherever_they_are_used() {
    let none = json!({});
    for (query, wrong) in [
        ("{ a { b { c { d } } } }", ""),
        ("{ a { b { c { d { e } } } } }", "graphql_too_complex /query: line 1, column 19: fields may be at most 4 deep"),
        ("{ a { ...F } } fragment F on T { b { ...G } } fragment G on T { c { d } }", ""),
        (
            "{ a { ... { b { ...F } } } } fragment F on T { c { d { e } } }",
            "graphql_too_complex /query: line 1, column 1: fields",
        ),
        ("{ x: a y: a z: a }", ""),
        ("{ x: a y: a z: a w: a }", "graphql_too_complex /query: line 1, column 1: there may be at most 3 aliases"),
        ("{ a { ...F ...F } b { ...F } } fragment F on T { x: c }", ""),
        ("{ a { ...F ...F } b { ...F ...F } } fragment F on T { x: c }", "graphql_too_complex"),
        ("query @a { b @c ...F } fragment F on T { a }", ""),
        (
            "query ($v: Int @a) { b @c ...F @d } fragment F on T { a }",
            "graphql_too_complex /query: line 1, column 1: there may be at most 2 dir",
        ),
        ("{ a(first: 99) { b } }", ""),
        ("{ a(first: 100) { b } }", "graphql_too_complex /query: line 1, column 1: there may be at most 100 fields"),
        ("{ a(first: 10) { b(last: 9) { c } } }", "graphql_too_complex"),
        ("{ a(first: 8) { b(last: 9) { c } } }", ""),
        ("{ a(first: 10) { ...F } } fragment F on T { b(last: 9) { c } }", "graphql_too_complex"),
        ("{ a(first: 99999999999999999999999) { b } }", "graphql_too_complex"),
        ("{ a(first: -5) { b } c(first: null) { d } }", ""),
        ("{ a(first: \"100\") { b } }", "graphql_too_complex /query: line 1, column 12: the size of a list has to be an integer"),
        ("{ a(first: 1.0) { b } }", "graphql_too_complex"),
        ("{ a(other: 1000) { b } }", ""),
        ("query ($n: Int = 100) { a(first: $n) { b } }", "graphql_too_complex"),
        ("query ($n: Int = 99) { a(first: $n) { b } }", ""),
    ] {
        let told = asked(none.clone(), query);
        assert!(if wrong.is_empty() { told.is_empty() } else { told.starts_with(wrong) }, "{query}: {told}");
    }
}

#[test]
fn variables_say_how_long_a_list_is() {
    let query = "query ($n: Int = 5) { a(first: $n) { ...F } } fragment F on T { b }";
    for (variables, passes) in [
        (json!({}), true),
        (json!({"n": 99}), true),
        (json!({"n": 100}), false),
        (json!({"n": "100"}), false),
        (json!({"n": 1e9}), false),
        (json!({"n": -1}), true),
        (json!({"n": null}), true),
        (json!({"\u{6e}": 1000}), false),
        (json!({"m": 1000}), true),
    ] {
        let told = judged(&graphql(json!({})), &json!({"query": query, "variables": variables}));
        assert_eq!(told.is_empty(), passes, "{variables}: {told}");
    }
}

#[test]
fn what_is_not_open_is_refused() {
    let roots = || json!({"root_fields": ["shop", "buy"]});
    for (more, query, wrong) in [
        (json!({}), "{ a { x: __schema { types { name } } } }", "graphql_not_allowed /query: line 1, column 7: the schema"),
        (json!({}), "{ a ...F } fragment F on Query { __type(name: \"T\") { name } }", "graphql_not_allowed"),
        (json!({"introspection": true}), "{ __schema { types { name } } }", ""),
        (json!({}), "subscription { a }", "graphql_not_allowed /query: line 1, column 1: operations of this kind"),
        (json!({"operations": ["query"]}), "mutation { a }", "graphql_not_allowed"),
        (roots(), "{ shop { a } __typename }", ""),
        (roots(), "mutation { buy { admin } }", ""),
        (roots(), "{ shop: admin { a } }", "graphql_not_allowed /query: line 1, column 3: this field"),
        (roots(), "{ ... { ... on Query { admin } } }", "graphql_not_allowed"),
        (
            roots(),
            "{ ...F } fragment F on Query { shop ...G } fragment G on Query { admin }",
            "graphql_not_allowed /query: line 1, column 66",
        ),
        (roots(), "{ shop { ...F } } fragment F on Shop { admin }", ""),
        (roots(), "query A { shop } query B { admin }", "graphql_malformed"),
    ] {
        let told = asked(more, query);
        assert!(if wrong.is_empty() { told.is_empty() } else { told.starts_with(wrong) }, "{query}: {told}");
    }
    let both =
        |named: &str| judged(&graphql(roots()), &json!({"query": "query A { shop } query B { admin }", "operationName": named}));
    assert!(both("A").starts_with("graphql_not_allowed"), "each operation of a document counts");
    assert!(both("C").starts_with("graphql_malformed"));
}

#[test]
fn requests_have_their_parts_and_no_others() {
    let hash = json!({"persistedQuery": {"version": 1, "sha256Hash": "ab"}});
    for (more, request, wrong) in [
        (json!({}), json!({"query": "{a}", "operationName": null, "variables": null, "extensions": {}}), ""),
        (json!({}), json!("{a}"), "graphql_malformed : "),
        (json!({}), json!({}), "graphql_malformed /query: is missing"),
        (json!({}), json!({"query": null}), "graphql_malformed /query"),
        (json!({}), json!({"query": ["{a}"]}), "graphql_malformed /query"),
        (json!({}), json!({"query": "{a}", "Query": "{b}"}), "graphql_malformed /Query"),
        (json!({}), json!({"query": "{a}", "variables": "{}"}), "graphql_malformed /variables"),
        (json!({}), json!([{"query": "{a}"}]), "graphql_malformed : has to be one request"),
        (json!({"batch": 2}), json!([{"query": "{a}"}, {"query": "{a}"}]), ""),
        (json!({"batch": 2}), json!([]), "graphql_malformed"),
        (json!({"batch": 2}), json!([{"query": "{a}"}, {"query": "{"}]), "graphql_malformed /1/query: line 1"),
        (json!({"batch": 2}), json!([{"query": "{a}"}, {"query": "{a}"}, {"query": "{a}"}]), "graphql_too_complex"),
        (json!({"batch": 2}), json!([{"query": "{x:a y:a}"}, {"query": "{x:a y:a}"}]), "graphql_too_complex /1/query"),
        (json!({}), json!({"extensions": hash}), "graphql_not_allowed"),
        (json!({}), json!({"id": "ab"}), "graphql_not_allowed"),
        (json!({"persisted": "allow"}), json!({"extensions": hash}), ""),
        (json!({"persisted": "allow"}), json!({"documentId": "ab", "variables": {}}), ""),
        (json!({"persisted": "allow"}), json!({"query": "{ __schema { a } }", "extensions": hash}), "graphql_not_allowed"),
        (json!({"persisted": "only"}), json!({"query": "{a}", "extensions": hash}), "graphql_not_allowed /query"),
        (json!({"persisted": "only"}), json!({"id": "ab"}), ""),
        (json!({"persisted": "only"}), json!({}), "graphql_malformed"),
    ] {
        let told = judged(&graphql(more), &request);
        assert!(if wrong.is_empty() { told.is_empty() } else { told.starts_with(wrong) }, "{request}: {told}");
    }
}

/// Sixty fragments that use the next one twice: 2^60 fields, added up in sixty steps. And as many as fit into 64 KiB.
#[test]
fn bombs_cost_what_their_text_costs() {
    let bomb = |count: usize, uses: usize| {
        let one = |index: usize| format!("fragment F{index} on T {{ {} }} ", format!("...F{} ", index + 1).repeat(uses));
        format!("{{ ...F0 }} {}fragment F{count} on T {{ a }}", (0..count).map(one).collect::<String>())
    };
    assert!(asked(json!({}), &bomb(60, 2)).starts_with("graphql_too_complex"));
    assert!(asked(json!({}), &bomb(1200, 2)).starts_with("graphql_too_complex"));
    assert!(asked(json!({}), &bomb(1200, 1)).is_empty(), "a chain is no bomb");
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000));
    for query in [
        deep("{a", "}"),
        deep("{...", "}"),
        format!("{{ a(b: {}) }}", deep("[", "]")),
        format!("{{ a(b: {}", "{c:".repeat(5000)),
        format!("query ($a: {}", "[".repeat(5000)),
    ] {
        assert!(asked(json!({}), &query).contains("braces and brackets"), "{query}");
    }
}

/// A selection set of a query, and what it comes to: depth, fields and aliases.
fn any_selection() -> impl Strategy<Value = (String, u64, u64, u64)> {
    let leaf = prop_oneof![
        Just(("a ".to_owned(), 1, 1, 0)),
        Just(("x: a ".to_owned(), 1, 1, 1)),
        Just(("b(c: [1 {d: $e}]) @f(g: \"}\") ".to_owned(), 1, 1, 0)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let several = proptest::collection::vec(inner, 1..4).prop_map(|parts: Vec<(String, u64, u64, u64)>| {
            let text: String = parts.iter().map(|part| part.0.as_str()).collect();
            let deepest = parts.iter().map(|part| part.1).max().unwrap();
            (text, deepest, parts.iter().map(|part| part.2).sum::<u64>(), parts.iter().map(|part| part.3).sum::<u64>())
        });
        (several, 0..3).prop_map(|((text, depth, cost, aliases), how): (_, i32)| match how {
            0 => (format!("f {{ {text}}} "), depth + 1, cost + 1, aliases),
            1 => (format!("y: f(first: 3) {{ {text}}} "), depth + 1, 3 * cost + 1, aliases + 1),
            _ => (format!("... on T {{ {text}}} "), depth, cost, aliases),
        })
    })
}

proptest! {
    #[test]
    fn what_is_counted_is_what_was_written((text, depth, cost, aliases) in any_selection()) {
        let query = format!("{{ {text}}}");
        let found = read(&query, &["first".into()], &|_| Size::Unsaid).unwrap();
        let own = found.definitions[0].own;
        prop_assert_eq!((own.depth, own.cost, own.aliases), (depth, cost, aliases), "{}", query);
    }

    #[test]
    fn any_text_ends(text in "[{}()\\[\\]@$:!=.,#\"\\\\a-c0-2 \n-]{0,60}", at in 0_usize..70) {
        let _ = read(&text, &["a".into()], &|_| Size::Unsaid);
        let _ = place(&text, at);
    }
}
