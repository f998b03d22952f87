//! What operators ask for, as a JSON document: from the command line and from the admin listener.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::table::hex;
use super::{MAX_NAME, Revocation, What};
use crate::providers::jwk::sha256;

/// How long a revocation counts where nothing is said, milliseconds: 30 days.
pub const DEFAULT_FOR_MS: u64 = 30 * 86_400_000;
/// The end of a revocation that never ends: the year 9999.
pub const FOREVER_MS: u64 = 253_402_300_799_000;
/// How long past the end of a token its revocation stays, for clocks that differ and leeways.
const GRACE_MS: u64 = 15 * 60_000;
/// Bytes of a token.
const MAX_TOKEN: usize = 64 * 1024;

/// A request to revoke: exactly one of `token`, `token_id`, `subject`, `session`, `client`, `key`; or `issuer` or `provider`
/// alone, with `before_ms`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// The token itself; its `jti` and `iss` are taken from it, or its digest where it has none.
    token: Option<Box<str>>,
    /// `jti`.
    token_id: Option<Box<str>>,
    /// `sub`.
    subject: Option<Box<str>>,
    /// `sid`.
    session: Option<Box<str>>,
    /// OAuth client.
    client: Option<Box<str>>,
    /// Id of an API key.
    key: Option<Box<str>>,
    /// Of this issuer only; alone: everything that it issued.
    issuer: Option<Box<str>>,
    /// Of this provider only (keys); alone: everything that it vouches for.
    provider: Option<Box<str>>,
    /// Only what was issued before, milliseconds since 1970. For a subject, client, issuer or provider: now, unless `all`.
    before_ms: Option<u64>,
    /// What is issued later is meant as well.
    all: bool,
    /// How long it counts, milliseconds; see [`DEFAULT_FOR_MS`].
    for_ms: Option<u64>,
}

/// Why a request to revoke is none, in words that say what to do.
pub type Fault = &'static str;

impl Ask {
    /// The revocation, made by `by` at `now_ms`.
    ///
    /// # Errors
    /// In words.
    pub fn into_revocation(self, by: &str, now_ms: u64) -> Result<Revocation, Fault> {
        let given = [&self.token, &self.token_id, &self.subject, &self.session, &self.client, &self.key];
        if given.iter().filter(|one| one.is_some()).count() > 1 {
            return Err("name one thing to revoke: a token, a token's id, a subject, a session, a client or a key");
        }
        if self.for_ms == Some(0) {
            return Err("a revocation has to count for some time");
        }
        let lasting = self.for_ms.map_or(DEFAULT_FOR_MS, |asked| asked.min(FOREVER_MS));
        let mut until_ms = now_ms.saturating_add(lasting).min(FOREVER_MS);
        let mut before_ms = self.before_ms;
        let issuer = self.issuer;
        let limited = self.provider.is_some();
        let what = if let Some(token) = self.token {
            let (what, ends) = of_token(&token)?;
            if let (Some(ends), None) = (ends, self.for_ms) {
                until_ms = ends.saturating_add(GRACE_MS).max(now_ms.saturating_add(GRACE_MS)).min(FOREVER_MS);
            }
            what
        } else if let Some(id) = self.token_id {
            What::Token { issuer, id }
        } else if let Some(id) = self.session {
            What::Session { issuer, id }
        } else if let Some(id) = self.key {
            // Keys may have no end.
            if self.for_ms.is_none() {
                until_ms = FOREVER_MS;
            }
            return Revocation::new(What::Key { provider: self.provider, id }, before_ms, until_ms, by, now_ms);
        } else {
            if before_ms.is_none() && !self.all {
                before_ms = Some(now_ms);
            }
            if let Some(id) = self.subject {
                What::Subject { issuer, id }
            } else if let Some(id) = self.client {
                What::Client { issuer, id }
            } else if let Some(id) = issuer {
                What::Issuer { id }
            } else if let Some(id) = self.provider {
                return Revocation::new(What::Provider { id }, before_ms, until_ms, by, now_ms);
            } else {
                return Err("name what to revoke: token, token_id, subject, session, client, key, issuer or provider");
            }
        };
        if limited {
            return Err("`provider` stands alone, or beside a key");
        }
        Revocation::new(what, before_ms, until_ms, by, now_ms)
    }
}

impl Revocation {
    /// A revocation with an id of its own, for [`super::Revocations::revoke`]. `until_ms` has to be after the end of everything that it
    /// is about; `by` says who made it, such as `logout`.
    ///
    /// # Errors
    /// A name is empty or longer than [`MAX_NAME`]; or the system gives no randomness.
    pub fn new(what: What, before_ms: Option<u64>, until_ms: u64, by: &str, now_ms: u64) -> Result<Self, Fault> {
        if !what.names().all(|name| (1..=MAX_NAME).contains(&name.len())) {
            return Err("a name is empty or longer than 1024 bytes");
        }
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| "the system gives no randomness")?;
        Ok(Self { id: hex(&id).into(), what, before_ms, until_ms, made_ms: now_ms, by: by.into() })
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<Box<str>>,
    jti: Option<Box<str>>,
    exp: Option<u64>,
}

/// What a token is revoked by, and when it ends (milliseconds since 1970), if it says so. It need not be valid.
fn of_token(token: &str) -> Result<(What, Option<u64>), Fault> {
    if token.is_empty() || token.len() > MAX_TOKEN || token.bytes().any(|b| !(0x21..=0x7e).contains(&b)) {
        return Err("this is no token");
    }
    let mut parts = token.split('.');
    let claims = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(claims), Some(_), None) => URL_SAFE_NO_PAD.decode(claims).ok(),
        _ => None,
    };
    let claims: Option<Claims> = claims.and_then(|json| serde_json::from_slice(&json).ok());
    let ends = claims.as_ref().and_then(|claims| claims.exp).map(|exp| exp.saturating_mul(1000));
    let what = match claims {
        Some(Claims { iss: Some(iss), jti: Some(jti), .. }) if !jti.is_empty() && jti.len() <= MAX_NAME => {
            What::Token { issuer: Some(iss), id: jti }
        }
        _ => What::TokenDigest { sha256: hex(&credential_digest(token.as_bytes())).into() },
    };
    Ok((what, ends))
}

/// What a token is known by where it has no id: SHA-256 of what is signed of a JWT, of the whole of any other. A signature
/// may be written in more ways than one; what it signs may not.
#[must_use]
pub fn credential_digest(token: &[u8]) -> [u8; 32] {
    match memchr::memrchr(b'.', token) {
        Some(end) if memchr::memchr(b'.', token) != Some(end) => sha256(token.get(..end).unwrap_or(token)),
        _ => sha256(token),
    }
}
