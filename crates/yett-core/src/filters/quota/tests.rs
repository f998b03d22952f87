//! Quotas of a route, the book, and use on disk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::book::Book;
use super::disk::{Disk, Watch};
use super::entry::{Names, Place};
use super::period::{Periods, Span};
use super::{Quotas, desk};
use crate::exchange::{ConnectionInfo, Exchange, Now, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::{Readable, RouteFacts};
use crate::filters::rate_limit::{Classes, Reports, Sharing};
use crate::ir;
use crate::principal::{AuthenticationMethod, Principal};
use crate::reason::Reason;
use crate::shared::Shared;

const NOBODY: Classes = Classes { maybe_in: 0, maybe_out: u64::MAX };
const DAY_S: u64 = 86_400;

fn spec(name: &str, amount: u64, period: ir::Period) -> ir::Quota {
    ir::Quota {
        name: name.into(),
        scope: "route:a".into(),
        amount,
        period,
        zone: "UTC".into(),
        key: ir::LimitKey::Partner,
        cost: None,
        class: None,
        except: vec![],
        warn: vec![],
        idempotency: None,
        shared: false,
        state_loss: ir::QuotaLoss::Refuse,
    }
}

fn build(book: &Arc<Book>, specs: &[ir::Quota]) -> Quotas {
    Quotas::build(specs, &[], book, &Arc::new(Sharing::new(1000)), Some(&Readable::default())).unwrap()
}

fn partner(name: &str) -> Principal {
    Principal { partner: Some(name.into()), ..Principal::blank("partners".into(), AuthenticationMethod::ApiKey) }
}

fn at(unix_s: u64) -> Now {
    Now { monotonic_ns: 1, unix_ms: unix_s * 1000 }
}

fn ask_at(quotas: &Quotas, who: &str, classes: Classes, now: Now) -> (Result<(), Refusal>, Reports) {
    let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let connection =
        ConnectionInfo { peer, listener: "local".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let exchange = Exchange::new(Rc::new(connection));
    let principal = partner(who);
    let route = RouteFacts::default();
    let ask = Ask { principal: &principal, exchange: &exchange, route: &route, now };
    let mut reports = Reports::new();
    let result =
        quotas.look(&exchange, Some(&ask), || classes, true, now, &mut reports).and_then(|c| c.take(false, now, &mut reports));
    (result, reports)
}

fn passes(quotas: &Quotas, who: &str, now: Now) -> bool {
    ask_at(quotas, who, NOBODY, now).0.is_ok()
}

fn place(names: &Names, id: u128) -> Place<'_> {
    Place { id, others: 7 << 64, names, kept: true }
}

fn names() -> Names {
    Names { scope: "route:a".into(), name: "q".into() }
}

#[test]
fn exactly_the_amount_passes_and_the_next_period_begins_anew() {
    let quotas = build(&Arc::default(), &[spec("daily", 3, ir::Period::Day)]);
    let now = at(20 * DAY_S + 10);
    for left in (0..3).rev() {
        let (result, reports) = ask_at(&quotas, "acme", NOBODY, now);
        assert!(result.is_ok());
        assert_eq!((&*reports[0].policy, reports[0].remaining), ("\"daily\";q=3;w=86400", left));
        assert_eq!(reports[0].reset_s, DAY_S - 10);
    }
    let (result, reports) = ask_at(&quotas, "acme", NOBODY, now);
    let refusal = result.unwrap_err();
    assert_eq!((refusal.reason, refusal.rule.as_deref()), (Reason::QuotaExceeded, Some("daily")));
    assert_eq!((refusal.retry_after_s, reports[0].remaining), (Some(86_390), 0));
    assert!(passes(&quotas, "globex", now));
    assert!(!passes(&quotas, "acme", at(21 * DAY_S - 1)));
    assert!(passes(&quotas, "acme", at(21 * DAY_S)));
}

#[test]
fn all_of_a_route_have_room_or_none_is_charged() {
    let book = Arc::default();
    let quotas = build(&book, &[spec("hourly", 2, ir::Period::Hour), spec("daily", 3, ir::Period::Day)]);
    let now = at(20 * DAY_S);
    assert_eq!((0..5).filter(|_| passes(&quotas, "acme", now)).count(), 2);
    let next = at(20 * DAY_S + 3600);
    assert_eq!((0..5).filter(|_| passes(&quotas, "acme", next)).count(), 1, "the day has one left");
    let (result, reports) = ask_at(&quotas, "acme", NOBODY, next);
    assert_eq!(result.unwrap_err().rule.as_deref(), Some("daily"));
    assert_eq!(reports.iter().map(|one| one.remaining).collect::<Vec<_>>(), [1, 0], "the hour was not charged");
}

#[test]
fn a_class_has_an_amount_of_its_own() {
    let book = Arc::default();
    let class = ir::AuthorizeRule { source: "batch".into(), ..ir::AuthorizeRule::default() };
    let batch = ir::Quota { class: Some("batch".into()), ..spec("q.batch", 1, ir::Period::Day) };
    let others = ir::Quota { except: vec!["batch".into()], ..spec("q", 2, ir::Period::Day) };
    let quotas =
        Quotas::build(&[others, batch], &[class], &book, &Arc::new(Sharing::new(1000)), Some(&Readable::default())).unwrap();
    let inside = Classes { maybe_in: 1, maybe_out: 0 };
    let unclear = Classes { maybe_in: 1, maybe_out: 1 };
    let now = at(20 * DAY_S);
    assert!(ask_at(&quotas, "acme", inside, now).0.is_ok());
    assert!(ask_at(&quotas, "acme", inside, now).0.is_err());
    assert!(ask_at(&quotas, "acme", unclear, now).0.is_err(), "where it is not clear both count");
    assert_eq!((0..5).filter(|_| passes(&quotas, "acme", now)).count(), 2);
}

#[test]
fn thresholds_are_told_once_each_period() {
    let book = Arc::<Book>::default();
    let quotas = build(&book, &[ir::Quota { warn: vec![50, 100], ..spec("q", 4, ir::Period::Day) }]);
    for _ in 0..9 {
        let _ = ask_at(&quotas, "acme", NOBODY, at(20 * DAY_S));
    }
    let told = |book: &Book| book.warnings().iter().map(|one| (one.percent, one.used.0)).collect::<Vec<_>>();
    assert_eq!(told(&book), [(50, 2), (100, 4)]);
    for _ in 0..2 {
        assert!(passes(&quotas, "acme", at(21 * DAY_S)));
    }
    assert_eq!(told(&book), [(50, 2)]);
    assert_eq!(book.warned().iter().map(|(_, percent, count)| (*percent, *count)).collect::<Vec<_>>(), [(50, 2), (100, 1)]);
}

#[test]
fn a_changed_amount_counts_at_once_and_use_is_kept() {
    let book = Arc::default();
    let now = at(20 * DAY_S);
    let before = build(&book, &[spec("q", 5, ir::Period::Day)]);
    assert_eq!((0..3).filter(|_| passes(&before, "acme", now)).count(), 3);
    assert!(!passes(&build(&book, &[spec("q", 3, ir::Period::Day)]), "acme", now));
    let more = build(&book, &[spec("q", 4, ir::Period::Day)]);
    assert_eq!((0..3).filter(|_| passes(&more, "acme", now)).count(), 1);
    let month = build(&book, &[spec("q", 4, ir::Period::Month)]);
    assert!(passes(&month, "acme", now), "another period is another quota");
    assert!(!passes(&more, "acme", now), "and does not begin this one anew");
}

#[test]
fn a_clock_that_goes_back_gives_nothing_again() {
    let quotas = build(&Arc::default(), &[spec("q", 2, ir::Period::Day)]);
    assert!(passes(&quotas, "acme", at(30 * DAY_S)) && passes(&quotas, "acme", at(30 * DAY_S)));
    assert!(!passes(&quotas, "acme", at(30 * DAY_S - 1)), "just before midnight again");
    assert!(!passes(&quotas, "acme", at(30 * DAY_S)), "and after it: the second of midnight comes once");
    assert!(!passes(&quotas, "acme", at(20 * DAY_S)), "ten days back");
    assert!(passes(&quotas, "acme", at(21 * DAY_S)), "and then it goes on from there");
}

#[test]
fn a_full_table_lets_nobody_through_early() {
    let book = Book::default();
    book.set_keys(2);
    let (names, span) = (names(), Span { start_s: 0, end_s: 100 });
    let charge = |id| book.charge(&place(&names, id), span, 1, 1, || ("partner".into(), "x".into())).is_ok();
    assert!(charge(1) && charge(2) && charge(3), "the third has the shared entry");
    assert!(!charge(1) && !charge(2) && !charge(3) && !charge(4), "the fourth shares it");
    book.set_keys(100);
    assert!(!charge(3) && !charge(4), "and a place that comes free in this period is no new quota");
    assert_eq!((book.size().0, book.overflowed.get()), (2, 5));
    let next = Span { start_s: 100, end_s: 200 };
    assert!(book.charge(&place(&names, 4), next, 1, 1, || ("partner".into(), "x".into())).is_ok());
    assert_eq!(book.size().0, 3);
}

#[test]
fn keys_of_one_quota_do_not_take_the_places_of_another() {
    let book = Book::default();
    let span = Span { start_s: 0, end_s: 100 };
    let (crowd, partners) = (names(), Names { scope: "route:b".into(), name: "q".into() });
    let two = [spec("q", 1, ir::Period::Day), ir::Quota { scope: "route:b".into(), ..spec("q", 1, ir::Period::Day) }];
    book.know(&two);
    book.set_keys(100);
    let who = || ("header".into(), "x".into());
    for id in 0..1000 {
        let _ = book.charge(&Place { id, others: 7 << 64, names: &crowd, kept: true }, span, 1, 1, who);
    }
    assert_eq!(book.size().0, 50);
    for id in 2000..2050 {
        assert!(book.charge(&Place { id, others: 8 << 64, names: &partners, kept: true }, span, 1, 1, who).is_ok(), "{id}");
    }
    assert_eq!(book.size().0, 100);
    book.sweep(100);
    assert_eq!(book.size().0, 0);
    assert!(
        book.charge(&Place { id: 1, others: 7 << 64, names: &crowd, kept: true }, Span { start_s: 100, end_s: 200 }, 1, 1, who)
            .is_ok()
    );
}

#[test]
fn parallel_requests_get_exactly_the_amount() {
    let book = Book::default();
    let (names, span) = (names(), Span { start_s: 0, end_s: 100 });
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (book, names) = (&book, &names);
                let one = move || book.charge(&place(names, 1), span, 1, 777, || ("partner".into(), "x".into())).is_ok();
                scope.spawn(move || (0..1000).filter(|_| one()).count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 777);
}

/// A directory of this test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("yett-quota-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process with this directory.
struct Process {
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

impl Process {
    fn new(directory: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shared = Arc::new(Shared::new(runtime.handle().clone(), [1; 32]));
        let disk = shared.quotas.open(directory, Arc::downgrade(&shared)).unwrap();
        shared.quotas.keep(directory, &disk);
        Self { shared, _runtime: runtime }
    }

    fn charge(&self, id: u128, cost: u64) -> u64 {
        let names = names();
        self.shared.quotas.charge(&place(&names, id), today(), cost, 1_000_000, || ("partner".into(), "acme".into())).unwrap()
    }

    fn used(&self, id: u128) -> u64 {
        let names = names();
        self.shared.quotas.used(&place(&names, id), today())
    }

    fn stop(self) {
        self.shared.quotas.close();
    }
}

/// A zone whose month does not end during the test, and that month.
fn here() -> (&'static str, Span) {
    static HERE: OnceLock<(&str, Span)> = OnceLock::new();
    *HERE.get_or_init(|| {
        let now_ms = crate::server::clock::now().unix_ms;
        let of = |zone| (zone, Periods::build(ir::Period::Month, zone).unwrap().at(now_ms));
        let utc = of("UTC");
        if utc.1.end_s > now_ms / 1000 + 3600 { utc } else { of("America/Los_Angeles") }
    })
}

fn today() -> Span {
    here().1
}

fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn use_survives_the_process_and_a_copy_of_it_that_was_killed() {
    let scratch = Scratch::new();
    let first = Process::new(&scratch.0);
    assert_eq!((first.charge(1, 5), first.charge(2, 7)), (5, 7));
    first.stop();
    let second = Process::new(&scratch.0);
    assert_eq!((second.used(1), second.used(2), second.used(3)), (5, 7, 0));
    assert_eq!(second.charge(1, 1), 6);
    second.stop();
    assert_eq!(Process::new(&scratch.0).used(1), 6);
}

#[test]
fn two_processes_add_up() {
    let scratch = Scratch::new();
    let (old, new) = (Process::new(&scratch.0), Process::new(&scratch.0));
    old.charge(1, 10);
    new.charge(1, 100);
    eventually(|| old.used(1) == 110 && new.used(1) == 110);
    old.charge(1, 1);
    old.stop();
    eventually(|| new.used(1) == 111);
    new.charge(1, 1000);
    new.stop();
    assert_eq!(Process::new(&scratch.0).used(1), 1111);
}

#[test]
fn a_reset_is_on_disk_and_in_the_other_process() {
    let scratch = Scratch::new();
    let (one, other) = (Process::new(&scratch.0), Process::new(&scratch.0));
    one.charge(1, 10);
    eventually(|| other.used(1) == 10);
    let known = ir_with(&ir::Quota { zone: here().0.into(), ..spec("q", 20, ir::Period::Month) });
    one.shared.quotas.configure(&known);
    let request = br#"{"by": "cli", "reset": {"quota": "q", "key": "acme"}}"#;
    let answer = desk::serve(&one.shared, request);
    assert_eq!((answer["reset"].as_bool(), answer["used_before"].as_u64()), (Some(true), Some(10)), "{answer}");
    assert_eq!(one.used(1), 0);
    eventually(|| other.used(1) == 0);
    let told = one.shared.events.take(Duration::ZERO);
    assert!(told.iter().any(|line| line.contains("quota_reset") && line.contains("acme")), "{told:?}");
    one.stop();
    other.stop();
    assert_eq!(Process::new(&scratch.0).used(1), 0);
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    let process = Process::new(&scratch.0);
    process.charge(1, 5);
    process.stop();
    let file = scratch.0.join("quotas.db");
    let change = rusqlite::Connection::open(&file).unwrap();
    change.execute("UPDATE used SET used = 1", []).unwrap();
    drop(change);
    let refused = |why: &str| {
        let before = std::fs::read(&file).unwrap();
        let message = Disk::open(&scratch.0, std::sync::Weak::new()).unwrap_err();
        assert!(message.contains(why) && message.contains("move the file away"), "{message}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    };
    refused("a row does not fit its sum");
    std::fs::write(&file, b"not a database, by any means, at all").unwrap();
    refused("not a database");
    std::fs::write(&file, b"").unwrap();
    refused("the file is empty");
}

#[test]
fn another_directory_gets_all_that_is_known() {
    let (first, second) = (Scratch::new(), Scratch::new());
    let process = Process::new(&first.0);
    process.charge(1, 5);
    let quotas = &process.shared.quotas;
    let disk = quotas.open(&second.0, Arc::downgrade(&process.shared)).unwrap();
    quotas.keep(&second.0, &disk);
    drop(disk);
    process.charge(1, 1);
    process.stop();
    assert_eq!(Process::new(&second.0).used(1), 6);
    assert_eq!(Process::new(&first.0).used(1), 5);
}

#[test]
fn what_cannot_be_written_for_long_is_refused_or_counted_on() {
    let book = Arc::<Book>::default();
    let strict = build(&book, &[spec("q", 100, ir::Period::Day)]);
    let local = build(&book, &[ir::Quota { state_loss: ir::QuotaLoss::Local, ..spec("q", 100, ir::Period::Day) }]);
    book.set_unwritten(Some(1_000));
    let later = |ms: u64| Now { monotonic_ns: ms * 1_000_000, unix_ms: 20 * DAY_S * 1000 };
    assert!(passes(&strict, "acme", later(11_000)));
    let (result, _) = ask_at(&strict, "acme", NOBODY, later(11_001));
    assert_eq!(result.unwrap_err().reason, Reason::QuotaUnavailable);
    assert!(passes(&local, "acme", later(11_001)));
    book.set_unwritten(None);
    assert!(passes(&strict, "acme", later(99_000)));
}

fn ir_with(quota: &ir::Quota) -> ir::Ir {
    let document = include_bytes!("../../../../../tests/config/cases/good/smallest.ir.json");
    let mut document: ir::Ir = serde_json::from_slice(document).unwrap();
    document.routes[0].quotas = vec![quota.clone()];
    document
}

#[test]
fn a_clock_that_goes_forth_and_back_gives_nothing_again() {
    let quotas = build(&Arc::default(), &[spec("q", 3, ir::Period::Day)]);
    let (real, wrong) = (at(30 * DAY_S), at(60 * DAY_S));
    assert!((0..3).all(|_| passes(&quotas, "acme", real)));
    assert!((0..2).all(|_| passes(&quotas, "acme", wrong)), "nobody can tell which of them is right");
    for _ in 0..3 {
        assert!(!passes(&quotas, "acme", real));
        assert!(!passes(&quotas, "acme", at(29 * DAY_S)), "and an older one that is not known has what was used later");
        assert!(!passes(&quotas, "acme", real));
    }
    assert_eq!((0..9).filter(|_| passes(&quotas, "acme", wrong)).count(), 1, "what was used there stays used there");
    assert!(!passes(&quotas, "acme", real));
    assert!(passes(&quotas, "acme", at(31 * DAY_S)), "and it goes on with the next");
}

#[test]
fn use_of_both_periods_is_on_disk_whatever_the_clock_did() {
    let scratch = Scratch::new();
    let process = Process::new(&scratch.0);
    let (now, names) = (today(), names());
    let later = Span { start_s: now.end_s, end_s: now.end_s + 86_400 * 30 };
    let charge = |span, cost| {
        let who = || ("partner".into(), "acme".into());
        process.shared.quotas.charge(&place(&names, 1), span, cost, 1_000_000, who).unwrap()
    };
    assert_eq!([charge(now, 5), charge(later, 7), charge(now, 1), charge(later, 1)], [5, 7, 6, 8]);
    process.stop();
    let second = Process::new(&scratch.0);
    assert_eq!(second.used(1), 6);
    assert_eq!(second.shared.quotas.used(&place(&names, 1), later), 8);
    second.stop();
}

#[test]
fn processes_whose_clocks_differ_do_not_wipe_each_others_use() {
    let scratch = Scratch::new();
    let (right, wrong) = (Process::new(&scratch.0), Process::new(&scratch.0));
    let names = names();
    let later = Span { start_s: today().end_s, end_s: today().end_s + 86_400 * 30 };
    assert_eq!(right.charge(1, 10), 10);
    eventually(|| wrong.used(1) == 10);
    let who = || ("partner".into(), "acme".into());
    assert_eq!(wrong.shared.quotas.charge(&place(&names, 1), later, 4, 100, who), Ok(4));
    right.charge(1, 1);
    eventually(|| right.shared.quotas.used(&place(&names, 1), later) == 4);
    assert_eq!(right.used(1), 11);
    right.stop();
    wrong.stop();
    assert_eq!(Process::new(&scratch.0).used(1), 11);
}

#[test]
fn a_jump_of_the_clock_is_seen() {
    let start = Instant::now();
    let mut watch = Watch::new(1_000, start);
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!([watch.jumped(1_001, at(1)), watch.jumped(1_061, at(1)), watch.jumped(1_062, at(2))], [None; 3]);
    assert_eq!(watch.jumped(2_678_400 + 1_063, at(3)), Some(2_678_400));
    assert_eq!(watch.jumped(2_678_400 + 1_064, at(4)), None);
    assert_eq!(watch.jumped(1_065, at(5)), Some(-2_678_400));
    assert_eq!(watch.jumped(1_065 + 7_200, at(7_205)), None, "as long as it took");
}

#[test]
fn a_reset_is_of_exactly_one_key() {
    let scratch = Scratch::new();
    let process = Process::new(&scratch.0);
    let shared = &process.shared;
    shared.quotas.configure(&ir_with(&ir::Quota { zone: here().0.into(), ..spec("q", 20, ir::Period::Month) }));
    let names = names();
    let long = format!("{}…", "x".repeat(120));
    for (id, cost) in [(1, 3), (2, 4)] {
        let who = || ("partner".into(), long.as_str().into());
        shared.quotas.charge(&place(&names, id), today(), cost, 20, who).unwrap();
    }
    let used = |id| shared.quotas.used(&place(&names, id), today());
    let reset = |key: &str| {
        let request = serde_json::json!({"by": "cli", "reset": {"quota": "q", "key": key}});
        desk::serve(shared, request.to_string().as_bytes())
    };
    let answer = reset(&long);
    assert_eq!(answer["reset"].as_bool(), Some(false));
    let ids = [1, 2].map(crate::store::limits::use_name);
    assert!(ids.iter().all(|id| answer["problem"].as_str().unwrap().contains(id)), "{answer}");
    assert_eq!((used(1), used(2)), (3, 4));
    assert_eq!(reset(&ids[1])["used_before"].as_u64(), Some(4));
    assert_eq!((used(1), used(2)), (3, 0));
}
