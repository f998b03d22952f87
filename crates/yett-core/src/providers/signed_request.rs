//! Requests that their callers signed (HTTP Message Signatures, RFC 9421), body included (RFC 9530).

mod base;
pub mod digest;
mod fields;
mod keys;
mod once;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use digest::ContentDigest;
use fields::Input;
use keys::{Algorithm, Verifier};
pub use once::{Question, SignedRequest};

use super::machine::Maker;
use super::{assumed, refuse};
use crate::exchange::{AuthenticationMethod, Exchange, Framing, Now, Principal, Refusal};
use crate::ir::{self, Machine};
use crate::reason::Reason;
use crate::snapshot::Secrets;

/// The fields that carry a signature.
pub(crate) const HEADERS: [&str; 2] = ["signature-input", "signature"];
/// Bytes of a nonce at most.
const NONCE_BYTES: usize = 128;
/// What covers `@target-uri` in parts.
const TARGET_PARTS: [&str; 3] = ["@authority", "@path", "@query"];

/// A compiled provider.
#[derive(Debug)]
pub(super) struct SignedRequests {
    spec: Spec,
    keys: HashMap<Box<str>, Key>,
}

#[derive(Debug)]
struct Spec {
    components: Vec<Box<str>>,
    max_age_s: i64,
    leeway_s: i64,
    nonce_required: bool,
    tag: Option<Box<str>>,
    label: Option<Box<str>>,
    body_limit: u64,
}

#[derive(Debug)]
struct Key {
    algorithm: Algorithm,
    verifier: Verifier,
    expires_ms: Option<u64>,
    machine: Machine,
}

/// A request whose signature fits. Its body and its nonce are still to be looked at.
#[derive(Debug)]
pub(super) struct Signed<'p> {
    /// `keyid`.
    pub key: Box<str>,
    /// Whose key it is.
    pub machine: &'p Machine,
    /// When the key ends, milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Of the signer's choice; counts once.
    pub nonce: Option<Box<str>>,
    /// When it was signed, milliseconds since 1970.
    pub created_ms: u64,
    /// First moment, milliseconds since 1970, at which this signature is refused whatever happens.
    pub until_ms: u64,
    /// What the body has to hash to.
    pub body: Option<HeldBody>,
}

/// What the body of a request has to be before anyone may believe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBody {
    /// Its digests.
    pub digest: ContentDigest,
    /// Bytes at most.
    pub limit: u64,
}

impl SignedRequests {
    /// The caller of a good signature with this key.
    ///
    /// # Errors
    /// `signature_key_unknown`
    pub(super) fn assume(&self, maker: &Maker, id: &str, now: Now) -> Result<Principal, Refusal> {
        let counts = |key: &&Key| key.expires_ms.is_none_or(|until_ms| now.unix_ms < until_ms);
        let key = self.keys.get(id).filter(counts).ok_or_else(|| assumed::unknown(Reason::SignatureKeyUnknown, id))?;
        let mut principal = maker.principal(AuthenticationMethod::SignedRequest, id, &key.machine);
        principal.token_id = Some(id.into());
        principal.issued_ms = Some(now.unix_ms);
        principal.expires_ms = key.expires_ms;
        Ok(principal)
    }

