//! A solution and its cookie: for whom, how often, how long, and after how much work.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{HERE, build, form, request, sent, solved, world};
use crate::exchange::{Exchange, Method};
use crate::filters::login_guard::LoginGuard;
use crate::filters::login_guard::challenge::COOKIE;
use crate::filters::login_guard::proofs::{Entered, PROOFS, Proven};

#[test]
fn a_solution_counts_once_for_whom_it_was_made_and_in_time() {
    let mut world = world(|_, _| ());
    let mut exchange = form(HERE, None, "ann");
    let payload = solved(&world.page(&mut exchange, 30).unwrap());
    let mut elsewhere = form(HERE, None, "ann");
    elsewhere.host = "other.example".to_owned();
    let other_name = request(Method::Post, HERE, &[("user-agent", "Browser/2")], "");
    for other in [form("192.0.2.2", None, "ann"), elsewhere, other_name] {
        assert!(world.prove(&payload, &other).is_none(), "{:?}", other.client);
    }
    let other_route = build(world.spec.clone(), "sign-up", [3; 32], None);
    assert!(other_route.prove(&payload, &exchange).is_none());
    let mut forged = payload.clone();
    forged.solution = solved(&world.page(&mut exchange, 30).unwrap()).solution;
    assert_eq!(world.prove(&forged, &exchange).unwrap(), Err(Some("work".into())));
    // A script sends it, with other fields than a page's.
    let script = request(Method::Post, HERE, &[("user-agent", "Browser/1"), ("accept", "*/*"), ("sec-fetch-mode", "cors")], "");
    let cookie = world.prove(&payload, &script).unwrap().unwrap();
    assert!(cookie.starts_with(COOKIE) && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"), "{cookie}");
    assert_eq!(world.prove(&payload, &exchange).unwrap(), Err(Some("used".into())));
    world.now_ms += 299_000;
    assert_eq!(world.prove(&payload, &exchange).unwrap(), Err(Some("used".into())), "as long as the challenge counts");
    let late = solved(&world.page(&mut exchange, 30).unwrap());
    world.now_ms += 301_000;
    assert_eq!(world.prove(&late, &exchange).unwrap(), Err(Some("expired".into())));
}

#[test]
fn an_ipv6_network_is_one_client() {
    let mut world = world(|_, _| ());
    let payload = solved(&world.page(&mut form("2001:db8::1", None, "ann"), 30).unwrap());
    assert!(world.prove(&payload, &form("2001:db8:0:1::1", None, "ann")).is_none());
    assert!(world.prove(&payload, &form("2001:db8::2", None, "ann")).unwrap().is_ok());
}

#[test]
fn a_cookie_cannot_be_changed_nor_taken_elsewhere() {
    let mut world = world(|_, _| ());
    world.suspect(5);
    let proof = world.proof();
    let value = proof.split_once('=').unwrap().1;
    let bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
    for at in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let forged = format!("{COOKIE}={}", URL_SAFE_NO_PAD.encode(&forged));
        assert!(!world.guard.challenge.as_ref().unwrap().is_met(
            &form(HERE, Some(&forged), "ann"),
            true,
            &world.shared.logins.proofs,
            world.now()
        ));
    }
    for other in ["", "x", value.get(..40).unwrap(), &format!("{value}AA"), &format!("{value}=")] {
        let mut exchange = form(HERE, None, "ann");
        exchange.request.headers.push(b"cookie", format!("{COOKIE}={other}").as_bytes()).unwrap();
        assert_eq!(world.attempt(exchange), "login_challenge", "{other}");
        world.shared.logins.forget();
        world.suspect(5);
    }
    let proof = world.proof();
    let meets = |exchange: &Exchange| {
        world.guard.challenge.as_ref().unwrap().is_met(exchange, false, &world.shared.logins.proofs, world.now())
    };
    assert!(meets(&form(HERE, Some(&proof), "ann")));
    assert!(!meets(&form("192.0.2.2", Some(&proof), "ann")));
    let mut elsewhere = form(HERE, Some(&proof), "ann");
    elsewhere.host = "other.example".to_owned();
    assert!(!meets(&elsewhere));
    let two = format!("{proof}; {COOKIE}=other");
    assert!(!meets(&form(HERE, Some(&two), "ann")), "two that differ are none");
}

