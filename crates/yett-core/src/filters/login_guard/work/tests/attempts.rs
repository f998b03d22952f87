//! What a proof is good for at the attempt that it came for, and what it is not.

use super::{BROWSER, HERE, build, form, request, world};
use crate::body::Body;
use crate::exchange::{Method, Need, Step};
use crate::filters::login_guard::Told;
use crate::filters::login_guard::proofs::{CHALLENGES, OF_ADDRESS};
use crate::ir;
use crate::reason::Reason;

#[test]
fn a_browser_calculates_and_then_tries_so_many_times() {
    let mut world = world(|_, _| ());
    assert_eq!(world.attempt(form(HERE, None, "zoe")), "passed", "nobody is suspected yet");
    world.suspect(4);
    assert_eq!(world.attempt(form(HERE, None, "ann")), "login_challenge");
    let program = || request(Method::Post, HERE, &[("user-agent", "program")], "user=ann&password=x");
    assert_eq!(world.attempt(program()), "slowed", "programs wait as ever");
    let proof = world.proof();
    for _ in 0..3 {
        assert_eq!(world.attempt(form(HERE, Some(&proof), "ann")), "proved");
    }
    assert_eq!(world.attempt(form(HERE, Some(&proof), "ann")), "login_challenge", "the proof is spent");
    let second = world.proof();
    world.now_ms += 59_000;
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "proved");
    world.now_ms += 1_000;
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "login_challenge", "the proof has ended");
    assert_eq!(world.shared.logins.proofs.solved.get(), 2);
}

#[test]
fn a_proof_stands_in_for_a_refusal_and_lifts_no_ban() {
    let mut world = world(|_, work| work.attempts = 100);
    world.suspect(10);
    let proof = world.proof();
    let answers: Vec<&str> = (0..12).map(|number| world.attempt(form(HERE, Some(&proof), &format!("x{number}")))).collect();
    assert_eq!(answers.iter().filter(|one| **one == "proved").count(), 7, "{answers:?}");
    assert!(
        answers[..7].iter().all(|one| *one == "proved") && answers[7..].iter().all(|one| *one == "login_banned"),
        "{answers:?}"
    );
}

#[test]
fn without_bans_a_proof_ends_where_a_ban_would_begin() {
    let mut world = world(|guard, work| {
        work.attempts = 100;
        guard.ban_ms = 0;
    });
    world.suspect(10);
    let proof = world.proof();
    let answers: Vec<&str> = (0..12).map(|number| world.attempt(form(HERE, Some(&proof), &format!("x{number}")))).collect();
    assert!(
        answers[..7].iter().all(|one| *one == "proved") && answers[7..].iter().all(|one| *one == "login_limited"),
        "{answers:?}"
    );
}

#[test]
fn a_proof_lifts_neither_guesses_at_one_account_nor_a_sprayed_password() {
    let mut world = world(|_, work| work.attempts = 100);
    let proof = world.proof();
    let answers: Vec<&str> = (0..14).map(|_| world.attempt(form(HERE, Some(&proof), "ann"))).collect();
    assert_eq!(answers.iter().filter(|one| **one == "login_limited").count(), 4, "{answers:?}");
    assert_eq!(&answers[10..], ["login_limited"; 4]);
    for number in 0..12 {
        let address = format!("198.51.100.{number}");
        let body = format!("user=s{number}&password=Winter2026");
        let mut exchange = request(Method::Post, &address, &[("user-agent", "bot")], &body);
        let _ = world.guard.judge(&mut exchange, world.now());
        world.guard.settle(exchange.attempt.as_mut().unwrap(), true, Some(Told::Failed), world.now());
    }
    let mut sprayed = form("203.0.113.1", None, "bob");
    sprayed.body = Some(Ok(Body::Given(b"user=bob&password=Winter2026".as_slice().into())));
    assert_eq!(world.attempt(sprayed), "login_limited", "a page that would not help is not shown");
}

#[test]
fn over_plain_http_and_in_shadow_nobody_calculates() {
    let mut world = world(|_, _| ());
    world.suspect(5);
    let mut plain = form(HERE, None, "ann");
    plain.https = false;
    assert_eq!(world.attempt(plain), "slowed");
    let mut shadow = build(ir::LoginGuard { shadow: true, ..world.spec.clone() }, "login", [3; 32], None);
    shadow.suspect(5);
    let mut exchange = form(HERE, None, "ann");
    assert!(matches!(shadow.guard.judge(&mut exchange, shadow.now()), Step::Continue));
    assert_eq!((exchange.attempt.unwrap().answer, exchange.shadow.len()), ("challenged", 1));
    assert_eq!(shadow.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), shadow.now()), None);
}

#[test]
fn others_may_be_refused_where_browsers_calculate() {
    let mut world = world(|_, work| work.refuse_others = true);
    world.suspect(5);
    let script = |cookie: Option<&str>| {
        let mut exchange = form(HERE, cookie, "ann");
        exchange.request.headers.remove(crate::headers::Known::Accept);
        exchange
    };
    let step = world.guard.judge(&mut script(None), world.now());
    let Step::Refuse(refusal) = step else { panic!("{step:?}") };
    // From 30 points to 29 in a window of ten minutes.
    assert_eq!((refusal.reason, refusal.retry_after_s), (Reason::LoginLimited, Some(21)));
    let proof = world.proof();
    assert_eq!(world.attempt(script(Some(&proof))), "proved", "a page's script has the cookie, too");
}

#[test]
fn where_too_many_ask_for_pages_they_wait_as_without() {
    let mut world = world(|_, _| ());
    world.suspect(5);
    let of_address = u64::from(OF_ADDRESS);
    for _ in 0..of_address {
        assert_eq!(world.attempt(form(HERE, None, "ann")), "login_challenge");
    }
    assert_eq!(world.attempt(form(HERE, None, "ann")), "slowed", "its address has had enough for the moment");
    let mut other = build(world.spec.clone(), "login", [3; 32], None);
    other.suspect(5);
    assert_eq!(other.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), other.now()), Some(30));
    other.now_ms = 1_000_000;
    (0..u64::from(CHALLENGES)).for_each(|one| {
        let _ = other.shared.logins.proofs.may_make(one, 1_000_000);
    });
    assert_eq!(
        other.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), other.now()),
        None,
        "the page itself tries nothing"
    );
    let step = other.guard.judge(&mut form(HERE, None, "ann"), other.now());
    assert!(matches!(step, Step::Need(Need::Pause { .. })), "nor is anybody refused for what others ask: {step:?}");
}

#[test]
fn what_is_answered_with_the_page_does_not_count_for_its_address() {
    for refuse in [false, true] {
        let mut world = world(|_, work| work.refuse_others = refuse);
        // Strangers, from many addresses.
        (0..300).for_each(|_| world.guard.trend().count(true, 600_000, 1_000_000));
        let mut answers = Vec::new();
        for number in 0..40 {
            world.now_ms += 5_000;
            let mut exchange = form(HERE, None, &format!("person{number}"));
            if refuse {
                exchange.request.headers.remove(crate::headers::Known::Accept);
            }
            answers.push(world.attempt(exchange));
        }
        let expected = if refuse { "login_limited" } else { "login_challenge" };
        assert!(answers.iter().all(|answer| *answer == expected), "{answers:?}");
        let mut exchange = form(HERE, None, "ann");
        let _ = world.guard.judge(&mut exchange, world.now());
        assert_eq!(exchange.attempt.unwrap().score.own(), 0, "nothing was tried from there");
    }
}
