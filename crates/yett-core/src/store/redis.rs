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

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, PushKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{Notify, Semaphore, oneshot};

use super::cluster::Masters;
use super::limits::{self, Charge, Charged, Script, Use, UseKeys, UsedBy};
pub use super::sentinel::Passwords;
use super::sentinel::Place;
use super::{Entry, Follower, Key, MAX_ENTRY, MAX_VALUE, QUEUE, Reply, Space, Store, Survives, Unavailable, ready, unix_ms};
use crate::ir;

/// Time for a connection, with TLS and authentication.
const CONNECT: Duration = Duration::from_secs(2);
/// How often the log is looked at, whatever was announced.
const LOOK: Duration = Duration::from_millis(400);
/// Time for reading a page of the log.
const READ: Duration = Duration::from_millis(1000);
/// How often a cluster is asked who has which keys, whatever nodes say.
const MAP: Duration = Duration::from_secs(5);
/// Time for all that is used of a quota.
const SHOW: Duration = Duration::from_secs(10);
/// Pauses between attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(1000));
/// Entries of the log in one answer.
const PAGE: usize = 500;
/// Entries that the log may have.
pub const MAX_LOG: usize = 1_000_000;

/// KEYS: number, order, entries, ends, epoch. ARGV: digest, entry, until, now, epoch if there is none, channel, most entries.
/// An entry that is there already is not added again.
const APPEND: &str = "
local old = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[4], 'LIMIT', 0, 1000)
for _, id in ipairs(old) do
  redis.call('ZREM', KEYS[4], id) redis.call('ZREM', KEYS[2], id) redis.call('HDEL', KEYS[3], id)
