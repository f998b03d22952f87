use super::SecurityHeaders;
use crate::exchange::Answer;
use crate::headers::Headers;
use crate::ir;
use proptest::prelude::*;

fn spec() -> ir::SecurityHeaders {
    let text = |value: &str| Some(value.to_owned());
    ir::SecurityHeaders {
        hsts: Some(ir::Hsts { max_age_s: 1000, include_subdomains: false, preload: false }),
        content_type_options: text("nosniff"),
        frame_options: text("sameorigin"),
        referrer_policy: text("strict-origin-when-cross-origin"),
        content_security_policy: vec!["default-src 'self'".to_owned()],
        permissions_policy: [("camera".to_owned(), "()".to_owned()), ("geolocation".to_owned(), "(self)".to_owned())].into(),
        cross_origin_opener_policy: text("same-origin-allow-popups"),
        cross_origin_embedder_policy: text("credentialless"),
        cross_origin_resource_policy: text("same-site"),
        cookies: Some(ir::CookieAttributes {
            secure: true,
            http_only: true,
            same_site: Some(ir::SameSite::Lax),
            readable: vec!["xsrf".to_owned()],
        }),
    }
}

fn values(name: &str, service: &[&str], https: bool) -> Vec<String> {
    let built = SecurityHeaders::build(&spec()).unwrap();
    let mut headers = Headers::default();
    for value in service {
        headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    built.apply(&mut headers, https).unwrap();
    let from_service = headers.named(name.as_bytes()).map(|v| String::from_utf8_lossy(v).into_owned()).collect();
    let mut answer = Answer { status: 200, headers: vec![], body: Vec::new().into() };
    answer.headers = service.iter().map(|value| (name.into(), (*value).into())).collect();
    built.finish(&mut answer, https);
    let own: Vec<String> = answer.headers.iter().filter(|(n, _)| &**n == name).map(|(_, v)| v.to_string()).collect();
    assert_eq!(own, from_service, "an answer of our own is changed the same way");
    from_service
}

fn one(name: &str, service: &str) -> String {
    let found = values(name, &[service], true);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

#[test]
fn what_is_missing_is_added() {
    for (name, value) in [
        ("strict-transport-security", "max-age=1000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("content-security-policy", "default-src 'self'"),
        ("permissions-policy", "camera=(), geolocation=(self)"),
        ("cross-origin-opener-policy", "same-origin-allow-popups"),
        ("cross-origin-embedder-policy", "credentialless"),
        ("cross-origin-resource-policy", "same-site"),
    ] {
        assert_eq!(values(name, &[], true), [value]);
    }
}

#[test]
fn hsts_takes_the_longer_and_the_wider() {
    for (service, wanted) in [
        ("max-age=5000", "max-age=5000"),
        ("max-age=1000", "max-age=1000"),
        ("Max-Age=\"5000\" ; includesubdomains", "Max-Age=\"5000\" ; includesubdomains"),
        ("max-age=10", "max-age=1000"),
        ("max-age=0; includeSubDomains", "max-age=1000; includeSubDomains"),
        ("includeSubDomains; max-age=10; preload", "max-age=1000; includeSubDomains; preload"),
        ("max-age=99999999999999999999999", "max-age=99999999999999999999999"),
        ("max-age=5000; max-age=0", "max-age=1000"),
        ("max-age=-1", "max-age=1000"),
        ("max-age", "max-age=1000"),
        ("max-age=5e9", "max-age=1000"),
        ("includeSubDomains", "max-age=1000"),
        ("", "max-age=1000"),
    ] {
        assert_eq!(one("strict-transport-security", service), wanted, "{service}");
    }
    assert_eq!(values("strict-transport-security", &["max-age=5", "max-age=9999"], true), ["max-age=1000"]);
    assert_eq!(values("strict-transport-security", &["max-age=5000", "max-age=0"], true), ["max-age=5000"]);
    assert!(values("strict-transport-security", &["max-age=5000"], false).is_empty(), "never without TLS");
}

#[test]
fn words_are_compared_by_their_order() {
    for (name, service, wanted) in [
        ("x-frame-options", "DENY", "DENY"),
        ("x-frame-options", "sameorigin", "sameorigin"),
        ("x-frame-options", "DENY, DENY", "DENY, DENY"),
        ("x-frame-options", "ALLOW-FROM https://a.example", "SAMEORIGIN"),
        ("x-frame-options", "DENY, ALLOWALL", "SAMEORIGIN"),
        ("x-content-type-options", "NoSniff", "NoSniff"),
        ("x-content-type-options", "sniff", "nosniff"),
        ("referrer-policy", "no-referrer", "no-referrer"),
        ("referrer-policy", "no-referrer, unsafe-url", "strict-origin-when-cross-origin"),
        ("referrer-policy", "unsafe-url, same-origin, novel", "unsafe-url, same-origin, novel"),
        ("referrer-policy", "origin", "strict-origin-when-cross-origin"),
        ("referrer-policy", "nonsense", "strict-origin-when-cross-origin"),
        ("cross-origin-opener-policy", "same-origin; report-to=\"x\"", "same-origin; report-to=\"x\""),
        ("cross-origin-opener-policy", "unsafe-none", "same-origin-allow-popups"),
        ("cross-origin-opener-policy", "Same-Origin", "same-origin-allow-popups"),
        ("cross-origin-embedder-policy", "require-corp", "require-corp"),
        ("cross-origin-embedder-policy", "unsafe-none", "credentialless"),
        ("cross-origin-resource-policy", "same-origin", "same-origin"),
        ("cross-origin-resource-policy", "cross-origin", "same-site"),
    ] {
        assert_eq!(one(name, service), wanted, "{name}: {service}");
    }
    let twice = values("cross-origin-resource-policy", &["same-origin", "same-origin"], true);
    assert_eq!(twice, ["same-site"], "two items are none to a browser");
}

#[test]
fn content_security_policies_add_up() {
    let name = "content-security-policy";
    assert_eq!(values(name, &["script-src 'none'"], true), ["script-src 'none'", "default-src 'self'"]);
    assert_eq!(values(name, &["default-src 'self'"], true), ["default-src 'self'"]);
}

#[test]
fn permissions_take_the_narrower_list() {
    for (service, wanted) in [
        ("geolocation=(), usb=(self)", "camera=(), geolocation=(), usb=(self)"),
        ("camera=*, geolocation=*", "camera=(), geolocation=(self)"),
        ("camera=self", "camera=(), geolocation=(self)"),
        ("geolocation=(self \"https://a.example\")", "camera=(), geolocation=(self)"),
        ("usb=(), usb, geolocation", "camera=(), geolocation=(self), usb=()"),
        ("usb=();report-to=x, geolocation=();report-to=\"y\"", "camera=(), geolocation=();report-to=\"y\", usb=();report-to=x"),
        ("usb=", "camera=(), geolocation=(self)"),
        ("geolocation=(), camera=(self", "camera=(), geolocation=(self)"),
        ("Camera=()", "camera=(), geolocation=(self)"),
        ("", "camera=(), geolocation=(self)"),
    ] {
        assert_eq!(one("permissions-policy", service), wanted, "{service}");
    }
    let fields = values("permissions-policy", &["usb=()", "geolocation=()"], true);
    assert_eq!(fields, ["camera=(), geolocation=(), usb=()"]);
}

#[test]
fn cookies_get_what_they_lack() {
    for (cookie, more) in [
        ("a=1", "; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; secure; HTTPONLY; samesite=strict", ""),
        ("a=1; SameSite=None", "; Secure; HttpOnly"),
        ("a=1; SameSite=Nonsense; Path=/", "; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; SameSite=Lax; SameSite=x", "; Secure; HttpOnly; SameSite=Lax"),
        ("a=secure; x=httponly", "; Secure; HttpOnly; SameSite=Lax"),
        ("xsrf=1; Secure", "; SameSite=Lax"),
        ("XSRF=1; Secure", "; HttpOnly; SameSite=Lax"),
        ("", "; Secure; HttpOnly; SameSite=Lax"),
    ] {
        assert_eq!(one("set-cookie", cookie), format!("{cookie}{more}"), "{cookie}");
    }
    assert_eq!(values("set-cookie", &["a=1", "b=2"], false), ["a=1; HttpOnly; SameSite=Lax", "b=2; HttpOnly; SameSite=Lax"]);
}

#[test]
fn prefixes_of_cookies_are_kept_true() {
    let mut spec = spec();
    spec.cookies =
        Some(ir::CookieAttributes { secure: false, http_only: false, same_site: None, readable: vec!["__Http-a".to_owned()] });
    let built = SecurityHeaders::build(&spec).unwrap();
    for (cookie, more) in [
        ("a=1", ""),
        ("a=1; SameSite=None", "; Secure"),
        ("__Secure-a=1", "; Secure"),
        ("__host-a=1; Path=/", "; Secure"),
        ("__Http-a=1", "; Secure; HttpOnly"),
        ("__Host-Http-a=1; Path=/; Secure", "; HttpOnly"),
    ] {
        let mut headers = Headers::default();
        headers.push(b"set-cookie", cookie.as_bytes()).unwrap();
        built.apply(&mut headers, true).unwrap();
        assert_eq!(headers.named(b"set-cookie").next().unwrap(), format!("{cookie}{more}").as_bytes());
    }
}

#[test]
fn what_no_browser_knows_does_not_load() {
    let wrong = |change: fn(&mut ir::SecurityHeaders)| {
        let mut spec = spec();
        change(&mut spec);
        SecurityHeaders::build(&spec).is_err()
    };
    assert!(wrong(|s| s.frame_options = Some("allow-from x".to_owned())));
    assert!(wrong(|s| s.content_security_policy = vec!["a\r\nb".to_owned()]));
    assert!(wrong(|s| s.permissions_policy = [("camera".to_owned(), "()), x=(".to_owned())].into()));
    assert!(wrong(|s| s.permissions_policy = [("Camera".to_owned(), "()".to_owned())].into()));
    assert!(!wrong(|_| {}));
}

proptest! {
    /// Whatever a service sends, a second look finds nothing more to do, and nothing breaks a line.
    #[test]
    fn once_is_enough(fields in prop::collection::vec((0..9_usize, "[!-~]([ -~]{0,40}[!-~])?"), 0..8), https: bool) {
        let names = ["strict-transport-security", "x-frame-options", "x-content-type-options", "referrer-policy", "set-cookie",
            "permissions-policy", "cross-origin-opener-policy", "cross-origin-resource-policy", "content-security-policy"];
        let built = SecurityHeaders::build(&spec()).unwrap();
        let mut headers = Headers::default();
        for (name, value) in &fields {
            headers.push(names[*name].as_bytes(), value.as_bytes()).unwrap();
        }
        built.apply(&mut headers, https).unwrap();
        let read = |headers: &Headers| {
            let mut all: Vec<_> = headers.iter().map(|(_, n, v)| (n.to_vec(), v.to_vec())).collect();
            all.sort();
            all
        };
        let once = read(&headers);
        built.apply(&mut headers, https).unwrap();
        prop_assert_eq!(once, read(&headers));
    }
}
