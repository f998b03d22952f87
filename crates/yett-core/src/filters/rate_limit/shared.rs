//! Limits that instances share: charged in Redis, all of a request at once; or paid from what was leased there before.
//!
//! What is refused by one limit is charged by none, also where some are shared and others are not: those of this process are
//! looked at before the store is asked, and charged after it. Only where another request took the last place meanwhile, the
//! shared ones stay charged.

use smallvec::SmallVec;

use super::sharing::Sharing;
use super::together::{Charge, RateLimits, Reports, charge_here};
use super::{NS, RateLimit};
use crate::exchange::{Exchange, Now, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::limit_table::mix;
use crate::ir::{self, LimitLoss, SharedMode};
use crate::providers::jwk::sha256;
use crate::reason::Reason;
use crate::store::Unavailable;
use crate::store::limits::{self, Charged};

/// Part of a burst that one instance leases: two of them hold back, or let through later, one in a hundred.
const SLICE: u64 = 200;

/// How a limit is shared.
#[derive(Debug)]
pub struct SharedLimit {
    /// Of scope, name and kind of key: the same in all instances.
    pub identity: [u8; 32],
    loss: LimitLoss,
    /// Nanoseconds that are leased at once; 0 where each request is charged in the store.
    slice_ns: u64,
    /// Keeps what is known of a bucket apart from what was known of it under another rate.
    salt: u64,
}

impl SharedLimit {
    /// Compiles it. A lease has to be one request at least.
    pub fn build(spec: &ir::RateLimit, shared: &ir::SharedLimit, interval_ns: u64, depth_ns: u64) -> Result<Self, String> {
        let slice_ns = match shared.mode {
            SharedMode::Exact => 0,
            SharedMode::Cached if spec.burst < SLICE => {
                let name = &spec.name;
                return Err(format!("limit `{name}` is cached, and its burst is below {SLICE}; raise it, or share it exactly"));
            }
            SharedMode::Cached => (spec.burst / SLICE).saturating_mul(interval_ns),
        };
        let text = format!("{:?}\n{:?}\n{:?}", spec.scope, spec.name, spec.key);
        let salt = mix(interval_ns) ^ mix(depth_ns.wrapping_add(NS));
        Ok(Self { identity: sha256(text.as_bytes()), loss: shared.state_loss, slice_ns, salt })
    }

    fn known(&self, bucket: u64) -> u64 {
        mix(bucket ^ self.salt)
    }
}

/// What a request asks of the shared store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it asked: what is decided then is decided for this moment.
    pub at: Now,
    /// All of it is charged, or none.
    pub charges: Box<[limits::Charge]>,
    /// And so are these quotas.
    pub uses: Box<[limits::Use]>,
}

impl Asked {
    /// The store's answer, for the pipeline.
    #[must_use]
    pub fn answered(&self, answer: Result<Charged, Unavailable>) -> Answered {
        let answer = match answer {
            Ok(charged) => Answer::Charged(charged),
            Err(Unavailable::Busy) => Answer::Crowded,
            Err(_) => Answer::Lost,
        };
        Answered { at: self.at, answer }
    }

    /// All is counted in the memory of the tool that asks.
    #[must_use]
    pub fn here(&self) -> Answered {
        Answered { at: self.at, answer: Answer::Here }
    }
}

/// What came of it.
#[derive(Debug)]
enum Answer {
    /// The store's answer.
    Charged(Charged),
    /// It did not answer.
    Lost,
    /// It was not asked, because too many wait for it. That is a caller's doing, and lets nobody through.
    Crowded,
    /// A tool asks, and everything is counted in its memory.
    Here,
}

impl Answered {
    /// What the store said, if it did.
    #[must_use]
    pub fn charged(&self) -> Option<&Charged> {
        match &self.answer {
            Answer::Charged(charged) => Some(charged),
            _ => None,
        }
    }

    /// Whether the store was asked, or ought to have been, and said nothing.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.answer, Answer::Lost | Answer::Crowded)
    }
}

/// What came of a question, left by the server.
#[derive(Debug)]
pub struct Answered {
    /// When it was asked.
    pub at: Now,
    answer: Answer,
}

type Charges<'a> = SmallVec<[Charge<'a>; 4]>;

impl Charge<'_> {
    fn shared(&self) -> Option<(&RateLimit, &SharedLimit)> {
        let limit = &self.entry.limit;
        limit.shared.as_ref().map(|shared| (limit, shared))
    }
}

