//! From the claims of a verified token to a principal.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::refuse;
use crate::exchange::{AuthenticationMethod, ClaimValue, Principal, PrincipalKind, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir::{ClaimMap, ClaimType};
use crate::reason::Reason;

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
    match at(claims, path)? {
        None => Ok(Vec::new()),
        Some(value @ Value::String(_)) => {
            let text = plain(value, &path.join("."))?;
            Ok(text.split(' ').filter(|scope| !scope.is_empty()).map(Into::into).collect())
        }
        Some(value) => list(value, &path.join(".")),
    }
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
    pub provider: Arc<str>,
    pub issuer: Arc<str>,
    pub hash: KeyedHash,
    pub spec: ClaimMap,
    /// Names of `spec.declared`, in its order.
    pub declared: Vec<Arc<str>>,
}

impl Mapping {
    /// The caller. A claim of another type than the map says refuses; an absent one is simply not held.
    pub(super) fn principal(&self, claims: &Claims, expires_ms: u64) -> Result<Principal, Refusal> {
        let client = match &self.spec.client {
            Some(path) => text_at(claims, path)?,
            None => text(claims, "client_id")?.or(text(claims, "azp")?),
        };
        let client = client.filter(|client| !client.is_empty());
        let subject = text(claims, "sub")?.filter(|subject| !subject.is_empty());
        // A token that a client got for itself has its id as `sub` (RFC 9068 section 2.2), or no `sub`.
        let (subject, kind) = match (subject, client) {
            (Some(subject), Some(client)) if subject == client => (subject, PrincipalKind::Service),
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
        let tenant = self.spec.tenant.as_ref().map(|path| text_at(claims, path)).transpose()?.flatten();
        let client_part = client.unwrap_or_default();
        Ok(Principal {
            issuer: Arc::clone(&self.issuer),
            subject: subject.into(),
            client: client.map(Into::into),
            kind,
            scopes: scopes(claims, &self.spec.scopes)?,
            roles: roles(claims, &self.spec.roles)?,
            tenant: tenant.map(Into::into),
            actor: claims.get("act").map(|act| actor(act, ACTORS)).transpose()?.map(|act| act.to_string().into()),
            claims: values,
            token_id: text(claims, "jti")?.map(Into::into),
            session: text(claims, "sid")?.map(Into::into),
            assurance: claims.get("acr").and_then(Value::as_str).map(Into::into),
            authenticated_s: date(claims, "auth_time")?,
            issued_ms: date(claims, "iat")?.map(|seconds| seconds.saturating_mul(1000)),
            expires_ms: Some(expires_ms),
            key: self.hash.parts(&[
                self.provider.as_bytes(),
                subject.as_bytes(),
                client_part.as_bytes(),
                tenant.unwrap_or_default().as_bytes(),
            ]),
            ..Principal::blank(Arc::clone(&self.provider), AuthenticationMethod::Jwt)
        })
    }
}
