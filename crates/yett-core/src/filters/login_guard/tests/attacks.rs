//! Stuffing, guessing and spraying: what is slowed, limited and banned.

use super::{Became, SECOND, exchange, world};
use crate::exchange::Exchange;
use crate::filters::login_guard::Told;
use crate::geo::{Fact, Located};
use crate::ir;
use crate::reason::Reason;

#[test]
fn stuffing_from_one_address_is_slowed_limited_and_banned() {
    let mut world = world(|_| ());
    let answers: Vec<Became> =
        (0..40).map(|n| world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false)).collect();
    let first = |wanted: Became| answers.iter().position(|one| *one == wanted).unwrap();
    let (slowed, limited) = (first(Became::Slowed), first(Became::Refused(Reason::LoginLimited)));
    let banned = first(Became::Refused(Reason::LoginBanned));
    assert_eq!((slowed, limited), (5, 10), "{answers:?}");
    assert!((17..20).contains(&banned) && answers[banned..].iter().all(|one| *one == answers[banned]), "{answers:?}");
    let bans = world.shared.logins.bans.all(world.now_ms);
    assert_eq!((bans.len(), bans[0].refused, bans[0].address.to_string()), (1, 40 - banned as u64, "192.0.2.1".to_owned()));
    assert!(bans[0].why.starts_with("accounts 10"), "{}", bans[0].why);
    assert_eq!(world.login("192.0.2.2", "ann"), Became::Asked, "another address is not concerned");
    world.now_ms += 900 * SECOND;
    assert_ne!(world.attempt("192.0.2.1", "browser", "ann", "p", true), Became::Refused(Reason::LoginBanned), "it has an end");
}

