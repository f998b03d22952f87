//! Repeats of a request with the same Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07), which cost once.
//!
//! What a request was is kept as keyed hashes: who sent it where with which key, and its body. Entries live for a minute in a
//! bounded table; what finds no place in it is not known again, and pays each time. Nothing live ever gives way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exchange::{Exchange, Framing, Method};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;

/// Repeats of one request that may be free.
const MOST: u8 = 2;
/// How long after the request that was charged, nanoseconds.
const LIVE_NS: u64 = 60_000_000_000;
/// The largest body that is compared.
const BODY: u64 = 64 * 1024;
/// Bytes of the longest key.
const KEY: usize = 256;
const SHARDS: usize = 16;
/// Entries of a shard; 65,536 in all, of about 48 bytes.
const ENTRIES: usize = 4096;
/// How often a full shard is looked through.
const SWEEP_NS: u64 = 1_000_000_000;

/// The field.
const FIELD: &str = "idempotency-key";

/// What a request was, but for its body: its caller, method, host, path, query, route and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity(u64, u64);

/// A repeat: which one it is, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// 1 or 2.
    pub number: u8,
    /// Nanoseconds since the request was charged that it repeats.
    age_ns: u64,
    body: u64,
}

/// How far the limit phase is with a request that has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It may be a repeat, which its body will show; nothing is charged yet.
    Claimed(Claim),
    /// It is one.
    Same(Claim),
    /// It is none, and is charged as any other.
    New,
    /// It has been charged, and is remembered once its body is there.
    Charged,
}

/// What is known of a request that has a key; decided once, and kept while limits are asked elsewhere.
#[derive(Debug)]
pub struct Repeat {
    id: Identity,
    stage: Stage,
}

impl Repeat {
    /// Which repeat it is, if it is one.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        match self.stage {
            Stage::Same(claim) => Some(claim),
            _ => None,
        }
    }

    /// Whether it has been charged, and only waits to be remembered.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        self.stage == Stage::Charged
    }

    /// It has been charged, unless it is a repeat.
    pub fn charged(&mut self) {
        if self.claim().is_none() {
            self.stage = Stage::Charged;
        }
    }
}

/// Which repeats a limit or a quota does not charge.
#[derive(Debug, Clone, Copy)]
pub struct Free {
    repeats: u8,
    within_ns: u64,
}

impl Free {
    /// # Errors
    /// More than two repeats, or longer than a minute.
    pub fn build(spec: &ir::Idempotency) -> Result<Self, String> {
        let within_ns = spec.within_ms.saturating_mul(1_000_000);
        if !(1..=MOST).contains(&spec.repeats) || !(1..=LIVE_NS).contains(&within_ns) {
            return Err(format!("at most {MOST} repeats within 60 s cost nothing"));
        }
        Ok(Self { repeats: spec.repeats, within_ns })
    }

    /// Whether the request costs nothing here.
    #[must_use]
    pub fn covers(self, exchange: &Exchange) -> bool {
        let claim = exchange.repeat.as_ref().and_then(|repeat| repeat.claim());
        claim.is_some_and(|claim| claim.number <= self.repeats && claim.age_ns < self.within_ns)
    }
}

#[derive(Debug)]
struct Entry {
    body: u64,
    charged_ns: u64,
    used: u8,
}

impl Entry {
    fn is_live(&self, now_ns: u64) -> bool {
        now_ns < self.charged_ns.saturating_add(LIVE_NS)
    }
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Identity, Entry>,
    swept_ns: Option<u64>,
}

/// Requests of the last minute that had a key and were charged, of the whole process.
#[derive(Debug, Default)]
pub struct Repeats {
    shards: [Mutex<Shard>; SHARDS],
    found: AtomicU64,
    forgotten: AtomicU64,
}

impl Repeats {
    /// Requests that were repeats, since start.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// Requests with a key that found no place in the table, since start.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Takes one of the repeats, so that nobody holds more requests uncharged than that; it is gone also where the body
    /// turns out to be another.
    fn claim(&self, id: Identity, now_ns: u64) -> Option<Claim> {
        let mut shard = self.shard(id);
        let entry = shard.entries.get_mut(&id).filter(|entry| entry.is_live(now_ns) && entry.used < MOST)?;
        entry.used = entry.used.saturating_add(1);
        Some(Claim { number: entry.used, age_ns: now_ns.saturating_sub(entry.charged_ns), body: entry.body })
    }

