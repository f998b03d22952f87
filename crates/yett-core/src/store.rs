//! State that outlives a request, and where it says so the process: replay, sessions, revocations.
//!
//! Three stores behind one trait. [`memory::Memory`] is what there is without `state:` and forgets everything with the
//! process. [`sqlite::Sqlite`] (`state: {directory: …}`) has a thread of its own and says "done" only when it is on disk.
//! [`redis::Redis`] (`state: {redis: …}`) is shared by instances. Ask [`crate::shared::Shared::store`] for the one that the
//! configuration names, each time anew: a reload may replace it.
//!
//! ```ignore
//! // at most once: a proof, a nonce, an assertion
//! let key = Key::new(Space::Proof, &[thumbprint, jti]);
//! match store.insert_if_absent(key, until_ms).await {
//!     Ok(true) => {}                                         // new: go on
//!     Ok(false) => return Reason::ProofReplayed.into(),
//!     Err(_) => return Reason::StateUnavailable.into(),      // doubt denies
//! }
//! ```
//!
//! What callers may rely on:
//! - Nothing here blocks: an operation is put into a bounded queue ([`QUEUE`]) and its [`Reply`] may be awaited on any tokio
//!   runtime with a timer, workers included. A full queue is an error at once, so a store that hangs costs no memory.
//! - Every reply comes within the store's deadline, or is [`Unavailable`]. An operation whose reply is an error may have
//!   happened or not. There is no stale or partial answer: **an error never means "absent"**, and callers refuse
//!   (`state_unavailable`).
//! - A moment `until_ms` is in milliseconds since 1970; what has passed it is gone, whether it is still stored or not.
//! - Keys are digests ([`Key::new`]): no text of a client is ever a key, and all are of one size. Values are at most
//!   [`MAX_VALUE`] bytes. They are stored as they come: seal what is secret before it is put here.

mod cluster;
pub mod limits;
#[cfg(test)]
mod limits_tests;
pub mod memory;
pub mod redis;
mod sentinel;
pub mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::ir;
use crate::providers::jwk::sha256;
use crate::shared::Counter;
use crate::snapshot::Secrets;

/// Operations that may wait for a store at once.
pub const QUEUE: usize = 1024;
/// Bytes of one value.
pub const MAX_VALUE: usize = 64 * 1024;
/// Bytes of one entry of the log.
pub const MAX_ENTRY: usize = 4 * 1024;

/// Why there is no answer. Whatever it is, the caller refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// Too many operations wait already.
    Busy,
    /// It did not answer in time.
    Slow,
    /// It cannot be reached, or failed.
    Failed,
    /// Its bound is reached; nothing that still counts is dropped for something new.
    Full,
    /// Its clock says another time than that of this machine.
    Clock,
}

impl Unavailable {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Busy, Self::Slow, Self::Failed, Self::Full, Self::Clock];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::Failed => "failed",
            Self::Full => "full",
            Self::Clock => "clock",
        }
    }
}

/// Operations without an answer, by cause.
#[derive(Debug, Default)]
pub struct Failures([Counter; 5]);

impl Failures {
    /// Counts one more.
    pub fn count(&self, why: Unavailable) {
        if let Some(counter) = self.0.get(why as usize) {
            counter.increment();
        }
    }

    /// So far.
    #[must_use]
    pub fn get(&self, why: Unavailable) -> u64 {
        self.0.get(why as usize).map_or(0, Counter::get)
    }
}

/// An answer that comes within the store's deadline. May be awaited anywhere, and dropped at any time.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send>>;

/// What a key is for; equal names in two spaces are two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// `jti` of DPoP proofs (RFC 9449 section 11.1).
    Proof,
    /// `nonce` of HTTP message signatures (RFC 9421 section 7.2.2).
    Signature,
    /// `jti` of assertions (RFC 7523).
    Assertion,
    /// `jti` of security event tokens (RFC 8417) and logout tokens.
    Event,
    /// Logins under way: `state` of an authorization request.
    Login,
    /// Sessions of browsers.
    Session,
    /// What belongs to a session and is found otherwise, such as its refresh lock.
    SessionIndex,
    /// Buckets of limits.
    Limit,
}

impl Space {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 8] =
        [Self::Proof, Self::Signature, Self::Assertion, Self::Event, Self::Login, Self::Session, Self::SessionIndex, Self::Limit];

    /// Its part of a key, one byte on disk and a word in Redis.
    #[must_use]
    pub const fn code(self) -> (u8, &'static str) {
        match self {
            Self::Proof => (1, "proof"),
            Self::Signature => (2, "signature"),
            Self::Assertion => (3, "assertion"),
            Self::Event => (4, "event"),
            Self::Login => (5, "login"),
            Self::Session => (6, "session"),
            Self::SessionIndex => (7, "session-index"),
            Self::Limit => (8, "limit"),
        }
    }
}