#[test]
fn many_at_once_are_no_way_around() {
    let world = world(|_| ());
    let mut open: Vec<Exchange> = (0..60).map(|n| exchange("192.0.2.1", "bot", &format!("user=u{n}&password=p{n}"))).collect();
    let answers: Vec<Became> = open.iter_mut().map(|one| world.begin(one)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert_eq!(asked, 10);
}

#[test]
fn passwords_of_one_account_are_guessed_from_one_address() {
    let mut world = world(|_| ());
    let answers: Vec<Became> = (0..15).map(|n| world.attempt("192.0.2.1", "bot", "Ann", &format!("p{n}"), false)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert_eq!(asked, 10, "{answers:?}");
    // Neither blanks nor capitals make it another account.
    assert_eq!(world.attempt("192.0.2.1", "bot", "+aNN+", "p", false), Became::Refused(Reason::LoginLimited));
}

#[test]
fn a_login_of_ones_own_in_between_takes_nothing_back() {
    let mut world = world(|_| ());
    let mut asked = 0;
    for n in 0..60 {
        asked += usize::from(!matches!(
            world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false),
            Became::Refused(_)
        ));
        world.attempt("192.0.2.1", "bot", "mallory", "mine", true);
    }
    assert!(asked < 15, "{asked} got through");
}

#[test]
fn attempts_of_ones_own_that_are_broken_off_take_nothing_of_others_back() {
    let mut world = world(|_| ());
    for n in 0..8 {
        world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false);
    }
    // Many under way for an account of his own; one succeeds, and the others are left before the service is asked.
    let mut open: Vec<Exchange> = (0..8).map(|_| exchange("192.0.2.1", "bot", "user=mallory&password=mine")).collect();
    for one in &mut open {
        world.begin(one);
    }
    for (n, one) in open.iter_mut().enumerate() {
        if let Some(attempt) = &mut one.attempt {
            world.guard.settle(attempt, n == 0, (n == 0).then_some(Told::Passed), world.now());
        }
    }
    let answers: Vec<Became> =
        (0..12).map(|n| world.attempt("192.0.2.1", "bot", &format!("v{n}"), &format!("q{n}"), false)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert!(asked <= 4, "{answers:?}");
}

#[test]
fn one_password_over_many_accounts_from_many_addresses() {
    let mut world = world(|spec| spec.thresholds.per_fingerprint = 1_000_000);
    let answers: Vec<Became> = (0..60)
        .map(|n| world.attempt(&format!("10.0.0.{n}"), &format!("bot {n}"), &format!("u{n}"), "Winter2026", false))
        .collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert!(asked < 20, "{answers:?}");
    assert_eq!(world.attempt("10.0.1.1", "bot x", "someone", "another one", false), Became::Asked);
}

#[test]
fn a_kind_of_client_that_only_fails() {
    let mut world = world(|_| ());
    let answers: Vec<Became> =
        (0..200).map(|n| world.attempt(&format!("10.0.0.{n}"), "python", &format!("u{n}"), &format!("p{n}"), false)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert!(asked < 60, "{asked}");
    assert_ne!(world.login("10.0.1.1", "ann"), Became::Refused(Reason::LoginLimited), "others are not refused for it");
}

#[test]
fn sign_ups_count_whether_they_succeed_or_not() {
    let mut world = world(|spec| {
        spec.kind = ir::LoginKind::SignUp;
        spec.password = None;
    });
    let made = (0..40).filter(|n| !matches!(world.login("192.0.2.1", &format!("n{n}")), Became::Refused(_))).count();
    assert_eq!(made, 10);
    assert_eq!(world.login("192.0.2.2", "somebody"), Became::Asked);
}

#[test]
fn spellings_of_one_account_that_get_in_hide_one_failure() {
    // As MySQL has it, an accent makes no other account; U+1FBF0 and the digits after it are those of ASCII (NFKC).
    let (e, digit) = (["e", "%C3%A9", "%C3%A8", "%C3%AA"], |n: usize| format!("%F0%9F%AF%B{}", n % 10));
    let accents = |n: usize| [n / 16, n / 4, n].map(|n| e.get(n % 4).unwrap().to_string()).concat();
    let spellings: [&dyn Fn(usize) -> String; 3] =
        [&|n| format!("m.e%2b{n}@mail.example"), &accents, &|n| [n / 10, n].map(digit).concat()];
    for spelling in spellings {
        let mut world = world(|_| ());
        for n in 0..60 {
            let became = world.attempt("192.0.2.1", "browser", &spelling(n), "own", true);
            assert!(!matches!(became, Became::Refused(_)), "{n}");
        }
        let asked = (0..60).filter(|n| {
            !matches!(world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false), Became::Refused(_))
        });
        let asked = asked.count();
        assert!(asked <= 12, "{asked} {}", spelling(1));
    }
}

#[test]
fn a_system_from_which_many_fail_is_slowed_and_others_are_not() {
    let mut world = world(|spec| spec.thresholds.per_account = 1_000);
    let mut attempt = |address: String, user: String, asn: u32, right: bool| {
        world.now_ms += 50;
        let mut one = exchange(&address, &format!("program of {user}"), &format!("user={user}&password={user}"));
        one.geo = Some(Located { asn: Fact::Known(asn), ..Located::default() });
        let became = world.begin(&mut one);
        let told = if right { Told::Passed } else { Told::Failed };
        world.guard.settle(one.attempt.as_mut().unwrap(), true, Some(told), world.now());
        (became, one.attempt.unwrap().score.text())
    };
    for n in 0..24 {
        attempt(format!("10.9.{n}.1"), format!("u{n}"), 64500, false);
    }
    // Hardly anything is known yet, and the route does not fail more often than usual.
    let (became, why) = attempt("10.10.1.1".to_owned(), "a".to_owned(), 64500, true);
    assert!(became == Became::Asked && why.starts_with("asn 1"), "{why}");
    for n in 0..4 {
        attempt(format!("10.11.{n}.1"), format!("good{n}"), 64501, true);
    }
    let (_, elsewhere) = attempt("10.12.1.1".to_owned(), "b".to_owned(), 64502, true);
    assert!(!elsewhere.contains("asn"), "{elsewhere}");
    for n in 0..60 {
        attempt(format!("10.13.{n}.1"), format!("v{n}"), 64500, false);
    }
    let (became, why) = attempt("10.14.1.1".to_owned(), "c".to_owned(), 64500, true);
    assert!(became == Became::Slowed && why.contains("asn 30"), "{why}");
    let (_, elsewhere) = attempt("10.15.1.1".to_owned(), "d".to_owned(), 64502, true);
    assert!(!elsewhere.contains("asn"), "{elsewhere}");
}
