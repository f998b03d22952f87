//! The log that instances share: entries are added, read to the end, and written again where it has lost some.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tokio::sync::oneshot;

use super::super::{Entry, Follower, unix_ms};
use super::{Inner, PAGE, READ, lock};

/// Entries that the log may have.
const MAX_LOG: usize = 1_000_000;
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

pub(super) struct Following {
    pub(super) follower: Arc<dyn Follower>,
    pub(super) heard: u64,
    pub(super) epoch: String,
    /// Told when the end of the log was reached the first time.
    pub(super) reached: Option<oneshot::Sender<()>>,
}

impl Inner {
    fn log_keys(&self) -> [String; 5] {
        ["number", "order", "entries", "ends", "epoch"].map(|part| format!("{}:{{log}}:{part}", self.prefix))
    }

    pub(super) fn channel(&self) -> String {
        format!("{}:{{log}}:appended", self.prefix)
    }

    pub(super) fn append_command(&self, entry: &Entry) -> Cmd {
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

    pub(super) fn tell(&self, current: bool) {
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
    pub(super) async fn read_log(&self, connection: &mut MultiplexedConnection) -> bool {
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
