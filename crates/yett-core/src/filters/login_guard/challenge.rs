//! Proofs of work in place of waits and refusals: a page for whoever looks suspicious and uses a browser, and what it proves.
//!
//! A proof is a cookie, signed, bound to route, host, address and what the browser calls itself. It is good for a few attempts and
//! some minutes. It says that work was done, not that a person did it; so it lifts no ban, and no count of guesses.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::altcha::{NONCE, Nonce, Payload, Signer, Wanted, Wrong};
use super::bans;
use super::page::{Page, Text, Written};
use super::proofs::{Entered, Proofs, Proven};
use super::refusals::lasting;
use crate::exchange::{Exchange, Method, Now, Refusal, Upgrade};
use crate::filters::keyed_hash::KeyedHash;
use crate::headers::Known;
use crate::ir;
use crate::providers::oidc::cookie;
use crate::reason::Reason;
use crate::revocation::hex;

/// Where solutions are sent to.
pub const PATH: &str = "/.yett/challenge";
/// Its segments.
const SEGMENTS: [&str; 2] = [".yett", "challenge"];
/// The cookie of a proof: no provider's name has a `~`.
pub const COOKIE: &str = "__Host-yett-~proof";
/// How long a challenge may take.
const EXPIRES_S: u64 = 300;
/// Bytes of a binding.
const BINDING: usize = 16;
/// Bytes of the times of a proof: when it was issued, and its end as it was then, milliseconds since 1970.
const TIMES: usize = 16;
/// Bytes of a tag.
const TAG: usize = 32;
/// Random bytes for a challenge: nonce, salt, and which try it is.
pub const RANDOM: usize = 2 * NONCE + 8;
/// Points above `at` with which the work doubles, and how often it does.
const DOUBLES: (u32, u32) = (20, 3);

/// A compiled challenge.
#[derive(Debug)]
pub struct Challenge {
    /// From this score on.
    at: u32,
    difficulty: u32,
    holds_ms: u64,
    attempts: u32,
    /// Whether an attempt that is no browser's is refused from there on.
    pub refuses_others: bool,
    signer: Signer,
    keys: Keys,
    page: Page,
    route: Box<[u8]>,
    /// Whether other instances sign with the same secret.
    is_shared: bool,
    hash: KeyedHash,
}

/// Keys of bindings and proofs.
struct Keys {
    bindings: hmac::Key,
    proofs: hmac::Key,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// Whether a path is where solutions are sent to.
pub fn is_path<'a>(segments: impl Iterator<Item = &'a str>) -> bool {
    segments.eq(SEGMENTS)
}

/// Whether a route with this template stands there: what begins with the first segment is meant for it, `/{rest...}` is not.
#[must_use]
pub fn is_place(template: &str) -> bool {
    let [own, last] = SEGMENTS;
    let mut segments = template.split('/').skip(1);
    let first = segments.next() == Some(own);
    let second = segments.next().is_some_and(|segment| segment == last || segment.starts_with('{'));
    first && second && segments.all(str::is_empty)
}

/// Whether a person waits for a page, who can be shown another one first: a browser says that it goes to a page, and one that says
/// nothing of the kind wants HTML before anything else. What programs send is neither.
#[must_use]
pub fn is_person(exchange: &Exchange) -> bool {
    let headers = &exchange.request.headers;
    let says = |name: &'static [u8], word: &[u8]| headers.named(name).all(|value| value == word);
    let accept = headers.get(Known::Accept).unwrap_or_default();
    let first = accept.split(|b| matches!(b, b',' | b';')).next().unwrap_or_default().trim_ascii();
    // A form that another site sends comes without cookies, and so without the proof.
    let foreign = exchange.request.method == Method::Post && headers.named(b"sec-fetch-site").any(|value| value == b"cross-site");
    matches!(exchange.request.method, Method::Get | Method::Post)
        && !foreign
        && exchange.upgrade == Upgrade::None
        && (first.eq_ignore_ascii_case(b"text/html") || first.eq_ignore_ascii_case(b"application/xhtml+xml"))
        && headers.named(b"x-requested-with").next().is_none()
        && says(b"sec-fetch-mode", b"navigate")
        && says(b"sec-fetch-dest", b"document")
}

