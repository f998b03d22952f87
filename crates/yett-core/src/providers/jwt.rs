//! Signed tokens (RFC 7519), in `Authorization: Bearer` (RFC 6750), checked as RFC 8725 and RFC 9068 ask.
//!
//! The order of checks is fixed, so that a token always fails for the same reason: size, form, header, issuer,
//! algorithm, key, signature, then the claims: kind, types, time, audience, mapping.

use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::claims::{self, Mapping};
use super::jwk::{Algorithm, KeySet, Selection, Trust};
use super::jwks::KeySource;
use super::verdict::Verdict;
use super::{json, refuse};
use crate::exchange::{Now, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;

/// Bytes of a token at most; beyond it nothing is decoded.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// A token in compact form, decoded and not yet believed.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    signed: &'a [u8],
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> Unverified<'a> {
    /// Reads the compact form (RFC 7515 section 7.1). Nothing of it is trusted afterwards.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, Refusal> {
        Self::parse_of(token, &["jwt", "at+jwt"])
    }

    /// An ID token (OpenID Connect Core section 2), which has no type of its own.
    pub(super) fn parse_id_token(token: &'a [u8]) -> Result<Self, Refusal> {
        Self::parse_of(token, &["jwt"])
    }

    /// A logout token (OpenID Connect Back-Channel Logout section 2.4).
    pub(super) fn parse_logout_token(token: &'a [u8]) -> Result<Self, Refusal> {
        Self::parse_of(token, &["jwt", "logout+jwt"])
    }

    /// With one of these types in the header, or none.
    fn parse_of(token: &'a [u8], types: &[&str]) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES {
            return Err(Reason::TokenTooLarge.into());
        }
        let malformed = |what: &str| refuse(Reason::CredentialMalformed, what);
        let mut parts = token.split(|b| *b == b'.');
        let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("the token does not have three parts"));
        };
        match parts.count() {
            0 => {}
            2 => return Err(refuse(Reason::TokenHeaderRefused, "encrypted tokens are not supported")),
            _ => return Err(malformed("the token does not have three parts")),
        }
        let object = |part: &[u8]| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?);
        let header_fields = object(header).ok_or_else(|| malformed("the token's header cannot be read"))?;
        let (algorithm, kid) = read_header(&header_fields, types)?;
        let claims = object(payload).ok_or_else(|| malformed("the token's claims cannot be read"))?;
        let signature_bytes = URL_SAFE_NO_PAD.decode(signature);
        Ok(Self {
            signed: token.get(..header.len() + 1 + payload.len()).unwrap_or_default(),
            signature: signature_bytes.map_err(|_| malformed("the token's signature cannot be read"))?,
            algorithm,
            kid,
            claims,
        })
    }

    /// Whether one of these keys signed it, with one of these algorithms; the revision of the keys.
    pub(super) fn check(&self, algorithms: &[Algorithm], keys: &Keys) -> Result<u64, Failure> {
        if !algorithms.contains(&self.algorithm) {
            return Err(Refusal::from(Reason::TokenAlgorithmForbidden).into());
        }
        let trust = keys.trust();
        let missing = |reason: Reason| {
            if keys.may_refetch() { Failure::KeysNeeded(reason.into()) } else { Failure::Refused(reason.into()) }
        };
        let Some(set) = &trust.set else { return Err(missing(Reason::IdentityProviderUnavailable)) };
        let key = match set.select(self.kid.as_deref(), self.algorithm) {
            Selection::Found(key) => key,
            Selection::WrongAlgorithm => return Err(Refusal::from(Reason::TokenAlgorithmForbidden).into()),
            Selection::Unknown => return Err(missing(Reason::TokenKeyUnknown)),
        };
        if key.verify_sig(self.signed, &self.signature).is_err() {
            return Err(Refusal::from(Reason::TokenSignatureInvalid).into());
        }
        Ok(trust.revision)
    }

    /// The claims, believed by nobody before [`Unverified::check`].
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// What it says that it is signed with.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The issuer that the token names, only to find the provider that has to vouch for it.
    pub(super) fn issuer(&self) -> Result<&str, Refusal> {
        let missing = || refuse(Reason::TokenClaimInvalid, "claim `iss` is missing");
        claims::text(&self.claims, "iss")?.ok_or_else(missing)
    }
}

