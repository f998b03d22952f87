//! DPoP (RFC 9449): a token that is bound to a key, and a proof with each request that the caller has that key.
//!
//! A proof is read as strictly as a token, checked in a fixed order (form, type, algorithm, key, binding, request, time,
//! token, signature, nonce), and counts once: its `jti` goes to the store before the request goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;
use super::jwk::{self, Algorithm, sha256};
use super::nonce::Nonces;
use super::refuse;
use crate::exchange::{Exchange, Now, Refusal};
use crate::ir;
use crate::reason::Reason;
use crate::store::{Key, Space};

/// Bytes of a proof at most; beyond it nothing is decoded.
pub const PROOF_BYTES: usize = 4 * 1024;
/// Bytes of a `jti`.
const JTI_BYTES: usize = 256;

/// How proofs are checked: once for a configuration.
#[derive(Debug)]
pub struct Dpop {
    algorithms: Vec<Algorithm>,
    /// Their names with blanks between, for challenges.
    names: Box<str>,
    max_age_s: u64,
    leeway_s: u64,
    nonces: Option<Nonces>,
}

/// A proof that holds, but for whether it was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proved {
    /// What has to be new.
    pub key: Key,
    /// So long it could be used again, milliseconds since 1970.
    pub until_ms: u64,
    /// Whether the client needs a newer nonce for its next request.
    pub renew: bool,
}

fn invalid(what: &str) -> Refusal {
    refuse(Reason::ProofInvalid, what)
}

impl Dpop {
    /// # Errors
    /// An algorithm that is not known, or none.
    pub fn build(spec: &ir::Dpop, secret: Option<&[u8]>, seed: &[u8; 32]) -> Result<Self, String> {
        let mut algorithms = Vec::new();
        for name in &spec.algorithms {
            let known = Algorithm::parse(name);
            algorithms
                .push(known.ok_or_else(|| format!("proofs cannot be signed with `{name}`; choose among {}", Algorithm::NAMES))?);
        }
        if algorithms.is_empty() || spec.max_age_s == 0 {
            return Err("proofs need at least one algorithm, and an age".to_owned());
        }
        let nonces = spec.nonce_ms.map(|lifetime_ms| Nonces::new(secret.unwrap_or(seed), lifetime_ms));
        let names = spec.algorithms.join(" ").into();
        Ok(Self { algorithms, names, max_age_s: spec.max_age_s, leeway_s: spec.leeway_s, nonces })
    }

    /// For the challenge (RFC 9449 section 7.1).
    #[must_use]
    pub fn algorithm_names(&self) -> &str {
        &self.names
    }

    /// A nonce for the client's next proof, where they are asked for.
    #[must_use]
    pub fn nonce(&self, now: Now) -> Option<Box<str>> {
        self.nonces.as_ref().map(|nonces| nonces.current(now.unix_ms))
    }

    /// Checks the proof of a request (RFC 9449 section 4.3) with a token that is bound to the key `jkt`.
    ///
    /// `since_ms`: proofs from before that moment (milliseconds since 1970) may have been used with nobody remembering.
    ///
    /// # Errors
    /// `proof_missing`, `proof_invalid`, `proof_nonce`, `not_bound`.
    pub fn check(&self, exchange: &Exchange, token: &[u8], jkt: &[u8; 32], since_ms: u64, now: Now) -> Result<Proved, Refusal> {
        let mut fields = exchange.request.headers.named(b"dpop");
        let proof = fields.next().ok_or(Reason::ProofMissing)?;
        if fields.next().is_some() {
            return Err(invalid("there is more than one `DPoP` field"));
        }
        let proof = Proof::parse(proof)?;
        if !self.algorithms.contains(&proof.algorithm) {
            return Err(invalid("the proof is signed with an algorithm that is not accepted"));
        }
        if jwk::thumbprint(&proof.jwk).as_ref() != Some(jkt) {
            return Err(refuse(Reason::NotBound, "the token is bound to another key than that of the proof"));
        }
        proof.is_for(exchange)?;
        let issued = proof.issued_s;
        if issued.saturating_add(self.max_age_s) < now.unix_ms / 1000 {
            return Err(invalid("the proof is too old"));
        }
        if issued > (now.unix_ms / 1000).saturating_add(self.leeway_s) {
            return Err(invalid("the proof is from the future"));
        }
        if issued.saturating_mul(1000) < since_ms {
            return Err(invalid("the proof is from before the gateway started; make a new one"));
        }
        if proof.text("ath")? != URL_SAFE_NO_PAD.encode(sha256(token)) {
            return Err(invalid("`ath` is not the digest of the token"));
        }
        if !jwk::verify(&proof.jwk, proof.algorithm, proof.signed, &proof.signature) {
            return Err(invalid("the signature is not valid"));
        }
        let renew = match &self.nonces {
            None => false,
            Some(nonces) => {
                let given = proof.claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
                nonces.check(given, now.unix_ms).ok_or(Reason::ProofNonce)?
            }
        };
        let jti = proof.text("jti")?;
        if jti.is_empty() || jti.len() > JTI_BYTES {
            return Err(invalid("`jti` is empty or too long"));
        }
        let key = Key::new(Space::Proof, &[jkt, jti.as_bytes()]);
        let until_ms = issued.saturating_add(self.max_age_s).saturating_add(1).saturating_mul(1000);
        Ok(Proved { key, until_ms, renew })
    }
}