impl RateLimits {
    /// Charges a request to every limit that applies, or to none. Where the shared store has to be asked, that is said, and
    /// this is called again with what came of it; `also` says that it is asked of something else, and nothing is charged before.
    ///
    /// # Errors
    /// The refusal of the limit that takes longest to have room again; or that the store did not answer.
    pub fn admit(
        &self,
        exchange: &Exchange,
        ask: Option<&Ask<'_>>,
        now: Now,
        answered: Option<&Answered>,
        also: bool,
        reports: &mut Reports,
    ) -> Result<Option<Asked>, Refusal> {
        let first = also && answered.is_none();
        if !self.is_shared() && !first {
            return self.charge(exchange, ask, now, reports).map(|()| None);
        }
        let (mut here, there): (Charges<'_>, Charges<'_>) =
            self.charges(exchange, ask, now)?.into_iter().partition(|one| one.shared().is_none());
        // A repeat that costs nothing asks nobody: it passes whatever the store does.
        let (free, there): (Charges<'_>, Charges<'_>) = there.into_iter().partition(|one| one.free);
        let now_ns = now.monotonic_ns;
        match answered.map(|answered| &answered.answer) {
            _ if there.is_empty() && !first => charge_here(&mut here, now_ns, reports)?,
            // Where the store is asked in any case, nothing is taken from what was leased.
            None => match if first { None } else { pay(&there, now_ns) } {
                Some(paid) => {
                    if let Err(refusal) = charge_here(&mut here, now_ns, reports) {
                        there.iter().for_each(|one| unspend(one, now_ns));
                        return Err(refusal);
                    }
                    for (one, ahead_ns) in there.iter().zip(paid) {
                        reports.push(one.entry.limit.report(ahead_ns));
                        refill(one, exchange, ask, now_ns);
                    }
                }
                None => {
                    refused_here(&here, &there, now_ns, reports)?;
                    let key = |one: &Charge<'_>| one.asked(exchange, ask);
                    let charges = there.iter().map(key).collect::<Option<_>>().ok_or(Reason::Internal)?;
                    return Ok(Some(Asked { at: now, charges, uses: Box::default() }));
                }
            },
            Some(Answer::Here) => {
                here.extend(there);
                charge_here(&mut here, now_ns, reports)?;
            }
            Some(lost @ (Answer::Lost | Answer::Crowded)) => {
                here.extend(alone(there, matches!(lost, Answer::Crowded))?);
                charge_here(&mut here, now_ns, reports)?;
            }
            Some(Answer::Charged(charged)) => {
                settle(&there, charged, now_ns, reports)?;
                charge_here(&mut here, now_ns, reports)?;
                there.iter().for_each(|one| refill(one, exchange, ask, now_ns));
            }
        }
        for one in &free {
            let (ahead_ns, credit_ns) = known(one, now_ns);
            reports.push(one.entry.limit.report(ahead_ns.saturating_sub(credit_ns)));
        }
        Ok(None)
    }
}

impl Charge<'_> {
    fn asked(&self, exchange: &Exchange, ask: Option<&Ask<'_>>) -> Option<limits::Charge> {
        self.asked_for(self.cost_ns, exchange, ask)
    }

    fn asked_for(&self, cost_ns: u64, exchange: &Exchange, ask: Option<&Ask<'_>>) -> Option<limits::Charge> {
        let (limit, shared) = self.shared()?;
        let key = self.entry.key.shared(exchange, ask, &shared.identity).ok()?;
        Some(limits::Charge { key, depth_ns: limit.rate.depth_ns, cost_ns })
    }

    fn sharing(&self) -> &Sharing {
        &self.entry.limit.sharing
    }
}

