//! Limits in shadow: each counts by itself in tables of its own, after all that is enforced; reported, never enforced.
//!
//! What one would have refused is not charged to it, as if it had been refused: so it reports what it would do where it was
//! enforced. No field of an answer tells of it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::address_limit::AddressLimit;
use super::authorize::Ask;
use super::authorize::condition::Readable;
use super::authorize::shadow::{Outcome, Record, Registry, Verdict};
use super::concurrency_limit::{ConcurrencyLimits, UnderWay};
use super::rate_limit::{RateLimits, Reports, Tables};
use crate::exchange::{Exchange, Now, Refusal};
use crate::ir;

/// Buckets before a configuration says how many; also those of a tool that asks.
const KEYS: u32 = 1024;

/// What limits in shadow count, for the whole process: apart from all that is enforced.
#[derive(Debug)]
pub struct ShadowTables {
    rates: Tables,
    under_way: UnderWay,
}

impl Default for ShadowTables {
    fn default() -> Self {
        Self { rates: Tables::new(KEYS), under_way: UnderWay::default() }
    }
}

impl ShadowTables {
    /// As many buckets as those that are enforced have, where a limit is tried out; next to none otherwise.
    pub fn set_keys(&self, ir: &ir::Ir, now: Now) {
        let tried = ir.listeners.iter().any(|one| !one.shadow_limits.is_empty())
            || ir.routes.iter().any(|one| !one.shadow_limits.is_empty());
        self.rates.set_keys(if tried { ir.process.limit_keys } else { KEYS.min(ir.process.limit_keys) }, now);
    }
}

/// The limits of a listener or a route that are tried out.
#[derive(Debug, Default)]
pub struct ShadowLimits {
    addresses: Box<[Tried<AddressLimit>]>,
    callers: Box<[Tried<Caller>]>,
}

#[derive(Debug)]
struct Tried<T> {
    limit: T,
    record: Arc<Record>,
}

#[derive(Debug)]
enum Caller {
    Rates(RateLimits),
    Concurrency(ConcurrencyLimits),
}

/// What is needed to compile them.
#[derive(Debug)]
pub struct Building<'a> {
    /// Where they count.
    pub tables: &'a ShadowTables,
    /// Where what comes of them is counted.
    pub registry: &'a Registry,
    /// Key of the hashes that pick buckets.
    pub seed: &'a [u8; 32],
    /// Name of the route; empty for a listener.
    pub route: &'a str,
    /// What expressions may read; nothing where there are no callers.
    pub readable: Option<&'a Readable>,
}

