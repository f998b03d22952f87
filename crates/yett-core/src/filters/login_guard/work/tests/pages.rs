//! Who gets the page, and when.

use super::{BROWSER, HERE, form, request, world};
use crate::body::Body;
use crate::exchange::{Framing, Method, Step};
use crate::filters::login_guard::Told;
use crate::filters::login_guard::challenge::is_person;
use crate::headers::tests::headers;

#[test]
fn what_is_proved_after_the_page_counts_for_its_password() {
    let mut world = world(|guard, work| {
        work.attempts = 100;
        guard.thresholds.per_password = 5;
    });
    world.suspect(5);
    let proof = world.proof();
    let mut answers = Vec::new();
    for number in 0..8 {
        world.now_ms += 2_000;
        let sprayed = |cookie| {
            let mut exchange = form(HERE, cookie, "ann");
            let body = format!("user=s{number}&password=Winter2026");
            exchange.request.framing = Framing::Length(body.len() as u64);
            exchange.body = Some(Ok(Body::Given(body.as_bytes().into())));
            exchange
        };
        let first = world.attempt(sprayed(None));
        assert!(["login_challenge", "login_limited"].contains(&first), "{first}");
        answers.push(world.attempt(sprayed(Some(&proof))));
    }
    let proved = answers.iter().filter(|one| **one == "proved").count();
    // Two names may meet in one bit of the set, and each count fades a little.
    assert!((5..=7).contains(&proved) && answers.last() == Some(&"login_limited"), "{answers:?}");
}

#[test]
fn who_asks_for_the_page_calculates_before_the_form() {
    let mut world = world(|_, _| ());
    let ask = |address: &str, cookie: Option<&str>| {
        let mut exchange = request(Method::Get, address, &BROWSER, "");
        if let Some(cookie) = cookie {
            exchange.request.headers.push(b"cookie", cookie.as_bytes()).unwrap();
        }
        exchange
    };
    assert_eq!(world.guard.approach(&ask(HERE, None), world.now()), None);
    world.suspect(5);
    assert_eq!(world.guard.approach(&ask(HERE, None), world.now()), Some(30));
    assert_eq!(world.guard.approach(&ask("192.0.2.2", None), world.now()), None);
    let proof = world.proof();
    for _ in 0..5 {
        assert_eq!(world.guard.approach(&ask(HERE, Some(&proof)), world.now()), None, "asking spends nothing");
    }
    assert_eq!(world.attempt(form(HERE, Some(&proof), "ann")), "proved");
    let mut fetched = ask(HERE, None);
    fetched.request.headers = headers(&[("accept", "application/json")]);
    assert_eq!(world.guard.approach(&fetched, world.now()), None);
    let page = world.page(&mut ask(HERE, None), 30).unwrap();
    assert!(String::from_utf8_lossy(&page.page.unwrap().body).contains("data-form=\"false\""));
    let watch = &world.shared.logins.watches()[0];
    assert!(watch.all().any(|(name, count)| name == "challenged" && count == 1));
    // Somebody gets in from there: nobody is stopped before the form any more.
    let mut inside = form(HERE, Some(&proof), "ann");
    assert!(matches!(world.guard.judge(&mut inside, world.now()), Step::Continue));
    world.guard.settle(inside.attempt.as_mut().unwrap(), true, Some(Told::Passed), world.now());
    assert_eq!(world.guard.approach(&ask(HERE, None), world.now()), None);
}

#[test]
fn a_banned_address_gets_no_page_that_would_not_help() {
    let mut world = world(|_, _| ());
    world.suspect(10);
    for number in 0..20 {
        world.attempt(form(HERE, None, &format!("x{number}")));
    }
    assert_eq!(world.attempt(form(HERE, None, "ann")), "login_banned");
    world.now_ms += 400_000;
    assert_eq!(world.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), world.now()), None);
}

#[test]
fn who_is_a_person() {
    let says = |fields: &[(&str, &str)]| is_person(&request(Method::Post, HERE, fields, ""));
    let with = |change: (&'static str, &'static str)| {
        let mut fields: Vec<(&str, &str)> = BROWSER.into_iter().filter(|(name, _)| *name != change.0).collect();
        fields.push(change);
        says(&fields)
    };
    assert!(says(&BROWSER) && says(&BROWSER[..2]), "an old browser says less");
    for change in [
        ("accept", "*/*"),
        ("accept", "application/json"),
        ("accept", "application/json, text/html"),
        ("x-requested-with", "XMLHttpRequest"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "empty"),
    ] {
        assert!(!with(change), "{change:?}");
    }
    assert!(!with(("sec-fetch-site", "cross-site")), "without cookies there is no proof");
    let mut from_a_link = BROWSER.to_vec();
    from_a_link.push(("sec-fetch-site", "cross-site"));
    assert!(with(("sec-fetch-site", "same-site")) && is_person(&request(Method::Get, HERE, &from_a_link, "")));
    assert!(!says(&[]));
    for method in [Method::Put, Method::Head, Method::Delete] {
        assert!(!is_person(&request(method, HERE, &BROWSER, "")));
    }
}
