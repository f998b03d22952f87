//! Names: each stands once, and what routes name exists.

use std::collections::HashSet;

use super::Errors;
use crate::ir::{self, Ir};

/// Every name stands once, every listener and service that a route names exists.
pub(super) fn names(ir: &Ir, errors: &mut Errors) {
    let mut check = |kind: &str, names: &mut dyn Iterator<Item = &str>| {
        let mut seen = HashSet::new();
        for (index, name) in names.enumerate().filter(|(_, name)| !seen.insert(name.to_owned())) {
            let message = format!("`{name}` stands twice");
            errors.add(format!("/{kind}/{index}"), message);
        }
    };
    check("address_lists", &mut ir.address_lists.iter().map(|l| l.name.as_str()));
    check("listeners", &mut ir.listeners.iter().map(|l| l.name.as_str()));
    check("services", &mut ir.services.iter().map(|s| s.name.as_str()));
    check("routes", &mut ir.routes.iter().map(|r| r.name.as_str()));
    check("providers", &mut ir.providers.iter().map(ir::Provider::name));
    let known: HashSet<&str> = ir.listeners.iter().map(|l| l.name.as_str()).collect();
    for (index, route) in ir.routes.iter().enumerate() {
        if route.listeners.is_empty() {
            let message = "the route stands on no listener".to_owned();
            errors.add(format!("/routes/{index}/listeners"), message);
        }
        for name in route.listeners.iter().filter(|name| !known.contains(name.as_str())) {
            let message = format!("there is no listener `{name}`");
            errors.add(format!("/routes/{index}/listeners"), message);
        }
    }
}
