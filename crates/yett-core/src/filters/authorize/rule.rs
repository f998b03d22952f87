//! One rule: parts that all have to hold.

use std::sync::Arc;

use ipnet::IpNet;

use super::body::BodyField;
use super::claims::{ClaimRule, Device};
use super::condition::{Condition, Readable};
use super::sets::{Callers, RoleSets, Scopes};
use super::times::Window;
use super::{Ask, Judged, Truth};
use crate::exchange::Refusal;
use crate::ir;
use crate::reason::Reason;

/// A compiled rule of `authorize:` or `deny:`.
#[derive(Debug)]
pub struct Rule {
    source: Arc<str>,
    callers: Option<Callers>,
    scopes: Option<Scopes>,
    roles: Option<RoleSets>,
    permissions: Option<RoleSets>,
    claims: Box<[ClaimRule]>,
    addresses: Box<[IpNet]>,
    times: Box<[Window]>,
    device: Option<Device>,
    condition: Option<Condition>,
    reads_body: bool,
}

impl Rule {
    /// Compiles one. `readable` is what its condition may read of the route and its providers.
    ///
    /// # Errors
    /// A rule without a part, and whatever a part refuses.
    pub fn build(rule: &ir::AuthorizeRule, readable: &Readable) -> Result<Self, String> {
        let readable = Readable { headers: rule.headers.clone(), ..readable.clone() };
        let condition = rule.when.as_ref().map(|source| Condition::build(source, &readable)).transpose()?;
        let built = Self {
            reads_body: condition.as_ref().is_some_and(Condition::reads_body),
            source: rule.source.as_str().into(),
            callers: rule.callers.as_ref().map(Callers::build).transpose()?,
            scopes: rule.scopes.as_ref().map(Scopes::build).transpose()?,
            roles: rule.roles.as_ref().map(|spec| RoleSets::build(spec, "roles")).transpose()?,
            permissions: rule.permissions.as_ref().map(|spec| RoleSets::build(spec, "permissions")).transpose()?,
            claims: rule.claims.iter().map(ClaimRule::build).collect::<Result<_, _>>()?,
            addresses: rule.addresses.as_slice().into(),
            times: rule.times.iter().map(Window::build).collect::<Result<_, _>>()?,
            device: rule.device.as_ref().map(Device::build).transpose()?,
            condition,
        };
        if built.is_empty() {
            return Err("the rule asks for nothing; name callers, scopes, roles, permissions, claims or a condition".to_owned());
        }
        Ok(built)
    }

    fn is_empty(&self) -> bool {
        self.callers.is_none()
            && self.scopes.is_none()
            && self.roles.is_none()
            && self.permissions.is_none()
            && self.claims.is_empty()
            && self.addresses.is_empty()
            && self.times.is_empty()
            && self.device.is_none()
            && self.condition.is_none()
    }