/// What a value is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    space: Space,
    id: [u8; 32],
}

impl Key {
    /// SHA-256 over the space and each part with its length, so that no two lists of parts are one key.
    #[must_use]
    pub fn new(space: Space, parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[space.code().0]);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut id = [0; 32];
        id.copy_from_slice(context.finish().as_ref());
        Self { space, id }
    }

    /// What it is for.
    #[must_use]
    pub const fn space(&self) -> Space {
        self.space
    }

    /// The digest.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }
}

impl fmt::Debug for Key {
    /// Without the digest, which would name a session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("space", &self.space).finish_non_exhaustive()
    }
}

/// An entry of the log: opaque bytes that count until a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// At most [`MAX_ENTRY`] bytes.
    pub bytes: Vec<u8>,
    /// Milliseconds since 1970; then it is dropped.
    pub until_ms: u64,
}

/// Who hears the log. Called in order, on the store's own thread or task: it must not block.
///
/// It hears an entry at least once, also those that it appended itself, and all that still count when it begins.
pub trait Follower: Send + Sync {
    /// Entries that are new to it, in the order of the log.
    fn hear(&self, entries: &[Entry]);
    /// What it knows and still counts: written again where the log turns out to have been lost.
    fn known(&self) -> Vec<Entry>;
    /// Whether the log was read to its end just now, or cannot be read.
    fn current(&self, yes: bool);
}

impl fmt::Debug for dyn Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Follower")
    }
}

/// Whether what is stored survives the end of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// No. What is checked by age has to be younger than the start of the process.
    No,
    /// On the disk of this machine.
    Disk,
    /// In a store that instances share.
    Shared,
}

/// State of one gateway, or of several that share it. See the module for what every operation promises.
pub trait Store: Send + Sync + fmt::Debug {
    /// Remembers the key until `until_ms`; false if it is remembered already. Atomic over all instances: of several that
    /// ask at once exactly one is told true. A key in the past is told false.
    fn insert_if_absent(&self, key: Key, until_ms: u64) -> Reply<bool>;

    /// The value, if there is one.
    fn get(&self, key: Key) -> Reply<Option<Vec<u8>>>;

    /// Stores the value until `until_ms`, in place of what was there.
    fn put(&self, key: Key, value: Vec<u8>, until_ms: u64) -> Reply<()>;

    /// Stores the value if `expected` is there now; false, and nothing changed, if something else or nothing is. Atomic.
    fn replace(&self, key: Key, expected: Vec<u8>, value: Vec<u8>, until_ms: u64) -> Reply<bool>;

    /// The value, which is gone then: of several that ask at once one gets it.
    fn take(&self, key: Key) -> Reply<Option<Vec<u8>>>;

    /// Forgets the key; whether there was something.
    fn delete(&self, key: Key) -> Reply<bool>;

    /// Adds to the log. Answered when it is as safe as the store makes it (on disk, for SQLite) and this instance's
    /// follower has heard it; the number is higher than that of every entry before, in all instances.
    fn append(&self, entry: Entry) -> Reply<u64>;

    /// From now on this follower hears the log, until the store is dropped. One follower a store. Answered when it has heard
    /// what there is; where that takes longer than the deadline, it goes on trying.
    fn follow(&self, follower: Arc<dyn Follower>) -> Reply<()>;

    /// Answered when the follower has heard everything that the log had when this was asked, whoever wrote it.
    fn caught_up(&self) -> Reply<()> {
        // Where nobody else writes, the follower has heard each entry before it was acknowledged.
        ready(Ok(()))
    }

    /// Charges all of these buckets and quotas, or none where one has no room. Atomic over all instances.
    fn charge(&self, charges: &[limits::Charge], uses: &[limits::Use]) -> Reply<limits::Charged> {
        let _ = (charges, uses);
        // What nobody shares is charged in memory.
        ready(Err(Unavailable::Failed))
    }

    /// What each key has used of a quota in a period.
    fn used(&self, keys: limits::UseKeys) -> Reply<Vec<limits::UsedBy>> {
        let _ = keys;
        ready(Err(Unavailable::Failed))
    }

    /// Gives a key its whole quota again: what it had used, if that is known.
    fn reset_used(&self, keys: limits::UseKeys, id: String) -> Reply<Option<u64>> {
        let _ = (keys, id);
        ready(Err(Unavailable::Failed))
    }

    /// Whether [`Store::insert_if_absent`] remembers over a restart.
    fn replay_survives(&self) -> Survives;

    /// Whether values and the log survive a restart.
    fn values_survive(&self) -> Survives;
}

