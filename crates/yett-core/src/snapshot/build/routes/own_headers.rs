//! Names of fields that a route reads or changes: other foldings of them never reach a service.

use super::browsers::Browsers;
use super::callers::Callers;
use super::guards::Guards;
use super::limits::Limits;
use super::validation::Validation;
use crate::filters::bot_filter;
use crate::filters::external_authorization::ExternalAuthorization;
use crate::filters::login_guard::LoginGuard;
use crate::filters::rate_limit::RouteRepeats;
use crate::filters::request_validation::RequestValidation;
use crate::ir;
use crate::snapshot::Access;

/// Lower case.
pub(super) fn names(
    spec: &ir::Route,
    callers: &Callers,
    limits: &Limits,
    guards: &Guards,
    browsers: &Browsers,
    validation: &Validation,
) -> Vec<Box<str>> {
    let edits = &spec.request_headers;
    let edited = edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys()).chain(spec.matches.headers.keys());
    let rules = match &callers.access {
        Access::Authenticated { policy, .. } => Some(policy.headers()),
        Access::Public => None,
    };
    let names = edited
        .map(String::as_str)
        .chain(rules.into_iter().flatten())
        .chain(validation.request.iter().flat_map(RequestValidation::judged_headers))
        .chain(callers.external.iter().flat_map(ExternalAuthorization::fields))
        .chain(limits.rate.headers())
        .chain(guards.login.iter().flat_map(LoginGuard::headers))
        .chain(limits.quotas.headers())
        .chain(limits.concurrency.headers())
        .chain(browsers.csrf.iter().filter(|csrf| csrf.tells()).map(|_| "x-csrf-token"))
        .chain(guards.bots.iter().flat_map(|_| bot_filter::READ))
        .chain(limits.repeats.iter().map(|_| RouteRepeats::header()));
    names.map(|name| name.to_ascii_lowercase().into()).collect()
}
