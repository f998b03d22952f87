//! All limits of a route: every one that applies has to have room, and none is charged where one has not.

use smallvec::SmallVec;

use super::after::{After, Declared, Ended, Fields, Owed, Owing};
use super::calendar::Calendar;
use super::measure::{Cost, Key, Undecided};
use super::repeats::Free;
use super::{RateLimit, Tables};
use crate::exchange::{Exchange, LimitReport, Now, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::Readable;
use crate::filters::authorize::rule::Rule;
use crate::filters::keyed_hash::KeyedHash;
use crate::headers::Headers;
use crate::ir;
use crate::reason::Reason;

/// What is told of limits: without allocation for up to four.
pub type Reports = SmallVec<[LimitReport; 4]>;

/// Classes of callers that one route may have: a bit each.
const CLASSES: usize = 64;

/// The compiled limits of a route, the group's first.
#[derive(Debug)]
pub struct RateLimits {
    classes: Box<[Rule]>,
    limits: Box<[Entry]>,
    /// Of answers, which costs are read from.
    fields: Fields,
    hash: KeyedHash,
    /// Whether one of them is shared by instances.
    shared: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) limit: RateLimit,
    pub(super) key: Key,
    cost: Cost,
    after: Option<After>,
    /// Repeats that cost nothing.
    free: Option<Free>,
    /// Bits of the class that it is for; all where it is for everybody.
    class: u64,
    except: u64,
    during: Option<Calendar>,
    outside: Box<[Calendar]>,
}

/// What a request would be charged.
pub(super) struct Charge<'a> {
    pub(super) entry: &'a Entry,
    pub(super) bucket: u64,
    cost: u64,
    /// Whether it is a repeat that costs nothing here.
    pub(super) free: bool,
    pub(super) cost_ns: u64,
    /// How far ahead of now the bucket stands, once it has been charged.
    charged_ns: Option<u64>,
}

/// The classes that a caller is in; what cannot be decided is both, so that it is limited by either side.
#[derive(Debug, Clone, Copy)]
pub struct Classes {
    /// Bits of those that the caller may be in.
    pub maybe_in: u64,
    /// Bits of those that it may not be in.
    pub maybe_out: u64,
}

impl Entry {
    fn build(
        spec: &ir::RateLimit,
        tables: &Tables,
        readable: Option<&Readable>,
        classes: &[Rule],
        fields: &mut Fields,
    ) -> Result<Self, String> {
        let limit = RateLimit::build(spec, tables)?;
        let name = &spec.name;
        let bit = |source: &String| {
            let at = classes.iter().position(|class| class.source() == source);
            let at = at.and_then(|at| u32::try_from(at).ok()).and_then(|at| 1_u64.checked_shl(at));
            at.ok_or_else(|| format!("limit `{name}` is for a class `{source}`, which there is not"))
        };
        let named = |message| format!("limit `{name}`: {message}");
        if spec.shared.is_some() && spec.cost.as_ref().is_some_and(|cost| cost.after.is_some()) {
            return Err(named("a cost after the answer is counted by each instance; do not share it".to_owned()));
        }
        Ok(Self {
            limit,
            key: Key::build(&spec.key, readable).map_err(named)?,
            cost: Cost::build(spec.cost.as_ref(), spec.burst, readable).map_err(named)?,
            after: match spec.cost.as_ref().and_then(|cost| cost.after.as_ref()) {
                Some(after) => Some(After::build(after, spec.burst, fields).map_err(named)?),
                None => None,
            },
            free: spec.idempotency.as_ref().map(Free::build).transpose().map_err(named)?,
            class: spec.class.as_ref().map(bit).transpose()?.unwrap_or(u64::MAX),
            except: spec.except.iter().map(bit).try_fold(0, |bits, bit| bit.map(|bit| bits | bit))?,
            during: spec.during.as_ref().map(Calendar::build).transpose().map_err(named)?,
            outside: spec.outside.iter().map(Calendar::build).collect::<Result<_, _>>().map_err(named)?,
        })
    }

    fn is_everyones(&self) -> bool {
        matches!(self.key, Key::Everyone)
    }

    fn applies(&self, classes: Classes, now: Now) -> bool {
        (self.class == u64::MAX || classes.maybe_in & self.class != 0)
            && self.except & !classes.maybe_out == 0
            && self.during.as_ref().is_none_or(|during| during.holds(now.unix_ms))
            && !self.outside.iter().any(|other| other.holds(now.unix_ms))
    }
}

