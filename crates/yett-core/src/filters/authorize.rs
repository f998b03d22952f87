//! What verified callers may do: rules that have to hold, rules that deny, and whose tenant it is.

mod body;
mod claims;
pub mod condition;
pub mod rule;
pub(in crate::filters) mod sets;
pub mod shadow;
mod tenant;
#[cfg(test)]
mod tests;
pub mod times;

use std::sync::Arc;

use body::BodyField;

use crate::exchange::{Exchange, Now, Refusal};
use crate::ir;
use crate::principal::Principal;
use crate::reason::Reason;
use condition::{Readable, RouteFacts};
use rule::Rule;
use tenant::Tenant;

/// What a rule is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The verified caller.
    pub principal: &'a Principal,
    /// The request.
    pub exchange: &'a Exchange,
    /// What is known of its route.
    pub route: &'a RouteFacts,
    /// The time.
    pub now: Now,
}

/// Whether a part of a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Holds,
    Fails(Reason),
    /// Not to be decided: what it reads is absent, or reading it failed.
    Open(Reason),
}

impl Truth {
    fn of(holds: bool, reason: Reason) -> Self {
        if holds { Self::Holds } else { Self::Fails(reason) }
    }

    /// Both: what fails decides, whatever the other is (Kleene's strong three-valued logic).
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Holds => other(),
            Self::Fails(_) => self,
            Self::Open(_) => match other() {
                fails @ Self::Fails(_) => fails,
                Self::Holds | Self::Open(_) => self,
            },
        }
    }
}

/// What one rule came to.
#[derive(Debug)]
pub struct Judged {
    /// `tenant`, `deny` or `rule`.
    pub kind: &'static str,
    /// Where it stands.
    pub source: Arc<str>,
    /// Its parts, by the key that they have in a configuration; of claims, by their names.
    pub parts: Vec<(Box<str>, Part)>,
}

/// What one part of a rule came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It holds.
    Holds,
    /// It does not.
    Fails(Reason),
    /// What it reads is absent, or reading it failed.
    Undecided(Reason),
}

impl From<Truth> for Part {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::Holds => Self::Holds,
            Truth::Fails(reason) => Self::Fails(reason),
            Truth::Open(reason) => Self::Undecided(reason),
        }
    }
}

/// All that decides what a route's callers may do.
#[derive(Debug, Default)]
pub struct Policy {
    tenants: Box<[Tenant]>,
    deny: Box<[Rule]>,
    rules: Box<[Rule]>,
    /// What is known of the route.
    pub route: RouteFacts,
}

impl Policy {
    /// Compiles the rules of a route. `rules` are those of `authorize:`, `readable` what conditions may read.
    ///
    /// # Errors
    /// Each part that cannot be compiled: its place below the route, and what is wrong.
    pub fn build(spec: &ir::Route, rules: &[ir::AuthorizeRule], readable: &Readable) -> Result<Self, Vec<(String, String)>> {
        let mut errors = Vec::new();
        let mut keep = |place: String, result: Result<Rule, String>| result.map_err(|message| errors.push((place, message))).ok();
        let built = rules.iter().enumerate();
        let rules: Box<[Rule]> = built
            .filter_map(|(at, rule)| keep(format!("access/authenticated/rules/{at}"), Rule::build(rule, readable)))
            .collect();
        let denied = spec.deny.iter().enumerate();
        let deny: Box<[Rule]> = denied.filter_map(|(at, rule)| keep(format!("deny/{at}"), Rule::build(rule, readable))).collect();
        let mut tenants = Vec::with_capacity(spec.tenants.len());
        for (at, tenant) in spec.tenants.iter().enumerate() {
            match Tenant::build(tenant, readable) {
                Ok(tenant) => tenants.push(tenant),
                Err(message) => errors.push((format!("tenants/{at}"), message)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        let route =
            RouteFacts { name: spec.name.as_str().into(), group: text(&spec.group), classification: text(&spec.classification) };
        Ok(Self { tenants: tenants.into(), deny, rules, route })
    }

    /// Fields of requests that it reads, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let rules = self.deny.iter().chain(&self.rules).flat_map(Rule::headers);
        self.tenants.iter().filter_map(Tenant::header).chain(rules)
    }

    /// Parameters of the query that it reads.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        let rules = self.deny.iter().chain(&self.rules).flat_map(Rule::parameters);
        self.tenants.iter().filter_map(Tenant::parameter).chain(rules)
    }

    /// Fields of the body that it reads.
    pub fn body_fields(&self) -> impl Iterator<Item = &BodyField> {
        let rules = self.deny.iter().chain(&self.rules).flat_map(Rule::body_fields);
        self.tenants.iter().filter_map(Tenant::body_field).chain(rules)
    }

    /// Whether it names the tenant of a request.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Every rule and what each of its parts comes to, for explanations; also those behind one that refuses.
    #[must_use]
    pub fn trace(&self, ask: &Ask<'_>) -> Vec<Judged> {
        let tenants = self.tenants.iter().map(|tenant| {
            let truth =
                tenant.check(ask.principal, ask.exchange).map_or_else(|refusal| Truth::Fails(refusal.reason), |()| Truth::Holds);
            Judged { kind: "tenant", source: Arc::clone(tenant.source()), parts: vec![("tenant".into(), truth.into())] }
        });
        let deny = self.deny.iter().map(|rule| rule.trace("deny", ask));
        tenants.chain(deny).chain(self.rules.iter().map(|rule| rule.trace("rule", ask))).collect()
    }

    /// Allows, or refuses with its reason: the tenant first, then what denies, then what has to hold.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        let mut head = self.tenants.iter().filter(|tenant| !tenant.reads_body());
        head.try_for_each(|tenant| tenant.check(ask.principal, ask.exchange))?;
        self.deny.iter().try_for_each(|rule| rule.deny(ask))?;
        self.rules.iter().try_for_each(|rule| rule.permit(ask))
    }

    /// Whether something is decided on the validated body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.tenants.iter().any(Tenant::reads_body) || self.deny.iter().chain(&self.rules).any(Rule::reads_body)
    }

    /// The same as [`Self::check`] for what waits for the validated body.
    ///
    /// # Errors
    /// The refusal.
    pub fn check_body(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        let mut body = self.tenants.iter().filter(|tenant| tenant.reads_body());
        body.try_for_each(|tenant| tenant.check(ask.principal, ask.exchange))?;
        self.deny.iter().try_for_each(|rule| rule.deny_body(ask))?;
        self.rules.iter().try_for_each(|rule| rule.permit_body(ask))
    }
}
