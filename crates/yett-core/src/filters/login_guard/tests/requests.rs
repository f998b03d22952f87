//! Which account and password a request names, and what is no attempt.

use super::{Became, exchange, spec, world};
use crate::exchange::{Exchange, Framing, Method};
use crate::filters::login_guard::{LoginGuard, Told};
use crate::headers::tests::headers;
use crate::ir;
use crate::reason::Reason;

#[test]
fn an_account_that_two_programs_could_read_otherwise_is_none() {
    let world = world(|_| ());
    let refused = |body: &str, change: fn(&mut Exchange)| {
        let mut one = exchange("192.0.2.1", "b", body);
        change(&mut one);
        world.begin(&mut one) == Became::Refused(Reason::LoginUnreadable)
    };
    let as_it_is: fn(&mut Exchange) = |_| ();
    assert!(!refused("user=ann&password=p", as_it_is));
    for body in
        ["", "password=p", "user=&password=p", "user=+&password=p", "user=a&user=b", "user=a&%75ser=b", "user=%ff", "user=%zz"]
    {
        assert!(refused(body, as_it_is), "{body}");
    }
    assert!(refused("user=a", |one| one.request.target = b"/login?user=b".to_vec()));
    assert!(refused("user=a", |one| one.request.headers = headers(&[("content-type", "application/json")])));
    assert!(refused("user=a", |one| one.request.headers = headers(&[])));
    assert!(refused("user=a", |one| {
        one.request.headers.push(b"content-encoding", b"gzip").unwrap();
    }));
    assert!(refused("user=a", |one| {
        one.request.headers.push(b"content-type", b"application/json").unwrap();
    }));
    let mut page = exchange("192.0.2.1", "b", "");
    (page.request.method, page.request.framing) = (Method::Get, Framing::Empty);
    assert_eq!(world.begin(&mut page), Became::Asked, "who asks for the page tries nothing");
    assert!(page.attempt.is_none());
    assert!(refused("user=a&user=b", |one| one.request.method = Method::Get), "a GET with a body is an attempt");
    let mut excepted = exchange("198.51.100.7", "b", "user=a&user=b");
    assert_eq!(world.begin(&mut excepted), Became::Asked);
}

