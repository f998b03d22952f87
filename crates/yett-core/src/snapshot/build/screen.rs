//! What stands on listeners and on routes: lists of addresses, filters and limits by address, limits that are tried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Errors;
use crate::address_lists::List;
use crate::filters::address_filter::AddressFilter;
use crate::filters::address_limit::AddressLimit;
use crate::filters::authorize::condition::Readable;
use crate::filters::geo_filter::GeoFilter;
use crate::filters::limit_shadow::{Building, ShadowLimits};
use crate::ir::{self, Ir};
use crate::shared::Shared;

/// Lists of addresses by name.
pub(super) type Lists = BTreeMap<String, Arc<List>>;

/// Every list; what its file says, where it has one, is read here the first time.
pub(super) fn address_lists(ir: &Ir, shared: &Arc<Shared>) -> Lists {
    ir.address_lists.iter().map(|spec| (spec.name.clone(), Arc::new(List::build(spec, shared)))).collect()
}

/// What is asked of addresses.
pub(super) struct Screen {
    pub(super) address_filters: Vec<AddressFilter>,
    pub(super) geo_filters: Vec<GeoFilter>,
    pub(super) address_limits: Vec<AddressLimit>,
}

/// How it is said of a listener or of a route.
pub(super) struct ScreenSpec<'a> {
    pub(super) address_filters: &'a [ir::AddressFilter],
    pub(super) geo_filters: &'a [ir::GeoFilter],
    pub(super) address_limits: &'a [ir::RateLimit],
}

impl ScreenSpec<'_> {
    pub(super) fn build(
        &self,
        geo: Option<&ir::Geo>,
        lists: &Lists,
        shared: &Arc<Shared>,
        at: impl Fn(&str) -> String,
        errors: &mut Errors,
    ) -> Screen {
        let mut screen = Screen { address_filters: Vec::new(), geo_filters: Vec::new(), address_limits: Vec::new() };
        for spec in self.address_filters {
            screen.address_filters.extend(errors.take(|| at("address_filters"), AddressFilter::build(spec, lists)));
        }
        for spec in self.geo_filters {
            screen.geo_filters.extend(errors.take(|| at("geo_filters"), GeoFilter::build(spec, geo, lists)));
        }
        for spec in self.address_limits {
            let built = AddressLimit::build(spec, &shared.limits, &shared.seed);
            screen.address_limits.extend(errors.take(|| at("address_limits"), built));
        }
        screen
    }
}

pub(super) fn shadow_limits(
    specs: &[ir::ShadowLimit],
    route: &str,
    readable: Option<&Readable>,
    shared: &Arc<Shared>,
    pointer: impl Fn() -> String,
    errors: &mut Errors,
) -> ShadowLimits {
    let building = Building { tables: &shared.shadow_limits, registry: &shared.shadow, seed: &shared.seed, route, readable };
    errors.take_all(pointer, ShadowLimits::build(specs, &building)).unwrap_or_default()
}