fn read_header(header: &Map<String, Value>, types: &[&str]) -> Result<(Algorithm, Option<String>), Refusal> {
    let refused = |what: String| refuse(Reason::TokenHeaderRefused, what);
    // Keys come from the configuration alone; `crit` names extensions, of which none is known here.
    for name in ["jwk", "jku", "x5c", "x5u", "crit", "b64", "enc", "zip"] {
        if header.contains_key(name) {
            return Err(refused(format!("header `{name}` is not supported")));
        }
    }
    if let Some(typ) = header.get("typ") {
        let lower = typ.as_str().unwrap_or_default().to_ascii_lowercase();
        let short = lower.strip_prefix("application/").unwrap_or(&lower);
        if !types.contains(&short) {
            return Err(refused("header `typ` is that of another kind of token".to_owned()));
        }
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(refused("header `kid` is not a text".to_owned())),
    };
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    Ok((algorithm.ok_or(Reason::TokenAlgorithmForbidden)?, kid))
}

/// A compiled provider.
#[derive(Debug)]
pub(super) struct Jwt {
    pub issuer: Arc<str>,
    audiences: Vec<Box<str>>,
    algorithms: Vec<Algorithm>,
    leeway_s: u64,
    pub keys: Keys,
    mapping: Mapping,
}

/// Where a provider's keys come from.
#[derive(Debug)]
pub(super) enum Keys {
    /// From the configuration.
    Fixed(Trust),
    /// Fetched.
    Fetched(Arc<KeySource>),
}

impl Keys {
    /// From the document; `fetched` finds a source.
    pub(super) fn build(
        name: &str,
        jwks: &ir::Jwks,
        issuer: &str,
        algorithms: &[Algorithm],
        fetched: impl FnOnce(super::jwks::Settings) -> Result<Arc<KeySource>, String>,
    ) -> Result<Self, String> {
        match jwks {
            ir::Jwks::Inline(text) => {
                let set = KeySet::parse(text.as_bytes(), algorithms).map_err(|e| format!("provider `{name}`: {e}"))?;
                if set.is_empty() {
                    return Err(format!("provider `{name}`: the key set has no public key for its algorithms"));
                }
                Ok(Self::Fixed(Trust { set: Some(Arc::new(set)), revision: 0 }))
            }
            ir::Jwks::Url(url) => {
                let settings = super::jwks::Settings::new(url, issuer, algorithms);
                Ok(Self::Fetched(fetched(settings.map_err(|e| format!("provider `{name}`: {e}"))?)?))
            }
        }
    }

