//! State that instances share, in Redis (6.2 or newer) or Valkey.
//!
//! One connection (RESP3), kept by a task on the service runtime: it connects, subscribes, reads the log to its end,
//! looks again at every message and twice a second in any case, and begins anew when an answer is late. Operations of
//! workers go over the same connection, each within the configured deadline, at most [`QUEUE`] at once; in a cluster over that to the
//! master of their keys.
//!
//! Keys are `PREFIX:{SPACE}:DIGEST`; those of the log are `PREFIX:{log}:…`, and PREFIX separates installations that share a server.
//! A log that was lost (a server that restarted empty, a failover that lost writes) has another epoch or a lower number; then
//! every instance writes what it knows again.

mod connection;
mod counted;
mod log;

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};
use tokio::sync::{Notify, Semaphore, oneshot};

use self::connection::{keep, map};
use self::counted::SHOW;
use self::log::Following;
use super::cluster::Masters;
use super::limits::{Charge, Charged, Script, Use, UseKeys, UsedBy};
pub use super::sentinel::Passwords;
use super::sentinel::Place;
use super::{
    Entry, Follower, Key, MAX_ENTRY, MAX_VALUE, QUEUE, Reply, Space, Store, Survives, Unavailable, limits, ready, unix_ms,
};
use crate::ir;

/// Time for a connection, with TLS and authentication.
const CONNECT: Duration = Duration::from_secs(2);
/// Time for reading a page of the log.
const READ: Duration = Duration::from_millis(1000);
/// Entries of the log in one answer.
const PAGE: usize = 500;
/// KEYS: value. ARGV: expected, new, milliseconds.
const REPLACE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

/// State that instances share.
pub struct Redis {
    inner: Arc<Inner>,
    runtime: tokio::runtime::Handle,
}

struct Inner {
    place: Place,
    prefix: String,
    deadline: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
    room: Arc<Semaphore>,
    /// The same for limits: a crowd of callers leaves room for what counts once, and for sessions.
    limit_room: Arc<Semaphore>,
    limit_script: Script,
    follower: Mutex<Option<Following>>,
    /// A message came, or somebody wants the log to be read now.
    look: Arc<Notify>,
    /// Who waits for a reading of the log that has not begun yet.
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
    /// What is known is to be written again: the log may lack some of it.
    resend: AtomicBool,
    /// It says that it is a replica: another one is the master.
    demoted: AtomicBool,
    /// Of a cluster: who has which keys.
    masters: Mutex<Arc<Masters>>,
    /// Somebody else may have them by now.
    moved: Arc<Notify>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// Starts to connect; a server that cannot be reached is no error.
    ///
    /// # Errors
    /// In words: what no server could be reached with.
    pub fn open(spec: &ir::Redis, passwords: Passwords<'_>, runtime: &tokio::runtime::Handle) -> Result<Self, String> {
        let inner = Arc::new(Inner {
            place: Place::build(spec, passwords)?,
            prefix: spec.prefix.clone(),
            deadline: Duration::from_millis(spec.deadline_ms),
            connection: Mutex::default(),
            room: Arc::new(Semaphore::new(QUEUE)),
            limit_room: Arc::new(Semaphore::new(QUEUE)),
            limit_script: Script::default(),
            follower: Mutex::default(),
            look: Arc::default(),
            waiting: Mutex::default(),
            resend: AtomicBool::new(true),
            demoted: AtomicBool::new(false),
            masters: Mutex::default(),
            moved: Arc::default(),
        });
        if inner.place.cluster().is_some() {
            runtime.spawn(map(Arc::downgrade(&inner), Arc::clone(&inner.moved)));
        }
        runtime.spawn(keep(Arc::downgrade(&inner), Arc::clone(&inner.look)));
        Ok(Self { inner, runtime: runtime.clone() })
    }

    /// One command, on the service runtime: it goes on to its deadline also where nobody waits for it any more.
    fn ask<T: FromRedisValue + Send + 'static>(&self, space: Space, command: Cmd) -> Reply<T> {
        self.ask_within(self.inner.deadline, self.inner.connection_of(space), command)
    }

    fn ask_within<T: FromRedisValue + Send + 'static>(
        &self,
        deadline: Duration,
        connection: Option<MultiplexedConnection>,
        command: Cmd,
    ) -> Reply<T> {
        let Ok(place) = Arc::clone(&self.inner.room).try_acquire_owned() else { return ready(Err(Unavailable::Busy)) };
        let Some(connection) = connection else { return ready(Err(Unavailable::Failed)) };
        let (answer, answered) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            let _place = place;
            let result = match tokio::time::timeout(deadline, inner.send::<T>(&connection, &command)).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(inner.failed(&error)),
                Err(_) => Err(inner.late()),
            };
            let _ = answer.send(result);
        });
        Box::pin(async move { answered.await.unwrap_or(Err(Unavailable::Failed)) })
    }
}

impl Drop for Redis {
    /// The task that keeps the connection sees that nobody is there any more.
    fn drop(&mut self) {
        self.inner.look.notify_one();
        self.inner.moved.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn key(&self, key: &Key) -> String {
        let mut out = String::with_capacity(self.prefix.len() + 84);
        let _ = write!(out, "{}:{{{}}}:", self.prefix, key.space().code().1);
        for byte in key.id() {
            let _ = write!(out, "{byte:02x}");
        }
        out
    }
}

/// Milliseconds from now on, at least 1; nothing where the moment has passed.
fn remaining(until_ms: u64) -> Option<u64> {
    until_ms.checked_sub(unix_ms()).filter(|left| *left > 0).map(|left| left.min(1 << 52))
}

impl Store for Redis {
    fn insert_if_absent(&self, key: Key, until_ms: u64) -> Reply<bool> {
        let Some(left) = remaining(until_ms) else { return ready(Ok(false)) };
        let mut command = redis::cmd("SET");
        command.arg(self.inner.key(&key)).arg(1).arg("NX").arg("PX").arg(left);
        let reply = self.ask::<Option<String>>(key.space(), command);
        Box::pin(async move { Ok(reply.await?.is_some()) })
    }