/// The stores that a configuration names, open.
#[derive(Debug, Clone)]
pub struct Opened {
    spec: Option<ir::State>,
    /// Digest of the password of Redis, so that a new one is a change.
    password: [u8; 32],
    /// What is on the disk of this machine.
    pub disk: Option<Arc<dyn Store>>,
    /// What instances share.
    pub shared: Option<Arc<dyn Store>>,
    memory: Arc<dyn Store>,
}

impl Default for Opened {
    fn default() -> Self {
        Self { spec: None, password: [0; 32], disk: None, shared: None, memory: Arc::new(memory::Memory::default()) }
    }
}

impl Opened {
    /// The one to use: shared, else on disk, else in memory.
    #[must_use]
    pub fn main(&self) -> &Arc<dyn Store> {
        self.shared.as_ref().or(self.disk.as_ref()).unwrap_or(&self.memory)
    }

    /// Opens what `spec` names; what `self` has open already and is named the same stays.
    ///
    /// # Errors
    /// Key of the state that cannot be used, and why.
    pub fn change(&self, spec: Option<&ir::State>, secrets: &Secrets, runtime: &Handle) -> Result<Self, (&'static str, String)> {
        let redis = spec.and_then(|spec| spec.redis.as_ref());
        let of = |name: Option<&String>, key| match name {
            None => Ok(None),
            Some(name) => secrets.get(name).map(Some).ok_or_else(|| (key, format!("the secret `{name}` is missing"))),
        };
        let sentinel = redis.and_then(|redis| redis.sentinel.as_ref());
        let password = of(redis.and_then(|redis| redis.password.as_ref()), "redis/password")?;
        let sentinels = of(sentinel.and_then(|one| one.password.as_ref()), "redis/sentinel/password")?;
        let digest = |secret: Option<&_>| secret.map_or([0; 32], |bytes: &Zeroizing<Vec<u8>>| sha256(bytes));
        let seal = sha256(&[digest(password), digest(sentinels)].concat());
        let directory = spec.and_then(|spec| spec.directory.as_ref());
        let old = self.spec.as_ref();
        let disk = match directory {
            None => None,
            Some(wanted) if old.and_then(|old| old.directory.as_ref()) == Some(wanted) => self.disk.clone(),
            Some(wanted) => {
                let opened = sqlite::Sqlite::open(Path::new(wanted)).map_err(|message| ("directory", message))?;
                Some(Arc::new(opened) as Arc<dyn Store>)
            }
        };
        let shared = match redis {
            None => None,
            Some(wanted) if self.password == seal && old.and_then(|old| old.redis.as_ref()) == Some(wanted) => {
                self.shared.clone()
            }
            Some(wanted) => {
                let passwords = redis::Passwords {
                    redis: password.map(|bytes| bytes.as_slice()),
                    sentinel: sentinels.map(|bytes| bytes.as_slice()),
                };
                let opened = redis::Redis::open(wanted, passwords, runtime).map_err(|message| ("redis", message))?;
                Some(Arc::new(opened) as Arc<dyn Store>)
            }
        };
        Ok(Self { spec: spec.cloned(), password: seal, disk, shared, memory: Arc::clone(&self.memory) })
    }
}

/// The stores of a gateway; a reload may replace them.
#[derive(Debug)]
pub struct Stores {
    opened: RwLock<Opened>,
    /// Since when what counts once is remembered, milliseconds since 1970; see [`Stores::remembered_since`].
    since: Arc<AtomicU64>,
    set: AtomicBool,
}

impl Default for Stores {
    fn default() -> Self {
        Self { opened: RwLock::default(), since: Arc::new(AtomicU64::new(unix_ms())), set: AtomicBool::new(false) }
    }
}

impl Stores {
    /// The one to use now.
    #[must_use]
    pub fn main(&self) -> Arc<dyn Store> {
        Arc::clone(self.opened.read().unwrap_or_else(PoisonError::into_inner).main())
    }

    /// All of them.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others from now on.
    pub fn set(&self, opened: Opened) {
        let mut current = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        let first = !self.set.swap(true, Ordering::AcqRel);
        match opened.main().replay_survives() {
            // What a process before this one, or another instance, has seen is remembered.
            Survives::Shared if first => self.since.store(0, Ordering::Release),
            _ if Arc::ptr_eq(current.main(), opened.main()) => {}
            _ if first => self.since.store(unix_ms(), Ordering::Release),
            // Up to the end of this second: what counts once says only in which second it was made.
            _ => self.since.store((unix_ms() / 1000).saturating_add(1).saturating_mul(1000), Ordering::Release),
        }
        *current = opened;
    }

    /// Since when what counts once is remembered, milliseconds since 1970: what is older may have been used with nobody
    /// remembering. 0 where it is remembered over restarts.
    #[must_use]
    pub fn remembered_since(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.since)
    }
}

/// A reply that is there.
fn ready<T: Send + 'static>(result: Result<T, Unavailable>) -> Reply<T> {
    Box::pin(std::future::ready(result))
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