    /// Remembers a request that was charged. One that is remembered keeps its repeats: a second request with the key of
    /// another begins nothing anew before that has ended.
    fn remember(&self, id: Identity, body: u64, now_ns: u64) {
        let mut shard = self.shard(id);
        let fresh = Entry { body, charged_ns: now_ns, used: 0 };
        if let Some(entry) = shard.entries.get_mut(&id) {
            if !entry.is_live(now_ns) {
                *entry = fresh;
            }
            return;
        }
        if shard.entries.len() >= ENTRIES && shard.swept_ns.is_none_or(|swept| swept.saturating_add(SWEEP_NS) <= now_ns) {
            shard.swept_ns = Some(now_ns);
            shard.entries.retain(|_, entry| entry.is_live(now_ns));
        }
        if shard.entries.len() >= ENTRIES {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shard.entries.insert(id, fresh);
    }

    fn shard(&self, id: Identity) -> MutexGuard<'_, Shard> {
        let [first, rest @ ..] = &self.shards;
        let at = usize::try_from(id.0 % SHARDS as u64).unwrap_or(0);
        at.checked_sub(1).and_then(|at| rest.get(at)).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The repeats of one route, where a limit or a quota of it charges them once.
#[derive(Debug)]
pub struct RouteRepeats {
    known: Arc<Repeats>,
    hash: KeyedHash,
    route: u64,
    most_body: u64,
}

impl RouteRepeats {
    /// Nothing where no limit asks.
    #[must_use]
    pub fn build(spec: &ir::Route, known: &Arc<Repeats>, seed: &[u8; 32]) -> Option<Self> {
        let asks = spec.rate_limits.iter().map(|one| &one.idempotency).chain(spec.quotas.iter().map(|one| &one.idempotency));
        asks.flatten().next()?;
        let hash = KeyedHash::new(seed);
        let route = hash.hash(spec.name.as_bytes());
        Some(Self { known: Arc::clone(known), hash, route, most_body: spec.body_limit.min(BODY) })
    }

    /// The field of requests that it reads, lower case.
    #[must_use]
    pub const fn header() -> &'static str {
        FIELD
    }

    /// Looks at a request that comes to its limits: nothing where it could be no repeat, and could not be repeated.
    #[must_use]
    pub fn begin(&self, exchange: &Exchange, now_ns: u64) -> Option<Box<Repeat>> {
        let id = self.identity(exchange)?;
        let stage = self.known.claim(id, now_ns).map_or(Stage::New, Stage::Claimed);
        Some(Box::new(Repeat { id, stage }))
    }

    /// Whether it is known what the request is: false while a body that has to be compared is not there.
    pub fn compare(&self, exchange: &mut Exchange) -> bool {
        let Some(Stage::Claimed(claim)) = exchange.repeat.as_ref().map(|repeat| repeat.stage) else { return true };
        let Some(body) = self.body(exchange) else { return false };
        let stage = if body == claim.body { Stage::Same(claim) } else { Stage::New };
        if let Stage::Same(_) = stage {
            self.known.found.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(repeat) = &mut exchange.repeat {
            repeat.stage = stage;
        }
        true
    }

    /// Remembers a request that was charged; false while its body is not there.
    #[must_use]
    pub fn remember(&self, exchange: &Exchange, now_ns: u64) -> bool {
        let Some(repeat) = exchange.repeat.as_ref().filter(|repeat| repeat.is_charged()) else { return true };
        let Some(body) = self.body(exchange) else { return false };
        self.known.remember(repeat.id, body, now_ns);
        true
    }

    /// Bytes of the largest body that is compared: what is signed has a bound of its own, which is kept to.
    #[must_use]
    pub fn most_body(&self, exchange: &Exchange) -> u64 {
        let signed = exchange.signed.as_ref().and_then(|signed| signed.body.as_ref()).map(|body| body.limit);
        signed.map_or(self.most_body, |limit| limit.min(self.most_body))
    }

    /// Of a request that changes something, of a caller, with one key, and a body that can be compared.
    fn identity(&self, exchange: &Exchange) -> Option<Identity> {
        let request = &exchange.request;
        if matches!(request.method, Method::Get | Method::Head | Method::Options | Method::Trace | Method::Connect) {
            return None;
        }
        let mut keys = request.headers.named(FIELD.as_bytes());
        let key = keys.next().filter(|key| is_key(key))?;
        let most = self.most_body(exchange);
        let length = exchange.held().map_or(request.framing.length(), |body| Some(body.len() as u64));
        if keys.next().is_some() || length.is_none_or(|length| length > most) || exchange.principal.is_none() {
            return None;
        }
        let mut parts = vec![
            self.route,
            self.hash.hash(request.method.as_str().as_bytes()),
            self.hash.hash(exchange.host.as_bytes()),
            // Path and query as they came.
            self.hash.hash(&request.target),
            self.hash.hash(key),
        ];
        parts.extend(exchange.principals().map(|principal| principal.key));
        let mut text: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let first = self.hash.hash(&text);
        text.extend(first.to_le_bytes());
        Some(Identity(first, self.hash.hash(&text)))
    }

    /// A keyed hash of the body, where it is there or there is none.
    fn body(&self, exchange: &Exchange) -> Option<u64> {
        match exchange.held() {
            Some(body) => Some(self.hash.hash(body)),
            None => (exchange.request.framing == Framing::Empty).then(|| self.hash.hash(&[])),
        }
    }
}

/// A string (RFC 9651 section 3.3.3), which the draft wants, without parameters; or the bare value that many clients send.
fn is_key(value: &[u8]) -> bool {
    if value.len() > KEY {
        return false;
    }
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let bare = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:+/=".contains(byte);
        return !value.is_empty() && value.iter().all(bare);
    };
    let Some(text) = quoted.strip_suffix(b"\"").filter(|text| !text.is_empty()) else { return false };
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'\\' => matches!(bytes.next(), Some(b'"' | b'\\')),
            b'"' => false,
            other => (0x20..0x7f).contains(other),
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[path = "repeats_tests.rs"]
mod tests;