#[test]
fn json_names_its_account_once() {
    let world = world(|spec| {
        spec.account = ir::LoginPart::Json("/login/email".to_owned());
        spec.password = Some(ir::LoginPart::Json("/password".to_owned()));
    });
    let became = |body: &str| {
        let mut one = exchange("192.0.2.1", "b", body);
        one.request.headers = headers(&[("content-type", "application/json")]);
        world.begin(&mut one)
    };
    assert_eq!(became(r#"{"login": {"email": "a@b.c"}, "password": "p"}"#), Became::Asked);
    assert_eq!(became(r#"{"login": {"email": 17}, "password": "p"}"#), Became::Asked);
    for body in [
        "",
        "{}",
        "[]",
        r#"{"login": {"email": "a", "email": "b"}}"#,
        r#"{"login": {"email": "a", "\u0065mail": "b"}}"#,
        r#"{"login": {"email": ["a"]}}"#,
        r#"{"login": {"email": "a"}} {}"#,
        r#"{"login": {"email": " "}}"#,
    ] {
        assert_eq!(became(body), Became::Refused(Reason::LoginUnreadable), "{body}");
    }
}

#[test]
fn nonsense_does_not_load() {
    let world = world(|_| ());
    let bad = |change: fn(&mut ir::LoginGuard)| {
        let mut spec = spec();
        change(&mut spec);
        LoginGuard::build(&spec, "login", None, &world.shared).is_err()
    };
    assert!(!bad(|_| ()));
    assert!(bad(|spec| spec.thresholds.guesses = 0) && bad(|spec| spec.window_ms = 0) && bad(|spec| spec.slow_ms = 30_001));
    assert!(bad(|spec| spec.account = ir::LoginPart::Json("email".to_owned())));
    assert!(bad(|spec| spec.account = ir::LoginPart::Form(String::new())));
    assert!(bad(|spec| spec.passed = Some(ir::LoginBody { pointer: "/a~".to_owned(), value: None })));
    assert!(bad(|spec| spec.failed.body = Some(ir::LoginBody { pointer: "/e/-".to_owned(), value: None })));
    assert!(bad(|spec| spec.password = Some(ir::LoginPart::Json("/a~2b".to_owned()))));
    assert!(bad(|spec| spec.account = ir::LoginPart::Json("/a".to_owned())), "the password stands in a form");
    assert!(bad(|spec| spec.failed.header = Some(ir::LoginField { name: "X Y".to_owned(), value: String::new(), prefix: true })));
    assert!(bad(|spec| spec.failed.body = Some(ir::LoginBody { pointer: "error".to_owned(), value: None })));
}

#[test]
fn what_only_asks_for_a_page_is_no_way_in() {
    let mut world = world(|_| ());
    for method in [Method::Get, Method::Head, Method::Options] {
        let mut with_body = exchange("192.0.2.1", "bot", "user=ann&password=x");
        with_body.request.method = method.clone();
        assert_eq!(world.begin(&mut with_body), Became::Refused(Reason::LoginUnreadable), "{method:?}");
        let mut in_query = exchange("192.0.2.1", "bot", "");
        in_query.request.method = method.clone();
        in_query.request.framing = Framing::Empty;
        in_query.request.target = b"/login?user=ann&password=x".to_vec();
        assert_eq!(world.begin(&mut in_query), Became::Refused(Reason::LoginUnreadable), "{method:?}");
        in_query = exchange("192.0.2.1", "bot", "");
        in_query.request.method = method;
        in_query.request.framing = Framing::Empty;
        in_query.request.target = b"/login?user=ann&next=/orders".to_vec();
        assert_eq!(world.begin(&mut in_query), Became::Asked, "a page that is filled in");
        assert!(in_query.attempt.is_none());
    }
    // An answer to one whose account stands in a field is no success either.
    let by_header = self::world(|spec| {
        spec.account = serde_json::from_value(serde_json::json!({"header": "x-user"})).unwrap();
        spec.password = None;
    });
    let answers: Vec<Became> = (0..40)
        .map(|n| {
            let mut asks = exchange("192.0.2.1", "bot", "");
            asks.request.method = if n % 2 == 0 { Method::Get } else { Method::Post };
            asks.request.framing = Framing::Empty;
            asks.request.headers = headers(&[("x-user", &format!("u{}", n / 2)), ("user-agent", "bot")]);
            let became = by_header.begin(&mut asks);
            let told = if n % 2 == 0 { Told::Passed } else { Told::Failed };
            if let Some(attempt) = &mut asks.attempt {
                by_header.guard.settle(attempt, true, Some(told), by_header.now());
            }
            became
        })
        .collect();
    assert!(answers.iter().any(|one| matches!(one, Became::Refused(Reason::LoginLimited | Reason::LoginBanned))), "{answers:?}");
    world.now_ms += 1;
}

#[test]
fn a_name_that_some_programs_take_for_the_account_is_refused() {
    let world = world(|_| ());
    for body in [
        "user=me&password=x&USER=victim",
        "user=me&password=x&+user=victim",
        "user=me&password=x&user.=victim",
        "user=me&password=x&user%5B%5D=victim",
        "user=me&password=x&user%5B0%5D=victim",
        "user=me&password=x&user%00x=victim",
        "a=1;user=victim&user=me&password=x",
        "user=me;user=victim&password=x",
        "user=me&password=x;b=1;Password=y",
        "user=me&password=x&password[a][b]=y",
        "user=me&password=x&Pass_word=y",
        "user=me",
        "user=me&password=x&password=y",
    ] {
        let mut one = exchange("192.0.2.1", "bot", body);
        assert_eq!(world.begin(&mut one), Became::Refused(Reason::LoginUnreadable), "{body}");
    }
    let mut one = exchange("192.0.2.1", "bot", "user=me&password=x&users=5&username=z");
    assert_eq!(world.begin(&mut one), Became::Asked, "other names are no concern");
    let mut one = exchange("192.0.2.1", "bot", "user=me&password=x;y%3Buser=z;next=1");
    assert_eq!(world.begin(&mut one), Became::Asked, "nor is what is written as a part of a value");
    for query in ["user=v", "USER=v", "user[]=v", "user%5B0%5D=v", "a=1;User=v", "user%00=v", "pass.word", "next=/&Password=v"] {
        let mut one = exchange("192.0.2.1", "bot", "user=me&password=x");
        one.request.target = format!("/login?{query}").into_bytes();
        assert_eq!(world.begin(&mut one), Became::Refused(Reason::LoginUnreadable), "{query}");
    }
    let mut one = exchange("192.0.2.1", "bot", "user=me&password=x");
    one.request.target = b"/login?users=5&next=user&a[user]=1".to_vec();
    assert_eq!(world.begin(&mut one), Became::Asked, "other parameters are no concern");
    let nested = self::world(|spec| {
        spec.account = ir::LoginPart::Form("user[email]".to_owned());
        spec.password = Some(ir::LoginPart::Form("user[password]".to_owned()));
    });
    for (body, became) in [
        ("user[email]=me&user[password]=x", Became::Asked),
        ("user[email]=me&user[password]=x&user[email][0]=v", Became::Refused(Reason::LoginUnreadable)),
    ] {
        assert_eq!(nested.begin(&mut exchange("192.0.2.1", "bot", body)), became, "{body}");
    }
    let json = self::world(|spec| {
        spec.account = serde_json::from_value(serde_json::json!({"json": "/a/email"})).unwrap();
        spec.password = None;
    });
    for (body, became) in [
        (r#"{"a": {"email": "me"}}"#, Became::Asked),
        (r#"{"a": {"email": "me", "email[0]": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
        (r#"{"a": {"email": "me", "EMAIL": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
        (r#"{"a": {"email": "me", "e_mail": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
        (r#"{"a": {"email": "me"}, "A": {"email": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
    ] {
        let mut one = exchange("192.0.2.1", "bot", body);
        one.request.headers = headers(&[("content-type", "application/json"), ("user-agent", "bot")]);
        assert_eq!(json.begin(&mut one), became, "{body}");
    }
}