impl RateLimits {
    /// Compiles them. `readable` is what expressions may read; `None` on a public route, which has no callers.
    ///
    /// # Errors
    /// Each part that cannot be compiled.
    pub fn build(
        specs: &[ir::RateLimit],
        limit_classes: &[ir::AuthorizeRule],
        tables: &Tables,
        seed: &[u8; 32],
        readable: Option<&Readable>,
    ) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut classes = Vec::with_capacity(limit_classes.len());
        for class in limit_classes {
            let built = readable.ok_or_else(|| "classes of callers need callers; a public route has none".to_owned());
            match built.and_then(|readable| Rule::build(class, readable)) {
                Ok(rule) if rule.reads_body() => {
                    errors.push(format!("`{}` reads the body, which is not there yet when limits are charged", class.source))
                }
                Ok(rule) => classes.push(rule),
                Err(message) => errors.push(format!("`{}`: {message}", class.source)),
            }
        }
        if classes.len() > CLASSES {
            errors.push(format!("a route has at most {CLASSES} classes of callers"));
        }
        let mut limits = Vec::with_capacity(specs.len());
        let mut fields = Fields::default();
        for limit in specs {
            match Entry::build(limit, tables, readable, &classes, &mut fields) {
                Ok(entry) => limits.push(entry),
                Err(message) => errors.push(message),
            }
        }
        if errors.is_empty() {
            let shared = limits.iter().any(|entry| entry.limit.shared.is_some());
            Ok(Self { classes: classes.into(), limits: limits.into(), fields, hash: KeyedHash::new(seed), shared })
        } else {
            Err(errors)
        }
    }

    /// Fields of requests that they read, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let keys = self.limits.iter().filter_map(|entry| entry.key.header());
        self.classes.iter().flat_map(Rule::headers).chain(keys)
    }

    /// What the fields of an answer say of its cost; those that clients do not see are taken away.
    pub fn declared(&self, headers: &mut Headers) -> Declared {
        self.fields.read(headers)
    }

    /// Whether a cost is by the service's time.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.limits.iter().any(|entry| entry.after.as_ref().is_some_and(After::is_timed))
    }

    /// What a request still owes once it has ended, after it was charged at this moment.
    #[must_use]
    pub fn owing(&self, exchange: &Exchange, ask: Option<&Ask<'_>>, now: Now) -> Owing {
        if self.limits.iter().all(|entry| entry.after.is_none()) {
            return Owing::new();
        }
        let of = |charge: &Charge<'_>| {
            let at = self.limits.iter().position(|entry| std::ptr::eq(entry, charge.entry))?;
            Some(Owed { limit: u32::try_from(at).ok()?, bucket: charge.bucket, charged: charge.cost })
        };
        let charges = self.charges(exchange, ask, now).unwrap_or_default();
        charges.iter().filter(|charge| charge.entry.after.is_some()).filter_map(of).collect()
    }

    /// Charges what requests owe that were let in, once they have ended.
    pub fn settle(&self, owing: &[Owed], ended: &Ended<'_>, now: Now) {
        for owed in owing {
            let entry = usize::try_from(owed.limit).ok().and_then(|at| self.limits.get(at));
            if let Some((entry, after)) = entry.and_then(|entry| Some((entry, entry.after.as_ref()?))) {
                entry.limit.owe(owed.bucket, after.rest(ended, owed.charged), now.monotonic_ns);
            }
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Charges a request to every limit that applies, or to none, in the memory of this process; `ask` is there where there is
    /// a caller. See [`RateLimits::admit`] for limits that instances share.
    ///
    /// # Errors
    /// The refusal of the limit that takes longest to have room again.
    pub fn charge(&self, exchange: &Exchange, ask: Option<&Ask<'_>>, now: Now, reports: &mut Reports) -> Result<(), Refusal> {
        if self.limits.is_empty() {
            return Ok(());
        }
        charge_here(&mut self.charges(exchange, ask, now)?, now.monotonic_ns, reports)
    }

    pub(super) fn charges(
        &self,
        exchange: &Exchange,
        ask: Option<&Ask<'_>>,
        now: Now,
    ) -> Result<SmallVec<[Charge<'_>; 4]>, Refusal> {
        let classes = self.classes(ask);
        let mut charges = SmallVec::new();
        for entry in self.limits.iter().filter(|entry| entry.applies(classes, now)) {
            let undecided = |Undecided| {
                let mut refusal = Refusal::from(Reason::LimitUndecided);
                refusal.rule = Some(entry.limit.name());
                refusal
            };
            let key = entry.key.of(exchange, ask, &self.hash).map_err(undecided)?;
            let cost = entry.cost.of(exchange, ask).map_err(undecided)?;
            let free = entry.free.is_some_and(|free| free.covers(exchange));
            let bucket = entry.limit.bucket(key);
            let cost_ns = if free { 0 } else { entry.limit.cost_ns(cost) };
            charges.push(Charge { entry, bucket, cost, free, cost_ns, charged_ns: None });
        }
        Ok(charges)
    }

    /// The classes that the caller is in.
    pub(crate) fn classes(&self, ask: Option<&Ask<'_>>) -> Classes {
        let mut found = Classes { maybe_in: 0, maybe_out: 0 };
        for (at, class) in (0_u32..).zip(&self.classes) {
            let bit = 1_u64.checked_shl(at).unwrap_or(0);
            let inside = ask.and_then(|ask| class.applies(ask));
            if inside != Some(false) {
                found.maybe_in |= bit;
            }
            if inside != Some(true) {
                found.maybe_out |= bit;
            }
        }
        found
    }
}

impl Charge<'_> {
    fn take(&mut self, now_ns: u64) -> Result<(), Refusal> {
        let limit = &self.entry.limit;
        match limit.charge(self.bucket, self.cost_ns, now_ns) {
            Ok(ahead) => {
                self.charged_ns = Some(ahead);
                Ok(())
            }
            Err(ahead) => Err(limit.refuse(self.bucket, ahead, self.cost_ns, now_ns)),
        }
    }

    fn take_back(&self, now_ns: u64) {
        if let Some(ahead) = self.charged_ns {
            self.entry.limit.take_back(self.bucket, ahead, self.cost_ns, now_ns);
        }
    }

    pub(super) fn ahead(&self, now_ns: u64) -> u64 {
        self.entry.limit.peek(self.bucket, now_ns)
    }
}

