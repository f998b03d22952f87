//! The callers of a record, and what their vouching comes to here. Records of a caller have the same ones to the byte, so what
//! these come to, which nothing else decides, is remembered as long as a part of a file is judged.

use std::rc::Rc;
use std::sync::Arc;

use super::hidden::{Hidden, MARK};
use super::record::{Claim, Str, Vouched};
use super::replay::{Replay, text};
use crate::exchange::ClaimValue;
use crate::principal::{AuthenticationMethod, Principal, PrincipalKind};

/// All callers of a record.
#[derive(Debug)]
pub(super) struct Callers {
    /// Who vouched for the first one; nobody where there is none.
    pub(super) first: Box<str>,
    pub(super) count: usize,
    /// What is known of claims that are declared as they were: provider and claim.
    pub(super) claims: Arc<[(Box<str>, Box<str>)]>,
    /// Them, the first one first, or why it cannot be told whether somebody would vouch.
    pub(super) verified: Result<Box<[Rc<Principal>]>, String>,
    /// The first one in reports.
    pub(super) label: Box<str>,
}

impl Replay {
    pub(super) fn callers(&self, all: &[Vouched<'_>]) -> Callers {
        let claims = all.iter().flat_map(|who| {
            let known = who.claims.iter().filter(|(name, (how, _))| self.terms.declared(&who.provider, name) == Some(&**how));
            known.map(|(name, _)| ((&*who.provider).into(), (&**name).into()))
        });
        Callers {
            first: all.first().map(|who| (&*who.provider).into()).unwrap_or_default(),
            count: all.len(),
            claims: claims.collect(),
            verified: all.iter().map(|who| self.verified(who).map(Rc::new)).collect(),
            label: label(all, &self.hidden),
        }
    }

    fn verified(&self, who: &Vouched<'_>) -> Result<Principal, String> {
        let trust = self.terms.trust(&who.provider, &who.entry);
        if trust.is_none() || trust != who.trust.as_deref() {
            return Err(format!("whether `{}` would vouch: it is configured otherwise", &*who.provider));
        }
        // A claim of another type, or from elsewhere, may be one that it refuses.
        let read = |name: &Str<'_>| self.terms.declared(&who.provider, name);
        if let Some((name, _)) = who.claims.iter().find(|(name, (how, _))| read(name).is_some_and(|here| *here != **how)) {
            return Err(format!("whether `{}` would vouch: claim `{}` is declared otherwise", &*who.provider, &**name));
        }
        // Each that was declared then stands in the record. One more refuses tokens that have another type there.
        if let Some((name, _)) =
            self.terms.all_declared(&who.provider).find(|(name, _)| !who.claims.keys().any(|one| **one == **name))
        {
            return Err(format!("whether `{}` would vouch: claim `{name}` was not declared", &*who.provider));
        }
        self.principal(who).ok_or_else(|| "a caller that makes no sense".to_owned())
    }

    fn principal(&self, who: &Vouched<'_>) -> Option<Principal> {
        let provider = self.engine.snapshot().providers.iter().find(|one| **one.name() == *who.provider)?;
        let method = AuthenticationMethod::parse(&who.method)?;
        let hidden = |value: &Str<'_>| text(&self.hidden, value);
        let maybe = |value: &Option<Str<'_>>| value.as_ref().map(hidden).map_or(Some(None), |found| found.map(Some));
        let words = |values: &[Str<'_>]| values.iter().map(|value| (&**value).into()).collect();
        let mut claims = Vec::with_capacity(who.claims.len());
        for (name, (_, value)) in &who.claims {
            let value = match value {
                Claim::Absent(()) => continue,
                Claim::Bool(truth) => ClaimValue::Bool(*truth),
                Claim::Int(number) => ClaimValue::Int(*number),
                Claim::Text(value) => ClaimValue::String(hidden(value)?),
                Claim::Texts(values) => ClaimValue::StringList(values.iter().map(hidden).collect::<Option<_>>()?),
            };
            claims.push((Arc::from(&**name), value));
        }
        Some(Principal {
            issuer: Arc::from(&*who.issuer),
            subject: hidden(&who.subject)?,
            client: maybe(&who.client)?,
            kind: PrincipalKind::parse(&who.kind)?,
            scopes: words(&who.scopes),
            roles: words(&who.roles),
            tenant: maybe(&who.tenant)?,
            partner: maybe(&who.partner)?,
            assurance: who.assurance.as_deref().map(Into::into),
            authenticated_s: who.authenticated_s,
            issued_ms: who.issued_ms,
            expires_ms: who.expires_ms,
            claims,
            ..Principal::blank(Arc::clone(provider.name()), method)
        })
    }
}

/// `customers: alice` where the configuration names her, else the beginning of her hash.
fn label(all: &[Vouched<'_>], hidden: &Hidden) -> Box<str> {
    let Some(who) = all.first() else { return "nobody".into() };
    let subject = match who.subject.split_at_checked(1) {
        Some(("#", digest)) => {
            let text = hidden.reveal(digest);
            match text.strip_prefix(MARK) {
                Some(digest) => format!("#{}", digest.get(..8).unwrap_or(digest)),
                None => text.into(),
            }
        }
        Some((_, plain)) => plain.to_owned(),
        None => String::new(),
    };
    format!("{}: {subject}", &*who.provider).into()
}