    fn get(&self, key: Key) -> Reply<Option<Vec<u8>>> {
        let mut command = redis::cmd("GET");
        command.arg(self.inner.key(&key));
        self.ask(key.space(), command)
    }

    fn put(&self, key: Key, value: Vec<u8>, until_ms: u64) -> Reply<()> {
        if value.len() > MAX_VALUE {
            return ready(Err(Unavailable::Full));
        }
        let mut command = redis::cmd("SET");
        command.arg(self.inner.key(&key)).arg(value).arg("PX").arg(remaining(until_ms).unwrap_or(1));
        self.ask(key.space(), command)
    }

    fn replace(&self, key: Key, expected: Vec<u8>, value: Vec<u8>, until_ms: u64) -> Reply<bool> {
        if value.len() > MAX_VALUE {
            return ready(Err(Unavailable::Full));
        }
        let mut command = redis::cmd("EVAL");
        command.arg(REPLACE).arg(1).arg(self.inner.key(&key)).arg(expected).arg(value).arg(remaining(until_ms).unwrap_or(1));
        self.ask(key.space(), command)
    }

    fn take(&self, key: Key) -> Reply<Option<Vec<u8>>> {
        let mut command = redis::cmd("GETDEL");
        command.arg(self.inner.key(&key));
        self.ask(key.space(), command)
    }

    fn delete(&self, key: Key) -> Reply<bool> {
        let mut command = redis::cmd("DEL");
        command.arg(self.inner.key(&key));
        self.ask(key.space(), command)
    }

    fn append(&self, entry: Entry) -> Reply<u64> {
        if entry.bytes.len() > MAX_ENTRY {
            return ready(Err(Unavailable::Full));
        }
        let reply = self.ask_within::<i64>(READ, lock(&self.inner.connection).clone(), self.inner.append_command(&entry));
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let answer = reply.await;
            if answer.is_err() {
                // Once it is back; if it was written nevertheless, nothing is added.
                inner.resend.store(true, Ordering::Release);
            }
            let number = u64::try_from(answer?).map_err(|_| Unavailable::Full)?;
            // Here at once; by its number it comes again with the log.
            let follower = lock(&inner.follower).as_ref().map(|following| Arc::clone(&following.follower));
            if let Some(follower) = follower {
                follower.hear(std::slice::from_ref(&entry));
            }
            Ok(number)
        })
    }

    fn follow(&self, follower: Arc<dyn Follower>) -> Reply<()> {
        let (reached, told) = oneshot::channel();
        *lock(&self.inner.follower) = Some(Following { follower, heard: 0, epoch: String::new(), reached: Some(reached) });
        self.inner.look.notify_one();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, told).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Unavailable::Failed),
                Err(_) => Err(Unavailable::Slow),
            }
        })
    }

    fn caught_up(&self) -> Reply<()> {
        let Ok(place) = Arc::clone(&self.inner.room).try_acquire_owned() else { return ready(Err(Unavailable::Busy)) };
        if lock(&self.inner.connection).is_none() || lock(&self.inner.follower).is_none() {
            return ready(Err(Unavailable::Failed));
        }
        let (reached, told) = oneshot::channel();
        lock(&self.inner.waiting).push(reached);
        self.inner.look.notify_one();
        Box::pin(async move {
            let _place = place;
            match tokio::time::timeout(READ, told).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Unavailable::Failed),
                Err(_) => Err(Unavailable::Slow),
            }
        })
    }

    fn charge(&self, charges: &[Charge], uses: &[Use]) -> Reply<Charged> {
        let Ok(place) = Arc::clone(&self.inner.limit_room).try_acquire_owned() else { return ready(Err(Unavailable::Busy)) };
        let Some(connection) = self.inner.connection_of(Space::Limit) else { return ready(Err(Unavailable::Failed)) };
        let (answer, answered) = oneshot::channel();
        let (inner, charges, uses) = (Arc::clone(&self.inner), charges.to_vec(), uses.to_vec());
        self.runtime.spawn(async move {
            let _place = place;
            let asked = inner.charge(&connection, &charges, &uses);
            let _ = answer.send(tokio::time::timeout(inner.deadline, asked).await.unwrap_or_else(|_| Err(inner.late())));
        });
        Box::pin(async move { answered.await.unwrap_or(Err(Unavailable::Failed)) })
    }

    fn used(&self, keys: UseKeys) -> Reply<Vec<UsedBy>> {
        let Some(connection) = self.inner.connection_of(Space::Limit) else { return ready(Err(Unavailable::Failed)) };
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let asked = inner.used(&connection, keys);
            tokio::time::timeout(SHOW, asked).await.unwrap_or(Err(Unavailable::Slow))
        })
    }

    fn reset_used(&self, keys: UseKeys, id: String) -> Reply<Option<u64>> {
        let mut command = redis::cmd("EVAL");
        command.arg(limits::RESET).arg(1).arg(self.inner.key(&keys.used)).arg(id);
        let reply = self.ask_within::<i64>(READ, self.inner.connection_of(Space::Limit), command);
        Box::pin(async move { Ok(u64::try_from(reply.await?).ok()) })
    }

    fn replay_survives(&self) -> Survives {
        Survives::Shared
    }

    fn values_survive(&self) -> Survives {
        Survives::Shared
    }
}