/// Charges all of these in the memory of this process, or none.
pub(super) fn charge_here(charges: &mut [Charge<'_>], now_ns: u64, reports: &mut Reports) -> Result<(), Refusal> {
    // One alone is charged or not, as it is; of several each is looked at before one is charged.
    if charges.len() > 1
        && let Some(refusal) = refused(charges, now_ns, reports)
    {
        return Err(refusal);
    }
    // What everyone shares comes last: a race of one caller with itself is not to cost the others anything.
    let refusal = [false, true].into_iter().find_map(|shared| {
        charges.iter_mut().filter(|one| one.entry.is_everyones() == shared).find_map(|charge| charge.take(now_ns).err())
    });
    if refusal.is_some() {
        // Another request took the room since it was looked at, or there is one limit only.
        charges.iter().for_each(|charge| charge.take_back(now_ns));
    }
    reports.extend(charges.iter().map(|charge| match (&refusal, charge.charged_ns) {
        (None, Some(ahead)) => charge.entry.limit.report(ahead),
        _ => charge.entry.limit.report(charge.ahead(now_ns)),
    }));
    refusal.map_or(Ok(()), Err)
}

/// The refusal with the longest wait, if one has no room; then all are told of as they stand.
fn refused(charges: &[Charge<'_>], now_ns: u64, reports: &mut Reports) -> Option<Refusal> {
    let mut longest: Option<(u64, &Charge<'_>, u64)> = None;
    for charge in charges.iter().filter(|charge| !charge.free) {
        let ahead = charge.ahead(now_ns);
        let wait = charge.entry.limit.wait_ns(ahead, charge.cost_ns);
        if charge.cost_ns > 0 && wait > 0 && longest.is_none_or(|(other, ..)| wait > other) {
            longest = Some((wait, charge, ahead));
        }
    }
    let (_, charge, ahead) = longest?;
    charge.entry.limit.count_shared(charge.bucket, now_ns);
    reports.extend(charges.iter().map(|one| one.entry.limit.report(one.ahead(now_ns))));
    Some(charge.entry.limit.refuse(charge.bucket, ahead, charge.cost_ns, now_ns))
}
