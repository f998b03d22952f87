//! Signed tokens (RFC 7519), in `Authorization: Bearer` (RFC 6750), checked as RFC 8725 and RFC 9068 ask.
//!
//! The order of checks is fixed, so that a token always fails for the same reason: size, form, header, issuer,
//! algorithm, key, signature, then the claims: kind, types, time, tenant, audience, client, mapping.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::assumed::Filled;
use super::claims::{self, Mapping};
use super::jwk::{Algorithm, KeySet, Selection, Trust};
use super::jwks::KeySource;
use super::verdict::Verdict;
use super::{json, refuse};
use crate::exchange::{Now, Principal, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::Secrets;

/// Bytes of a token at most; beyond it nothing is decoded.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// A token in compact form, decoded and not yet believed.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    signed: &'a [u8],
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
    /// The header says `at+jwt` (RFC 9068 section 2.1).
    access_token: bool,
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

    /// An assertion of a client (RFC 7523), whatever it calls itself of what such may be called.
    pub(super) fn parse_assertion(token: &'a [u8]) -> Result<Self, Refusal> {
        Self::parse_of(token, &["jwt", "client-authentication+jwt"])
    }

    /// With one of these types in the header, or none.
    fn parse_of(token: &'a [u8], types: &[&str]) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES {
            return Err(Reason::TokenTooLarge.into());
        }
        let malformed = |what: &str| refuse(Reason::CredentialMalformed, what);
        let mut parts = token.split(|b| *b == b'.');
        let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed(OPAQUE));
        };
        match parts.count() {
            0 => {}
            2 => return Err(refuse(Reason::TokenHeaderRefused, ENCRYPTED)),
            _ => return Err(malformed("the token does not have three parts")),
        }
        let object = |part: &[u8]| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?);
        let header_fields = object(header).ok_or_else(|| malformed("the token's header cannot be read"))?;
        let Header { algorithm, kid, access_token } = read_header(&header_fields, types)?;
        let claims = object(payload).ok_or_else(|| malformed("the token's claims cannot be read"))?;
        let signature_bytes = URL_SAFE_NO_PAD.decode(signature);
        Ok(Self {
            signed: token.get(..header.len() + 1 + payload.len()).unwrap_or_default(),
            signature: signature_bytes.map_err(|_| malformed("the token's signature cannot be read"))?,
            algorithm,
            kid,
            access_token,
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
            Selection::Found(key, _) => key,
            Selection::WrongAlgorithm => return Err(Refusal::from(Reason::TokenAlgorithmForbidden).into()),
            Selection::Unknown => return Err(missing(Reason::TokenKeyUnknown)),
        };
        if !key.verifies(self.signed, &self.signature) {
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

/// A token without dots: one that only its provider can read.
const OPAQUE: &str = "the token does not have three parts, so it is no signed JWT";
const ENCRYPTED: &str = "encrypted tokens are not supported";

/// What is used of a header (RFC 7515 section 4.1).
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
    access_token: bool,
}

fn read_header(header: &Map<String, Value>, types: &[&str]) -> Result<Header, Refusal> {
    let refused = |what: String| refuse(Reason::TokenHeaderRefused, what);
    // Keys come from the configuration alone; `crit` names extensions, of which none is known here.
    for name in ["jwk", "jku", "x5c", "x5u", "crit", "b64", "enc", "zip"] {
        if header.contains_key(name) {
            return Err(refused(format!("header `{name}` is not supported")));
        }
    }
    let mut access_token = false;
    if let Some(typ) = header.get("typ") {
        let lower = typ.as_str().unwrap_or_default().to_ascii_lowercase();
        let short = lower.strip_prefix("application/").unwrap_or(&lower);
        if !types.contains(&short) {
            return Err(refused("header `typ` is that of another kind of token".to_owned()));
        }
        access_token = short == "at+jwt";
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(refused("header `kid` is not a text".to_owned())),
    };
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    Ok(Header { algorithm: algorithm.ok_or(Reason::TokenAlgorithmForbidden)?, kid, access_token })
}

/// A compiled provider.
#[derive(Debug)]
pub(super) struct Jwt {
    issuer: Arc<str>,
    /// Issuers of one application in several tenants, and the tenant that each stands for.
    tenants: BTreeMap<Arc<str>, Box<str>>,
    audiences: Vec<Box<str>>,
    clients: Vec<Box<str>>,
    algorithms: Vec<Algorithm>,
    leeway_s: u64,
    max_age_s: Option<u64>,
    token_type: ir::TokenType,
    /// Claims that have to be there, and the values of which each has to have one.
    required: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Keys say whose tokens they sign.
    key_issuer: bool,
    /// What a token that only its provider can read comes from.
    opaque: Option<Box<str>>,
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
            ir::Jwks::Discovered(spec) => {
                let settings = super::jwks::Settings::discovered(spec, algorithms);
                Ok(Self::Fetched(fetched(settings.map_err(|e| format!("provider `{name}`: {e}"))?)?))
            }
            ir::Jwks::SharedSecret(_) => Err(format!("provider `{name}`: its keys are a set of public keys")),
        }
    }

    /// A source of the process.
    pub(super) fn fetched(settings: super::jwks::Settings, shared: &Arc<Shared>) -> Result<Arc<KeySource>, String> {
        let runtime = &shared.service_runtime;
        let discovery = settings.discovery().map(|spec| shared.discoveries.of(spec, runtime, super::sink(shared))).transpose()?;
        shared.jwks.keys(settings, discovery, runtime, super::sink(shared))
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
    pub(super) fn build(provider: &ir::JwtProvider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        Self::build_with(provider, secrets, &KeyedHash::new(&shared.seed), |settings| {
            let runtime = &shared.service_runtime;
            let discovery =
                settings.discovery().map(|spec| shared.discoveries.of(spec, runtime, super::sink(shared))).transpose()?;
            shared.jwks.keys(settings, discovery, runtime, super::sink(shared))
        })
    }

    pub(super) fn build_with(
        provider: &ir::JwtProvider,
        secrets: &Secrets,
        hash: &KeyedHash,
        fetched: impl FnOnce(super::jwks::Settings) -> Result<Arc<KeySource>, String>,
    ) -> Result<Self, String> {
        let name = &provider.name;
        let empty = |list: &[String]| list.iter().any(String::is_empty);
        if provider.issuer.is_empty() || empty(&provider.audiences) || empty(&provider.clients) {
            return Err(format!("provider `{name}`: an issuer, audience or client is empty"));
        }
        if provider.audiences.is_empty() && provider.clients.is_empty() {
            return Err(format!("provider `{name}` needs an audience, or clients in its place"));
        }
        let algorithms = algorithms(provider)?;
        let keys = keys(provider, &algorithms, secrets, fetched).map_err(|why| format!("provider `{name}`: {why}"))?;
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
        Ok(Self {
            issuer: provider.issuer.as_str().into(),
            tenants: provider.tenants.iter().map(|(issuer, tenant)| (issuer.as_str().into(), tenant.as_str().into())).collect(),
            audiences: texts(&provider.audiences),
            clients: texts(&provider.clients),
            algorithms,
            leeway_s: provider.leeway_s,
            max_age_s: provider.max_age_s,
            token_type: provider.token_type,
            required: provider.required.iter().map(|(name, values)| (name.as_str().into(), texts(values))).collect(),
            key_issuer: provider.key_issuer,
            opaque: provider.opaque.as_deref().map(Into::into),
            keys,
            mapping: Mapping::new(name, &provider.claims, hash),
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

    /// Whether tokens of this issuer are its own; the name that principals share.
    pub(super) fn issues(&self, issuer: &str) -> Option<&Arc<str>> {
        if self.tenants.is_empty() {
            return (*self.issuer == *issuer).then_some(&self.issuer);
        }
        self.tenants.get_key_value(issuer).map(|(known, _)| known)
    }

    /// Every issuer of its tokens.
    pub(super) fn issuers(&self) -> Vec<Arc<str>> {
        if self.tenants.is_empty() { vec![Arc::clone(&self.issuer)] } else { self.tenants.keys().cloned().collect() }
    }

    /// A refusal of what is no signed token, with what this provider knows about that.
    pub(super) fn explained(&self, mut refusal: Refusal) -> Refusal {
        if let Some(opaque) = &self.opaque
            && matches!(refusal.detail.as_deref(), Some(OPAQUE | ENCRYPTED))
        {
            refusal.detail = Some(opaque.clone());
        }
        refusal
    }

    /// Everything after the provider was found by its issuer.
    pub(super) fn verify(&self, token: &Unverified<'_>, now: Now) -> Result<Verdict, Failure> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(Refusal::from(Reason::TokenAlgorithmForbidden).into());
        }
        if self.token_type == ir::TokenType::AtJwt && !token.access_token {
            return Err(refuse(Reason::TokenHeaderRefused, "header `typ` is not `at+jwt`").into());
        }
        let issuer = self.issues(token.issuer()?).ok_or(Refusal::from(Reason::TokenIssuerUnknown))?;
        let trust = self.keys.trust();
        let missing = |reason: Reason| {
            if self.keys.may_refetch() { Failure::KeysNeeded(reason.into()) } else { Failure::Refused(reason.into()) }
        };
        let Some(set) = &trust.set else { return Err(missing(Reason::IdentityProviderUnavailable)) };
        let (key, only) = match set.select(token.kid.as_deref(), token.algorithm) {
            Selection::Found(key, only) => (key, only),
            Selection::WrongAlgorithm => return Err(Refusal::from(Reason::TokenAlgorithmForbidden).into()),
            Selection::Unknown => return Err(missing(Reason::TokenKeyUnknown)),
        };
        if !key.verifies(token.signed, &token.signature) {
            return Err(Refusal::from(Reason::TokenSignatureInvalid).into());
        }
        self.check_tenant(issuer, &token.claims, only.filter(|_| self.key_issuer))?;
        Ok(self.judge(issuer, &token.claims, trust.revision, now)?)
    }

    /// The caller of a good token with these claims.
    pub(super) fn assume(&self, claims: &Map<String, Value>, now: Now) -> Result<Rc<Principal>, Refusal> {
        let mut filled = Filled::new(claims, now);
        filled.put("iss", self.issuers().first().map_or("", |issuer| &**issuer)).first("aud", &self.audiences);
        if matches!(self.mapping.client(filled.claims()), Ok(None)) {
            filled.first("client_id", &self.clients);
        }
        for (name, values) in &self.required {
            filled.first(name, values);
        }
        let named = claims::text(filled.claims(), "iss")?.unwrap_or_default();
        let issuer = Arc::clone(self.issues(named).ok_or(Refusal::from(Reason::TokenIssuerUnknown))?);
        if let Some(tenant) = self.tenants.get(&issuer) {
            filled.put("tid", &**tenant);
        }
        self.check_tenant(&issuer, filled.claims(), None)?;
        Ok(self.judge(&issuer, filled.claims(), 0, now)?.principal)
    }

    /// The tenant that the issuer stands for, and the one that the key is for.
    fn check_tenant(&self, issuer: &Arc<str>, claims: &Map<String, Value>, key_for: Option<&str>) -> Result<(), Refusal> {
        let tenant = claims::text(claims, "tid")?;
        if let Some(expected) = self.tenants.get(issuer)
            && tenant != Some(expected)
        {
            return Err(refuse(Reason::TokenClaimInvalid, "claim `tid` is not the tenant of the issuer"));
        }
        match key_for {
            Some(template) if template.replace("{tenantid}", tenant.unwrap_or_default()) != **issuer => {
                Err(refuse(Reason::TokenKeyUnknown, "the key signs tokens of another issuer"))
            }
            _ => Ok(()),
        }
    }

    /// The claims of a token whose signature is good.
    fn judge(&self, issuer: &Arc<str>, claims: &Map<String, Value>, revision: u64, now: Now) -> Result<Verdict, Refusal> {
        self.check_kind(claims)?;
        let expires = claims::date(claims, "exp")?;
        let expires = expires.ok_or_else(|| refuse(Reason::TokenClaimInvalid, "claim `exp` is missing"))?;
        let not_before = claims::date(claims, "nbf")?.unwrap_or(0);
        let issued = claims::date(claims, "iat")?;
        let mut until_ms = expires.saturating_add(self.leeway_s).saturating_mul(1000);
        let from_ms = not_before.max(issued.unwrap_or(0)).saturating_sub(self.leeway_s).saturating_mul(1000);
        if now.unix_ms >= until_ms {
            return Err(Reason::TokenExpired.into());
        }
        if now.unix_ms < from_ms {
            return Err(Reason::TokenNotYetValid.into());
        }
        if let Some(max_age_s) = self.max_age_s {
            let issued = issued.ok_or_else(|| refuse(Reason::TokenClaimInvalid, "claim `iat` is missing"))?;
            until_ms = until_ms.min(issued.saturating_add(max_age_s).saturating_add(self.leeway_s).saturating_mul(1000));
            if now.unix_ms >= until_ms {
                return Err(refuse(Reason::TokenExpired, "the token was issued longer ago than is accepted"));
            }
        }
        self.check_audience(claims)?;
        self.check_client(claims)?;
        let principal = Rc::new(self.mapping.principal(claims, issuer, until_ms)?);
        Ok(Verdict { principal, trust_revision: revision, from_ms, until_ms })
    }

    /// That it is an access token, and of the kind that this provider issues.
    fn check_kind(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let named = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
        // OpenID Connect Core section 2 and 3.3.2.11; Keycloak; Cognito.
        let identity = ["nonce", "at_hash", "c_hash", "s_hash"].iter().any(|name| claims.contains_key(*name));
        if identity || named("typ", "ID") || named("token_use", "id") {
            return Err(refuse(Reason::TokenClaimInvalid, "an id token is not an access token"));
        }
        // RFC 8417 section 2.2, and with it logout tokens.
        if claims.contains_key("events") {
            return Err(refuse(Reason::TokenClaimInvalid, "a security event is not an access token"));
        }
        for (name, values) in &self.required {
            let value = claims.get(&**name).and_then(Value::as_str);
            if !value.is_some_and(|value| values.iter().any(|own| **own == *value)) {
                return Err(refuse(Reason::TokenClaimInvalid, format!("claim `{name}` is not that of an access token")));
            }
        }
        Ok(())
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let ours = |audience: &str| self.audiences.iter().any(|own| **own == *audience);
        let wrong = || refuse(Reason::TokenClaimInvalid, "claim `aud` is neither a text nor a list of texts");
        let meant = match claims.get("aud") {
            // Without an audience the client says whom the token is for; one that names an audience is for that one.
            None if self.audiences.is_empty() => return Ok(()),
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

    /// Every claim that names the client has to name an accepted one, and at least one has to.
    fn check_client(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        if self.clients.is_empty() {
            return Ok(());
        }
        let mut named = false;
        for client in [self.mapping.client(claims)?, claims::text(claims, "azp")?].into_iter().flatten() {
            named = true;
            if !self.clients.iter().any(|own| **own == *client) {
                return Err(Reason::TokenClientNotAccepted.into());
            }
        }
        if named { Ok(()) } else { Err(refuse(Reason::TokenClaimInvalid, "the token names no client")) }
    }
}

fn algorithms(provider: &ir::JwtProvider) -> Result<Vec<Algorithm>, String> {
    let name = &provider.name;
    let secret = matches!(provider.jwks, ir::Jwks::SharedSecret(_));
    let known = |text: &String| Algorithm::parse(text).filter(|algorithm| algorithm.secret_bytes().is_some() == secret);
    let choose = if secret { "HS256, HS384, HS512" } else { Algorithm::NAMES };
    let mut found = Vec::new();
    for text in &provider.algorithms {
        let algorithm = known(text);
        found.push(algorithm.ok_or_else(|| format!("provider `{name}` accepts no algorithm `{text}`; choose among {choose}"))?);
    }
    if found.is_empty() { Err(format!("provider `{name}` accepts no algorithm; choose among {choose}")) } else { Ok(found) }
}

fn keys(
    provider: &ir::JwtProvider,
    algorithms: &[Algorithm],
    secrets: &Secrets,
    fetched: impl FnOnce(super::jwks::Settings) -> Result<Arc<KeySource>, String>,
) -> Result<Keys, String> {
    let fixed = |set: KeySet| Keys::Fixed(Trust { set: Some(Arc::new(set)), revision: 0 });
    Ok(match &provider.jwks {
        ir::Jwks::Inline(text) => {
            let set = KeySet::parse(text.as_bytes(), algorithms)?;
            if set.is_empty() {
                return Err("the key set has no public key for its algorithms".to_owned());
            }
            fixed(set)
        }
        ir::Jwks::SharedSecret(secret) => {
            let secret = secrets.get(secret).ok_or_else(|| format!("the secret `{secret}` was not passed along"))?;
            fixed(KeySet::shared(secret, algorithms)?)
        }
        ir::Jwks::Url(url) => Keys::Fetched(fetched(super::jwks::Settings::new(url, &provider.issuer, algorithms)?)?),
        ir::Jwks::Discovered(spec) => Keys::Fetched(fetched(super::jwks::Settings::discovered(spec, algorithms)?)?),
    })
}
