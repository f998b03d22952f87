use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Activation, BOUNDS, Bounds, Declared, Environment, Failure, Field, List, Program, Type, Value};

type Source = &'static str;

struct Here {
    roles: Vec<Box<str>>,
}

impl Activation<Source> for Here {
    fn value<'a>(&'a self, source: &'a Source) -> Result<Option<Value<'a>>, Failure> {
        Ok(Some(match *source {
            "level" => Value::Int(2),
            "region" => Value::text("eu"),
            "kind" => Value::text("user"),
            "method" => Value::text("GET"),
            "roles" => Value::List(List::Texts(&self.roles)),
            "time" => Value::Time(0),
            "unclear" => return Err(Failure::Unclear),
            _ => return Ok(None),
        }))
    }
}

fn here() -> Here {
    Here { roles: vec!["clerk".into(), "boss".into()] }
}

/// Two providers, `one` and `two`; `only` is declared by `one`, `mixed` by both with different types.
fn environment() -> Environment<Source> {
    let value = |kind, source| Declared::Value(Field::new(kind, source));
    let by = |kinds: &[(&str, Type)], source| {
        let kinds = kinds.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
        Declared::Value(Field { kinds, source })
    };
    let claims = [
        ("level", by(&[("one", Type::Int), ("two", Type::Int)], "level")),
        ("region", by(&[("one", Type::Text), ("two", Type::Text)], "region")),
        ("only", by(&[("one", Type::Int)], "only")),
        ("mixed", by(&[("one", Type::Int), ("two", Type::Text)], "mixed")),
    ];
    let record = |fields: Vec<(&str, Declared<Source>)>| {
        Declared::Record(fields.into_iter().map(|(name, declared)| (name.to_owned(), declared)).collect())
    };
    let principal = vec![
        ("kind", value(Type::Text, "kind")),
        ("provider", value(Type::Text, "provider")),
        ("roles", value(Type::List(Box::new(Type::Text)), "roles")),
        ("tenant", value(Type::Text, "tenant")),
        ("claims", record(claims.into())),
    ];
    let request = vec![
        ("method", value(Type::Text, "method")),
        ("time", value(Type::Time, "time")),
        ("headers", record(vec![("x-region", value(Type::Text, "header"))])),
        ("unclear", value(Type::Bool, "unclear")),
    ];
    let roots = [("principal", record(principal)), ("request", record(request))];
    Environment {
        roots: roots.map(|(name, declared)| (name.to_owned(), declared)).into(),
        refused: BTreeMap::from([("request.body".to_owned(), "not yet".to_owned())]),
        vouched: Some(("principal.provider".to_owned(), BTreeSet::from(["one".to_owned(), "two".to_owned()]))),
        strict: true,
    }
}

fn fault(source: &str) -> (usize, String) {
    let fault = Program::compile(source, &environment(), BOUNDS).expect_err(source);
    (fault.at, fault.message)
}

fn holds(source: &str) -> Result<bool, Failure> {
    let program = Program::compile(source, &environment(), BOUNDS).unwrap_or_else(|fault| panic!("{source}: {fault:?}"));
    program.holds(&here())
}

#[test]
fn faults_have_a_place_and_the_nearest_right_name() {
    for (source, at, part) in [
        ("principal.clams.level >= 2", 10, "did you mean `claims`"),
        ("principal.claims.levl >= 2", 17, "did you mean `level`"),
        ("principle.kind == 'user'", 0, "did you mean `principal`"),
        ("principal.claims.level == 'high'", 23, "`int` never equals `string`"),
        ("principal.kind", 0, "a condition is true or false, and this is a string"),
        ("principal.claims.level + 'a' == 'b'", 23, "not possible"),
        ("principal.kind && true", 10, "needs true or false"),
        ("request.headers['x-regoin'] == 'eu'", 15, "did you mean `x-region`"),
        ("request.body.amount < 3", 8, "not yet"),
        ("principal == 'x'", 0, "no value by itself"),
        ("'boss' in principal.kind", 7, "needs a list"),
        ("1 in principal.roles", 2, "is never in"),
        ("principal.kind.startWith('u')", 15, "did you mean `startsWith`"),
        ("principal.kind.matches('(')", 23, "is not a pattern"),
        ("principal.kind.matches(principal.kind)", 33, "as it stands"),
        ("principal.kind.matches('(a{1000}){1000}')", 23, "too large"),
        ("request.time.getHours('Europe/Brelin') > 8", 22, "no time zone"),
        ("timestamp('yesterday') < request.time", 10, "cannot be converted"),
        ("duration('1x') > duration('1s')", 9, "cannot be converted"),
        ("dyn(1) == 1", 0, "off here"),
        ("principal.roles.all(r, principal.roles.exists(s, s == r))", 39, "off here"),
        ("principal.kind.all(k, k == 'a')", 10, "goes over a list"),
        ("principal.claims.only == 1", 17, "`two` does not declare"),
        ("principal.claims.mixed == 1", 17, "is `int` of `one` and `string` of `two`"),
        ("principal.kind = 'user'", 15, "`==` compares"),
        ("principal.kind == 'user' and true", 25, "`&&`"),
        ("principal.kind == 'user", 18, "close its quotes"),
        ("cidr('10.0.0.1/8').containsIP(principal.kind)", 0, "is not a network"),
        ("", 0, "is empty"),
        ("  // nothing", 0, "is empty"),
        ("TestAllTypes{}", 0, "no type"),
    ] {
        let (found, message) = fault(source);
        assert!(message.contains(part), "{source}: {message}");
        assert_eq!(found, at, "{source}: {message}");
    }
}

