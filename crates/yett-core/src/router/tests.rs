use std::collections::BTreeMap;

use super::{Match, Router, Source, Wanted};
use crate::exchange::{Method, Variables};
use crate::headers::Headers;
use crate::ir;
use crate::path::CanonicalPath;

fn route(name: &str, hosts: Option<&[&str]>, path: &str, methods: &[&str]) -> ir::Route {
    ir::Route {
        name: name.to_owned(),
        group: None,
        listeners: vec!["public".to_owned()],
        matches: ir::Match {
            hosts: hosts.map(|h| h.iter().map(|s| (*s).to_owned()).collect()),
            path: path.to_owned(),
            methods: methods.iter().map(|s| (*s).to_owned()).collect(),
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
        },
        path_allow: vec![],
        client_certificate: false,
        live_check: None,
        sender_constrained: None,
        unlisted: false,
        access: ir::Access::Public,
        tenants: vec![],
        deny: vec![],
        shadow: None,
        classification: None,
        external_authorization: None,
        hidden: false,
        response_tenant: None,
        assurance: None,
        address_limits: vec![],
        rate_limits: vec![],
        limit_classes: vec![],
        concurrency_limits: vec![],
        quotas: vec![],
        login_guard: None,
        bot_filter: None,
        shadow_limits: vec![],
        action: ir::Action::Forward(vec![]),
        rewrite: None,
        request_headers: ir::HeaderEdits::default(),
        response_headers: ir::HeaderEdits::default(),
        security_headers: None,
        early_hints: false,
        websocket: None,
        priority: crate::ir::Priority::Normal,
        mirror: None,
        cors: None,
        csrf: None,
        address_filters: Vec::new(),
        geo_filters: Vec::new(),
        request_validation: None,
        response_validation: None,
        attack_filter: None,
        body_limit: 0,
        timeouts: ir::RouteTimeouts { connect_ms: 1, first_byte_ms: 1, idle_ms: 1, total_ms: 1 },
    }
}

struct Asked {
    found: Match,
    values: Vec<String>,
}