/// A proof, decoded and not yet believed.
struct Proof<'a> {
    signed: &'a [u8],
    signature: Vec<u8>,
    algorithm: Algorithm,
    jwk: Map<String, Value>,
    claims: Map<String, Value>,
    issued_s: u64,
}

impl<'a> Proof<'a> {
    fn parse(proof: &'a [u8]) -> Result<Self, Refusal> {
        if proof.len() > PROOF_BYTES {
            return Err(invalid("the proof is too large"));
        }
        let mut parts = proof.split(|b| *b == b'.');
        let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid("the proof does not have three parts"));
        };
        let object = |part: &[u8]| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?);
        let mut fields = object(header).ok_or_else(|| invalid("the header of the proof cannot be read"))?;
        let claims = object(payload).ok_or_else(|| invalid("the claims of the proof cannot be read"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid("the signature of the proof cannot be read"))?;
        if fields.get("typ").and_then(Value::as_str) != Some("dpop+jwt") {
            return Err(invalid("`typ` is not `dpop+jwt`"));
        }
        let algorithm = fields.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
        let algorithm = algorithm.ok_or_else(|| invalid("the proof is signed with an algorithm that is not accepted"))?;
        let Some(Value::Object(jwk)) = fields.remove("jwk") else { return Err(invalid("the proof carries no key")) };
        // Nothing else that names a key, and no extension that is not known here.
        if fields.keys().any(|name| !matches!(name.as_str(), "typ" | "alg" | "kid")) {
            return Err(invalid("the header of the proof asks for something that is not supported"));
        }
        let issued_s =
            claims.get("iat").and_then(Value::as_u64).ok_or_else(|| invalid("`iat` is missing or no number of seconds"))?;
        let signed = proof.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        Ok(Self { signed, signature, algorithm, jwk, claims, issued_s })
    }

    fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        self.claims.get(name).and_then(Value::as_str).ok_or_else(|| invalid(&format!("`{name}` is missing")))
    }

    /// Method and address are those of the request, as the client sent it.
    fn is_for(&self, exchange: &Exchange) -> Result<(), Refusal> {
        if self.text("htm")? != exchange.request.method.as_str() {
            return Err(invalid("`htm` is another method"));
        }
        let other = || invalid("`htu` is another address");
        let named = Address::parse(self.text("htu")?).ok_or_else(other)?;
        let authority = std::str::from_utf8(&exchange.authority).map_err(|_| other())?;
        let (_, port) = host_and_port(authority).ok_or_else(other)?;
        let standard = if exchange.https { 443 } else { 80 };
        let same = named.https == exchange.https
            && named.host == exchange.host
            && named.port == port.unwrap_or(standard)
            && named.path == normal_path(exchange.path.raw());
        if same { Ok(()) } else { Err(other()) }
    }
}

/// Scheme, host, port and path of an `htu`, normalised (RFC 3986 sections 6.2.2 and 6.2.3).
#[derive(Debug, PartialEq, Eq)]
struct Address {
    https: bool,
    host: String,
    port: u16,
    path: Vec<u8>,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        // "without query and fragment parts" (RFC 9449 section 4.2); one that has them is not refused for it (section 4.3)
        let text = text.split(['?', '#']).next()?;
        if text.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b == b'\\') {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => (rest.get(..at)?, rest.get(at..)?),
            None => (rest, "/"),
        };
        let (host, port) = host_and_port(authority)?;
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').map_or(host.clone(), str::to_owned);
        let port = port.unwrap_or(if https { 443 } else { 80 });
        Some(Self { https, host, port, path: normal_path(path.as_bytes()) })
    }
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(end..)?.rfind(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at_checked(end + at)?;
            let port = port.get(1..)?;
            // an empty port is the standard one (RFC 3986 section 6.2.3)
            let port = if port.is_empty() {
                None
            } else {
                Some(port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()))?)
            };
            (!host.is_empty()).then_some((host, port))
        }
    }
}

/// Unreserved characters decoded, other escapes in capitals. Dot segments stay: no request has any.
fn normal_path(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    out.push(byte);
                } else {
                    out.extend(tail.iter().take(2).map(u8::to_ascii_uppercase).fold(vec![b'%'], |mut all, b| {
                        all.push(b);
                        all
                    }));
                }
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
