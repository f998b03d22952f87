//! A short-lived signed assertion of who calls, for the service, minted for each attempt.

mod call;
mod keys;
mod minter;
mod text;
mod verify;

use std::sync::Arc;

pub use call::{Call, Digest, sha256};
pub use keys::Ring;
pub use minter::Minter;
pub use verify::verify_signature;

use crate::headers::{FieldError, Headers};
use crate::ir;
use crate::principal::{ClaimValue, Principal};
use text::{base64url, encoded, list, member, name, number, string};

/// The field that carries it. Clients' own fields of this name, in any spelling, never pass.
pub const HEADER: &[u8] = b"yett-identity";
/// The `typ` of its header, so that no other token of the same key could be taken for one (RFC 8725 section 3.11).
pub const TYPE: &str = "yett-identity+jwt";
/// Longest assertion; services refuse heads that are much longer.
pub const MAX_BYTES: usize = 8 * 1024;
/// Longest body of which the digest is taken.
pub const MAX_DIGESTED: u64 = 1024 * 1024;

/// No assertion could be made, so nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unminted;

/// Compiled `identity_assertion` of a service.
#[derive(Debug)]
pub struct IdentityAssertion {
    ring: Arc<Ring>,
    /// The start of every payload, up to what depends on the caller.
    fixed: Arc<[u8]>,
    lifetime_s: u64,
    claims: Vec<Box<str>>,
    roles: bool,
    headers: Vec<(Box<str>, Source)>,
    reuse_ms: Option<u64>,
    /// Whether it is told of callers of public routes.
    pub anonymous: bool,
    /// Whether it carries the digest of the body.
    pub body_digest: bool,
}

/// What a plain header says.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Subject,
    Client,
    Kind,
    Provider,
    Tenant,
    Scopes,
    Roles,
    Claim(Box<str>),
}

impl Source {
    fn build(text: &str) -> Result<Self, String> {
        Ok(match text {
            "subject" => Self::Subject,
            "client" => Self::Client,
            "kind" => Self::Kind,
            "provider" => Self::Provider,
            "tenant" => Self::Tenant,
            "scopes" => Self::Scopes,
            "roles" => Self::Roles,
            other => match other.strip_prefix("claims.") {
                Some(claim) if !claim.is_empty() => Self::Claim(claim.into()),
                _ => return Err(format!("`{other}` is nothing that is known of a caller")),
            },
        })
    }
}

impl IdentityAssertion {
    /// Writes down what is the same in all assertions for this service.
    ///
    /// # Errors
    /// A lifetime, a time of reuse or a source that there is not.
    pub fn build(spec: &ir::IdentityAssertion, issuer: &str, ring: &Arc<Ring>, revision: &str) -> Result<Self, String> {
        if !(1..=30).contains(&spec.lifetime_s) {
            return Err(format!("an assertion lives 1 to 30 seconds, not {}", spec.lifetime_s));
        }
        if spec.reuse_ms.is_some_and(|reuse| reuse == 0 || reuse >= spec.lifetime_s.saturating_mul(1000) || spec.body_digest) {
            return Err("an assertion serves again for less than its lifetime, and only without a digest of the body".to_owned());
        }
        let mut fixed = b"{\"iss\":".to_vec();
        string(&mut fixed, issuer);
        member(&mut fixed, "aud", &spec.audience);
        member(&mut fixed, "rev", revision.get(..12).unwrap_or(revision));
        let header = |(name, source): (&String, &String)| Ok((name.to_ascii_lowercase().into(), Source::build(source)?));
        Ok(Self {
            ring: Arc::clone(ring),
            fixed: fixed.into(),
            lifetime_s: spec.lifetime_s,
            claims: spec.claims.iter().map(|name| name.as_str().into()).collect(),
            roles: spec.roles,
            headers: spec.headers.iter().map(header).collect::<Result<_, String>>()?,
            reuse_ms: spec.reuse_ms,
            anonymous: spec.anonymous,
            body_digest: spec.body_digest,
        })
    }

