//! Who may use a route: providers, rules, those that are tried out, and who else is asked.

use std::sync::Arc;

use super::super::Errors;
use super::super::screen::Screen;
use super::Draft;
use crate::filters::assurance::Assurance;
use crate::filters::authorize::Policy;
use crate::filters::authorize::condition::Readable;
use crate::filters::authorize::shadow::Shadow;
use crate::filters::external_authorization::ExternalAuthorization;
use crate::filters::geo_filter::GeoFilter;
use crate::ir::{self, Ir};
use crate::protected_resource::{PREFIX, scopes};
use crate::providers::live_check::LiveCheck;
use crate::providers::{Accepts, Provider};
use crate::snapshot::{Access, Challenge};

pub(super) struct Callers {
    pub(super) access: Access,
    pub(super) shadow: Option<Box<Shadow>>,
    pub(super) live_check: Option<LiveCheck>,
    pub(super) challenges: Vec<Challenge>,
    pub(super) assurance: Option<Assurance>,
    pub(super) external: Option<ExternalAuthorization>,
}

impl Draft<'_> {
    pub(super) fn callers(&self, errors: &mut Errors) -> Option<Callers> {
        let (spec, context) = (self.spec, self.context);
        let access = self.access(errors);
        let shadow = self.shadow(errors);
        let live_check = spec.live_check.as_ref();
        let live_check =
            live_check.map(|check| LiveCheck::build(check, &spec.access, context.providers, &context.by_name)).transpose();
        let live_check = errors.take(|| self.at("live_check"), live_check);
        let assurance = errors.take(|| self.at("assurance"), spec.assurance.as_ref().map(Assurance::build).transpose());
        if spec.assurance.is_some() && matches!(spec.access, ir::Access::Public) {
            errors.add(self.at("assurance"), "`assurance` needs callers; a public route has none");
        }
        let external = spec.external_authorization.as_ref();
        let external = external.map(|one| ExternalAuthorization::build(one, context.shared)).transpose();
        let external = errors.take(|| self.at("external_authorization"), external);
        let access = access?;
        Some(Callers {
            challenges: self.challenges(&access),
            access,
            shadow: shadow?,
            live_check: live_check?,
            assurance: assurance?,
            external: external?,
        })
    }

    fn access(&self, errors: &mut Errors) -> Option<Access> {
        let ir::Access::Authenticated(authenticated) = &self.spec.access else { return Some(Access::Public) };
        let at = || self.at("access/authenticated/providers");
        let mut providers = Vec::with_capacity(authenticated.providers.len());
        for name in &authenticated.providers {
            let found = self.context.by_name.get(name.as_str()).copied();
            providers.push(errors.take(at, found.ok_or_else(|| format!("there is no identity provider `{name}`")))?);
        }
        if providers.is_empty() {
            errors.add(at(), "the route accepts no identity provider, so nobody could use it");
            return None;
        }
        let providers = if authenticated.all_of { Accepts::AllOf(providers) } else { Accepts::AnyOf(providers) };
        errors.take(at, providers.check(self.context.providers))?;
        let tenants = self.spec.tenants.iter().filter_map(|tenant| match &tenant.from {
            ir::TenantSource::Path(name) => Some(name),
            _ => None,
        });
        for _ in tenants.filter(|name| spans(self.spec, name)) {
            let message = "the rule reads a part of the path that `path: {allow: …}` lets services cut elsewhere";
            errors.add(self.at("tenants"), message);
        }
        let policy = Policy::build(self.spec, &authenticated.rules, self.readable.as_ref()?);
        let policy = Box::new(self.take_placed(policy, errors)?);
        Some(Access::Authenticated { providers, policy })
    }

    /// Rules that are tried out; a public route knows no callers to try them on.
    fn shadow(&self, errors: &mut Errors) -> Option<Option<Box<Shadow>>> {
        let Some(shadow) = &self.spec.shadow else { return Some(None) };
        let Some(readable) = &self.readable else {
            errors.add(self.at("shadow"), "a public route knows no callers; a rule in shadow has no place there");
            return None;
        };
        let built = Shadow::build(shadow, &self.spec.name, readable, &self.context.shared.shadow);
        Some(Some(Box::new(self.take_placed(built, errors)?)))
    }

    /// Of what names the parts of the route where its errors are.
    fn take_placed<T>(&self, result: Result<T, Vec<(String, String)>>, errors: &mut Errors) -> Option<T> {
        let add = |(place, message): (String, String)| errors.add(self.at(&place), message);
        result.map_err(|found| found.into_iter().for_each(add)).ok()
    }

    /// A public route knows no callers, and a hidden one answers nobody before it knows whom.
    pub(super) fn fits(&self, screen: &Screen, errors: &mut Errors) {
        let spec = self.spec;
        let public = matches!(spec.access, ir::Access::Public);
        if public && !(spec.tenants.is_empty() && spec.deny.is_empty() && !spec.hidden && spec.response_tenant.is_none()) {
            let message = "a public route knows no callers; `tenant`, `deny`, `hidden` and `response_tenant` have no place there";
            errors.add(self.at("access"), message);
        }
        if public && screen.geo_filters.iter().any(GeoFilter::waits) {
            errors.add(self.at("geo_filters"), "a public route knows no callers whom `geo_filter` could except");
        }
        if spec.hidden && spec.csrf.as_ref().is_some_and(|csrf| csrf.form.is_some()) {
            errors.add(self.at("csrf"), "waiting for a form before anything is decided would show a hidden route");
        }
        if spec.hidden && spec.matches.path.starts_with(PREFIX) {
            let message = format!("a hidden route cannot stand at `{PREFIX}`, where the gateway says what protects a host");
            errors.add(self.at("match"), message);
        }
    }

    fn challenges(&self, access: &Access) -> Vec<Challenge> {
        let Access::Authenticated { providers, .. } = access else { return Vec::new() };
        let accepted = providers.providers().iter().filter_map(|index| self.context.providers.get(*index as usize));
        accepted.flat_map(|provider| challenges(provider, self.spec, self.context.ir)).collect()
    }
}

