//! Who and with which rights: callers, scopes, roles, permissions.

use crate::exchange::Method;
use crate::ir;
use crate::principal::{AuthenticationMethod, Principal, PrincipalKind};

/// Texts of a part, none of them empty.
pub(super) fn texts(values: &[String], what: &str) -> Result<Box<[Box<str>]>, String> {
    if values.is_empty() {
        return Err(format!("`{what}` is an empty list; name at least one or leave it out"));
    }
    if values.iter().any(String::is_empty) {
        return Err(format!("`{what}` has an empty text, which would match nothing; remove it"));
    }
    Ok(values.iter().map(|value| value.as_str().into()).collect())
}

fn texts_or_none(values: &[String], what: &str) -> Result<Box<[Box<str>]>, String> {
    if values.is_empty() { Ok(Box::default()) } else { texts(values, what) }
}

/// Exact callers; one of them.
#[derive(Debug)]
pub(in crate::filters) struct Callers {
    users: Box<[Box<str>]>,
    clients: Box<[Box<str>]>,
    keys: Box<[Box<str>]>,
    spiffe: Box<[Workload]>,
}

/// A SPIFFE id, or all below a path.
#[derive(Debug)]
enum Workload {
    Exact(Box<str>),
    /// With the `/` at its end.
    Below(Box<str>),
}

impl Callers {
    pub(in crate::filters) fn build(spec: &ir::Callers) -> Result<Self, String> {
        if spec.users.is_empty() && spec.clients.is_empty() && spec.keys.is_empty() && spec.spiffe.is_empty() {
            return Err("`callers` is empty; name at least one user, client, key or SPIFFE id".to_owned());
        }
        let workload = |id: &String| match id.strip_suffix('*') {
            _ if !id.starts_with("spiffe://") => Err(format!("`{id}` is no SPIFFE id")),
            Some(above) if above.ends_with('/') && above.len() > "spiffe://x/".len() => Ok(Workload::Below(above.into())),
            Some(_) => Err(format!("`{id}` is no SPIFFE id; `*` stands at the end, behind a `/`")),
            None => Ok(Workload::Exact(id.as_str().into())),
        };
        Ok(Self {
            users: texts_or_none(&spec.users, "callers.users")?,
            clients: texts_or_none(&spec.clients, "callers.clients")?,
            keys: texts_or_none(&spec.keys, "callers.keys")?,
            spiffe: spec.spiffe.iter().map(workload).collect::<Result<_, _>>()?,
        })
    }

    /// A user is matched by `sub` only where the credential stands for a user: a client whose id equals a user's `sub` is
    /// someone else (RFC 9068 section 5). The name of a key and a SPIFFE id are neither.
    pub(in crate::filters) fn allow(&self, principal: &Principal) -> bool {
        match (principal.method, principal.kind) {
            (AuthenticationMethod::ApiKey, _) => self.keys.contains(&principal.subject),
            // The issuer is a trust domain only where the name came from a URI that was looked for as a SPIFFE id; a common
            // name may have the same letters.
            (AuthenticationMethod::Mtls, PrincipalKind::Service) if principal.issuer.starts_with("spiffe://") => {
                self.spiffe.iter().any(|id| match id {
                    Workload::Exact(id) => *id == principal.subject,
                    Workload::Below(above) => principal.subject.strip_prefix(&**above).is_some_and(|rest| !rest.is_empty()),
                })
            }
            (_, PrincipalKind::User) => self.users.contains(&principal.subject) || self.client(principal),
            (_, PrincipalKind::Service | PrincipalKind::Device) => self.client(principal),
        }
    }

    fn client(&self, principal: &Principal) -> bool {
        principal.client.as_ref().is_some_and(|client| self.clients.contains(client))
    }
}

/// Several texts and how many of them are needed.
#[derive(Debug)]
pub(super) struct Quantified {
    all: bool,
    values: Box<[Box<str>]>,
    /// For the challenge (RFC 6750 section 3).
    joined: Box<str>,
}

impl Quantified {
    fn build(all: bool, values: &[String]) -> Result<Self, String> {
        let values = texts(values, "scopes")?;
        Ok(Self { all, joined: values.join(" ").into(), values })
    }

    fn allow(&self, held: &[Box<str>]) -> bool {
        if self.all {
            self.values.iter().all(|value| held.contains(value))
        } else {
            self.values.iter().any(|value| held.contains(value))
        }
    }
}

/// Scopes, for all methods or for each.
#[derive(Debug)]
pub(super) enum Scopes {
    All(Quantified),
    Each(Vec<(Method, Quantified)>),
}

impl Scopes {
    pub(super) fn build(spec: &ir::Scopes) -> Result<Self, String> {
        let quantified = |spec: &ir::Quantified| match spec {
            ir::Quantified::AnyOf(values) => Quantified::build(false, values),
            ir::Quantified::AllOf(values) => Quantified::build(true, values),
        };
        match spec {
            ir::Scopes::AnyOf(values) => Quantified::build(false, values).map(Self::All),
            ir::Scopes::AllOf(values) => Quantified::build(true, values).map(Self::All),
            ir::Scopes::Methods(each) if each.is_empty() => Err("`scopes.methods` names no method".to_owned()),
            ir::Scopes::Methods(each) => each
                .iter()
                .map(|(name, spec)| {
                    let method = Method::parse(name.as_bytes()).ok_or_else(|| format!("`{name}` is no method"))?;
                    Ok((method, quantified(spec)?))
                })
                .collect::<Result<_, String>>()
                .map(Self::Each),
        }
    }

    /// Whether what is held is enough; if not, the scopes to ask for.
    pub(super) fn check(&self, method: &Method, held: &[Box<str>]) -> Result<(), &str> {
        let needed = match self {
            Self::All(needed) => needed,
            Self::Each(each) => {
                let method = if *method == Method::Head { &Method::Get } else { method };
                let found = each.iter().find(|(known, _)| known == method);
                let Some((_, needed)) = found else { return Err("") };
                needed
            }
        };
        if needed.allow(held) { Ok(()) } else { Err(&needed.joined) }
    }
}

/// Roles, each with those that include it.
#[derive(Debug)]
pub(super) struct RoleSets {
    all: bool,
    sets: Box<[Box<[Box<str>]>]>,
}

impl RoleSets {
    pub(super) fn build(spec: &ir::RoleSets, what: &str) -> Result<Self, String> {
        let (all, sets) = match spec {
            ir::RoleSets::AnyOf(sets) => (false, sets),
            ir::RoleSets::AllOf(sets) => (true, sets),
        };
        if sets.is_empty() {
            return Err(format!("`{what}` is an empty list; name at least one or leave it out"));
        }
        Ok(Self { all, sets: sets.iter().map(|set| texts(set, what)).collect::<Result<_, _>>()? })
    }

    pub(super) fn allow(&self, held: &[Box<str>]) -> bool {
        let mut satisfied = self.sets.iter().map(|set| held.iter().any(|role| set.contains(role)));
        if self.all { satisfied.all(|one| one) } else { satisfied.any(|one| one) }
    }
}