end
local there = redis.call('ZSCORE', KEYS[2], ARGV[1])
if there then return tonumber(there) end
if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[7]) then return -1 end
redis.call('SET', KEYS[5], ARGV[5], 'NX')
local n = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[2], n, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3] .. ':' .. ARGV[2])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('PUBLISH', ARGV[6], n)
return n";
/// KEYS as above. ARGV: last number heard, most entries. Gives epoch, last number, then numbers and entries in turn.
const READ_LOG: &str = "
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local out = {redis.call('GET', KEYS[5]) or '', redis.call('GET', KEYS[1]) or '0'}
for at = 1, #found, 2 do
  out[#out + 1] = found[at + 1]
  out[#out + 1] = redis.call('HGET', KEYS[3], found[at]) or '0:'
end
return out";
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

struct Following {
    follower: Arc<dyn Follower>,
    heard: u64,
    epoch: String,
    /// Told when the end of the log was reached the first time.
    reached: Option<oneshot::Sender<()>>,
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

/// Learns again and again who has which keys, as long as the store is there.
async fn map(inner: Weak<Inner>, moved: Arc<Notify>) {
    loop {
        let Some(here) = inner.upgrade() else { return };
        let Some(cluster) = here.place.cluster() else { return };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(READ.max(here.deadline)));
        let old = Arc::clone(&lock(&here.masters));
        let found = cluster.masters(&config, &old, &here.limit_script.load()).await;
        let pause = if found.is_whole() { MAP } else { LOOK };
        *lock(&here.masters) = Arc::new(found);
        drop(here);
        let _ = tokio::time::timeout(pause, moved.notified()).await;
        // Whatever comes in between is learnt of at once.
        tokio::time::sleep(PAUSES.0).await;
    }
}

/// Connects again and again, as long as the store is there.
async fn keep(inner: Weak<Inner>, look: Arc<Notify>) {
    let (first, most) = PAUSES;
    let mut pause = first;
    loop {
        let Some(here) = inner.upgrade() else { return };
        let reached = here.session(&inner, &look).await;
        *lock(&here.connection) = None;
        lock(&here.waiting).clear();
        here.tell(false);
        drop(here);
        pause = if reached { first } else { most.min(pause * 2) };
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    /// One connection, from its beginning to its end; whether it was good for anything.
    async fn session(self: &Arc<Self>, weak: &Weak<Self>, look: &Arc<Notify>) -> bool {
        let told = Arc::clone(look);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(READ.max(self.deadline)))
            .set_push_sender(move |push: redis::PushInfo| {
                if matches!(push.kind, PushKind::Message | PushKind::Disconnection) {
                    told.notify_one();
                }
                Ok::<(), ()>(())
            });
        let Some(mut connection) = self.place.connect(&config).await else { return false };
        self.demoted.store(false, Ordering::Release);
        let channel = self.channel();
        if !matches!(tokio::time::timeout(READ, connection.subscribe(&channel)).await, Ok(Ok(()))) {
            return false;
        }
        // So that the first requests send a name; where it is refused, they send the script.
        let load = self.limit_script.load();
        if tokio::time::timeout(READ, load.query_async::<Value>(&mut connection)).await.is_err() {
            return false;
        }
        // Before operations go through, so that nobody is served by an instance that knows less than it could.
        if !self.read_log(&mut connection).await {
            return false;
        }
        *lock(&self.connection) = Some(connection.clone());
        loop {
            let _ = tokio::time::timeout(LOOK, look.notified()).await;
            // Only this task and its own `Arc` are left: the store was dropped.
            if weak.strong_count() <= 1 || self.demoted.load(Ordering::Acquire) || !self.read_log(&mut connection).await {
                return true;
            }
        }
    }

    /// The connection to whoever has keys of this kind.
    fn connection_of(&self, space: Space) -> Option<MultiplexedConnection> {
        match self.place.cluster() {
            Some(_) => lock(&self.masters).of(space),
            None => lock(&self.connection).clone(),
        }
    }

    /// One command. Where a node of a cluster says that another one has the keys by now, that one is asked.
    async fn send<T: FromRedisValue>(&self, connection: &MultiplexedConnection, command: &Cmd) -> Result<T, RedisError> {
        let answer = command.query_async(&mut connection.clone()).await;
        let Err(error) = &answer else { return answer };
        let Some((address, _)) = error.redirect_node().filter(|_| self.place.cluster().is_some()) else { return answer };
        self.moved.notify_one();
        let Some(mut other) = lock(&self.masters).at(address) else { return answer };
        if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) {
            let mut both = redis::pipe();
            both.cmd("ASKING").ignore().add_command(command.clone());
            return both.query_async::<(T,)>(&mut other).await.map(|(value,)| value);
        }
        command.query_async(&mut other).await
    }

    /// There was no answer in time.
    fn late(&self) -> Unavailable {
        self.moved.notify_one();
        Unavailable::Slow
    }

    fn channel(&self) -> String {
        format!("{}:{{log}}:appended", self.prefix)
    }

    fn log_keys(&self) -> [String; 5] {
        ["number", "order", "entries", "ends", "epoch"].map(|part| format!("{}:{{log}}:{part}", self.prefix))
    }

    fn key(&self, key: &Key) -> String {
        let mut out = String::with_capacity(self.prefix.len() + 84);
        let _ = write!(out, "{}:{{{}}}:", self.prefix, key.space().code().1);
        for byte in key.id() {
            let _ = write!(out, "{byte:02x}");
        }
        out
    }

    /// What an error is. Who is a replica by now takes no writes: the connection is given up at once.
    fn failed(&self, error: &RedisError) -> Unavailable {
        if error.code() == Some("READONLY") {
            self.demoted.store(true, Ordering::Release);
            self.look.notify_one();
        }
        self.moved.notify_one();
        if error.is_timeout() { Unavailable::Slow } else { Unavailable::Failed }
    }

    /// Runs the script of limits, which a server that restarted does not have any more.
    async fn charge(&self, connection: &MultiplexedConnection, charges: &[Charge], uses: &[Use]) -> Result<Charged, Unavailable> {
        let run = |by_name| self.limit_script.run(by_name, charges, uses, |key| self.key(key));
        let mut answer = self.send::<Vec<Value>>(connection, &run(true)).await;
        if answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT")) {
            answer = self.send(connection, &run(false)).await;
        }
        let values = answer.map_err(|error| self.failed(&error))?;
        limits::read(&values, charges.len(), uses.len())
    }

    /// All that is used in a period, page by page, so that nobody waits for all of it.
    async fn used(&self, connection: &MultiplexedConnection, keys: UseKeys) -> Result<Vec<UsedBy>, Unavailable> {
        let (used, whose) = (self.key(&keys.used), self.key(&keys.whose));
        let mut found = std::collections::HashMap::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&used).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, page): (u64, Vec<(String, u64)>) =
                self.send(connection, &scan).await.map_err(|error| self.failed(&error))?;
            if !page.is_empty() {
                let mut texts = redis::cmd("HMGET");
                texts.arg(&whose).arg(page.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>());
                let texts: Vec<Option<String>> = self.send(connection, &texts).await.map_err(|error| self.failed(&error))?;
                for ((id, used), text) in page.into_iter().zip(texts) {
                    found.insert(id, (used, text.unwrap_or_default()));
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(found.into_iter().map(|(id, (used, text))| UsedBy { id, used, text }).collect());
            }
        }
    }

    fn append_command(&self, entry: &Entry) -> Cmd {
        let mut command = redis::cmd("EVAL");
        let mut epoch = [0; 16];
        let epoch = match aws_lc_rs::rand::fill(&mut epoch) {
            Ok(()) => u128::from_be_bytes(epoch),
            Err(_) => u128::from(unix_ms()),
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &entry.bytes);
        command.arg(APPEND).arg(5).arg(&self.log_keys()).arg(digest.as_ref()).arg(&entry.bytes);
        command.arg(entry.until_ms.min(1 << 52)).arg(unix_ms());
        command.arg(format!("{epoch:032x}")).arg(self.channel()).arg(MAX_LOG);
        command
    }

    fn tell(&self, current: bool) {
        let follower = lock(&self.follower).as_ref().map(|following| Arc::clone(&following.follower));
        if let Some(follower) = follower {
            follower.current(current);
        }
    }

    /// Writes what is known, where the log may lack some of it; what is there already is not added twice.
    async fn write_again(&self, follower: &dyn Follower, connection: &mut MultiplexedConnection) -> bool {
        if !self.resend.swap(false, Ordering::AcqRel) {
            return true;
        }
        for entry in follower.known() {
            let written = tokio::time::timeout(READ, self.append_command(&entry).query_async::<i64>(connection)).await;
            if !matches!(written, Ok(Ok(_))) {
                self.resend.store(true, Ordering::Release);
                return false;
            }
        }
        true
    }

    /// Reads the log to its end, for all who waited for that when it began; false if it could not.
    async fn read_log(&self, connection: &mut MultiplexedConnection) -> bool {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let read = self.catch_up(connection).await;
        if read {
            for one in waiting {
                let _ = one.send(());
            }
        }
        read
    }

    /// Reads the log to its end, and writes again what it has lost; false if it could not.
    async fn catch_up(&self, connection: &mut MultiplexedConnection) -> bool {
        loop {
            let (heard, epoch) = match &*lock(&self.follower) {
                Some(following) => (following.heard, following.epoch.clone()),
                None => (u64::MAX >> 12, String::new()),
            };
            let mut command = redis::cmd("EVAL");
            command.arg(READ_LOG).arg(5).arg(&self.log_keys()).arg(heard).arg(PAGE);
            let answer = tokio::time::timeout(READ, command.query_async::<Vec<Value>>(connection)).await;
            let Some(page) = answer.ok().and_then(Result::ok).and_then(Page::read) else { return false };
            let lost = !epoch.is_empty() && (page.epoch != epoch || page.last < heard);
            if lost {
                self.resend.store(true, Ordering::Release);
            }
            let follower = {
                let mut following = lock(&self.follower);
                let Some(following) = following.as_mut() else { return true };
                if lost {
                    (following.heard, following.epoch) = (0, String::new());
                } else {
                    following.epoch = page.epoch;
                    following.heard = page.entries.last().map_or(following.heard, |(number, _)| *number);
                }
                Arc::clone(&following.follower)
            };
            if lost {
                continue;
            }
            let more = page.entries.len() == PAGE;
            let now = unix_ms();
            let entries: Vec<Entry> = page.entries.into_iter().map(|(_, entry)| entry).filter(|e| e.until_ms > now).collect();
            follower.hear(&entries);
            if !more {
                if !self.write_again(&*follower, connection).await {
                    return false;
                }
                follower.current(true);
                let reached = lock(&self.follower).as_mut().and_then(|following| following.reached.take());
                if let Some(reached) = reached {
                    let _ = reached.send(());
                }
                return true;
            }
        }
    }
}

/// An answer of [`READ_LOG`].
struct Page {
    epoch: String,
    last: u64,
    entries: Vec<(u64, Entry)>,
}

impl Page {
    fn read(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter();
        let mut next = || values.next().map(bytes);
        let epoch = String::from_utf8(next()??).ok()?;
        let last = decimal(&next()??)?;
        let mut entries = Vec::new();
        while let Some(number) = next() {
            let (number, entry) = (decimal(&number?)?, next()??);
            let at = memchr::memchr(b':', &entry)?;
            let (until, rest) = entry.split_at_checked(at)?;
            let bytes = rest.get(1..)?.to_vec();
            entries.push((number, Entry { bytes, until_ms: decimal(until)? }));
        }
        Some(Self { epoch, last, entries })
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes.to_vec()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
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