/// What conditions of a route may read: claims of the providers whose callers its rules are about.
pub(super) fn readable(spec: &ir::Route, variables: &[&str], ir: &Ir) -> Option<Readable> {
    let ir::Access::Authenticated(authenticated) = &spec.access else { return None };
    let names = if authenticated.all_of { authenticated.providers.get(..1) } else { Some(authenticated.providers.as_slice()) };
    let claims = |name: &String| {
        let provider = ir.providers.iter().find(|provider| provider.name() == name)?;
        let declared =
            provider.declared().map(|declared| declared.iter().map(|(name, claim)| (name.clone(), claim.kind)).collect());
        Some((name.clone(), declared.unwrap_or_default()))
    };
    Some(Readable {
        claims: names.unwrap_or_default().iter().filter_map(claims).collect(),
        headers: Vec::new(),
        geo: ir.geo.as_ref().map(ir::Geo::readable).unwrap_or_default(),
        body: spec.request_validation.as_deref().and_then(ir::RequestValidation::readable).cloned(),
        variables: variables.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// What a client is told to send: a token as it has to be bound, or whatever else the provider takes.
fn challenges(provider: &Provider, spec: &ir::Route, ir: &Ir) -> Vec<Challenge> {
    let demand = spec.sender_constrained.or_else(|| provider.sender_constrained()).filter(|_| provider.takes_tokens());
    let dpop = || Challenge::Dpop(Arc::clone(provider.name()), ir.dpop.algorithms.join(" ").into());
    match demand {
        None | Some(ir::SenderConstrained::Mtls) => vec![provider.challenge()],
        Some(ir::SenderConstrained::Dpop) => vec![dpop()],
        Some(ir::SenderConstrained::Any) => vec![dpop(), provider.challenge()],
    }
}

/// What a client has to ask for, to be let through by every rule.
pub(super) fn scope(spec: &ir::Route) -> Option<Box<str>> {
    let ir::Access::Authenticated(access) = &spec.access else { return None };
    let scopes = scopes(access);
    (!scopes.is_empty()).then(|| scopes.join(" ").into())
}

/// Whether a variable can hold what the route's exceptions to canonical paths let in.
fn spans(spec: &ir::Route, variable: &str) -> bool {
    spec.path_allow.iter().any(|allowed| match allowed {
        ir::PathAllow::EncodedSlash | ir::PathAllow::Semicolon => true,
        ir::PathAllow::EmptySegment => spec.matches.path.contains(&format!("{{{variable}...}}")),
    })
}
