//! From the claims of a verified token to a principal.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::refuse;
use crate::exchange::Refusal;
use crate::filters::keyed_hash::KeyedHash;
use crate::ir::{self, ClaimMap, ClaimType};
use crate::principal::{AuthenticationMethod, ClaimValue, Confirmation, Principal, PrincipalKind};
use crate::reason::Reason;
use crate::revocation::MAX_NAME;

/// Largest date that is taken, seconds since 1970: beyond 2^53 JSON numbers lose digits.
const DATE_MAX: u64 = 1 << 53;

/// Longest chain of actors that is taken.
const ACTORS: u32 = 4;

type Claims = Map<String, Value>;

fn invalid(name: &str, what: &str) -> Refusal {
    refuse(Reason::TokenClaimInvalid, format!("claim `{name}` {what}"))
}

/// A NumericDate (RFC 7519 section 2), in whole seconds. Any other JSON than an integer from 0 to 2^53 refuses.
pub(super) fn date(claims: &Claims, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_u64() {
        Some(seconds) if seconds <= DATE_MAX => Ok(Some(seconds)),
        _ => Err(invalid(name, "is not a whole number of seconds since 1970")),
    }
}

/// A claim that has to be a text, if it is there.
pub(super) fn text<'a>(claims: &'a Claims, name: &str) -> Result<Option<&'a str>, Refusal> {
    claims.get(name).map(|value| plain(value, name)).transpose()
}

fn plain<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    let text = value.as_str().ok_or_else(|| invalid(name, "is not a text"))?;
    if text.chars().any(char::is_control) {
        return Err(invalid(name, "has a control character"));
    }
    Ok(text)
}

fn at<'a>(claims: &'a Claims, path: &[String]) -> Result<Option<&'a Value>, Refusal> {
    let Some((last, outer)) = path.split_last() else { return Ok(None) };
    let mut object = claims;
    for name in outer {
        match object.get(name) {
            None => return Ok(None),
            Some(Value::Object(inner)) => object = inner,
            Some(_) => return Err(invalid(&path.join("."), "is not where it should be")),
        }
    }
    Ok(object.get(last))
}

fn list(value: &Value, name: &str) -> Result<Vec<Box<str>>, Refusal> {
    let items = value.as_array().ok_or_else(|| invalid(name, "is not a list of texts"))?;
    items.iter().map(|item| plain(item, name).map(Into::into)).collect()
}

fn scopes(claims: &Claims, path: &[String]) -> Result<Vec<Box<str>>, Refusal> {
    let found: Vec<Box<str>> = match at(claims, path)? {
        None => Vec::new(),
        Some(value @ Value::String(_)) => {
            let text = plain(value, &path.join("."))?;
            text.split(' ').filter(|scope| !scope.is_empty()).map(Into::into).collect()
        }
        Some(value) => list(value, &path.join("."))?,
    };
    // RFC 6749 section 3.3: a scope has no blank. One that had one, of whatever kind, would be two to somebody who reads words.
    if found.iter().any(|scope| scope.contains(char::is_whitespace)) {
        return Err(invalid(&path.join("."), "has a blank in a scope"));
    }
    Ok(found)
}

fn roles(claims: &Claims, path: &[String]) -> Result<Vec<Box<str>>, Refusal> {
    match at(claims, path)? {
        None => Ok(Vec::new()),
        Some(value @ Value::String(_)) => Ok(vec![plain(value, &path.join("."))?.into()]),
        Some(value) => list(value, &path.join(".")),
    }
}

fn text_at<'a>(claims: &'a Claims, path: &[String]) -> Result<Option<&'a str>, Refusal> {
    at(claims, path)?.map(|value| plain(value, &path.join("."))).transpose()
}

fn declared(value: &Value, kind: ClaimType, name: &str) -> Result<ClaimValue, Refusal> {
    Ok(match kind {
        ClaimType::String => ClaimValue::String(plain(value, name)?.into()),
        ClaimType::Int => ClaimValue::Int(value.as_i64().ok_or_else(|| invalid(name, "is not a whole number"))?),
        ClaimType::Bool => ClaimValue::Bool(value.as_bool().ok_or_else(|| invalid(name, "is not true or false"))?),
        ClaimType::StringList => ClaimValue::StringList(list(value, name)?),
    })
}