#[test]
fn what_is_asked_before_counts() {
    for source in [
        "has(principal.claims.only) && principal.claims.only == 1",
        "!has(principal.claims.only) || principal.claims.only == 1",
        "has(principal.claims.only) ? principal.claims.only == 1 : true",
        "principal.provider == 'one' && principal.claims.mixed == 1 && principal.claims.only == 2",
        "principal.provider == 'two' ? principal.claims.mixed == 'a' : principal.claims.mixed == 1",
        "principal.provider != 'one' || principal.claims.mixed == 1",
        "principal.provider in ['one'] && principal.claims.only > 0",
        "!('x-region' in request.headers) || request.headers['x-region'] == 'eu'",
    ] {
        assert!(Program::compile(source, &environment(), BOUNDS).is_ok(), "{source}: {:?}", fault(source));
    }
    for source in [
        "has(principal.claims.only) || principal.claims.only == 1",
        "principal.claims.only == 1 && has(principal.claims.only)",
        "(has(principal.claims.only) || true) && principal.claims.only == 1",
        "principal.provider in ['one', 'two'] && principal.claims.mixed == 1",
    ] {
        assert!(Program::compile(source, &environment(), BOUNDS).is_err(), "{source}");
    }
}

#[test]
fn conditions_hold_or_not_or_fail() {
    for (source, expected) in [
        ("principal.claims.level >= 2 && principal.kind == 'user'", Ok(true)),
        ("principal.claims.level > 2 || 'boss' in principal.roles", Ok(true)),
        ("principal.roles.exists(r, r.startsWith('bo'))", Ok(true)),
        ("principal.roles.all(r, r == 'boss')", Ok(false)),
        ("principal.roles.exists_one(r, r == 'boss')", Ok(true)),
        ("size(principal.roles.filter(r, r != 'boss')) == 1", Ok(true)),
        ("principal.roles.map(r, r + '!') == ['clerk!', 'boss!']", Ok(true)),
        ("principal.claims.region in ['eu', 'uk']", Ok(true)),
        ("principal.claims.region.matches('^e.$')", Ok(true)),
        ("request.time.getFullYear('Europe/Berlin') == 1970", Ok(true)),
        ("request.time + duration('1h') > timestamp('1970-01-01T00:30:00Z')", Ok(true)),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", Ok(true)),
        ("has(principal.tenant)", Ok(false)),
        ("principal.tenant == 'acme'", Err(Failure::Absent)),
        ("has(principal.tenant) && principal.tenant == 'acme'", Ok(false)),
        ("principal.tenant == 'acme' || principal.kind == 'user'", Ok(true)),
        ("principal.tenant == 'acme' && principal.kind == 'user'", Err(Failure::Absent)),
        ("request.unclear", Err(Failure::Unclear)),
        ("1 / (principal.claims.level - 2) == 0", Err(Failure::DividedByZero)),
        ("9223372036854775807 + principal.claims.level > 0", Err(Failure::Overflow)),
        ("cidr('10.0.0.0/8').containsIP(principal.kind)", Err(Failure::Conversion)),
    ] {
        assert_eq!(holds(source), expected, "{source}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let deep = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    assert!(fault(&deep).1.contains("nested deeper"));
    assert!(fault(&format!("{}true", "!".repeat(100))).1.contains("nested deeper"));
    assert!(fault(&format!("{} == 1", "1 + ".repeat(60) + "1")).1.contains("follow each other"));
    assert!(fault(&format!("'{}' == ''", "a".repeat(5000))).1.contains("at most 4096"));
    assert!(fault(&format!("[{}] == []", "1,".repeat(600))).1.contains("more than 512 parts"));
    let wide = vec!["principal.kind == 'user'"; 100].join(" || ");
    assert_eq!(holds(&wide), Ok(true));
}

proptest! {
    #[test]
    fn no_source_does_harm(source in "[a-z(){}\\[\\]'\"&|=<>!?:.,+*/% 0-9-]{0,60}") {
        let environment = Environment { strict: false, ..environment() };
        if let Ok(program) = Program::compile(&source, &environment, Bounds { bytes: 200, nodes: 50, depth: 10 }) {
            let _ = program.evaluate(&here());
        }
    }
}
