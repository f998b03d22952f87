use std::rc::Rc;

use super::{Cors, preflight_method};
use crate::exchange::{ConnectionInfo, Exchange, Method};
use crate::headers::Headers;
use crate::ir;

fn spec(origins: &[&str], credentials: bool) -> ir::Cors {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    ir::Cors {
        origins: list(origins),
        methods: list(&["GET", "PUT"]),
        headers: list(&["authorization", "content-type"]),
        expose: list(&["etag"]),
        credentials,
        max_age_s: 600,
        private_network: false,
    }
}

fn exchange(method: Method, fields: &[(&str, &str)]) -> Exchange {
    let peer = "192.0.2.1:1".parse().unwrap();
    let connection = ConnectionInfo { peer, listener: "l".into(), tls: true, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.method = method;
    exchange.authority = b"api.example.com".to_vec();
    for (name, value) in fields {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    exchange
}

fn asked(cors: &Cors, method: Method, fields: &[(&str, &str)]) -> Exchange {
    let mut exchange = exchange(method, fields);
    exchange.granted = cors.granted(&exchange);
    exchange
}

const SHOP: (&str, &str) = ("origin", "https://shop.example.com");

#[test]
fn what_is_a_preflight() {
    let put = ("access-control-request-method", "PUT");
    assert_eq!(preflight_method(&exchange(Method::Options, &[SHOP, put])), Some(Method::Put));
    for (method, fields) in [
        (Method::Options, vec![SHOP]),
        (Method::Options, vec![put]),
        (Method::Get, vec![SHOP, put]),
        (Method::Options, vec![SHOP, put, put]),
        (Method::Options, vec![SHOP, ("access-control-request-method", "a b")]),
        (Method::Options, vec![SHOP, ("access-control-request-method", "")]),
    ] {
        assert_eq!(preflight_method(&exchange(method, &fields)), None, "{fields:?}");
    }
}

#[test]
fn what_a_preflight_may_ask_for() {
    let cors = Cors::build(&spec(&["https://shop.example.com"], true)).unwrap();
    let ask = |fields: &[(&str, &str)], method: Method| {
        let exchange = asked(&cors, Method::Options, fields);
        cors.preflight(&exchange, &method).map(|answer| answer.headers).map_err(|refusal| refusal.detail.unwrap_or_default())
    };
    let names = ("access-control-request-headers", "authorization,Content-Type");
    let fields = ask(&[SHOP, names], Method::Put).unwrap();
    assert!(fields.contains(&("access-control-allow-headers".into(), "authorization, content-type".into())));
    assert!(fields.contains(&("access-control-allow-methods".into(), "GET, PUT, HEAD".into())));
    assert!(fields.contains(&("access-control-max-age".into(), "600".into())));
    for (fields, method, why) in [
        (vec![SHOP], Method::Delete, "`DELETE`"),
        (vec![SHOP, ("access-control-request-headers", "x-other")], Method::Get, "`x-other`"),
        (vec![SHOP, ("access-control-request-headers", "*")], Method::Get, "`*`"),
        (vec![SHOP, names, ("access-control-request-headers", "x-b")], Method::Get, "`x-b`"),
        (vec![("origin", "https://evil.example")], Method::Get, "`https://evil.example`"),
        (vec![("origin", "null")], Method::Get, "`null`"),
        (vec![("origin", "a b")], Method::Get, "this origin"),
        (vec![SHOP, ("access-control-request-private-network", "true")], Method::Get, "private"),
    ] {
        let refused = ask(&fields, method).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn whose_requests_pass() {
    let cors = Cors::build(&spec(&["https://shop.example.com"], true)).unwrap();
    let passes = |method: Method, fields: &[(&str, &str)]| cors.check(&asked(&cors, method, fields)).is_ok();
    assert!(passes(Method::Get, &[]) && passes(Method::Post, &[]));
    assert!(passes(Method::Get, &[SHOP]) && passes(Method::Head, &[SHOP]) && !passes(Method::Post, &[SHOP]));
    // Its own pages may use every method of the route.
    assert!(passes(Method::Post, &[("origin", "https://api.example.com")]));
    assert!(!passes(Method::Post, &[("origin", "http://api.example.com")]));
    assert!(passes(Method::Post, &[("origin", "null"), ("sec-fetch-site", "same-origin")]));
    let twice = [("origin", "null"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
    assert!(!passes(Method::Post, &twice));
    for origin in ["null", "https://evil.example", "https://shop.example.com.evil.example", ""] {
        assert!(!passes(Method::Get, &[("origin", origin)]), "{origin}");
        assert!(!passes(Method::Get, &[("origin", origin), ("sec-fetch-site", "none")]), "{origin}");
    }
}

#[test]
fn answers_say_it_once_and_vary_always() {
    let cors = Cors::build(&spec(&["https://shop.example.com"], true)).unwrap();
    let served = |fields: &[(&str, &str)], granted: bool| {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let exchange = asked(&cors, Method::Get, if granted { &[SHOP] } else { &[] });
        cors.apply(exchange.granted.as_ref(), &mut headers).unwrap();
        headers.iter().map(|(_, n, v)| format!("{}: {}", n.escape_ascii(), v.escape_ascii())).collect::<Vec<_>>()
    };
    let own = [("access-control-allow-origin", "*"), ("Access-Control-Max-Age", "9"), ("vary", "accept, ORIGIN"), ("x", "y")];
    assert_eq!(served(&own, false), ["vary: accept, ORIGIN", "x: y"]);
    let told = "dpop-nonce, etag, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
    assert_eq!(
        served(&[("vary", "accept")], true),
        [
            "vary: accept".to_owned(),
            "access-control-allow-origin: https://shop.example.com".to_owned(),
            format!("access-control-expose-headers: {told}"),
            "access-control-allow-credentials: true".to_owned(),
            "vary: Origin".to_owned(),
        ]
    );
}

#[test]
fn what_does_not_load() {
    for origins in [&["any"][..], &["null"], &["any", "null"]] {
        assert!(Cors::build(&spec(origins, true)).is_err(), "{origins:?} with credentials");
        assert!(Cors::build(&spec(origins, false)).is_ok(), "{origins:?}");
    }
    assert!(Cors::build(&spec(&[], false)).is_err());
    let shop = || spec(&["https://shop.example.com"], false);
    assert!(Cors::build(&ir::Cors { methods: vec![], ..shop() }).is_err());
    assert!(Cors::build(&ir::Cors { max_age_s: 86_401, ..shop() }).is_err());
    assert!(Cors::build(&ir::Cors { headers: vec!["*, x".into()], ..shop() }).is_err());
    assert!(Cors::build(&ir::Cors { expose: vec!["X-Upper".into()], ..shop() }).is_err());
}
