//! So many requests in each hour, day, week or month, by caller; what was used survives a restart.
//!
//! Use belongs to a quota's scope, name and key: it outlives a reload, also one that changes the amount. All quotas of a route
//! have to have room, or none is charged ([`Quotas`]). Counting is in memory ([`book`]); a thread writes it down ([`disk`]). Where
//! instances share a quota it is counted in Redis ([`shared`]).

pub mod book;
pub mod desk;
pub mod disk;
pub mod entry;
mod known;
pub mod period;
mod shared;
#[cfg(test)]
mod tests;
mod warnings;
pub mod whom;
mod writing;

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::Context;
use smallvec::SmallVec;

pub use self::shared::serve;

use self::book::{Book, PATIENCE_MS};
use self::entry::{Id, Names, Place};
use self::period::{Periods, Span};
use self::warnings::Warning;
use self::whom::Whom;
use crate::exchange::{Exchange, LimitReport, Now, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::Readable;
use crate::filters::rate_limit::{Classes, Cost, Free, Key, Reports, Sharing, Undecided};
use crate::ir;
use crate::reason::Reason;
use crate::store::limits::UseKeys;

/// The compiled quotas of a route, the group's first.
#[derive(Debug)]
pub struct Quotas {
    quotas: Box<[Quota]>,
    book: Arc<Book>,
    sharing: Arc<Sharing>,
}

#[derive(Debug)]
struct Quota {
    names: Names,
    amount: u64,
    key: Key,
    cost: Cost,
    /// Repeats that cost nothing.
    free: Option<Free>,
    /// Bits of the class that it is for; all where it is for everybody.
    class: u64,
    except: u64,
    periods: Periods,
    /// The period that was asked last, and `RateLimit-Policy` in it.
    current: RwLock<(Span, Arc<str>, UseKeys)>,
    /// Whether instances share it.
    shared: bool,
    spec: ir::Quota,
    /// Percentages, with the use at which each is reached.
    warn: Box<[(u8, u64)]>,
    refuses: bool,
    digest: Digest,
    others: Id,
}

struct Digest(Context);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

/// What a request is to be charged.
#[derive(Debug)]
pub struct Charges<'a> {
    book: &'a Book,
    sharing: &'a Sharing,
    all: SmallVec<[Charge<'a>; 2]>,
}

#[derive(Debug)]
struct Charge<'a> {
    quota: &'a Quota,
    whom: Whom<'a>,
    id: Id,
    cost: u64,
    /// Whether it is a repeat that costs nothing.
    free: bool,
    span: Span,
}