    pub(super) fn build(spec: &ir::SignedRequestProvider, secrets: &Secrets) -> Result<Self, String> {
        let mut keys = HashMap::with_capacity(spec.keys.len());
        for key in &spec.keys {
            let bad = |what: &str| format!("provider `{}`: key `{}`: {what}", spec.name, key.id);
            let algorithm = Algorithm::parse(&key.algorithm).ok_or_else(|| {
                bad("its algorithm is not known; write ed25519, ecdsa-p256-sha256, rsa-pss-sha512 or hmac-sha256")
            })?;
            let verifier = match (algorithm, &key.public_key, &key.secret) {
                (Algorithm::HmacSha256, None, Some(name)) => {
                    let secret = secrets.get(name).ok_or_else(|| bad("its secret is missing"))?;
                    Verifier::shared(secret)
                }
                (Algorithm::HmacSha256, _, _) => Err("it needs a shared secret, and no public key".to_owned()),
                (_, Some(pem), None) => Verifier::public(algorithm, pem),
                _ => Err("it needs a public key, and no shared secret".to_owned()),
            };
            let verifier = verifier.map_err(|why| bad(&why))?;
            let expires_ms = key.expires.map(|seconds| seconds.saturating_mul(1000));
            let built = Key { algorithm, verifier, expires_ms, machine: key.machine.clone() };
            if keys.insert(key.id.as_str().into(), built).is_some() {
                return Err(bad("its id stands twice"));
            }
        }
        if keys.is_empty() {
            return Err(format!("provider `{}` has no keys, so every request would be refused", spec.name));
        }
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let spec = Spec {
            components: spec.components.iter().map(|one| one.as_str().into()).collect(),
            max_age_s: seconds(spec.max_age_s),
            leeway_s: seconds(spec.leeway_s),
            nonce_required: spec.nonce_required,
            tag: spec.tag.as_deref().map(Into::into),
            label: spec.label.as_deref().map(Into::into),
            body_limit: spec.body_limit,
        };
        Ok(Self { spec, keys })
    }

    /// What a signature has to cover, for the challenge.
    pub(super) fn components(&self) -> String {
        self.spec.components.join(" ")
    }