/// Who acts for the subject (RFC 8693 section 4.1): what names them, and the actors before.
fn actor(value: &Value, left: u32) -> Result<Value, Refusal> {
    let object = value.as_object().filter(|_| left > 0).ok_or_else(|| invalid("act", "is no actor, or one of too many"))?;
    let mut kept = Map::new();
    for name in ["sub", "client_id", "iss"] {
        if let Some(text) = text(object, name)? {
            kept.insert(name.to_owned(), text.into());
        }
    }
    if !kept.contains_key("sub") && !kept.contains_key("client_id") {
        return Err(invalid("act", "does not say who acts"));
    }
    if let Some(before) = object.get("act") {
        kept.insert("act".to_owned(), actor(before, left.saturating_sub(1))?);
    }
    Ok(Value::Object(kept))
}

/// What is the same for all principals of a provider.
#[derive(Debug)]
pub(super) struct Mapping {
    provider: Arc<str>,
    hash: KeyedHash,
    spec: ClaimMap,
    /// Names of `spec.declared`, in its order.
    declared: Vec<Arc<str>>,
}

impl Mapping {
    pub(super) fn new(provider: &str, spec: &ClaimMap, hash: &KeyedHash) -> Self {
        let declared = spec.declared.keys().map(|name| name.as_str().into()).collect();
        Self { provider: provider.into(), hash: *hash, spec: spec.clone(), declared }
    }