fn ask_with(routes: &[ir::Route], host: &str, method: &str, target: &str, fields: &[(&str, &str)]) -> Asked {
    let router = Router::build(routes).unwrap();
    let (raw, query) = target.split_once('?').unwrap_or((target, ""));
    let mut path = CanonicalPath::default();
    path.parse_into(raw.as_bytes()).unwrap();
    let mut headers = Headers::default();
    for (name, value) in fields {
        headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    let mut variables = Variables::default();
    let method = Method::parse(method.as_bytes()).unwrap();
    let wanted = Wanted { host, path: &path, method: &method, headers: &headers, query: query.as_bytes(), recorded: None };
    let found = router.find("public", wanted, &mut variables);
    assert_eq!(router.find("internal", wanted, &mut Variables::default()), Match::NotFound);
    Asked { found, values: variables.iter().map(str::to_owned).collect() }
}

fn ask(routes: &[ir::Route], host: &str, method: &str, target: &str) -> Asked {
    ask_with(routes, host, method, target, &[])
}

#[test]
fn literals_beat_variables_beat_rest_with_backtracking() {
    let routes = [
        route("literal", None, "/a/b", &["GET"]),
        route("variable", None, "/a/{x}", &["GET"]),
        route("deep", None, "/a/b/c/{y}", &["GET"]),
        route("rest", None, "/a/{rest...}", &["GET"]),
    ];
    assert_eq!(ask(&routes, "h", "GET", "/a/b").found, Match::Found(0));
    let variable = ask(&routes, "h", "GET", "/a/%62%20z");
    assert_eq!((variable.found, variable.values), (Match::Found(1), vec!["b z".to_owned()]));
    assert_eq!(ask(&routes, "h", "GET", "/a/b/c/d").found, Match::Found(2));
    let rest = ask(&routes, "h", "GET", "/a/b/c");
    assert_eq!((rest.found, rest.values), (Match::Found(3), vec!["b/c".to_owned()]));
    assert_eq!(ask(&routes, "h", "GET", "/a").found, Match::NotFound);
}

#[test]
fn a_variable_is_never_empty_and_the_rest_is_only_after_the_last_slash() {
    let routes = [
        route("one", None, "/a/{x}", &["GET"]),
        route("rest", None, "/b/{rest...}", &["GET"]),
        route("slash", None, "/c/", &["GET"]),
        route("beside", None, "/c/{rest...}", &["GET"]),
    ];
    for target in ["/a/", "/b", "/a", "/c", "/"] {
        assert_eq!(ask(&routes, "h", "GET", target).found, Match::NotFound, "{target}");
    }
    for (target, rest) in [("/b/", ""), ("/b/x", "x"), ("/b/x/", "x/")] {
        let asked = ask(&routes, "h", "GET", target);
        assert_eq!((asked.found, asked.values), (Match::Found(1), vec![rest.to_owned()]), "{target}");
    }
    assert_eq!(ask(&routes, "h", "GET", "/c/").found, Match::Found(2));
    assert_eq!(ask(&routes, "h", "GET", "/c/x").found, Match::Found(3));
    let everything = [route("all", None, "/{rest...}", &["GET"])];
    assert_eq!(ask(&everything, "h", "GET", "/").found, Match::Found(0));
}

#[test]
fn case_and_trailing_slash_count() {
    let routes = [route("one", None, "/a", &["GET"])];
    assert_eq!(ask(&routes, "h", "GET", "/A").found, Match::NotFound);
    assert_eq!(ask(&routes, "h", "GET", "/a/").found, Match::NotFound);
}

#[test]
fn the_most_precise_host_that_knows_the_path_is_final() {
    let routes = [
        route("exact", Some(&["api.example.com"]), "/x", &["GET"]),
        route("wild", Some(&["*.example.com"]), "/x", &["POST"]),
        route("wilder", Some(&["*.com"]), "/y", &["GET"]),
        route("any", None, "/{rest...}", &["GET", "POST"]),
    ];
    assert_eq!(ask(&routes, "api.example.com", "GET", "/x").found, Match::Found(0));
    assert_eq!(ask(&routes, "api.example.com", "POST", "/x").found, Match::MethodNotAllowed("GET, HEAD".into()));
    assert_eq!(ask(&routes, "a.b.example.com", "POST", "/x").found, Match::Found(1));
    assert_eq!(ask(&routes, "api.example.com", "GET", "/y").found, Match::Found(2));
    assert_eq!(ask(&routes, "example.com", "GET", "/x").found, Match::Found(3));
    assert_eq!(ask(&routes, "notexample.org", "GET", "/x").found, Match::Found(3));
}

#[test]
fn get_serves_head_and_allow_names_all() {
    let routes = [route("read", None, "/a", &["GET"]), route("write", None, "/a", &["PUT", "PURGE"])];
    assert_eq!(ask(&routes, "h", "HEAD", "/a").found, Match::Found(0));
    assert_eq!(ask(&routes, "h", "PURGE", "/a").found, Match::Found(1));
    assert_eq!(ask(&routes, "h", "DELETE", "/a").found, Match::MethodNotAllowed("GET, HEAD, PURGE, PUT".into()));
}

#[test]
fn more_conditions_win_and_repeated_ones_refuse() {
    let mut beta = route("beta", None, "/a", &["GET"]);
    beta.matches.headers.insert("x-stage".to_owned(), "beta".to_owned());
    let mut page = route("page", None, "/a", &["GET"]);
    page.matches.query.insert("v".to_owned(), "2 3".to_owned());
    let routes = [route("plain", None, "/a", &["GET"]), beta, page];
    assert_eq!(ask(&routes, "h", "GET", "/a").found, Match::Found(0));
    assert_eq!(ask_with(&routes, "h", "GET", "/a?v=2+3", &[("x-stage", "beta")]).found, Match::Found(1));
    assert_eq!(ask(&routes, "h", "GET", "/a?w=1&v=2%203").found, Match::Found(2));
    assert_eq!(ask(&routes, "h", "GET", "/a?v=2%203&v=1").found, Match::Ambiguous(Source::Query));
    let twice = [("x-stage", "beta"), ("x-stage", "beta")];
    // Not the route without conditions: a service may read what the stricter route asks for.
    assert_eq!(ask_with(&routes, "h", "GET", "/a", &twice).found, Match::Ambiguous(Source::Header));
    for list in ["beta, other", "other,beta"] {
        assert_eq!(ask_with(&routes, "h", "GET", "/a", &[("x-stage", list)]).found, Match::Ambiguous(Source::Header), "{list}");
    }
    assert_eq!(ask_with(&routes, "h", "GET", "/a", &[("x-stage", "other, third")]).found, Match::Found(0));
    assert_eq!(ask_with(&routes, "h", "GET", "/a?v=1&v=2+3", &[]).found, Match::Ambiguous(Source::Query));
}

#[test]
fn equal_precedence_does_not_load() {
    let routes = [route("one", None, "/a/{x}", &["GET"]), route("two", None, "/a/{y}", &["HEAD"])];
    let errors = Router::build(&routes).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("`one` and `two`"), "{}", errors[0].message);
    let mut first = route("one", None, "/a", &["GET"]);
    first.matches.headers.insert("x".to_owned(), "1".to_owned());
    let mut second = route("two", None, "/a", &["GET"]);
    second.matches.headers.insert("x".to_owned(), "2".to_owned());
    assert!(Router::build(&[first, second]).is_ok());
}