/// Pays from what was leased, where that is enough for all; how far ahead each stands then.
fn pay(charges: &[Charge<'_>], now_ns: u64) -> Option<SmallVec<[u64; 4]>> {
    let mut paid = SmallVec::new();
    for charge in charges {
        let spent = charge
            .shared()
            .filter(|(_, shared)| shared.slice_ns > 0)
            .and_then(|(limit, shared)| limit.sharing.spend(shared.known(charge.bucket), charge.cost_ns, now_ns));
        match spent {
            Some(ahead_ns) => paid.push(ahead_ns),
            None => {
                charges.iter().take(paid.len()).for_each(|one| unspend(one, now_ns));
                return None;
            }
        }
    }
    Some(paid)
}

fn unspend(charge: &Charge<'_>, now_ns: u64) {
    if let Some((limit, shared)) = charge.shared() {
        limit.sharing.unspend(shared.known(charge.bucket), charge.cost_ns, now_ns);
    }
}

fn refill(charge: &Charge<'_>, exchange: &Exchange, ask: Option<&Ask<'_>>, now_ns: u64) {
    if let Some((limit, shared)) = charge.shared().filter(|(_, shared)| shared.slice_ns > 0) {
        let lease = |amount_ns| charge.asked_for(amount_ns, exchange, ask);
        limit.sharing.refill(shared.known(charge.bucket), shared.slice_ns, now_ns, lease);
    }
}

/// Refuses what has no room by what is known here: the store need not be asked.
fn refused_here(here: &[Charge<'_>], there: &[Charge<'_>], now_ns: u64, reports: &mut Reports) -> Result<(), Refusal> {
    let mut longest: Option<(u64, &Charge<'_>, u64)> = None;
    for one in here.iter().chain(there).filter(|one| !one.free) {
        let (ahead_ns, credit_ns) = known(one, now_ns);
        let wait = if credit_ns >= one.cost_ns && credit_ns > 0 { 0 } else { one.entry.limit.wait_ns(ahead_ns, one.cost_ns) };
        if wait > 0 && longest.is_none_or(|(other, ..)| wait > other) {
            longest = Some((wait, one, ahead_ns));
        }
    }
    let Some((_, one, ahead_ns)) = longest else { return Ok(()) };
    reports.extend(here.iter().chain(there).map(|one| one.entry.limit.report(known(one, now_ns).0)));
    Err(one.entry.limit.refuse(one.bucket, ahead_ns, one.cost_ns, now_ns))
}

/// How far ahead a bucket stands as far as is known here, and what was leased of it.
fn known(one: &Charge<'_>, now_ns: u64) -> (u64, u64) {
    match one.shared() {
        None => (one.ahead(now_ns), 0),
        Some((limit, shared)) => {
            let (ahead_ns, credit_ns) = limit.sharing.known(shared.known(one.bucket), now_ns);
            (ahead_ns.min(limit.rate.depth_ns), credit_ns)
        }
    }
}

/// What the store said.
fn settle(there: &[Charge<'_>], charged: &Charged, now_ns: u64, reports: &mut Reports) -> Result<(), Refusal> {
    if charged.ahead_ns.len() != there.len() {
        return Err(Reason::Internal.into());
    }
    let mut longest: Option<(u64, &Charge<'_>, u64)> = None;
    for (one, ahead_ns) in there.iter().zip(charged.ahead_ns.iter().copied()) {
        let Some((limit, shared)) = one.shared() else { continue };
        let wait = limit.wait_ns(ahead_ns, one.cost_ns);
        one.sharing().learn(shared.known(one.bucket), ahead_ns, now_ns);
        if longest.is_none_or(|(other, ..)| wait > other) {
            longest = Some((wait, one, ahead_ns));
        }
        reports.push(limit.report(ahead_ns.min(limit.rate.depth_ns)));
    }
    match longest {
        Some((_, one, ahead_ns)) if !charged.granted => Err(one.entry.limit.refuse(one.bucket, ahead_ns, one.cost_ns, now_ns)),
        _ => Ok(()),
    }
}

/// What is charged here, while the store does not answer; in a crowd, nobody passes uncounted.
fn alone(there: Charges<'_>, crowded: bool) -> Result<Charges<'_>, Refusal> {
    let refuses = |loss| loss == LimitLoss::Refuse || (crowded && loss == LimitLoss::FailOpen);
    for one in &there {
        if let Some((limit, _)) = one.shared().filter(|(_, shared)| refuses(shared.loss)) {
            one.sharing().count(LimitLoss::Refuse);
            let mut refusal = Refusal::from(Reason::StateUnavailable);
            refusal.rule = Some(limit.name());
            return Err(refusal);
        }
    }
    there.iter().filter_map(Charge::shared).for_each(|(limit, shared)| limit.sharing.count(shared.loss));
    let is_local = |one: &Charge<'_>| one.shared().is_some_and(|(_, shared)| shared.loss == LimitLoss::Local);
    Ok(there.into_iter().filter(is_local).collect())
}