    /// The OAuth client that a token was issued to.
    pub(super) fn client<'a>(&self, claims: &'a Claims) -> Result<Option<&'a str>, Refusal> {
        let client = match &self.spec.client {
            Some(path) => text_at(claims, path)?,
            None => text(claims, "client_id")?.or(text(claims, "azp")?),
        };
        Ok(client.filter(|client| !client.is_empty()))
    }

    /// The caller. A claim of another type than the map says refuses; an absent one is simply not held.
    pub(super) fn principal(&self, claims: &Claims, issuer: &Arc<str>, expires_ms: u64) -> Result<Principal, Refusal> {
        let client = self.client(claims)?;
        let subject = text(claims, "sub")?.filter(|subject| !subject.is_empty());
        // A token that a client got for itself has its id as `sub` (RFC 9068 section 2.2), or no `sub`.
        let (subject, kind) = match (subject, client) {
            (Some(subject), Some(client)) if self.is_client(subject, client) => (subject, PrincipalKind::Service),
            (Some(subject), _) => (subject, PrincipalKind::User),
            (None, Some(client)) => (client, PrincipalKind::Service),
            (None, None) => return Err(refuse(Reason::TokenClaimInvalid, "the token names neither subject nor client")),
        };
        let mut values = Vec::with_capacity(self.declared.len());
        for ((name, spec), shared) in self.spec.declared.iter().zip(&self.declared) {
            if let Some(value) = at(claims, &spec.from)? {
                values.push((Arc::clone(shared), declared(value, spec.kind, name)?));
            }
        }
        let optional = |path: &Option<Vec<String>>| -> Result<Option<Box<str>>, Refusal> {
            Ok(path.as_ref().map(|path| text_at(claims, path)).transpose()?.flatten().map(Into::into))
        };
        let tenant = optional(&self.spec.tenant)?;
        let client_part = client.unwrap_or_default();
        Ok(Principal {
            issuer: Arc::clone(issuer),
            subject: subject.into(),
            client: client.map(Into::into),
            kind: self.kind(claims)?.unwrap_or(kind),
            scopes: scopes(claims, &self.spec.scopes)?,
            roles: self.roles(claims)?,
            partner: optional(&self.spec.partner)?,
            actor: claims.get("act").map(|act| actor(act, ACTORS)).transpose()?.map(|act| act.to_string().into()),
            claims: values,
            // One that no revocation can name is none: the token is known by its digest then.
            token_id: text(claims, "jti")?.filter(|id| (1..=MAX_NAME).contains(&id.len())).map(Into::into),
            session: text(claims, "sid")?.map(Into::into),
            assurance: self.assurance(claims)?,
            authenticated_s: date(claims, "auth_time")?,
            issued_ms: date(claims, "iat")?.map(|seconds| seconds.saturating_mul(1000)),
            expires_ms: Some(expires_ms),
            confirmation: confirmation(claims)?,
            // The issuer is a part of it where one provider stands for several.
            key: self.hash.parts(&[
                self.provider.as_bytes(),
                issuer.as_bytes(),
                subject.as_bytes(),
                client_part.as_bytes(),
                tenant.as_deref().unwrap_or_default().as_bytes(),
            ]),
            tenant,
            ..Principal::blank(Arc::clone(&self.provider), AuthenticationMethod::Jwt)
        })
    }

    fn is_client(&self, subject: &str, client: &str) -> bool {
        let suffix = self.spec.client_suffix.as_deref().unwrap_or_default();
        subject == client || (!suffix.is_empty() && subject.strip_suffix(suffix) == Some(client))
    }

    fn roles(&self, claims: &Claims) -> Result<Vec<Box<str>>, Refusal> {
        let mut found = roles(claims, &self.spec.roles)?;
        for path in &self.spec.more_roles {
            for role in roles(claims, path)? {
                if !found.contains(&role) {
                    found.push(role);
                }
            }
        }
        Ok(found)
    }

    /// What the map says about the kind; `None` where it says nothing about this token.
    fn kind(&self, claims: &Claims) -> Result<Option<PrincipalKind>, Refusal> {
        let Some(map) = &self.spec.kind else { return Ok(None) };
        let kind = match at(claims, &map.from)? {
            Some(value) if map.present.is_none() => {
                let text = plain(value, &map.from.join("."))?;
                let kind = map.values.get(text).copied().or(map.other);
                Some(kind.ok_or_else(|| invalid(&map.from.join("."), "has a value that is not mapped to a kind"))?)
            }
            Some(_) => map.present,
            None => match &map.service_without {
                Some(path) if at(claims, path)?.is_none() => Some(ir::Kind::Service),
                _ => None,
            },
        };
        Ok(kind.map(|kind| match kind {
            ir::Kind::User => PrincipalKind::User,
            ir::Kind::Service => PrincipalKind::Service,
            ir::Kind::Device => PrincipalKind::Device,
        }))
    }

    /// `acr`, a text or a whole number; one of another type counts only where the map names it, and then refuses.
    fn assurance(&self, claims: &Claims) -> Result<Option<Box<str>>, Refusal> {
        let value = match &self.spec.assurance {
            Some(path) => at(claims, path)?,
            None => claims.get("acr"),
        };
        match value {
            None => Ok(None),
            Some(Value::String(_)) => Ok(value.map(|value| plain(value, "acr")).transpose()?.map(Into::into)),
            Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string().into())),
            Some(_) if self.spec.assurance.is_none() => Ok(None),
            Some(_) => Err(invalid("acr", "is neither a text nor a whole number")),
        }
    }
}

/// The key that a request has to prove to have (RFC 7800 section 3). A proof that is not known here refuses: the token
/// would count without it.
fn confirmation(claims: &Claims) -> Result<Option<Confirmation>, Refusal> {
    let Some(value) = claims.get("cnf") else { return Ok(None) };
    let object = value.as_object().ok_or_else(|| invalid("cnf", "is not an object"))?;
    let mut members = object.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(invalid("cnf", "names not exactly one proof"));
    };
    let thumbprint = || {
        let bytes = URL_SAFE_NO_PAD.decode(value.as_str()?).ok()?;
        <[u8; 32]>::try_from(bytes).ok()
    };
    let kind = match name.as_str() {
        "jkt" => Confirmation::Jkt,
        "x5t#S256" => Confirmation::X5t,
        _ => return Err(invalid("cnf", "names a proof that is not supported")),
    };
    Ok(Some(kind(thumbprint().ok_or_else(|| invalid("cnf", "holds no SHA-256 thumbprint"))?)))
}