#[test]
fn broken_templates_do_not_load() {
    for path in ["a", "/{}", "/{a...}/b", "/a{b}", "/{a b}", "/{a"] {
        assert!(Router::build(&[route("one", None, path, &["GET"])]).is_err(), "{path}");
    }
    assert!(Router::build(&[route("one", None, "/a", &["TRACE"])]).is_err());
    assert!(Router::build(&[route("one", None, "/a", &[])]).is_err());
}

#[test]
fn hidden_routes_show_in_nothing() {
    let hidden = |mut one: ir::Route| {
        one.hidden = true;
        one
    };
    let mut conditional = hidden(route("conditional", None, "/x", &["GET"]));
    conditional.matches.headers.insert("x-mode".to_owned(), "a".to_owned());
    let shown = [route("open", None, "/x", &["POST"]), route("rest", None, "/rest/{rest...}", &["GET"])];
    let all = [
        vec![conditional, hidden(route("admin", None, "/x", &["PUT"])), hidden(route("under", None, "/rest/admin", &["GET"]))],
        shown.to_vec(),
    ]
    .concat();
    let (with, without) = (Router::build(&all).unwrap(), Router::build(&shown).unwrap());
    let mut headers = Headers::default();
    for _ in 0..3 {
        for (name, target) in
            ["GET", "PUT", "POST", "PATCH"].iter().flat_map(|name| ["/x", "/rest/admin", "/y"].map(|t| (*name, t)))
        {
            let mut path = CanonicalPath::default();
            path.parse_into(target.as_bytes()).unwrap();
            let method = Method::parse(name.as_bytes()).unwrap();
            let wanted = Wanted { host: "h", path: &path, method: &method, headers: &headers, query: b"", recorded: None };
            let named = |found| match found {
                Match::Found(index) => Err(index),
                other => Ok(other),
            };
            let seen = named(with.find_shown("public", wanted, &mut Variables::default()));
            let alone = named(without.find("public", wanted, &mut Variables::default()));
            assert_eq!(seen.map_err(|index| index - 3), alone, "{name} {target}");
        }
        // Once, then twice: a condition that cannot be read clearly.
        headers.push(b"x-mode", b"a").unwrap();
    }
}
