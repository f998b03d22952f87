use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{BotFilter, Kind, Outcome, Sighting, Signal, Verdict};
use crate::exchange::{ConnectionInfo, Exchange, Method, Need, Now, Refusal, Step, Upgrade, Version};
use crate::reason::Reason;
use crate::shared::Shared;

const BROWSERS: &str = include_str!("../../../../../corpora/browsers.jsonl");
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const CHROME_HELLO: &str = "t13d1516h2_8daaf6152771_02713d6af862";
const GO_HELLO: &str = "t13d1310h2_f57a46bbacb6_ab7e3b40a677";
const OTHER_HELLO: &str = "t13d1411h1_111111111111_b26ce05bbdd6";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const NOW: Now = Now { monotonic_ns: 1, unix_ms: 1_800_000_000_000 };

fn spec(more: Value) -> crate::ir::BotFilter {
    let mut spec = json!({
        "enforce": true, "threshold": 6, "impostors": "refuse", "programs": "allow", "scanners": "refuse",
        "crawlers": [
            {"name": "googlebot", "agents": ["Googlebot"], "domains": ["googlebot.com"], "allowed": true},
            {"name": "listed", "agents": ["ListedBot"], "addresses": ["192.0.2.0/24"], "allowed": true},
            {"name": "bingbot", "agents": ["bingbot"], "domains": ["search.msn.com"], "allowed": false},
        ],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

struct Test {
    _runtime: tokio::runtime::Runtime,
    filter: BotFilter,
}

impl Test {
    fn new(more: Value) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
        let filter = BotFilter::build(&spec(more), "shop", &shared).unwrap();
        Self { _runtime: runtime, filter }
    }

    fn judge(&self, exchange: &mut Exchange, behind: bool) -> (Sighting, Option<Refusal>) {
        let refused = match self.filter.judge(exchange, 0, behind, false, NOW) {
            Step::Continue => None,
            Step::Refuse(refusal) => Some(refusal),
            other => panic!("{other:?}"),
        };
        (exchange.bot.clone().unwrap(), refused)
    }
}

fn request(hello: Option<&str>, fields: &[(&str, &str)]) -> Exchange {
    let ja4 = hello.map(|text| text.as_bytes().try_into().unwrap());
    let peer = "198.51.100.7:1".parse().unwrap();
    let connection = ConnectionInfo { peer, listener: "main".into(), tls: true, sni: None, client_certificate: None, ja4 };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.host = "shop.example".to_owned();
    exchange.request.version = Version::Http2;
    for (name, value) in fields {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    exchange
}

/// A browser of the corpus, and whether it comes through a proxy.
fn recorded(line: &str) -> (String, Exchange, bool) {
    let one: Value = serde_json::from_str(line).unwrap();
    let fields: Vec<(String, String)> = serde_json::from_value(one["fields"].clone()).unwrap();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut exchange = request(one["ja4"].as_str(), &fields);
    exchange.request.version = if one["http"] == 2 { Version::Http2 } else { Version::Http11 };
    exchange.https = one["https"] == true;
    if one["websocket"] == true {
        exchange.upgrade = Upgrade::Taken;
    }
    (one["name"].as_str().unwrap().to_owned(), exchange, one["behind"] == true)
}

fn signals(sighting: &Sighting) -> Vec<&'static str> {
    sighting.signals.iter().map(Signal::code).collect()
}

#[test]
fn no_browser_of_the_corpus_is_refused() {
    let (lax, strict) = (Test::new(json!({})), Test::new(json!({"programs": "refuse"})));
    let (mut all, mut kept_out) = (0, Vec::new());
    for line in BROWSERS.lines() {
        let (name, mut exchange, behind) = recorded(line);
        let (sighting, refused) = lax.judge(&mut exchange, behind);
        assert!(refused.is_none() && sighting.score <= 5, "{name}: {} {:?}", sighting.score, signals(&sighting));
        if strict.judge(&mut exchange, behind).1.is_some() {
            kept_out.push(name);
        }
        all += 1;
    }
    assert!(all > 50);
    assert_eq!(kept_out, ["a browser that nobody has heard of"]);
}

#[test]
fn ordinary_browsers_have_nothing_against_them() {
    let test = Test::new(json!({}));
    for line in BROWSERS.lines() {
        let (name, mut exchange, behind) = recorded(line);
        let ordinary =
            ["Chrome 131 on", "Firefox 133, opens", "Firefox 133, a script", "Safari 1", "Edge", "Brave", "Tor", "Samsung"];
        if ordinary.iter().any(|one| name.starts_with(one)) {
            let (sighting, _) = test.judge(&mut exchange, behind);
            assert_eq!(signals(&sighting), [""; 0], "{name}");
        }
    }
}

/// Every signal is one that something shows, and shows alone.
#[test]
fn each_signal() {
    let test = Test::new(json!({"threshold": 20}));
    let seen = |hello: &str, change: &dyn Fn(&mut Exchange), line: usize| {
        let (_, mut exchange, _) = recorded(BROWSERS.lines().nth(line).unwrap());
        let mut own = request(Some(hello), &[]);
        own.request.headers = std::mem::take(&mut exchange.request.headers);
        change(&mut own);
        signals(&test.judge(&mut own, false).0)
    };
    let without = |name: &'static str| {
        move |exchange: &mut Exchange| exchange.request.headers.retain(|_, other, _| other != name.as_bytes())
    };
    let with = |name: &'static str, value: &'static str| {
        move |exchange: &mut Exchange| {
            let mut fields = crate::headers::Headers::default();
            for (_, other, old) in exchange.request.headers.iter() {
                fields.push(other, if other == name.as_bytes() { value.as_bytes() } else { old }).unwrap();
            }
            exchange.request.headers = fields;
        }
    };
    let nothing = |_: &mut Exchange| {};
    for (signal, found) in [
        ("hello_of_program", seen(GO_HELLO, &nothing, 0)),
        ("hello_unknown", seen("t13d1516h2_999999999999_000000000000", &nothing, 0)),
        ("hello_without_http2", seen("t13d1516h1_8daaf6152771_02713d6af862", &nothing, 0)),
        ("hello_too_old", seen("t12d1516h2_8daaf6152771_02713d6af862", &nothing, 0)),
        ("hello_without_name", seen("t13i1516h2_8daaf6152771_02713d6af862", &nothing, 0)),
        ("agent_changed", seen("t13d1715h2_5b57614c22b0_5c2c66f702b0", &with("user-agent", CHROME), 27)),
        ("http_1_0", seen(CHROME_HELLO, &|exchange| exchange.request.version = Version::Http10, 0)),
        ("fetch_metadata_missing", seen(CHROME_HELLO, &without("sec-fetch-dest"), 0)),
        ("client_hints_missing", seen(CHROME_HELLO, &without("sec-ch-ua"), 0)),
        (
            "client_hints_foreign",
            seen(
                "t13d1715h2_5b57614c22b0_5c2c66f702b0",
                &|exchange| exchange.request.headers.push(b"sec-ch-ua", b"x").unwrap(),
                27,
            ),
        ),
        ("client_hints_differ", seen(CHROME_HELLO, &with("sec-ch-ua", "\"Chromium\";v=\"130\""), 0)),
        ("headless_hidden", seen(CHROME_HELLO, &with("sec-ch-ua", "\"HeadlessChrome\";v=\"131\", \"Chromium\";v=\"131\""), 0)),
        ("language_missing", seen(CHROME_HELLO, &without("accept-language"), 0)),
        ("encoding_missing", seen(CHROME_HELLO, &without("accept-encoding"), 0)),
        ("encoding_without_brotli", seen(CHROME_HELLO, &with("accept-encoding", "gzip, deflate"), 0)),
        ("accept_missing", seen(CHROME_HELLO, &without("accept"), 1)),
        ("accept_unlike", seen(CHROME_HELLO, &with("accept", "*/*"), 0)),
        ("hello_too_new", seen("t13d1516h2_999999999999_000000000000", &nothing, 25)),
    ] {
        assert_eq!(found, [signal]);
    }
    let order = [
        ("accept-language", "en"),
        ("accept-encoding", "gzip, br"),
        ("user-agent", CHROME),
        ("accept", "*/*"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("sec-ch-ua", "\"Chromium\";v=\"131\""),
    ];
    assert_eq!(signals(&test.judge(&mut request(Some(CHROME_HELLO), &order), false).0), ["field_order"]);
    // what a proxy of ours did is not held against them
    assert!(signals(&test.judge(&mut request(Some(GO_HELLO), &order), true).0).is_empty());
}

#[test]
fn programs_that_pretend_are_refused_and_told_what_to_do() {
    let test = Test::new(json!({}));
    let least: &[(&str, &str)] = &[("user-agent", CHROME), ("accept", "*/*")];
    let copied: Vec<(&str, &str)> = vec![
        ("accept", "text/html"),
        ("accept-encoding", "gzip, br"),
        ("accept-language", "en"),
        ("sec-ch-ua", "\"Chromium\";v=\"131\""),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("user-agent", CHROME),
    ];
    for (hello, fields) in [
        (Some(GO_HELLO), least),
        (Some(OTHER_HELLO), least),
        (None, least),
        (Some(GO_HELLO), &copied),
        (Some(OTHER_HELLO), &copied),
    ] {
        let (sighting, refused) = test.judge(&mut request(hello, fields), false);
        let refused = refused.unwrap_or_else(|| panic!("{hello:?} {:?}", signals(&sighting)));
        assert_eq!((sighting.kind, sighting.outcome, refused.reason), (Kind::Impostor, Outcome::Refused, Reason::BotRefused));
        let detail = refused.detail.unwrap();
        assert!(
            detail.contains("use a browser as it is") && Signal::ALL.iter().all(|one| !detail.contains(one.code())),
            "{detail}"
        );
    }
    let report = Test::new(json!({"enforce": false}));
    let (sighting, refused) = report.judge(&mut request(Some(GO_HELLO), least), false);
    assert!(refused.is_none() && sighting.outcome == Outcome::Reported && sighting.score >= 6);
    let all: Vec<_> = report.filter.counts.all().filter(|(_, count)| *count > 0).collect();
    assert_eq!(all, [("reported", 1)]);
}

#[test]
fn programs_scanners_and_those_who_say_nothing() {
    let (lax, strict) = (Test::new(json!({})), Test::new(json!({"programs": "refuse", "scanners": "allow"})));
    let kind = |agent: &str| {
        let fields = [("user-agent", agent)];
        let fields = if agent.is_empty() { &[][..] } else { &fields[..] };
        let (sighting, one) = lax.judge(&mut request(Some(GO_HELLO), fields), false);
        let (_, other) = strict.judge(&mut request(Some(GO_HELLO), fields), false);
        (sighting.kind.as_str(), one.is_some(), other.is_some())
    };
    for agent in [
        "curl/8.5.0",
        "python-requests/2.32",
        "Go-http-client/2.0",
        "Mozilla/5.0 (X11) HeadlessChrome/131.0.0.0 Safari/537.36",
        "",
        "node",
        "Foo",
    ] {
        assert_eq!(kind(agent), ("program", false, true), "{agent}");
    }
    for agent in ["sqlmap/1.8#stable", "Mozilla/5.00 (Nikto/2.5.0)", "NUCLEI"] {
        assert_eq!(kind(agent), ("scanner", true, false), "{agent}");
    }
    // written with OpenSSL or GnuTLS, and not in Go
    let lynx = |hello| strict.judge(&mut request(Some(hello), &[("user-agent", "Lynx/2.9.0")]), false).0.kind.as_str();
    assert_eq!(lynx("t13d291300_723694b0fccc_899037bd0b8c"), "browser");
    assert_eq!(lynx("t13d3112h1_e8f1e7e78f70_b26ce05bbdd6"), "browser");
    assert_eq!(lynx(GO_HELLO), "impostor");
    let mut spared = request(Some(GO_HELLO), &[("user-agent", CHROME)]);
    spared.client = "203.0.113.9".parse().unwrap();
    let filter = Test::new(json!({"except": ["203.0.113.0/24"]}));
    assert!(matches!(filter.filter.judge(&mut spared, 0, false, false, NOW), Step::Continue) && spared.bot.is_none());
}

#[test]
fn crawlers_are_asked_about_and_only_then_pass() {
    let test = Test::new(json!({}));
    let mut exchange = request(None, &[("user-agent", GOOGLEBOT)]);
    let asked = test.filter.judge(&mut exchange, 0, false, false, NOW);
    assert!(matches!(asked, Step::Need(Need::Crawler { route: 0, index: 0 })), "{asked:?}");
    // the fact did not come
    let (sighting, refused) = test.judge(&mut exchange, false);
    let refused = refused.unwrap();
    assert_eq!((sighting.outcome, refused.reason, refused.retry_after_s), (Outcome::Undecided, Reason::CrawlerUnknown, Some(10)));
    let lax = Test::new(json!({"undecided_passes": true}));
    for (verdict, reason, outcome) in [
        (Verdict::Genuine, None, Outcome::Verified),
        (Verdict::False, Some(Reason::CrawlerUnverified), Outcome::Unverified),
        (Verdict::Failed, Some(Reason::CrawlerUnknown), Outcome::Undecided),
        (Verdict::Unknown, Some(Reason::CrawlerUnknown), Outcome::Undecided),
    ] {
        exchange.crawler = Some((0, verdict));
        let (sighting, refused) = test.judge(&mut exchange, false);
        assert_eq!((sighting.outcome, refused.map(|one| one.reason)), (outcome, reason));
        assert_eq!((sighting.kind, sighting.crawler.as_deref()), (Kind::Crawler, Some("googlebot")));
        assert_eq!(lax.judge(&mut exchange, false).1.is_some(), matches!(verdict, Verdict::False | Verdict::Failed));
    }
    assert_eq!(lax.judge(&mut exchange, false).0.outcome, Outcome::Passed, "nobody verified it");
}

#[test]
fn crawlers_of_which_nobody_is_asked() {
    let test = Test::new(json!({}));
    let reason = |agent: &str, client: &str, hidden: bool| {
        let mut exchange = request(None, &[("user-agent", agent)]);
        exchange.client = client.parse().unwrap();
        match test.filter.judge(&mut exchange, 0, false, hidden, NOW) {
            Step::Continue => None,
            Step::Refuse(refusal) => Some(refusal.reason),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason("ListedBot/1", "192.0.2.77", false), None);
    assert_eq!(reason("listedbot/1", "192.0.3.77", false), Some(Reason::CrawlerUnverified));
    assert_eq!(reason("bingbot/2.0", "192.0.2.77", false), Some(Reason::BotRefused), "known, and not among those that may");
    assert_eq!(reason(GOOGLEBOT, "192.0.2.77", true), Some(Reason::CrawlerUnverified), "not on a hidden route");
    // a browser that says it is Googlebot is that claim, whatever else it looks like
    assert_eq!(reason(&format!("{CHROME} bingbot"), "192.0.2.77", false), Some(Reason::BotRefused));
}

/// As a browser behind a proxy sends it, over HTTPS.
fn behind(test: &Test, fields: &[(&str, &str)]) -> (Sighting, Option<Refusal>) {
    let mut exchange = request(None, fields);
    exchange.https = true;
    test.judge(&mut exchange, true)
}

#[test]
fn who_asks_for_websocket_where_there_is_none_is_looked_at() {
    let test = Test::new(json!({}));
    for (upgrade, refused) in [(Upgrade::None, true), (Upgrade::Asked, true), (Upgrade::Taken, false)] {
        let mut exchange = request(None, &[("user-agent", CHROME)]);
        (exchange.https, exchange.upgrade) = (true, upgrade);
        assert_eq!(test.judge(&mut exchange, true).1.is_some(), refused, "{upgrade:?}");
    }
}

#[test]
fn two_user_agents_are_refused_whatever_is_allowed() {
    for more in [json!({}), json!({"threshold": 20}), json!({"impostors": "allow", "scanners": "allow"})] {
        let (sighting, refused) = behind(&Test::new(more), &[("user-agent", "x"), ("user-agent", "x")]);
        assert_eq!((sighting.outcome, refused.unwrap().reason), (Outcome::Refused, Reason::BotRefused));
        assert_eq!(signals(&sighting), ["agent_twice"]);
    }
    let (sighting, refused) = behind(&Test::new(json!({"enforce": false})), &[("user-agent", "x"), ("user-agent", "x")]);
    assert!(sighting.outcome == Outcome::Reported && refused.is_none());
}

#[test]
fn user_agent_is_read_to_its_end() {
    let long = format!("MSIE 10{}", "a".repeat(9_000));
    let test = Test::new(json!({}));
    let kind = |agent: &str| behind(&test, &[("user-agent", agent)]).0.kind;
    assert_eq!(kind(&format!("{long} sqlmap")), Kind::Scanner);
    assert_eq!(kind(&format!("{long} ListedBot")), Kind::Crawler);
}

#[test]
fn who_names_two_crawlers_is_both() {
    let test = Test::new(json!({}));
    let judge = |agent: &str, client: &str, told: Option<(u16, Verdict)>| {
        let mut exchange = request(None, &[("user-agent", agent)]);
        exchange.client = client.parse().unwrap();
        exchange.crawler = told;
        match test.filter.judge(&mut exchange, 0, true, false, NOW) {
            Step::Continue => "passes",
            Step::Refuse(refusal) => refusal.reason.code(),
            Step::Need(Need::Crawler { index: 0, .. }) => "asks",
            other => panic!("{other:?}"),
        }
    };
    let both = "ListedBot/1 Googlebot/2.1";
    assert_eq!(judge(both, "192.0.2.77", None), "asks", "one of them is proved");
    assert_eq!(judge(both, "192.0.2.77", Some((0, Verdict::Genuine))), "passes");
    assert_eq!(judge(both, "192.0.2.77", Some((0, Verdict::False))), "crawler_unverified");
    assert_eq!(judge(both, "192.0.2.77", Some((0, Verdict::Unknown))), "crawler_unknown");
    assert_eq!(judge(both, "192.0.2.77", Some((1, Verdict::Genuine))), "asks", "what was told of another proves nothing");
    assert_eq!(judge(both, "192.0.3.77", Some((0, Verdict::Genuine))), "crawler_unverified");
    assert_eq!(judge("ListedBot/1 bingbot", "192.0.2.77", None), "crawler_unverified", "one may not come in");
}

#[test]
fn marks_are_words_and_versions_exist() {
    let test = Test::new(json!({}));
    let kind = |agent: &str| behind(&test, &[("user-agent", agent)]).0.kind.as_str();
    for agent in ["nucleic-acid-client/1.0", "ItzMeUser/2", "Arachnid/3.1", "TelecommIX/1", "SomeBot/1.0", "Mozilla/5.0 acrawler"]
    {
        assert_eq!(kind(agent), "program", "{agent}");
    }
    for agent in ["Nuclei - Open-source project", "x (ZmEu)", "acunetix_wvs_security_test", "DirBuster-1.0"] {
        assert_eq!(kind(agent), "scanner", "{agent}");
    }
    let telephone = "Mozilla/5.0 (Linux; Android 11; CUBOT/NOTE) AppleWebKit/537.36 Chrome/79.0 Mobile Safari/537.36";
    assert_eq!(kind(telephone), "browser");
    assert_eq!(kind(&format!("{telephone} SomeBot/1").replace("CUBOT/", "")), "program");
    for agent in [
        "Mozilla/5.0 Chrome/",
        "Mozilla/5.0 Chrome/0.1",
        "Mozilla/5.0 Chrome/99999",
        "Mozilla/5.0 Chrome/1000",
        "Firefox/",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 0_0) AppleWebKit/605.1.15 Version/99999",
    ] {
        assert_eq!(kind(agent), "program", "{agent}");
    }
}

/// What Chromium 156 sends by itself, or when a page does what pages do.
#[test]
fn what_pages_do_speaks_against_nobody() {
    let test = Test::new(json!({}));
    let rest = [("accept-encoding", "gzip, deflate, br, zstd"), ("accept-language", "en")];
    let hints = ("sec-ch-ua", "\"Chromium\";v=\"131\"");
    let seen = |fields: &[(&str, &str)], method: Method| {
        let mut exchange = request(Some(CHROME_HELLO), fields);
        (exchange.https, exchange.request.method) = (true, method);
        signals(&test.judge(&mut exchange, false).0)
    };
    let agent = ("user-agent", CHROME);
    for kind in ["application/reports+json", "application/csp-report"] {
        let report = [("content-type", kind), agent, rest[0], rest[1]];
        assert!(seen(&report, Method::Post).is_empty());
        assert!(!seen(&report, Method::Get).is_empty(), "only what posts is a report");
        assert!(!seen(&[&report[..], &[("sec-fetch-dest", "document")]].concat(), Method::Post).is_empty());
    }
    let of =
        |mode: &'static str, dest: &'static str| [agent, ("sec-fetch-mode", mode), ("sec-fetch-dest", dest), rest[0], rest[1]];
    for (mode, dest) in
        [("navigate", "empty"), ("same-origin", "worker"), ("same-origin", "sharedworker"), ("same-origin", "serviceworker")]
    {
        assert!(seen(&of(mode, dest), Method::Get).is_empty(), "{mode} {dest}");
    }
    assert_eq!(seen(&of("cors", "empty"), Method::Get), ["client_hints_missing", "accept_missing"]);
    let language = [rest[1], hints, agent, ("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), rest[0]];
    assert!(seen(&language, Method::Get).is_empty());
    let opens =
        [rest[1], hints, agent, ("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), rest[0]];
    assert_eq!(seen(&opens, Method::Get), ["field_order"]);
    let object =
        [hints, agent, ("accept", "*/*"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object"), rest[0], rest[1]];
    assert!(seen(&object, Method::Get).is_empty());
}

#[test]
fn what_does_not_load() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
    let error = |more: Value| BotFilter::build(&spec(more), "shop", &shared).unwrap_err();
    assert!(error(json!({"threshold": 3})).contains("between 4 and 20"));
    let one = |more: Value| {
        let mut crawler = json!({"name": "a", "agents": ["ABot"], "domains": ["a.example"], "allowed": true});
        crawler.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        error(json!({"crawlers": [crawler]}))
    };
    assert!(one(json!({"agents": ["a"]})).contains("three characters"));
    assert!(one(json!({"agents": ["   "]})).contains("three characters"));
    assert!(one(json!({"domains": ["*.a.example"]})).contains("lower case"));
    assert!(one(json!({"agents": []})).contains("three characters"));
    assert!(one(json!({"domains": []})).contains("nothing proves"));
    assert!(one(json!({"domains": [".a.example"]})).contains("without a dot"));
    assert!(one(json!({"domains": ["A.example"]})).contains("lower case"));
    assert!(one(json!({"agents": vec!["ABot"; 21]})).contains("more than 20"));
}
