//! What a verified caller may do.

use std::sync::Arc;

use crate::exchange::{AuthenticationMethod, Principal, PrincipalKind, Refusal, Variables};
use crate::ir;
use crate::reason::Reason;

/// One compiled `authorize:`. Its parts are asked in this order: callers, scopes, roles, tenant; all have to hold.
#[derive(Debug)]
pub struct Rule {
    source: Arc<str>,
    callers: Option<Callers>,
    scopes: Option<Quantified>,
    roles: Option<Quantified>,
    /// Index of the template variable that names the tenant.
    tenant: Option<usize>,
}

#[derive(Debug)]
struct Callers {
    users: Vec<Box<str>>,
    clients: Vec<Box<str>>,
    keys: Vec<Box<str>>,
}

impl Callers {
    /// A user is matched by `sub` only where the token stands for a user: a client whose id equals a user's `sub` is
    /// someone else (RFC 9068 section 5).
    fn allow(&self, principal: &Principal) -> bool {
        let subject = |list: &[Box<str>]| list.contains(&principal.subject);
        if principal.method == AuthenticationMethod::ApiKey {
            return subject(&self.keys);
        }
        match principal.kind {
            PrincipalKind::User => subject(&self.users) || self.client(principal),
            PrincipalKind::Service | PrincipalKind::Device => self.client(principal),
        }
    }

    fn client(&self, principal: &Principal) -> bool {
        principal.client.as_ref().is_some_and(|client| self.clients.contains(client))
    }
}

#[derive(Debug)]
struct Quantified {
    all: bool,
    values: Vec<Box<str>>,
}

impl Quantified {
    fn build(spec: &ir::Quantified, what: &str) -> Result<Self, String> {
        let (all, values) = match spec {
            ir::Quantified::AnyOf(values) => (false, values),
            ir::Quantified::AllOf(values) => (true, values),
        };
        if values.is_empty() {
            return Err(format!("`{what}` is an empty list; name at least one or leave it out"));
        }
        Ok(Self { all, values: texts(values, what)? })
    }

    fn allow(&self, held: &[Box<str>]) -> bool {
        if self.all {
            self.values.iter().all(|value| held.contains(value))
        } else {
            self.values.iter().any(|value| held.contains(value))
        }
    }
}

fn texts(values: &[String], what: &str) -> Result<Vec<Box<str>>, String> {
    if values.iter().any(String::is_empty) {
        return Err(format!("`{what}` has an empty text, which would match nothing; remove it"));
    }
    Ok(values.iter().map(|value| value.as_str().into()).collect())
}

impl Rule {
    /// `variables` are the names of the route's template variables, in order.
    pub fn build(rule: &ir::AuthorizeRule, variables: &[&str]) -> Result<Self, String> {
        if rule.callers.is_none() && rule.scopes.is_none() && rule.roles.is_none() && rule.tenant.is_none() {
            return Err("`authorize` asks for nothing; name callers, scopes, roles or a tenant".to_owned());
        }
        let callers = rule.callers.as_ref().map(|callers| {
            if callers.users.is_empty() && callers.clients.is_empty() && callers.keys.is_empty() {
                return Err("`callers` is empty; name at least one user, client or key".to_owned());
            }
            Ok(Callers {
                users: texts(&callers.users, "callers.users")?,
                clients: texts(&callers.clients, "callers.clients")?,
                keys: texts(&callers.keys, "callers.keys")?,
            })
        });
        let tenant = rule.tenant.as_ref().map(|ir::TenantSource::Path(name)| {
            variables
                .iter()
                .position(|variable| variable == name)
                .ok_or_else(|| format!("`tenant: path.{name}` names no variable of the path; it has {}", listed(variables)))
        });
        Ok(Self {
            source: rule.source.as_str().into(),
            callers: callers.transpose()?,
            scopes: rule.scopes.as_ref().map(|spec| Quantified::build(spec, "scopes")).transpose()?,
            roles: rule.roles.as_ref().map(|spec| Quantified::build(spec, "roles")).transpose()?,
            tenant: tenant.transpose()?,
        })
    }