#[test]
fn where_the_table_is_full_no_new_proof_counts() {
    let mut world = world(|_, _| ());
    for number in 0..PROOFS {
        let nonce = (number as u128 + 1_000).to_be_bytes();
        let one = Proven { nonce, address: number as u64, until_ms: u64::MAX, ends_ms: u64::MAX };
        assert_eq!(world.shared.logins.proofs.enter(&one, world.now_ms), Entered::New);
    }
    let mut exchange = form(HERE, None, "ann");
    let payload = solved(&world.page(&mut exchange, 30).unwrap());
    assert_eq!(world.prove(&payload, &exchange).unwrap(), Err(Some("full".into())));
    world.suspect(5);
    assert_eq!(world.attempt(form(HERE, None, "ann")), "slowed", "nobody is asked for what would not count");
}

#[test]
fn what_a_reload_tightens_holds_for_proofs_that_are_out() {
    let mut world = world(|_, work| (work.attempts, work.holds_ms) = (100, 86_400_000));
    world.suspect(5);
    let (first, second) = (world.proof(), world.proof());
    for _ in 0..2 {
        assert_eq!(world.attempt(form(HERE, Some(&first), "ann")), "proved");
    }
    let mut spec = world.spec.clone();
    spec.challenge.iter_mut().for_each(|work| (work.attempts, work.holds_ms) = (3, 10_000));
    world.guard = LoginGuard::build(&spec, "login", None, &world.shared).unwrap();
    assert_eq!(world.attempt(form(HERE, Some(&first), "ann")), "proved");
    assert_eq!(world.attempt(form(HERE, Some(&first), "ann")), "login_challenge", "three attempts in all");
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "proved");
    world.now_ms += 10_000;
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "login_challenge", "ten seconds in all");
}

#[test]
fn the_work_is_any_of_the_tries() {
    let mut world = world(|_, work| work.difficulty = 40);
    let tries: Vec<u32> =
        (0..24).map(|_| solved(&world.page(&mut form(HERE, None, "ann"), 30).unwrap()).solution.counter).collect();
    assert!(tries.iter().any(|one| *one <= 12) && tries.iter().any(|one| *one > 28), "{tries:?}");
    assert!(tries.iter().all(|one| (1..=40).contains(one)), "{tries:?}");
}

#[test]
fn work_doubles_with_the_score() {
    let mut world = world(|_, work| work.difficulty = 100);
    let mut most = |score| {
        let refusal = world.page(&mut form(HERE, None, "ann"), score).unwrap();
        let page = String::from_utf8(refusal.page.unwrap().body.to_vec()).unwrap();
        page.split_once("data-most=\"").unwrap().1.split_once('"').unwrap().0.parse::<u32>().unwrap()
    };
    assert_eq!([30, 49, 50, 70, 90, 110, 200].map(&mut most), [100, 100, 200, 400, 800, 800, 800]);
}

#[test]
fn instances_with_one_secret_take_each_others_proofs() {
    let mut world = world(|_, _| ());
    let spec = world.spec.clone();
    world = build(spec.clone(), "login", [1; 32], Some(b"a secret of both"));
    let mut other = build(spec.clone(), "login", [2; 32], Some(b"a secret of both"));
    let payload = solved(&world.page(&mut form(HERE, None, "ann"), 30).unwrap());
    let proof = sent(&other.prove(&payload, &form(HERE, None, "ann")).unwrap().unwrap());
    world.suspect(5);
    other.suspect(5);
    assert_eq!(
        (world.attempt(form(HERE, Some(&proof), "ann")), other.attempt(form(HERE, Some(&proof), "ann"))),
        ("proved", "proved")
    );
    let stranger = build(spec, "login", [1; 32], None);
    assert!(stranger.prove(&payload, &form(HERE, None, "ann")).is_none());
}