impl Quota {
    fn build(spec: &ir::Quota, readable: Option<&Readable>, classes: &[ir::AuthorizeRule]) -> Result<Self, String> {
        let name = &spec.name;
        if name.is_empty() || !name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\') {
            return Err(format!("quota name `{name}` cannot stand in RateLimit-Policy; use letters, digits and `-`"));
        }
        if spec.amount == 0 || i64::try_from(spec.amount).is_err() {
            return Err(format!("quota `{name}`: the amount is at least 1 and below 2^63"));
        }
        if spec.cost.as_ref().is_some_and(|cost| cost.after.is_some()) {
            return Err(format!("quota `{name}` is charged before a service is asked; write a cost that is known then"));
        }
        if spec.warn.iter().any(|percent| !(1..=100).contains(percent)) {
            return Err(format!("quota `{name}`: warnings are at 1 to 100 percent"));
        }
        let named = |message| format!("quota `{name}`: {message}");
        let bit = |source: &String| {
            let at = classes.iter().position(|class| class.source == *source);
            let at = at.and_then(|at| u32::try_from(at).ok()).and_then(|at| 1_u64.checked_shl(at));
            at.ok_or_else(|| format!("quota `{name}` is for a class `{source}`, which there is not"))
        };
        let digest = whom::begin(&whom::parts(spec));
        let reached = |percent: u8| {
            let at = u128::from(spec.amount).saturating_mul(percent.into()).div_ceil(100);
            (percent, u64::try_from(at).unwrap_or(u64::MAX))
        };
        let never = Span { start_s: u64::MAX, end_s: 0 };
        Ok(Self {
            names: Names { scope: spec.scope.as_str().into(), name: name.as_str().into() },
            amount: spec.amount,
            key: Key::build(&spec.key, readable).map_err(named)?,
            cost: Cost::build(spec.cost.as_ref(), spec.amount, readable).map_err(named)?,
            free: spec.idempotency.as_ref().map(Free::build).transpose().map_err(named)?,
            class: spec.class.as_ref().map(bit).transpose()?.unwrap_or(u64::MAX),
            except: spec.except.iter().map(bit).try_fold(0, |bits, bit| bit.map(|bit| bits | bit))?,
            periods: Periods::build(spec.period, &spec.zone).map_err(named)?,
            current: RwLock::new((never, Arc::from(""), UseKeys::new(&whom::parts(spec), never.start_s))),
            shared: spec.shared,
            spec: spec.clone(),
            warn: spec.warn.iter().copied().map(reached).collect(),
            refuses: spec.state_loss == ir::QuotaLoss::Refuse,
            others: whom::others(&digest),
            digest: Digest(digest),
        })
    }

    fn applies(&self, classes: Classes) -> bool {
        (self.class == u64::MAX || classes.maybe_in & self.class != 0) && self.except & !classes.maybe_out == 0
    }

    fn span(&self, unix_ms: u64) -> Span {
        let now_s = unix_ms / 1000;
        let (span, ..) = *self.current.read().unwrap_or_else(PoisonError::into_inner);
        if span.start_s <= now_s && now_s < span.end_s {
            return span;
        }
        let span = self.periods.at(unix_ms);
        let seconds = span.end_s.saturating_sub(span.start_s);
        let policy = format!("\"{}\";q={};w={seconds}", self.names.name, self.amount).into();
        let keys = UseKeys::new(&whom::parts(&self.spec), span.start_s);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (span, policy, keys);
        span
    }

    /// Where the use of a period is kept that instances share.
    fn keys(&self, span: Span) -> UseKeys {
        let (current, _, keys) = &*self.current.read().unwrap_or_else(PoisonError::into_inner);
        if *current == span { *keys } else { UseKeys::new(&whom::parts(&self.spec), span.start_s) }
    }

    fn refuse(&self, reason: Reason) -> Refusal {
        let mut refusal = Refusal::from(reason);
        refusal.rule = Some(Arc::clone(&self.names.name));
        refusal
    }
}

impl Quotas {
    /// Compiles them. `readable` is what expressions may read; `None` on a public route, which has no callers.
    ///
    /// # Errors
    /// Each part that cannot be compiled.
    pub fn build(
        specs: &[ir::Quota],
        classes: &[ir::AuthorizeRule],
        book: &Arc<Book>,
        sharing: &Arc<Sharing>,
        readable: Option<&Readable>,
    ) -> Result<Self, Vec<String>> {
        let (mut quotas, mut errors) = (Vec::with_capacity(specs.len()), Vec::new());
        for spec in specs {
            match Quota::build(spec, readable, classes) {
                Ok(quota) => quotas.push(quota),
                Err(message) => errors.push(message),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if specs.iter().any(|spec| spec.shared) {
            sharing.used();
        }
        Ok(Self { quotas: quotas.into(), book: Arc::clone(book), sharing: Arc::clone(sharing) })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.quotas.is_empty()
    }

    /// Fields of requests that they read, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.quotas.iter().filter_map(|quota| quota.key.header())
    }

    /// What a request is to be charged, where every quota that applies has room for it; nothing is charged yet. Of those that
    /// instances share the store is to be asked, unless this is not the `first` time.
    ///
    /// # Errors
    /// The refusal of the quota whose period ends last.
    pub fn look<'a>(
        &'a self,
        exchange: &'a Exchange,
        ask: Option<&Ask<'a>>,
        classes: impl FnOnce() -> Classes,
        first: bool,
        now: Now,
        reports: &mut Reports,
    ) -> Result<Charges<'a>, Refusal> {
        let (book, sharing) = (&*self.book, &*self.sharing);
        let mut charges = Charges { book, sharing, all: SmallVec::new() };
        if self.quotas.is_empty() {
            return Ok(charges);
        }
        let lost = book.unwritten_for_ms(now.monotonic_ns) > PATIENCE_MS;
        let classes = classes();
        for quota in self.quotas.iter().filter(|quota| quota.applies(classes)) {
            if lost && quota.refuses && !quota.shared {
                return Err(quota.refuse(Reason::QuotaUnavailable));
            }
            let undecided = |Undecided| quota.refuse(Reason::LimitUndecided);
            let whom = Whom::of(&quota.key, exchange, ask).map_err(undecided)?;
            let cost = quota.cost.of(exchange, ask).map_err(undecided)?.min(quota.amount);
            let free = quota.free.is_some_and(|free| free.covers(exchange));
            let cost = if free { 0 } else { cost };
            let id = whom.id(&quota.digest.0);
            charges.all.push(Charge { quota, whom, id, cost, free, span: quota.span(now.unix_ms) });
        }
        let full = charges.all.iter().filter(|one| match one.quota.shared {
            false => one.cost > one.quota.amount.saturating_sub(book.used(&one.place(), one.span)),
            // What was asked of the store is decided by its answer.
            true => first && one.is_used_up(sharing, now),
        });
        if let Some(last) = full.max_by_key(|one| one.span.end_s) {
            for one in &charges.all {
                match one.quota.shared {
                    false => reports.push(one.report(book.used(&one.place(), one.span), now)),
                    true if one.is_used_up(sharing, now) => reports.push(one.report(one.quota.amount, now)),
                    true => {}
                }
            }
            return Err(last.refuse(now));
        }
        Ok(charges)
    }
}