    /// Allows, or refuses with its reason. `values` are the decoded template variables, in order.
    pub fn check(&self, principal: &Principal, values: &Variables) -> Result<(), Refusal> {
        if self.callers.as_ref().is_some_and(|callers| !callers.allow(principal)) {
            return Err(self.refuse(Reason::CallerNotAllowed));
        }
        if let Some(scopes) = self.scopes.as_ref().filter(|scopes| !scopes.allow(&principal.scopes)) {
            let mut refusal = self.refuse(Reason::ScopeMissing);
            refusal.scope = Some(scopes.values.join(" ").into());
            return Err(refusal);
        }
        if self.roles.as_ref().is_some_and(|roles| !roles.allow(&principal.roles)) {
            return Err(self.refuse(Reason::RoleMissing));
        }
        self.tenant.map_or(Ok(()), |index| self.check_tenant(index, principal, values))
    }

    /// An empty tenant is none: it never matches, not even another empty one.
    fn check_tenant(&self, index: usize, principal: &Principal, values: &Variables) -> Result<(), Refusal> {
        let held = principal.tenant.as_deref().filter(|tenant| !tenant.is_empty());
        let asked = values.get(index).filter(|tenant| !tenant.is_empty());
        match (held, asked) {
            (Some(held), Some(asked)) if held == asked => Ok(()),
            (Some(_), Some(_)) => Err(self.refuse(Reason::TenantMismatch)),
            _ => Err(self.refuse(Reason::TenantMissing)),
        }
    }

    fn refuse(&self, reason: Reason) -> Refusal {
        let mut refusal = Refusal::from(reason);
        refusal.rule = Some(Arc::clone(&self.source));
        refusal
    }
}

