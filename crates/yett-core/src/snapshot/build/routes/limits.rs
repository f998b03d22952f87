//! Limits of callers: how often, how many at once, how much in a period; and those that are tried out.

use super::super::Errors;
use super::super::screen::shadow_limits;
use super::Draft;
use crate::filters::concurrency_limit::ConcurrencyLimits;
use crate::filters::limit_shadow::ShadowLimits;
use crate::filters::quota::Quotas;
use crate::filters::rate_limit::{RateLimits, RouteRepeats};
use crate::ir;

pub(super) struct Limits {
    pub(super) rate: RateLimits,
    pub(super) concurrency: ConcurrencyLimits,
    pub(super) quotas: Quotas,
    pub(super) repeats: Option<RouteRepeats>,
    pub(super) tried: ShadowLimits,
}

impl Draft<'_> {
    pub(super) fn limits(&self, errors: &mut Errors) -> Option<Limits> {
        let (spec, shared, readable) = (self.spec, self.context.shared, self.readable.as_ref());
        let alone = self.context.ir.state.as_ref().is_none_or(|state| state.redis.is_none());
        if alone && spec.rate_limits.iter().any(|limit| limit.shared.is_some()) {
            errors.add(self.at("rate_limits"), "limits that instances share need `state.redis`");
        }
        let rate = RateLimits::build(&spec.rate_limits, &spec.limit_classes, &shared.limits, &shared.seed, readable);
        let rate = errors.take_all(|| self.at("rate_limits"), rate);
        let concurrency = ConcurrencyLimits::build(&spec.concurrency_limits, &shared.under_way, &shared.seed, readable);
        let concurrency = errors.take_all(|| self.at("concurrency_limits"), concurrency);
        if alone && spec.quotas.iter().any(|quota| quota.shared) {
            errors.add(self.at("quotas"), "quotas that instances share need `state.redis`");
        }
        let quotas = Quotas::build(&spec.quotas, &spec.limit_classes, &shared.quotas, shared.limits.sharing(), readable);
        let quotas = errors.take_all(|| self.at("quotas"), quotas);
        let repeats = RouteRepeats::build(spec, shared.limits.repeats(), &shared.seed);
        if repeats.is_some() && matches!(spec.access, ir::Access::Public) {
            errors.add(self.at("rate_limits"), "repeats are those of a caller, and a public route has none");
        }
        let tried = shadow_limits(&spec.shadow_limits, &spec.name, readable, shared, || self.at("shadow_limits"), errors);
        Some(Limits { rate: rate?, concurrency: concurrency?, quotas: quotas?, repeats, tried })
    }
}
