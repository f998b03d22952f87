//! Routes: each with all that stands on its way, or every reason why it cannot be.

mod browsers;
mod callers;
mod forward;
mod guards;
mod limits;
mod own_headers;
mod validation;

use std::collections::HashMap;
use std::sync::Arc;

use super::decision::decision;
use super::screen::{Lists, Screen, ScreenSpec};
use super::{Errors, security_headers};
use crate::filters::authorize::condition::Readable;
use crate::ir::{self, Ir};
use crate::protected_resource::PREFIX;
use crate::providers::Provider;
use crate::router::variable_names;
use crate::shared::Shared;
use crate::snapshot::{Route, Secrets};

pub(super) fn routes(
    ir: &Ir,
    providers: &[Provider],
    lists: &Lists,
    (secrets, shared): (&Secrets, &Arc<Shared>),
    errors: &mut Errors,
) -> Vec<Route> {
    let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let services: HashMap<&str, u32> = ir.services.iter().enumerate().map(|(i, s)| (s.name.as_str(), index(i))).collect();
    let by_name: HashMap<&str, u32> = providers.iter().enumerate().map(|(i, p)| (&**p.name(), index(i))).collect();
    let context = Context { ir, providers, by_name, services, lists, secrets, shared };
    let mut out = Vec::with_capacity(ir.routes.len());
    for (index, spec) in ir.routes.iter().enumerate() {
        out.extend(Draft::new(&context, spec, index).route(errors));
    }
    out
}

/// What routes are built from.
struct Context<'a> {
    ir: &'a Ir,
    providers: &'a [Provider],
    by_name: HashMap<&'a str, u32>,
    services: HashMap<&'a str, u32>,
    lists: &'a Lists,
    secrets: &'a Secrets,
    shared: &'a Arc<Shared>,
}

/// A route that is being built.
struct Draft<'a> {
    context: &'a Context<'a>,
    spec: &'a ir::Route,
    index: usize,
    /// Of its path.
    variables: Vec<&'a str>,
    /// What its conditions may read; a public route has none.
    readable: Option<Readable>,
}

impl<'a> Draft<'a> {
    fn new(context: &'a Context<'a>, spec: &'a ir::Route, index: usize) -> Self {
        let variables = variable_names(&spec.matches.path);
        let readable = callers::readable(spec, &variables, context.ir);
        Self { context, spec, index, variables, readable }
    }

    /// The place of a part of it in the document.
    fn at(&self, part: &str) -> String {
        format!("/routes/{}/{part}", self.index)
    }

    fn screen(&self, errors: &mut Errors) -> Screen {
        let spec = ScreenSpec {
            address_filters: &self.spec.address_filters,
            geo_filters: &self.spec.geo_filters,
            address_limits: &self.spec.address_limits,
        };
        let Context { ir, lists, shared, .. } = self.context;
        spec.build(ir.geo.as_ref(), lists, shared, |part| self.at(part), errors)
    }

    /// Builds all of it before it gives up, so that every error is named.
    fn route(&self, errors: &mut Errors) -> Option<Route> {
        let spec = self.spec;
        let callers = self.callers(errors);
        let screen = self.screen(errors);
        let limits = self.limits(errors);
        let guards = self.guards(errors);
        let forward = self.forward(errors);
        let security_headers = security_headers(spec.security_headers.as_deref(), || self.at("security_headers"), errors);
        let browsers = self.browsers(errors);
        let validation = self.validation(errors);
        self.fits(&screen, errors);
        let (callers, limits, guards, forward) = (callers?, limits?, guards?, forward?);
        let (browsers, validation) = (browsers?, validation?);
        let own_headers = own_headers::names(spec, &callers, &limits, &guards, &browsers, &validation);
        Some(Route {
            name: spec.name.as_str().into(),
            priority: spec.priority,
            path_allow: spec.path_allow.clone(),
            client_certificate: spec.client_certificate,
            live_check: callers.live_check,
            sender_constrained: spec.sender_constrained,
            decision: decision(spec, self.context.ir),
            shadow: callers.shadow,
            hidden: spec.hidden,
            external: callers.external.map(Box::new),
            response_tenant: spec.response_tenant.as_deref().map(|name| name.to_ascii_lowercase().into()),
            access: callers.access,
            assurance: callers.assurance,
            challenges: callers.challenges,
            scope: callers::scope(spec),
            well_known: spec.matches.path.starts_with(PREFIX),
            address_filters: screen.address_filters,
            geo_filters: screen.geo_filters,
            address_limits: screen.address_limits,
            rate_limits: limits.rate,
            concurrency_limits: limits.concurrency,
            quotas: limits.quotas,
            repeats: limits.repeats,
            shadow_limits: limits.tried,
            login_guard: guards.login.map(Box::new),
            bot_filter: guards.bots.map(Box::new),
            action: forward.action,
            rewrite: forward.rewrite,
            mirror: forward.mirror,
            request_headers: forward.request_headers,
            own_headers,
            response_headers: forward.response_headers,
            security_headers: security_headers?,
            early_hints: spec.early_hints,
            websocket: browsers.websocket,
            cors: browsers.cors.map(Box::new),
            csrf: browsers.csrf,
            request_validation: validation.request.map(Box::new),
            response_validation: validation.response.map(Box::new),
            attack_filter: validation.attacks,
            body_limit: spec.body_limit,
            timeouts: spec.timeouts.clone(),
        })
    }
}