    /// Fields of requests that it reads, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.condition.iter().flat_map(Condition::headers)
    }

    /// Parameters of the query that it reads.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.condition.iter().flat_map(Condition::parameters)
    }

    /// Fields of the body that it reads.
    pub(super) fn body_fields(&self) -> impl Iterator<Item = &BodyField> {
        self.condition.iter().flat_map(Condition::body_fields)
    }

    /// Whether a part of it is decided on the validated body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// As a rule of `authorize:`: allows where every part holds that can be decided before the body is read.
    ///
    /// # Errors
    /// The first part that does not hold, or that cannot be decided.
    pub fn permit(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.all(self.parts(ask).chain(self.condition(!self.reads_body, ask)), ask)
    }

    /// The same for the part that reads the validated body.
    ///
    /// # Errors
    /// It does not hold, or cannot be decided.
    pub(super) fn permit_body(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.all(self.condition(self.reads_body, ask), ask)
    }

    fn all(&self, parts: impl Iterator<Item = Truth>, ask: &Ask<'_>) -> Result<(), Refusal> {
        for truth in parts {
            match truth {
                Truth::Holds => {}
                Truth::Fails(reason) | Truth::Open(reason) => return Err(self.refuse(reason, ask)),
            }
        }
        Ok(())
    }

    /// As a rule of `deny:`: refuses where every part holds, and where that cannot be decided. One that reads the body waits.
    ///
    /// # Errors
    /// It denies.
    pub fn deny(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        if self.reads_body { Ok(()) } else { self.denied(ask) }
    }

    /// The same for a rule that reads the validated body.
    ///
    /// # Errors
    /// It denies.
    pub(super) fn deny_body(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        if self.reads_body { self.denied(ask) } else { Ok(()) }
    }

    /// Whether every part holds, as a class of callers; `None` where that cannot be decided.
    #[must_use]
    pub fn applies(&self, ask: &Ask<'_>) -> Option<bool> {
        match self.parts(ask).chain(self.condition(true, ask)).fold(Truth::Holds, |truth, part| truth.and(|| part)) {
            Truth::Holds => Some(true),
            Truth::Fails(_) => Some(false),
            Truth::Open(_) => None,
        }
    }

    /// Where it stands: its name.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    fn denied(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        let mut truth = Truth::Holds;
        for part in self.parts(ask).chain(self.condition(true, ask)) {
            truth = truth.and(|| part);
            // What fails decides: the rest is not asked.
            if matches!(truth, Truth::Fails(_)) {
                return Ok(());
            }
        }
        match truth {
            Truth::Fails(_) => Ok(()),
            Truth::Holds => Err(self.refuse(Reason::PolicyDenied, ask)),
            Truth::Open(_) => Err(self.refuse(Reason::PolicyError, ask)),
        }
    }

    /// The truth of each part but the condition, the cheap ones first; asked one by one.
    fn parts<'a>(&'a self, ask: &'a Ask<'a>) -> impl Iterator<Item = Truth> + 'a {
        let principal = ask.principal;
        let callers = self.callers.iter().map(|callers| Truth::of(callers.allow(principal), Reason::CallerNotAllowed));
        let scopes = self.scopes.iter().map(|scopes| {
            let enough = scopes.check(&ask.exchange.request.method, &principal.scopes).is_ok();
            Truth::of(enough, Reason::ScopeMissing)
        });
        let roles = self.roles.iter().map(|roles| Truth::of(roles.allow(&principal.roles), Reason::RoleMissing));
        let permissions = self.permissions.iter().map(|sets| Truth::of(sets.allow(&principal.roles), Reason::PermissionMissing));
        let claims = self.claims.iter().map(|claim| claim.judge(principal, ask.exchange));
        let addresses = (!self.addresses.is_empty()).then(|| {
            ask.exchange.recorded.iter().for_each(|recorded| recorded.origin());
            let inside = self.addresses.iter().any(|network| network.contains(&ask.exchange.client));
            Truth::of(inside, Reason::AddressNotAllowed)
        });
        let times = (!self.times.is_empty())
            .then(|| Truth::of(self.times.iter().any(|window| window.holds(ask.now.unix_ms)), Reason::TimeNotAllowed));
        let device = self.device.iter().map(|device| device.judge(principal, ask.exchange, ask.now));
        callers.chain(scopes).chain(roles).chain(permissions).chain(claims).chain(addresses).chain(times).chain(device)
    }

    /// The truth of the condition, if it is time for it.
    fn condition<'a>(&'a self, now: bool, ask: &'a Ask<'a>) -> impl Iterator<Item = Truth> + 'a {
        self.condition.iter().filter(move |_| now).map(|condition| match condition.holds(ask) {
            Ok(holds) => Truth::of(holds, Reason::PolicyDenied),
            Err(_) => Truth::Open(Reason::PolicyError),
        })
    }

    /// The keys of [`Self::parts`], in its order.
    fn names(&self) -> impl Iterator<Item = Box<str>> + '_ {
        let there = |is: bool, name: &'static str| is.then(|| Box::from(name));
        there(self.callers.is_some(), "callers")
            .into_iter()
            .chain(there(self.scopes.is_some(), "scopes"))
            .chain(there(self.roles.is_some(), "roles"))
            .chain(there(self.permissions.is_some(), "permissions"))
            .chain(self.claims.iter().map(|claim| format!("claims.{}", claim.name()).into()))
            .chain(there(!self.addresses.is_empty(), "addresses"))
            .chain(there(!self.times.is_empty(), "times"))
            .chain(there(self.device.is_some(), "device"))
            .chain(there(self.condition.is_some(), "when"))
    }

    /// What each part comes to.
    pub(super) fn trace(&self, kind: &'static str, ask: &Ask<'_>) -> Judged {
        let parts = self.names().zip(self.parts(ask).chain(self.condition(true, ask)).map(Into::into)).collect();
        Judged { kind, source: Arc::clone(&self.source), parts }
    }

    fn refuse(&self, reason: Reason, ask: &Ask<'_>) -> Refusal {
        let mut refusal = Refusal::from(reason);
        refusal.rule = Some(Arc::clone(&self.source));
        if reason == Reason::ScopeMissing
            && let Some(Err(needed)) =
                self.scopes.as_ref().map(|scopes| scopes.check(&ask.exchange.request.method, &ask.principal.scopes))
        {
            refusal.scope = (!needed.is_empty()).then(|| needed.into());
        }
        refusal
    }
}