    /// A source of the process.
    pub(super) fn fetched(settings: super::jwks::Settings, shared: &Arc<Shared>) -> Result<Arc<KeySource>, String> {
        let weak = Arc::downgrade(shared);
        let sink = move |level, event, fields: &[(&'static str, &str)]| {
            if let Some(shared) = weak.upgrade() {
                shared.events.push(level, event, fields);
            }
        };
        shared.jwks.source(settings, &shared.service_runtime, Box::new(sink))
    }

    pub(super) fn revision(&self) -> u64 {
        match self {
            Self::Fixed(trust) => trust.revision,
            Self::Fetched(source) => source.revision(),
        }
    }

    pub(super) fn trust(&self) -> Trust {
        match self {
            Self::Fixed(trust) => trust.clone(),
            Self::Fetched(source) => source.trust(),
        }
    }

    pub(super) fn may_refetch(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Fetched(source) => source.may_refetch(),
        }
    }
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum Failure {
    /// It is refused.
    Refused(Refusal),
    /// A key is missing, and fetching may help. The refusal is for whoever has already asked.
    KeysNeeded(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Jwt {
    pub(super) fn build(provider: &ir::JwtProvider, shared: &Arc<Shared>) -> Result<Self, String> {
        Self::build_with(provider, &KeyedHash::new(&shared.seed), |settings| Keys::fetched(settings, shared))
    }

    pub(super) fn build_with(
        provider: &ir::JwtProvider,
        hash: &KeyedHash,
        fetched: impl FnOnce(super::jwks::Settings) -> Result<Arc<KeySource>, String>,
    ) -> Result<Self, String> {
        let name = &provider.name;
        if provider.issuer.is_empty() || provider.audiences.is_empty() || provider.audiences.iter().any(String::is_empty) {
            return Err(format!("provider `{name}` needs an issuer and at least one audience, none of them empty"));
        }
        let mut algorithms = Vec::new();
        for algorithm in &provider.algorithms {
            algorithms.push(Algorithm::parse(algorithm).ok_or_else(|| {
                format!("provider `{name}` accepts no algorithm `{algorithm}`; choose among {}", Algorithm::NAMES)
            })?);
        }
        if algorithms.is_empty() {
            return Err(format!("provider `{name}` accepts no algorithm; choose among {}", Algorithm::NAMES));
        }
        let keys = Keys::build(name, &provider.jwks, &provider.issuer, &algorithms, fetched)?;
        Ok(Self {
            issuer: provider.issuer.as_str().into(),
            audiences: provider.audiences.iter().map(|audience| audience.as_str().into()).collect(),
            algorithms,
            leeway_s: provider.leeway_s,
            keys,
            mapping: Mapping {
                provider: name.as_str().into(),
                issuer: provider.issuer.as_str().into(),
                hash: *hash,
                declared: provider.claims.declared.keys().map(|name| name.as_str().into()).collect(),
                spec: provider.claims.clone(),
            },
        })
    }

    /// The one `iss`.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What signatures may be made with.
    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Everything after the provider was found by its issuer.
    pub(super) fn verify(&self, token: &Unverified<'_>, now: Now) -> Result<Verdict, Failure> {
        let revision = token.check(&self.algorithms, &self.keys)?;
        Ok(self.judge(&token.claims, revision, now)?)
    }

    /// The claims of a token whose signature is good.
    fn judge(&self, claims: &Map<String, Value>, trust_revision: u64, now: Now) -> Result<Verdict, Refusal> {
        let named = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
        let identity = ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name));
        if identity || named("typ", "ID") || named("token_use", "id") {
            return Err(refuse(Reason::TokenClaimInvalid, "an id token is not an access token"));
        }
        let expires = claims::date(claims, "exp")?;
        let expires = expires.ok_or_else(|| refuse(Reason::TokenClaimInvalid, "claim `exp` is missing"))?;
        let not_before = claims::date(claims, "nbf")?.unwrap_or(0);
        let issued = claims::date(claims, "iat")?.unwrap_or(0);
        let until_ms = expires.saturating_add(self.leeway_s).saturating_mul(1000);
        let from_ms = not_before.max(issued).saturating_sub(self.leeway_s).saturating_mul(1000);
        if now.unix_ms >= until_ms {
            return Err(Reason::TokenExpired.into());
        }
        if now.unix_ms < from_ms {
            return Err(Reason::TokenNotYetValid.into());
        }
        self.check_audience(claims)?;
        let principal = Rc::new(self.mapping.principal(claims, until_ms)?);
        Ok(Verdict { principal, trust_revision, from_ms, until_ms })
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let ours = |audience: &str| self.audiences.iter().any(|own| **own == *audience);
        let wrong = || refuse(Reason::TokenClaimInvalid, "claim `aud` is neither a text nor a list of texts");
        let meant = match claims.get("aud") {
            None => return Err(refuse(Reason::TokenClaimInvalid, "claim `aud` is missing")),
            Some(Value::String(audience)) => ours(audience),
            Some(Value::Array(list)) => {
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(wrong)?.into_iter().any(ours)
            }
            Some(_) => return Err(wrong()),
        };
        if meant { Ok(()) } else { Err(Reason::TokenAudienceMismatch.into()) }
    }
}