impl Challenge {
    /// Compiles it; `secret` is what instances share, where they do; otherwise it is one of the process.
    ///
    /// # Errors
    /// What of it cannot be.
    pub fn build(spec: &ir::LoginChallenge, route: &str, secret: Option<&[u8]>, seed: &[u8; 32]) -> Result<Self, String> {
        if !(1..=super::score::LIMIT).contains(&spec.at) {
            return Err("a challenge is made at a score of 1 to 60: from there on attempts are refused".to_owned());
        }
        if !(10..=20_000).contains(&spec.difficulty) || spec.attempts == 0 || !(1_000..=86_400_000).contains(&spec.holds_ms) {
            return Err("a challenge takes 10 to 20,000 tries, and is good for at least one attempt, for 1 s to 24 h".to_owned());
        }
        let is_shared = secret.is_some();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.unwrap_or(seed.as_slice()));
        let derived = |what: &str| hmac::sign(&secret, format!("yett login challenge: {what}").as_bytes());
        let key = |what| hmac::Key::new(hmac::HMAC_SHA256, derived(what).as_ref());
        Ok(Self {
            at: spec.at,
            difficulty: spec.difficulty,
            holds_ms: spec.holds_ms,
            attempts: spec.attempts,
            refuses_others: spec.refuse_others,
            signer: Signer::new(derived("parameters").as_ref(), derived("keys").as_ref()),
            keys: Keys { bindings: key("bindings"), proofs: key("proofs") },
            page: Page::build(),
            route: route.as_bytes().into(),
            is_shared,
            hash: KeyedHash::new(seed),
        })
    }

    /// The score from which on work is asked for.
    #[must_use]
    pub const fn at(&self) -> u32 {
        self.at
    }

    /// Whether a score asks for work.
    #[must_use]
    pub fn is_due(&self, score: u32) -> bool {
        score >= self.at
    }

    /// What a challenge and its proof are bound to: another route, host, address (or IPv6 network) or browser has another one.
    fn binding(&self, exchange: &Exchange) -> [u8; BINDING] {
        let mut context = hmac::Context::with_key(&self.keys.bindings);
        let mut part = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        part(&self.route);
        part(exchange.host.as_bytes());
        match bans::network(exchange.client) {
            std::net::IpAddr::V4(v4) => part(&v4.octets()),
            std::net::IpAddr::V6(v6) => part(&v6.octets()),
        }
        // The fields of a script's request differ from those of a page's: this one does not.
        exchange.request.headers.named(b"user-agent").for_each(&mut part);
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Whether the request proves that work was done for it; that is spent by an attempt, and not by who only asks for a page.
    #[must_use]
    pub fn is_met(&self, exchange: &Exchange, spend: bool, proofs: &Proofs, now: Now) -> bool {
        let Some(text) = cookie::read(&exchange.request.headers, COOKIE) else { return false };
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(&text) else { return false };
        let Some((nonce, rest)) = bytes.split_first_chunk::<NONCE>() else { return false };
        let Some((times, tag)) = rest.split_first_chunk::<TIMES>() else { return false };
        let (issued, until) = times.split_at(TIMES / 2);
        let read = |time: &[u8]| time.try_into().map_or(0, u64::from_be_bytes);
        let (issued_ms, until_ms) = (read(issued), read(until));
        // What a reload has tightened holds for those that are out, too.
        let ends_ms = until_ms.min(issued_ms.saturating_add(self.holds_ms));
        let proven = self.proven(*nonce, exchange, until_ms, issued_ms.saturating_add((EXPIRES_S + 1) * 1_000));
        tag.len() == TAG
            && hmac::verify(&self.keys.proofs, &self.signed(nonce, times, exchange), tag).is_ok()
            && now.unix_ms < ends_ms
            && proofs.is_good(&proven, self.attempts, spend, self.is_shared, now.unix_ms)
    }

    /// A proof that ends at one time, and whose challenge ends at another.
    fn proven(&self, nonce: Nonce, exchange: &Exchange, until_ms: u64, expires_ms: u64) -> Proven {
        let until_ms = until_ms.max(expires_ms);
        // One that is forgotten would count anew where it may be of another instance.
        let ends_ms = if self.is_shared { until_ms } else { expires_ms };
        Proven { nonce, address: self.hash.address(exchange.client), until_ms, ends_ms }
    }

    fn signed(&self, nonce: &Nonce, times: &[u8; TIMES], exchange: &Exchange) -> [u8; NONCE + TIMES + BINDING] {
        let mut signed = [0; NONCE + TIMES + BINDING];
        let parts = nonce.iter().chain(times).copied().chain(self.binding(exchange));
        signed.iter_mut().zip(parts).for_each(|(slot, byte)| *slot = byte);
        signed
    }

    /// The most tries that a score takes: twice as many for each 20 points, up to eight times.
    fn tries(&self, score: u32) -> u32 {
        let (points, most) = DOUBLES;
        self.difficulty.saturating_mul(1 << (score.saturating_sub(self.at) / points).min(most))
    }

    /// The page for a score.
    #[must_use]
    pub fn page(&self, exchange: &Exchange, score: u32, later: &str, random: &[u8; RANDOM], now: Now) -> Option<Written> {
        let (nonce, rest) = random.split_first_chunk::<NONCE>()?;
        let (salt, which) = rest.split_first_chunk::<NONCE>()?;
        let most = self.tries(score);
        // Any of them, so that nobody knows where to begin, and giving up early never costs less: half of them on average.
        let counter = 1 + u32::try_from(u64::from_be_bytes(which.try_into().ok()?) % u64::from(most.max(1))).ok()?;
        let binding = hex(&self.binding(exchange));
        let expires_s = (now.unix_ms / 1_000).saturating_add(EXPIRES_S);
        let challenge = self.signer.challenge(&Wanted { nonce: *nonce, salt: *salt, counter, expires_s, binding: &binding })?;
        let text = Text {
            challenge: &serde_json::to_string(&challenge).ok()?,
            most,
            is_form: exchange.request.method == Method::Post,
            holds: &lasting(self.holds_ms / 1_000),
            host: &exchange.host,
            later,
            request_id: std::str::from_utf8(&exchange.request_id).unwrap_or_default(),
        };
        Some(self.page.write(&text))
    }

    /// Whether this challenge was made for the route, host, address and browser of the request.
    #[must_use]
    pub fn is_for(&self, payload: &Payload, exchange: &Exchange) -> bool {
        payload.challenge.binding().is_some_and(|binding| binding == hex(&self.binding(exchange)))
    }

    /// Takes a solution that is for this request: the cookie that proves it.
    ///
    /// # Errors
    /// `login_proof_invalid`
    pub fn prove(&self, payload: &Payload, exchange: &Exchange, proofs: &Proofs, now: Now) -> Result<Box<str>, Refusal> {
        let solved = self.signer.check(payload, now.unix_ms / 1_000).map_err(|wrong| match wrong {
            Wrong::Signature => refused("signature", "this check was not made here; load the page anew"),
            Wrong::Expired => refused("expired", "the check took too long; load the page anew"),
            Wrong::Work => refused("work", "the calculation is not right; load the page anew"),
        })?;
        let until_ms = now.unix_ms.saturating_add(self.holds_ms);
        let expires_ms = solved.expires_s.saturating_add(1).saturating_mul(1_000);
        match proofs.enter(&self.proven(solved.nonce, exchange, until_ms, expires_ms), now.unix_ms) {
            Entered::New => {}
            Entered::Again => return Err(refused("used", "this check counted already; load the page anew")),
            Entered::Full => return Err(refused("full", "too many checks are under way; try again in a few minutes")),
        }
        let mut times = [0; TIMES];
        let both = now.unix_ms.to_be_bytes().into_iter().chain(until_ms.to_be_bytes());
        times.iter_mut().zip(both).for_each(|(slot, byte)| *slot = byte);
        let tag = hmac::sign(&self.keys.proofs, &self.signed(&solved.nonce, &times, exchange));
        let value = URL_SAFE_NO_PAD.encode([solved.nonce.as_slice(), &times, tag.as_ref()].concat());
        Ok(cookie::set(COOKIE, &value, self.holds_ms / 1_000))
    }
}

/// The refusal of a solution; `rule` is for the log.
#[must_use]
pub fn refused(rule: &str, detail: &str) -> Refusal {
    Refusal { rule: Some(rule.into()), detail: Some(detail.into()), ..Reason::LoginProofInvalid.into() }
}