    /// Checks the one signature of a request that is for us.
    ///
    /// # Errors
    /// It is malformed, not there, ambiguous, incomplete, out of its time, by an unknown key, or does not fit.
    pub(super) fn verify(&self, exchange: &Exchange, now: Now) -> Result<Signed<'_>, Refusal> {
        let malformed = |why: Box<str>| refuse(Reason::CredentialMalformed, why);
        let inputs = fields::inputs(&joined(exchange, b"signature-input")).map_err(malformed)?;
        let signatures = fields::byte_sequences("Signature", &joined(exchange, b"signature")).map_err(malformed)?;
        let input = self.ours(&inputs)?;
        let signature = signatures.iter().find(|(label, _)| *label == input.label).map(|(_, bytes)| bytes);
        let signature = signature.ok_or_else(|| malformed("`Signature` has not the label of `Signature-Input`".into()))?;
        let (id, key) = self.key(input, now)?;
        let (created_s, until_s) = self.in_time(input, now)?;
        self.covers(exchange, input)?;
        let nonce = self.nonce(input)?;
        let base = base::build(exchange, input).map_err(|why| refuse(Reason::SignatureIncomplete, why))?;
        if !key.verifier.verifies(&base, signature) {
            return Err(Reason::SignatureInvalid.into());
        }
        Ok(Signed {
            key: id.into(),
            machine: &key.machine,
            expires_ms: key.expires_ms,
            nonce,
            created_ms: milliseconds(created_s),
            until_ms: milliseconds(until_s),
            body: self.body(exchange, input)?,
        })
    }

    /// The signature with our label and tag; where neither is configured, the one by a key of ours, or the only one.
    fn ours<'i>(&self, inputs: &'i [Input]) -> Result<&'i Input, Refusal> {
        let Spec { tag, label, .. } = &self.spec;
        let by_us = |input: &Input| input.keyid.as_deref().is_some_and(|id| self.keys.contains_key(id));
        let fits = |input: &&Input| {
            label.as_ref().is_none_or(|label| input.label == *label)
                && tag.as_ref().is_none_or(|tag| input.tag.as_ref() == Some(tag))
                && (label.is_some() || tag.is_some() || inputs.len() == 1 || by_us(input))
        };
        let mut found = inputs.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(refuse(Reason::CredentialAmbiguous, "the request has several signatures for this gateway")),
            (None, _) => Err(refuse(Reason::SignatureKeyUnknown, "the request has no signature for this gateway")),
        }
    }

    fn key<'p>(&'p self, input: &Input, now: Now) -> Result<(&'p str, &'p Key), Refusal> {
        let keyid = input.keyid.as_deref().ok_or_else(|| refuse(Reason::SignatureIncomplete, "the signature has no `keyid`"))?;
        let (id, key) = self.keys.get_key_value(keyid).ok_or(Reason::SignatureKeyUnknown)?;
        if input.alg.as_deref().is_some_and(|alg| alg != key.algorithm.name()) {
            return Err(Reason::SignatureAlgorithmForbidden.into());
        }
        match key.expires_ms {
            Some(end) if end <= now.unix_ms => Err(refuse(Reason::SignatureExpired, "the key of the signature has ended")),
            _ => Ok((id, key)),
        }
    }

    /// The seconds at which it began and ends.
    fn in_time(&self, input: &Input, now: Now) -> Result<(i64, i64), Refusal> {
        let now_s = i64::try_from(now.unix_ms / 1000).unwrap_or(i64::MAX);
        let created = input.created.ok_or_else(|| refuse(Reason::SignatureIncomplete, "the signature has no `created`"))?;
        if created > now_s.saturating_add(self.spec.leeway_s) {
            return Err(Reason::SignatureNotYetValid.into());
        }
        let end = created.saturating_add(self.spec.max_age_s);
        let end = input.expires.map_or(end, |expires| expires.min(end));
        if now_s >= end || end <= created {
            return Err(Reason::SignatureExpired.into());
        }
        Ok((created, end))
    }

    fn covers(&self, exchange: &Exchange, input: &Input) -> Result<(), Refusal> {
        let has = |name: &str| input.components.iter().any(|component| *component.name == *name && component.parameter.is_none());
        let missing = self.spec.components.iter().find(|wanted| match &***wanted {
            "content-digest" if exchange.request.framing == Framing::Empty => false,
            "@target-uri" => !has("@target-uri") && !TARGET_PARTS.into_iter().all(has),
            other => !has(other),
        });
        match missing {
            None => Ok(()),
            Some(name) => Err(refuse(Reason::SignatureIncomplete, format!("the signature does not cover `{name}`"))),
        }
    }

    fn nonce(&self, input: &Input) -> Result<Option<Box<str>>, Refusal> {
        match &input.nonce {
            None if self.spec.nonce_required => Err(refuse(Reason::SignatureIncomplete, "the signature has no `nonce`")),
            Some(nonce) if nonce.is_empty() || nonce.len() > NONCE_BYTES => {
                Err(refuse(Reason::CredentialMalformed, format!("the `nonce` is empty, or longer than {NONCE_BYTES} bytes")))
            }
            other => Ok(other.clone()),
        }
    }

    /// A digest that is signed is checked, whether it was asked for or not.
    fn body(&self, exchange: &Exchange, input: &Input) -> Result<Option<HeldBody>, Refusal> {
        if !input.components.iter().any(|component| &*component.name == "content-digest") {
            return Ok(None);
        }
        let digest = ContentDigest::parse(&joined(exchange, b"content-digest"))
            .map_err(|why| refuse(Reason::ContentDigestMismatch, why))?;
        match exchange.request.framing {
            Framing::Empty if digest.fits_bytes(b"") => Ok(None),
            Framing::Empty => Err(Reason::ContentDigestMismatch.into()),
            Framing::Length(length) if length > self.spec.body_limit => Err(too_large(self.spec.body_limit)),
            _ => Ok(Some(HeldBody { digest, limit: self.spec.body_limit })),
        }
    }
}

fn milliseconds(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}

/// A signed body is held until its digest is checked, so there is a bound.
fn too_large(limit: u64) -> Refusal {
    refuse(Reason::BodyTooLarge, format!("the body of a signed request has at most {limit} bytes here"))
}

/// All lines of a field (RFC 9110 section 5.3).
fn joined(exchange: &Exchange, name: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for (index, value) in exchange.request.headers.named(name).enumerate() {
        if index > 0 {
            all.extend_from_slice(b", ");
        }
        all.extend_from_slice(value);
    }
    all
}