    /// Names of the plain headers, lower case.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| &**name)
    }

    /// Writes an assertion for one attempt of a request into `out`, in place of what is there.
    ///
    /// # Errors
    /// [`Unminted`]: no randomness, no signature, or more than [`MAX_BYTES`].
    pub fn mint(&self, call: &Call<'_>, unix_ms: u64, minter: &mut Minter, out: &mut Vec<u8>) -> Result<(), Unminted> {
        out.clear();
        self.minted(call, unix_ms, minter, out).filter(|()| out.len() <= MAX_BYTES).ok_or(Unminted)
    }

    fn minted(&self, call: &Call<'_>, unix_ms: u64, minter: &mut Minter, out: &mut Vec<u8>) -> Option<()> {
        if call.principal.is_none() && !self.anonymous {
            return None;
        }
        let request = call.digest(&mut minter.scratch)?;
        let reuse_ms = self.reuse_ms.unwrap_or(0);
        if reuse_ms > 0
            && let Some(kept) = minter.kept(self, call, &request, unix_ms)
        {
            out.extend_from_slice(kept);
            return Some(());
        }
        let signer = self.ring.at(unix_ms)?;
        let id: [u8; 16] = minter.random.bytes()?;
        let json = &mut minter.scratch;
        json.clear();
        json.extend_from_slice(&self.fixed);
        match call.principal {
            Some(principal) => self.caller(json, principal),
            None => json.extend_from_slice(br#","sub":"anonymous","kind":"anonymous""#),
        }
        if reuse_ms == 0 {
            // What belongs to one request alone: its id, and the one that makes a second use of this assertion stand out.
            member(json, "request_id", std::str::from_utf8(call.request_id).ok()?);
            encoded(json, "jti", &id);
        }
        let now_s = unix_ms / 1000;
        number(json, "iat", now_s);
        number(json, "exp", now_s.saturating_add(self.lifetime_s));
        member(json, "htm", call.method);
        encoded(json, "req", &request);
        if self.body_digest {
            encoded(json, "body", call.body?);
        }
        json.push(b'}');
        out.extend_from_slice(&signer.header);
        base64url(out, json);
        let signature = signer.sign(out)?;
        out.push(b'.');
        base64url(out, signature.as_ref());
        if reuse_ms > 0 {
            minter.keep(self, call, request, unix_ms.saturating_add(reuse_ms), out);
        }
        Some(())
    }

    /// What is known of a verified caller.
    fn caller(&self, json: &mut Vec<u8>, principal: &Principal) {
        member(json, "sub", &principal.subject);
        member(json, "idp", &principal.provider);
        member(json, "kind", principal.kind.as_str());
        if let Some(client) = &principal.client {
            member(json, "client_id", client);
        }
        if let Some(tenant) = &principal.tenant {
            member(json, "tenant", tenant);
        }
        name(json, "scope");
        json.push(b'"');
        for (index, scope) in principal.scopes.iter().enumerate() {
            if index > 0 {
                json.push(b' ');
            }
            text::escaped(json, scope);
        }
        json.push(b'"');
        name(json, "amr");
        json.push(b'[');
        string(json, principal.method.as_str());
        json.push(b']');
        if let Some(time) = principal.authenticated_s {
            number(json, "auth_time", time);
        }
        if let Some(actor) = &principal.actor {
            name(json, "act");
            json.extend_from_slice(actor.as_bytes());
        }
        if self.roles {
            name(json, "roles");
            list(json, &principal.roles);
        }
        self.declared(json, principal);
    }

    /// The declared claims that are asked for and that the caller has.
    fn declared(&self, json: &mut Vec<u8>, principal: &Principal) {
        let wanted = principal.claims.iter().filter(|(name, _)| self.claims.iter().any(|claim| **claim == **name));
        let mut first = true;
        for (claim, value) in wanted {
            if first {
                name(json, "claims");
            }
            json.push(if first { b'{' } else { b',' });
            first = false;
            string(json, claim);
            json.push(b':');
            match value {
                ClaimValue::String(text) => string(json, text),
                ClaimValue::Int(number) => json.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
                ClaimValue::Bool(true) => json.extend_from_slice(b"true"),
                ClaimValue::Bool(false) => json.extend_from_slice(b"false"),
                ClaimValue::StringList(items) => list(json, items),
            }
        }
        if !first {
            json.push(b'}');
        }
    }

    /// Sets the plain headers; one for which nothing is known of the caller is left out.
    ///
    /// # Errors
    /// [`FieldError::Value`]: what it would say cannot stand in a header.
    pub fn headers(&self, principal: Option<&Principal>, headers: &mut Headers) -> Result<(), FieldError> {
        for (name, source) in &self.headers {
            if let Some(value) = source.value(principal) {
                if value.is_empty() || value.contains(|c: char| c.is_control()) || source.is_blurred(principal) {
                    return Err(FieldError::Value);
                }
                headers.set(name.as_bytes(), value.as_bytes())?;
            }
        }
        Ok(())
    }
}

impl Source {
    /// Whether several are said, with blanks between, and one of them has a blank itself: it would be read as two.
    fn is_blurred(&self, principal: Option<&Principal>) -> bool {
        let blank = |items: &[Box<str>]| items.iter().any(|item| item.contains(char::is_whitespace));
        principal.is_some_and(|principal| match self {
            Self::Scopes => blank(&principal.scopes),
            Self::Roles => blank(&principal.roles),
            Self::Claim(wanted) => matches!(principal.claim(wanted), Some(ClaimValue::StringList(items)) if blank(items)),
            Self::Subject | Self::Client | Self::Kind | Self::Provider | Self::Tenant => false,
        })
    }

    fn value(&self, principal: Option<&Principal>) -> Option<String> {
        let Some(principal) = principal else { return (*self == Self::Kind).then(|| "anonymous".to_owned()) };
        let joined = |items: &[Box<str>]| (!items.is_empty()).then(|| items.join(" "));
        match self {
            Self::Subject => Some(principal.subject.to_string()),
            Self::Client => principal.client.as_deref().map(str::to_owned),
            Self::Kind => Some(principal.kind.as_str().to_owned()),
            Self::Provider => Some(principal.provider.to_string()),
            Self::Tenant => principal.tenant.as_deref().map(str::to_owned),
            Self::Scopes => joined(&principal.scopes),
            Self::Roles => joined(&principal.roles),
            Self::Claim(wanted) => principal.claim(wanted).and_then(|value| match value {
                ClaimValue::String(text) => Some(text.to_string()),
                ClaimValue::Int(number) => Some(number.to_string()),
                ClaimValue::Bool(value) => Some(value.to_string()),
                ClaimValue::StringList(items) => joined(items),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