fn listed(variables: &[&str]) -> String {
    if variables.is_empty() {
        return "none".to_owned();
    }
    variables.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::exchange::{AuthenticationMethod, Principal, PrincipalKind, Variables};
    use crate::ir::{AuthorizeRule, Callers, Quantified, TenantSource};
    use crate::reason::Reason;
    use proptest::prelude::*;

    fn rule() -> AuthorizeRule {
        AuthorizeRule { source: "route a".into(), callers: None, scopes: None, roles: None, tenant: None }
    }

    fn caller(kind: PrincipalKind, subject: &str) -> Principal {
        Principal {
            issuer: "https://id.example".into(),
            subject: subject.into(),
            kind,
            key: 1,
            ..Principal::blank("id".into(), AuthenticationMethod::Jwt)
        }
    }

    fn key(subject: &str) -> Principal {
        Principal { subject: subject.into(), ..Principal::blank("keys".into(), AuthenticationMethod::ApiKey) }
    }

    fn reason(rule: &AuthorizeRule, principal: &Principal, values: &[&str]) -> Option<Reason> {
        let mut variables = Variables::default();
        for value in values {
            variables.push([*value]);
        }
        let rule = Rule::build(rule, &["invoice", "tenant"]).unwrap();
        rule.check(principal, &variables).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn callers_are_matched_by_their_kind() {
        let mut spec = rule();
        spec.callers = Some(Callers { users: vec!["ann".into()], clients: vec!["batch".into()], keys: vec!["partner".into()] });
        assert_eq!(reason(&spec, &caller(PrincipalKind::User, "ann"), &[]), None);
        assert_eq!(reason(&spec, &key("partner"), &[]), None);
        assert_eq!(reason(&spec, &key("ann"), &[]), Some(Reason::CallerNotAllowed));
        for (kind, subject) in [
            (PrincipalKind::Service, "ann"),
            (PrincipalKind::Device, "ann"),
            (PrincipalKind::User, "partner"),
            (PrincipalKind::User, "batch"),
            (PrincipalKind::User, "Ann"),
            (PrincipalKind::User, ""),
        ] {
            assert_eq!(reason(&spec, &caller(kind, subject), &[]), Some(Reason::CallerNotAllowed), "{kind:?} {subject}");
        }
        let mut through = caller(PrincipalKind::User, "bob");
        through.client = Some("batch".into());
        assert_eq!(reason(&spec, &through, &[]), None);
        through.method = AuthenticationMethod::ApiKey;
        assert_eq!(reason(&spec, &through, &[]), Some(Reason::CallerNotAllowed));
    }

    #[test]
    fn scopes_and_roles_follow_their_quantifier_and_name_what_is_needed() {
        let mut spec = rule();
        spec.scopes = Some(Quantified::AllOf(vec!["a".into(), "b".into()]));
        spec.roles = Some(Quantified::AnyOf(vec!["x".into(), "y".into()]));
        let mut who = caller(PrincipalKind::User, "ann");
        who.scopes = vec!["a".into(), "bb".into()];
        let refusal = Rule::build(&spec, &[]).unwrap().check(&who, &Variables::default()).unwrap_err();
        assert_eq!(refusal.reason, Reason::ScopeMissing);
        assert_eq!(refusal.scope.as_deref(), Some("a b"));
        assert_eq!(refusal.rule.as_deref(), Some("route a"));
        who.scopes.push("b".into());
        assert_eq!(reason(&spec, &who, &[]), Some(Reason::RoleMissing));
        who.roles.push("y".into());
        assert_eq!(reason(&spec, &who, &[]), None);
    }

    #[test]
    fn a_tenant_has_to_be_named_on_both_sides_and_be_the_same() {
        let mut spec = rule();
        spec.tenant = Some(TenantSource::Path("tenant".into()));
        let mut who = caller(PrincipalKind::User, "ann");
        assert_eq!(reason(&spec, &who, &["7", "acme"]), Some(Reason::TenantMissing));
        who.tenant = Some("".into());
        assert_eq!(reason(&spec, &who, &["7", ""]), Some(Reason::TenantMissing));
        who.tenant = Some("acme".into());
        assert_eq!(reason(&spec, &who, &["7", "acme"]), None);
        assert_eq!(reason(&spec, &who, &["acme", "globex"]), Some(Reason::TenantMismatch));
        assert_eq!(reason(&spec, &who, &["7", "ACME"]), Some(Reason::TenantMismatch));
        assert_eq!(reason(&spec, &who, &["7"]), Some(Reason::TenantMissing));
    }

    #[test]
    fn rules_that_decide_nothing_do_not_load() {
        assert!(Rule::build(&rule(), &[]).is_err());
        let mut spec = rule();
        spec.scopes = Some(Quantified::AllOf(vec![]));
        assert!(Rule::build(&spec, &[]).is_err());
        spec.scopes = Some(Quantified::AnyOf(vec![String::new()]));
        assert!(Rule::build(&spec, &[]).is_err());
        let mut spec = rule();
        spec.callers = Some(Callers { users: vec![], clients: vec![], keys: vec![] });
        assert!(Rule::build(&spec, &[]).is_err());
        let mut spec = rule();
        spec.tenant = Some(TenantSource::Path("tenant".into()));
        assert!(Rule::build(&spec, &["invoice"]).unwrap_err().contains("`invoice`"));
    }

    proptest! {
        #[test]
        fn quantifiers_agree_with_set_logic(held in prop::collection::vec("[a-d]", 0..4), needs in prop::collection::vec(
            (any::<bool>(), prop::collection::vec("[a-d]", 1..3)), 1..4)) {
            let mut who = caller(PrincipalKind::User, "ann");
            who.scopes = held.iter().map(|s| s.as_str().into()).collect();
            for (all, values) in needs {
                let expected = if all { values.iter().all(|v| held.contains(v)) } else { values.iter().any(|v| held.contains(v)) };
                let mut spec = rule();
                spec.scopes = Some(if all { Quantified::AllOf(values) } else { Quantified::AnyOf(values) });
                prop_assert_eq!(reason(&spec, &who, &[]).is_none(), expected);
            }
        }
    }
}