impl ShadowLimits {
    /// Compiles them.
    ///
    /// # Errors
    /// Each part that cannot be compiled.
    pub fn build(specs: &[ir::ShadowLimit], building: &Building<'_>) -> Result<Self, Vec<String>> {
        let Building { tables, registry, seed, route, readable } = *building;
        let (mut addresses, mut callers, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for spec in specs {
            let record = registry.of(route, &spec.source);
            let built = match &spec.limit {
                ir::TriedLimit::Address(limit) => AddressLimit::build(limit, &tables.rates, seed)
                    .map(|limit| addresses.push(Tried { limit, record }))
                    .map_err(|error| vec![error]),
                ir::TriedLimit::Rate(rates) if rates.limits.iter().any(|limit| limit.idempotency.is_some()) => {
                    Err(vec!["a limit in shadow reads no bodies, so it knows no repeats".to_owned()])
                }
                ir::TriedLimit::Rate(rates) => RateLimits::build(&rates.limits, &rates.classes, &tables.rates, seed, readable)
                    .map(|limits| callers.push(Tried { limit: Caller::Rates(limits), record })),
                ir::TriedLimit::Concurrency(limit) => {
                    ConcurrencyLimits::build(std::slice::from_ref(limit), &tables.under_way, seed, readable)
                        .map(|limits| callers.push(Tried { limit: Caller::Concurrency(limits), record }))
                }
            };
            errors.extend(built.err().into_iter().flatten());
        }
        if errors.is_empty() { Ok(Self { addresses: addresses.into(), callers: callers.into() }) } else { Err(errors) }
    }

    /// Charges those by address, and leaves what each would have done.
    pub fn judge_address(&self, exchange: &mut Exchange, now: Now) {
        let client = exchange.client;
        for tried in &self.addresses {
            let result = tried.limit.check(client, now).map(drop).map_err(|(refusal, _)| refusal);
            exchange.shadow.push(tried.verdict(result));
        }
    }

    /// Whether any is not by address.
    #[must_use]
    pub fn has_callers(&self) -> bool {
        !self.callers.is_empty()
    }

    /// Charges the others; what they count as under way, they hold until the request ends. `ask` is there where there is a caller.
    pub fn judge(&self, exchange: &Exchange, ask: Option<&Ask<'_>>, now: Now) -> Judged {
        let mut judged = Judged::default();
        for tried in &self.callers {
            let result = match &tried.limit {
                Caller::Rates(limits) => limits.charge(exchange, ask, now, &mut Reports::new()),
                Caller::Concurrency(limits) => limits.enter(exchange, ask).map(|places| judged.places.extend(places)),
            };
            judged.verdicts.push(tried.verdict(result));
        }
        judged
    }
}

impl<T> Tried<T> {
    fn verdict(&self, result: Result<(), Refusal>) -> Verdict {
        Verdict { record: Arc::clone(&self.record), outcome: Outcome::of(result) }
    }
}

/// What limits in shadow would have done to a request, and what it holds of them.
#[derive(Debug, Default)]
pub struct Judged {
    verdicts: SmallVec<[Verdict; 4]>,
    places: SmallVec<[super::concurrency_limit::Place; 1]>,
}

impl Judged {
    /// Hands it to the exchange.
    pub fn leave(self, exchange: &mut Exchange) {
        exchange.shadow.extend(self.verdicts);
        exchange.under_way.extend(self.places);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::rc::Rc;

    use super::*;
    use crate::exchange::ConnectionInfo;
    use crate::reason::Reason;

    const NOW: Now = Now { monotonic_ns: 1, unix_ms: 1 };

    fn exchange() -> Exchange {
        let peer: SocketAddr = "10.1.2.3:4000".parse().unwrap();
        let connection =
            ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
        Exchange::new(Rc::new(connection))
    }

    fn rate(name: &str, count: u64, key: ir::LimitKey) -> ir::RateLimit {
        let (name, scope) = (name.into(), "route:a".into());
        ir::RateLimit { name, scope, count, period_ms: 60_000, burst: count, key, ..ir::RateLimit::default() }
    }

    fn shadow(source: &str, limit: ir::TriedLimit) -> ir::ShadowLimit {
        ir::ShadowLimit { source: source.into(), limit }
    }

    fn build(specs: &[ir::ShadowLimit], tables: &ShadowTables, registry: &Registry) -> Result<ShadowLimits, Vec<String>> {
        let readable = None;
        ShadowLimits::build(specs, &Building { tables, registry, seed: &[7; 32], route: "a", readable })
    }

    fn outcomes(exchange: &Exchange) -> Vec<(&str, Outcome)> {
        exchange.shadow.iter().map(|one| (&*one.record.source, one.outcome)).collect()
    }

    #[test]
    fn each_counts_by_itself_and_holds_its_places() {
        let (tables, registry) = (ShadowTables::default(), Registry::default());
        let at_once = ir::ConcurrencyLimit {
            name: "at-once".into(),
            scope: "route:a".into(),
            requests: 1,
            key: ir::LimitKey::Route,
            fair: None,
        };
        let specs = [
            shadow("address", ir::TriedLimit::Address(Box::new(rate("address", 2, ir::LimitKey::Address)))),
            shadow(
                "rate",
                ir::TriedLimit::Rate(ir::TriedRates { limits: vec![rate("rate", 3, ir::LimitKey::Route)], classes: vec![] }),
            ),
            shadow("at once", ir::TriedLimit::Concurrency(at_once)),
        ];
        let limits = build(&specs, &tables, &registry).unwrap();
        let mut held = Vec::new();
        for number in 0..4 {
            let mut exchange = exchange();
            limits.judge_address(&mut exchange, NOW);
            limits.judge(&exchange, None, NOW).leave(&mut exchange);
            let refused = |over: bool, reason| if over { Outcome::Deny(reason) } else { Outcome::Allow };
            let expected = [
                ("address", refused(number >= 2, Reason::AddressLimited)),
                ("rate", refused(number >= 3, Reason::RateLimited)),
                ("at once", refused(number >= 1, Reason::ConcurrencyLimited)),
            ];
            assert_eq!(outcomes(&exchange), expected, "request {number}");
            assert!(exchange.limits.is_empty(), "nothing is told of them");
            held.push(exchange);
        }
        assert_eq!(tables.under_way.held(), 1);
        held.clear();
        assert_eq!(tables.under_way.held(), 0);
    }

    #[test]
    fn nonsense_does_not_load() {
        let (tables, registry) = (ShadowTables::default(), Registry::default());
        for limit in [
            ir::TriedLimit::Address(Box::new(rate("a", 1, ir::LimitKey::Route))),
            ir::TriedLimit::Rate(ir::TriedRates { limits: vec![rate("a", 0, ir::LimitKey::Route)], classes: vec![] }),
            ir::TriedLimit::Rate(ir::TriedRates { limits: vec![rate("a", 1, ir::LimitKey::Tenant)], classes: vec![] }),
        ] {
            assert_eq!(build(&[shadow("a", limit)], &tables, &registry).unwrap_err().len(), 1);
        }
    }
}
