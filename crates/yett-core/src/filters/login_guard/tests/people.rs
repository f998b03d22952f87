//! Who did nothing of it still gets in.

use proptest::prelude::*;

use super::{Became, SECOND, exchange, world};
use crate::exchange::{Framing, Need, Step};
use crate::filters::login_guard::{Told, WAITING};
use crate::reason::Reason;

#[test]
fn nobody_is_locked_out_by_strangers() {
    let mut world = world(|_| ());
    assert_eq!(world.login("203.0.113.5", "ann"), Became::Asked);
    for n in 0..400 {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        world.attempt(&address, &format!("bot {n}"), "ann", &format!("p{n}"), false);
    }
    assert_eq!(world.login("203.0.113.5", "ann"), Became::Asked, "from where she has got in before");
    assert_eq!(world.login("203.0.113.99", "ann"), Became::Slowed, "from elsewhere she waits, and gets in");
    assert_eq!(world.login("203.0.113.99", "ann"), Became::Asked, "and is known there from then on");
    assert_eq!(world.login("203.0.113.7", "bob"), Became::Slowed, "the route fails more often than usual");
}

#[test]
fn who_has_got_in_from_a_banned_address_still_does() {
    let mut world = world(|_| ());
    world.login("192.0.2.1", "ann");
    for n in 0..60 {
        world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false);
    }
    assert_eq!(world.attempt("192.0.2.1", "browser", "stranger", "p", true), Became::Refused(Reason::LoginBanned));
    assert_eq!(world.login("192.0.2.1", "ann"), Became::Asked);
    // She may mistype; guessing at her account from there ends.
    let answers: Vec<Became> = (0..20).map(|n| world.attempt("192.0.2.1", "bot", "ann", &format!("q{n}"), false)).collect();
    assert!(answers[..4].iter().all(|one| *one == Became::Asked), "{answers:?}");
    assert_eq!(answers[19], Became::Refused(Reason::LoginLimited), "and does not become a ban");
}

#[test]
fn what_a_service_cannot_answer_is_nobodys_fault() {
    let world = world(|_| ());
    for n in 0..200 {
        let mut one = exchange("192.0.2.1", "browser", &format!("user=u{n}&password=p"));
        assert_eq!(world.begin(&mut one), Became::Asked, "{n}");
        let attempt = one.attempt.as_mut().unwrap();
        match n % 2 {
            0 => world.guard.settle(attempt, true, Some(Told::Broken), world.now()),
            _ => world.guard.settle(attempt, false, None, world.now()),
        }
    }
    for n in 0..30 {
        let mut one = exchange("192.0.2.1", "browser", &format!("user=u{n}&password=p"));
        world.begin(&mut one);
        // The client left, and the service may have tried it.
        if let Some(attempt) = one.attempt.as_mut() {
            world.guard.settle(attempt, true, None, world.now());
        }
    }
    let mut one = exchange("192.0.2.1", "browser", "user=x&password=p");
    assert!(matches!(world.begin(&mut one), Became::Refused(_)));
}

#[test]
fn in_shadow_all_is_reported_and_nothing_refused() {
    let mut world = world(|spec| spec.shadow = true);
    for n in 0..40 {
        assert_eq!(world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false), Became::Asked);
    }
    assert!(world.shared.logins.bans.all(world.now_ms).is_empty());
    let mut one = exchange("192.0.2.1", "bot", "user=x&password=p");
    world.begin(&mut one);
    assert_eq!(one.shadow[0].outcome.reason(), Some(Reason::LoginBanned));
    let mut odd = exchange("192.0.2.9", "bot", "nobody=x");
    assert_eq!(world.begin(&mut odd), Became::Asked);
    assert_eq!(odd.shadow[0].outcome.reason(), Some(Reason::LoginUnreadable));
}