impl Charges<'_> {
    /// Charges all of them that are counted here, or none: those too that the store ought to count, where it is `lost`.
    ///
    /// # Errors
    /// Another request took the room since it was looked for.
    pub fn take(self, lost: bool, now: Now, reports: &mut Reports) -> Result<(), Refusal> {
        let book = self.book;
        let mut refused = None;
        let mut taken: SmallVec<[&Charge<'_>; 2]> = SmallVec::new();
        // A repeat that costs nothing asks nobody, and nothing is known of its quota.
        for one in self.all.iter().filter(|one| !one.quota.shared || (lost && !one.free)) {
            let who = || (one.whom.by().into(), one.whom.text(one.id));
            match book.charge(&one.place(), one.span, one.cost, one.quota.amount, who) {
                Ok(used) => {
                    taken.push(one);
                    one.warn(book, used);
                    reports.push(one.report(used, now));
                }
                Err(used) => {
                    reports.push(one.report(used, now));
                    refused = Some(one.refuse(now));
                    break;
                }
            }
        }
        match refused {
            None => Ok(()),
            Some(refusal) => {
                taken.iter().for_each(|one| book.give_back(&one.place(), one.span, one.cost));
                Err(refusal)
            }
        }
    }
}

impl Charge<'_> {
    fn place(&self) -> Place<'_> {
        Place { id: self.id, others: self.quota.others, names: &self.quota.names, kept: !self.quota.shared }
    }

    /// Says of thresholds that this charge has passed: nobody else passes them in this period.
    fn warn(&self, book: &Book, used: u64) {
        let before = used.saturating_sub(self.cost);
        for (percent, _) in self.quota.warn.iter().filter(|(_, at)| before < *at && *at <= used) {
            book.warn(Warning {
                names: self.quota.names.clone(),
                by: self.whom.by().into(),
                whose: self.whom.text(self.id),
                percent: *percent,
                used: (used, self.quota.amount),
                end_s: self.span.end_s,
            });
        }
    }

    fn seconds_left(&self, now: Now) -> u64 {
        self.span.end_s.saturating_mul(1000).saturating_sub(now.unix_ms).div_ceil(1000).max(1)
    }

    fn refuse(&self, now: Now) -> Refusal {
        let mut refusal = self.quota.refuse(Reason::QuotaExceeded);
        refusal.retry_after_s = Some(Refusal::pause(self.seconds_left(now)));
        refusal
    }

    fn report(&self, used: u64, now: Now) -> LimitReport {
        let (_, policy, _) = &*self.quota.current.read().unwrap_or_else(PoisonError::into_inner);
        LimitReport {
            policy: Arc::clone(policy),
            name: Arc::clone(&self.quota.names.name),
            remaining: self.quota.amount.saturating_sub(used),
            reset_s: self.seconds_left(now),
        }
    }
}
