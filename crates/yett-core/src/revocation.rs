//! Revocations: what was verified and shall not count any more, at once, on every instance, over restarts.
//!
//! A revocation names a token, a subject, a session, a client, an API key, an issuer or a provider ([`What`]), and may say that only
//! credentials issued before a moment are meant. Every request of a verified caller is compared with what is known, after its
//! verdict, so that remembered verdicts die too; open streams are woken and compared at once.
//!
//! [`Revocations::revoke`] answers when the revocation is as safe as the configuration makes it: on disk with
//! `state.directory`, in Redis with `state.redis`, both with both. It counts here from the first moment, whatever comes of
//! the rest. There is room for `process.revocations`; when that is full, a new one is refused, for no other may be forgotten
//! before its end.

mod desk;
mod log;
mod request;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::request::{Ask, Fault, credential_digest};
use self::table::Table;
pub(crate) use self::table::hex;
use crate::exchange::{Exchange, Now};
use crate::ir;
use crate::principal::Principal;
use crate::reason::Reason;
use crate::server::clock;
use crate::shared::Counter;
use crate::store::Opened;

/// Revocations before the first configuration says otherwise.
pub const DEFAULT_ENTRIES: u32 = 100_000;
/// How long a reading of the log may take, milliseconds: what was known at its end is as old as its beginning.
const READING_MS: u64 = 1000;
/// Who made the revocations of sessions that ended.
pub const LOGOUT: &str = "logout";
/// Bytes of a name in a revocation.
pub const MAX_NAME: usize = 1024;

/// What is revoked. An issuer that is not named is any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum What {
    /// One token, by its `jti`.
    Token {
        /// `iss`.
        issuer: Option<Box<str>>,
        /// `jti`.
        id: Box<str>,
    },
    /// One token without `jti`, by a digest (see [`crate::principal::Principal::credential`]).
    TokenDigest {
        /// SHA-256 in hexadecimal.
        sha256: Box<str>,
    },
    /// Everything of one `sub`, or of the name of an API key.
    Subject {
        /// `iss`.
        issuer: Option<Box<str>>,
        /// `sub`.
        id: Box<str>,
    },
    /// Everything of one session at the provider.
    Session {
        /// `iss`.
        issuer: Option<Box<str>>,
        /// `sid`.
        id: Box<str>,
    },
    /// Everything that was issued to one OAuth client.
    Client {
        /// `iss`.
        issuer: Option<Box<str>>,
        /// `client_id` or `azp`.
        id: Box<str>,
    },
    /// One API key.
    Key {
        /// The provider whose key it is; any where it is not named.
        provider: Option<Box<str>>,
        /// Its id.
        id: Box<str>,
    },
    /// Everything of one issuer.
    Issuer {
        /// `iss`.
        id: Box<str>,
    },
    /// Everything that one provider of the configuration vouches for.
    Provider {
        /// Its name.
        id: Box<str>,
    },
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Random, 32 hexadecimal digits; what it is undone by.
    pub id: Box<str>,
    /// What is revoked.
    pub what: What,
    /// Only what was issued before; milliseconds since 1970. What does not say when it was issued is meant, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_ms: Option<u64>,
    /// When it may be forgotten, milliseconds since 1970: after everything that it is about has ended by itself.
    pub until_ms: u64,
    /// When it was made, milliseconds since 1970.
    pub made_ms: u64,
    /// Who made it: `cli`, `admin`, `logout`, `security_event`, and more words after a blank.
    pub by: Box<str>,
}

/// Why a revocation is not acknowledged. It counts on this instance nevertheless, unless there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAcknowledged {
    /// There is no room for it: nothing happened.
    Full,
    /// It could not be written to disk: it counts here, and goes with the process.
    Disk,
    /// Redis did not take it: it counts here, and the other instances are told when Redis is back.
    Shared,
}

/// All revocations that are known here. One for the process.
#[derive(Debug)]
pub struct Revocations {
    table: RwLock<Table>,
    /// Until this moment (monotonic nanoseconds) nothing has to be looked at: nothing is revoked, and what is known is current.
    quiet_until: AtomicU64,
    /// Until when what is known is current enough; the end of time where nobody else revokes, or nobody waits for them.
    current_until: AtomicU64,
    stale_ms: AtomicU64,
    /// When the log of other instances was read to its end, in milliseconds since 1970; 0 before.
    heard_ms: AtomicU64,
    changes: watch::Sender<u64>,
    /// Whether streams were told that what is known has become too old.
    woken: AtomicBool,
    stores: Mutex<Opened>,
    /// Requests and streams refused.
    pub refused: Counter,
}

const NEVER: u64 = u64::MAX;

impl Default for Revocations {
    fn default() -> Self {
        Self {
            table: RwLock::new(Table::new(DEFAULT_ENTRIES)),
            quiet_until: AtomicU64::new(NEVER),
            current_until: AtomicU64::new(NEVER),
            stale_ms: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            changes: watch::channel(0).0,
            woken: AtomicBool::new(false),
            stores: Mutex::default(),
            refused: Counter::default(),
        }
    }
}

