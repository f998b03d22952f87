//! So many requests in each hour, day, week or month, by caller; what was used survives a restart.
//!
//! Use belongs to a quota's scope, name and key: it outlives a reload, also one that changes the amount. All quotas of a route
//! have to have room, or none is charged ([`Quotas`]). Counting is in memory ([`book`]); a thread writes it down ([`disk`]).

pub mod book;
pub mod desk;
pub mod disk;
pub mod period;
#[cfg(test)]
mod tests;
pub mod whom;

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::Context;
use smallvec::SmallVec;

use self::book::{Book, Id, Names, PATIENCE_MS, Place, Warning};
use self::period::{Periods, Span};
use self::whom::Whom;
use crate::exchange::{Exchange, LimitReport, Now, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::Readable;
use crate::filters::rate_limit::{Classes, Cost, Free, Key, Reports, Undecided};
use crate::ir;
use crate::reason::Reason;

/// The compiled quotas of a route, the group's first.
#[derive(Debug)]
pub struct Quotas {
    quotas: Box<[Quota]>,
    book: Arc<Book>,
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
    current: RwLock<(Span, Arc<str>)>,
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
    all: SmallVec<[Charge<'a>; 2]>,
}

#[derive(Debug)]
struct Charge<'a> {
    quota: &'a Quota,
    whom: Whom<'a>,
    id: Id,
    cost: u64,
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
        let digest = whom::begin(&spec.scope, name);
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
            current: RwLock::new((never, Arc::from(""))),
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
        let (span, _) = *self.current.read().unwrap_or_else(PoisonError::into_inner);
        if span.start_s <= now_s && now_s < span.end_s {
            return span;
        }
        let span = self.periods.at(unix_ms);
        let seconds = span.end_s.saturating_sub(span.start_s);
        let policy = format!("\"{}\";q={};w={seconds}", self.names.name, self.amount).into();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (span, policy);
        span
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
        readable: Option<&Readable>,
    ) -> Result<Self, Vec<String>> {
        let (mut quotas, mut errors) = (Vec::with_capacity(specs.len()), Vec::new());
        for spec in specs {
            match Quota::build(spec, readable, classes) {
                Ok(quota) => quotas.push(quota),
                Err(message) => errors.push(message),
            }
        }
        if errors.is_empty() { Ok(Self { quotas: quotas.into(), book: Arc::clone(book) }) } else { Err(errors) }
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

    /// What a request is to be charged, where every quota that applies has room for it; nothing is charged yet.
    ///
    /// # Errors
    /// The refusal of the quota whose period ends last.
    pub fn look<'a>(
        &'a self,
        exchange: &'a Exchange,
        ask: Option<&Ask<'a>>,
        classes: impl FnOnce() -> Classes,
        now: Now,
        reports: &mut Reports,
    ) -> Result<Charges<'a>, Refusal> {
        let book = &*self.book;
        if self.quotas.is_empty() {
            return Ok(Charges { book, all: SmallVec::new() });
        }
        let lost = book.unwritten_for_ms(now.monotonic_ns) > PATIENCE_MS;
        let classes = classes();
        let mut charges = Charges { book, all: SmallVec::new() };
        for quota in self.quotas.iter().filter(|quota| quota.applies(classes)) {
            if lost && quota.refuses {
                return Err(quota.refuse(Reason::QuotaUnavailable));
            }
            let undecided = |Undecided| quota.refuse(Reason::LimitUndecided);
            let whom = Whom::of(&quota.key, exchange, ask).map_err(undecided)?;
            let cost = quota.cost.of(exchange, ask).map_err(undecided)?.min(quota.amount);
            let cost = if quota.free.is_some_and(|free| free.covers(exchange)) { 0 } else { cost };
            let id = whom.id(&quota.digest.0);
            charges.all.push(Charge { quota, whom, id, cost, span: quota.span(now.unix_ms) });
        }
        let full = charges.all.iter().filter(|one| one.cost > one.quota.amount.saturating_sub(book.used(&one.place(), one.span)));
        if let Some(last) = full.max_by_key(|one| one.span.end_s) {
            reports.extend(charges.all.iter().map(|one| one.report(book.used(&one.place(), one.span), now)));
            return Err(last.refuse(now));
        }
        Ok(charges)
    }
}

impl Charges<'_> {
    /// Charges all of them, or none.
    ///
    /// # Errors
    /// Another request took the room since it was looked for.
    pub fn take(self, now: Now, reports: &mut Reports) -> Result<(), Refusal> {
        let book = self.book;
        let mut refused = None;
        let mut taken = 0;
        for one in &self.all {
            let who = || (one.whom.by().into(), one.whom.text(one.id));
            match book.charge(&one.place(), one.span, one.cost, one.quota.amount, who) {
                Ok(used) => {
                    taken += 1;
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
                self.all.iter().take(taken).for_each(|one| book.give_back(&one.place(), one.span, one.cost));
                Err(refusal)
            }
        }
    }
}

impl Charge<'_> {
    fn place(&self) -> Place<'_> {
        Place { id: self.id, others: self.quota.others, names: &self.quota.names }
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
        let (_, policy) = &*self.quota.current.read().unwrap_or_else(PoisonError::into_inner);
        LimitReport {
            policy: Arc::clone(policy),
            name: Arc::clone(&self.quota.names.name),
            remaining: self.quota.amount.saturating_sub(used),
            reset_s: self.seconds_left(now),
        }
    }
}