#[test]
fn places_to_wait_are_bounded_and_given_back() {
    let world = world(|spec| spec.thresholds.failures = 1_000_000);
    let mut open = Vec::new();
    for n in 0..WAITING + 50 {
        // Eleven accounts each: six pass at once, five wait.
        for user in 0..6 {
            let mut one = exchange(
                &format!("10.{}.{}.1", n / 250, n % 250),
                &format!("bot {n}"),
                &format!("user={n}.{user}&password={n}.{user}"),
            );
            let _ = world.guard.judge(&mut one, world.now());
            one.attempt = None;
        }
        let mut one =
            exchange(&format!("10.{}.{}.1", n / 250, n % 250), &format!("bot {n}"), &format!("user={n}.x&password={n}.x"));
        let step = world.guard.judge(&mut one, world.now());
        if n < WAITING {
            assert!(matches!(step, Step::Need(Need::Pause { .. })), "{n}: {step:?}");
        } else {
            assert!(matches!(step, Step::Refuse(_)), "{n}: {step:?}");
        }
        open.push(one);
    }
    assert_eq!(world.shared.logins.waiting(), WAITING);
    drop(open);
    assert_eq!(world.shared.logins.waiting(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// People behind one address, some of whom mistype and some of whom never get in, while somebody there stuffs credentials.
    #[test]
    fn people_who_share_an_address_pass_while_stuffing_from_it_is_stopped(
        people in 5_usize..120,
        per_person in 1_usize..25,
        mistypes in 2_usize..9,
        seed in any::<u64>(),
    ) {
        let mut world = world(|_| ());
        for person in 0..people {
            let user = format!("person{person}");
            if person % mistypes == 0 {
                let mistyped = format!("{user} mistyped");
                let became = world.attempt("192.0.2.1", "browser", &user, &mistyped, false);
                prop_assert!(!matches!(became, Became::Refused(_)), "mistyped: {became:?}");
            }
            let became = world.login("192.0.2.1", &user);
            prop_assert!(!matches!(became, Became::Refused(_)), "before the attack {user}: {became:?}");
        }
        let (mut asked, mut tried) = (0, 0);
        for round in 0..people {
            for n in 0..per_person {
                tried += 1;
                let user = format!("victim{seed}.{round}.{n}");
                let became = world.attempt("192.0.2.1", "bot", &user, &format!("{user} leaked"), false);
                asked += usize::from(!matches!(became, Became::Refused(_)));
            }
            let person = (round * 7 + 3) % people;
            prop_assert_eq!(world.login("192.0.2.1", &format!("person{person}")), Became::Asked, "person{}", person);
        }
        // What others got in with is what hides the attack, and nothing else: a few accounts for each who did.
        prop_assert!(asked <= 20 + people, "{asked} of {tried} were tried with {people} people around");
        if tried > 4 * (20 + people) {
            prop_assert!(!world.shared.logins.bans.all(world.now_ms).is_empty());
        }
    }
}

#[test]
fn strangers_in_the_waiting_room_keep_nobody_out() {
    let mut world = world(|_| ());
    for n in 0..15 {
        world.attempt(&format!("10.1.{n}.1"), "browser", "victim", &format!("p{n}"), false);
    }
    let taken: Vec<_> = std::iter::from_fn(|| world.shared.logins.wait()).collect();
    assert_eq!(taken.len(), WAITING);
    let became = world.login("192.0.2.7", "victim");
    assert_eq!(became, Became::Asked, "it would have waited, and there is no place");
    for n in 0..6 {
        world.attempt("192.0.2.8", "bot", &format!("u{n}"), &format!("q{n}"), false);
    }
    assert_eq!(world.attempt("192.0.2.8", "bot", "u9", "q9", false), Became::Refused(Reason::LoginLimited));
    drop(taken);
}

#[test]
fn a_kind_of_client_that_got_in_is_slowed_at_most() {
    let mut world = world(|_| ());
    assert_eq!(world.login("192.0.2.1", "ann"), Became::Asked);
    world.now_ms += 24 * 3600 * SECOND;
    for n in 0..60 {
        world.attempt(&format!("10.2.{n}.1"), "browser", &format!("u{n}"), &format!("p{n}"), false);
    }
    assert_eq!(world.login("192.0.2.2", "bob"), Became::Slowed);
}

#[test]
fn what_is_tried_out_refuses_no_body() {
    let world = world(|spec| spec.shadow = true);
    for framing in [Framing::Length(70 * 1024), Framing::Chunked] {
        let mut long = exchange("192.0.2.1", "bot", "user=x&password=p");
        (long.body, long.request.framing) = (None, framing);
        assert_eq!(world.begin(&mut long), Became::Asked);
        assert_eq!(long.shadow[0].outcome.reason(), Some(Reason::LoginUnreadable));
    }
}