impl Revocations {
    /// Whether everyone who was vouched for still counts. One atomic load where nothing is revoked.
    ///
    /// # Errors
    /// `token_revoked`; or `state_unavailable`, where what other instances revoked cannot be known.
    pub fn check(&self, exchange: &Exchange, now: Now) -> Result<(), Reason> {
        if now.monotonic_ns < self.quiet_until.load(Ordering::Acquire) {
            return Ok(());
        }
        exchange.principals().try_for_each(|principal| self.look(principal, now))
    }

    /// As [`Revocations::check`], for one who was vouched for.
    ///
    /// # Errors
    /// As there.
    pub fn check_one(&self, principal: &Principal, now: Now) -> Result<(), Reason> {
        if now.monotonic_ns < self.quiet_until.load(Ordering::Acquire) {
            return Ok(());
        }
        self.look(principal, now)
    }

    /// Whether something that is known revokes them; for who was refused already.
    #[must_use]
    pub fn is_revoked(&self, principal: &Principal, now: Now) -> bool {
        self.table.read().unwrap_or_else(PoisonError::into_inner).revokes(principal, now.unix_ms)
    }

    fn look(&self, principal: &Principal, now: Now) -> Result<(), Reason> {
        if now.monotonic_ns >= self.current_until.load(Ordering::Acquire) {
            return Err(Reason::StateUnavailable);
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.is_incomplete(now.unix_ms) {
            return Err(Reason::StateUnavailable);
        }
        if table.revokes(principal, now.unix_ms) {
            self.refused.increment();
            return Err(Reason::TokenRevoked);
        }
        Ok(())
    }

    /// Where a revocation is kept beside the memory: `none`, `disk`, `shared` or `both`.
    #[must_use]
    pub fn kept(&self) -> &'static str {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        match (&stores.disk, &stores.shared) {
            (None, None) => "none",
            (Some(_), None) => "disk",
            (None, Some(_)) => "shared",
            (Some(_), Some(_)) => "both",
        }
    }

    /// Told at each change, for streams: those that wait compare themselves again.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All that count, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Revocation> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).list(clock::now().unix_ms)
    }

    /// How many are held, and how many there is room for.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        (table.len(), table.room())
    }

    /// Milliseconds since what other instances revoked was known to its end; nothing where there are none.
    #[must_use]
    pub fn age_ms(&self, unix_ms: u64) -> Option<u64> {
        (self.stale_ms.load(Ordering::Relaxed) > 0).then(|| unix_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// Whether what other instances revoked is known as it was `max_age_ms` ago at most.
    #[must_use]
    pub fn are_as_of(&self, max_age_ms: u64, unix_ms: u64) -> bool {
        self.age_ms(unix_ms).is_none_or(|age_ms| age_ms.saturating_add(READING_MS) <= max_age_ms)
    }

    /// The bounds of a configuration. More that is held already stays.
    pub fn configure(&self, entries: u32, redis: Option<&ir::Redis>) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).set_room(entries);
        self.stale_ms.store(redis.map_or(0, |redis| redis.stale_ms), Ordering::Relaxed);
        let current_until = match redis {
            Some(redis) if redis.state_loss == ir::StateLoss::Refuse => self.staleness(redis.stale_ms),
            _ => NEVER,
        };
        self.current_until.store(current_until, Ordering::Release);
        self.settle();
    }

    /// When what was heard last is out of date, on the monotonic clock.
    fn staleness(&self, stale_ms: u64) -> u64 {
        let (now, heard) = (clock::now(), self.heard_ms.load(Ordering::Relaxed));
        let left = (heard + stale_ms).saturating_sub(now.unix_ms).min(stale_ms);
        now.monotonic_ns.saturating_add(left.saturating_mul(1_000_000))
    }

    /// The log of other instances was read to its end just now.
    fn heard(&self) {
        let now = clock::now();
        self.heard_ms.store(now.unix_ms, Ordering::Relaxed);
        self.woken.store(false, Ordering::Release);
        if self.current_until.load(Ordering::Acquire) != NEVER {
            let stale_ns = self.stale_ms.load(Ordering::Relaxed).saturating_mul(1_000_000);
            self.current_until.store(now.monotonic_ns.saturating_add(stale_ns), Ordering::Release);
        }
        self.settle();
    }

    /// Takes what a log says. What is known already changes nothing.
    fn take(&self, records: Vec<table::Record>, unix_ms: u64) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for record in records {
            changed |= table.take(record, unix_ms);
        }
        drop(table);
        self.settle();
        if changed {
            self.changes.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// Recomputes until when nothing has to be looked at.
    fn settle(&self) {
        let table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let quiet = if table.len() == 0 && !table.is_incomplete(clock::now().unix_ms) {
            self.current_until.load(Ordering::Acquire)
        } else {
            0
        };
        self.quiet_until.store(quiet, Ordering::Release);
    }

    /// Wakes streams when what is known has become too old: they end, as new requests are refused.
    fn wake(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }
}
