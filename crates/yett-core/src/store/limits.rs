//! Limits that instances share: the GCRA of [`crate::filters::limit_table::gcra`], and what is used of quotas, in one script of Redis.
//!
//! A bucket is a key with its theoretical arrival time, as `SECONDS NANOSECONDS` since 1970. One script looks at all buckets
//! of a request and charges each, or none where one has no room; Redis runs one script at a time, so any number of instances
//! let through what one would. The time is that of Redis: of two instances with clocks of their own, the faster one would let
//! callers through early. Where its clock is set back, a bucket is cut to its depth, so nobody waits longer than a burst takes
//! to fill; where it is set forward, buckets fill by as much.
//!
//! Numbers of Lua are floating point and exact up to 2^53, which nanoseconds since 1970 are beyond: seconds and nanoseconds
//! are kept apart, and every step is exact. A bucket goes by itself a second after it is full again.
//!
//! What is used of a quota in a period is a hash by key, which goes a day after the period. When a period begins and ends is said by the
//! instance, which knows calendars; one whose clock says another time than that of Redis, by more than five minutes, counts nothing.

use std::fmt::Write;

use aws_lc_rs::digest;
use redis::{Cmd, Value};
use smallvec::SmallVec;

use super::{Key, Space, Unavailable};

const NS: u64 = 1_000_000_000;

/// What a bucket is to be charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Whose bucket.
    pub key: Key,
    /// `burst * interval`: how far ahead of now the bucket may stand, nanoseconds.
    pub depth_ns: u64,
    /// Nanoseconds.
    pub cost_ns: u64,
}

/// What is to be counted in a period of a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The quota and its period: the use of all its keys, and beside it their texts for people.
    pub keys: UseKeys,
    /// Whose.
    pub id: u128,
    /// Its kind and its text for people, with a line between them.
    pub text: Box<str>,
    /// What it costs.
    pub cost: u64,
    /// What there is in the period; below 2^53.
    pub amount: u64,
    /// Keys that have a count of their own; further ones share one.
    pub most: u64,
    /// When the period began, by the clock of this instance: seconds since 1970.
    pub start_s: u64,
    /// When the next begins.
    pub end_s: u64,
}

/// Where the use of one period is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseKeys {
    /// By key what is used: a hash.
    pub used: Key,
    /// By key its text.
    pub whose: Key,
}

impl UseKeys {
    /// Of the period that begins then; `parts` name the quota.
    #[must_use]
    pub fn new(parts: &[&[u8]; 4], start_s: u64) -> Self {
        let [scope, name, period, zone] = parts;
        let start = start_s.to_be_bytes();
        let key = |what: &[u8]| Key::new(Space::Limit, &[what, scope, name, period, zone, &start]);
        Self { used: key(b"quota used"), whose: key(b"quota whose") }
    }
}

/// What one key has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedBy {
    /// Its name in the hash: 32 hexadecimal digits, or [`OTHERS`].
    pub id: String,
    /// So much.
    pub used: u64,
    /// Its kind and its text, as in [`Use`].
    pub text: String,
}

/// The name under which keys without a count of their own share one.
pub const OTHERS: &str = "others";

/// What became of charges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Whether all were charged; otherwise none was.
    pub granted: bool,
    /// For each in order how far ahead of now it stands: charged, or as it was. Nanoseconds.
    pub ahead_ns: SmallVec<[u64; 4]>,
    /// For each quota in order what is used of it: charged, or as it was.
    pub used: SmallVec<[u64; 2]>,
}

/// The time of Redis, frozen while a script runs. Redis 6.2 writes nothing after it, unless effects are replicated.
const CLOCK: &str = "
if redis.replicate_commands then redis.replicate_commands() end
local now = redis.call('TIME')
local now_s, now_n, slack = tonumber(now[1]), tonumber(now[2]) * 1000, 1000
";
/// KEYS: buckets, then for each quota two hashes. ARGV: how many buckets; for each depth and cost, in seconds and nanoseconds each;
/// for each quota key, cost, amount, most keys, begin and end of the period, text. Gives 1 or 0, then for each bucket how far it is
/// ahead, and for each quota what is used; or 2 where an instance takes another time for now than Redis does.
const CHARGE: &str = "
local buckets, unit, room, found = tonumber(ARGV[1]), 1000000000, true, {}
for i = 1, buckets do
  local key = KEYS[i]
  local depth_s, depth_n = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local s, n = 0, 0
  local tat = redis.call('GET', key)
  if tat then
    local tat_s, tat_n = string.match(tat, '^(%d+) (%d+)$')
    s, n = tonumber(tat_s) - now_s, tonumber(tat_n) - now_n
    if n < 0 then s, n = s - 1, n + unit end
    if s < 0 then s, n = 0, 0 end
    if s > depth_s or (s == depth_s and n > depth_n) then s, n = depth_s, depth_n end
  end
  local charged_s, charged_n = s + tonumber(ARGV[4 * i]), n + tonumber(ARGV[4 * i + 1])
  if charged_n >= unit then charged_s, charged_n = charged_s + 1, charged_n - unit end
  if charged_s > depth_s or (charged_s == depth_s and charged_n > depth_n) then room = false end
  found[i] = {s, n, charged_s, charged_n}
end
local uses = {}
for i = 1, (#KEYS - buckets) / 2 do
  local key, at = KEYS[buckets + 2 * i - 1], 4 * buckets + 7 * i - 6
  local id, cost = ARGV[at + 1], tonumber(ARGV[at + 2])
  if now_s + 300 < tonumber(ARGV[at + 5]) or now_s >= tonumber(ARGV[at + 6]) + 300 then return {2} end
  local there = redis.call('HGET', key, id)
  if not there then
    local others = redis.call('HGET', key, 'others')
    if (others and others ~= '0') or redis.call('HLEN', key) >= tonumber(ARGV[at + 4]) then id, there = 'others', others end
  end
  local used = 0
  if there then used = tonumber(string.match(there, '^%d+$')) end
  if cost > 0 and used + cost > tonumber(ARGV[at + 3]) then room = false end
  uses[i] = {key, KEYS[buckets + 2 * i], id, used, cost, there, at}
end
local out = {room and 1 or 0}
for i = 1, buckets do
  local key = KEYS[i]
  local s, n, charged_s, charged_n = unpack(found[i])
  if room and (charged_s ~= s or charged_n ~= n) then
    local tat_s, tat_n = now_s + charged_s, now_n + charged_n
    if tat_n >= unit then tat_s, tat_n = tat_s + 1, tat_n - unit end
    local left = charged_s * 1000 + math.ceil(charged_n / 1000000) + slack
    redis.call('SET', key, string.format('%.0f %.0f', tat_s, tat_n), 'PX', string.format('%.0f', left))
    s, n = charged_s, charged_n
  end
  out[2 * i], out[2 * i + 1] = s, n
end
for _, use in ipairs(uses) do
  local key, whose, id, used, cost, there, at = unpack(use, 1, 7)
  if room and cost > 0 then
    used = used + cost
    redis.call('HSET', key, id, string.format('%.0f', used))
    if not there then
      redis.call('HSET', whose, id, id == 'others' and 'others\\nall who found no place' or ARGV[at + 7])
      local left = string.format('%.0f', (tonumber(ARGV[at + 6]) - now_s + 86400) * 1000)
      redis.call('PEXPIRE', key, left)
      redis.call('PEXPIRE', whose, left)
    end
  end
  out[#out + 1] = used
end
return out";

/// KEYS: a hash of uses. ARGV: key. Gives what it had used.
pub(super) const RESET: &str = "
local used = redis.call('HGET', KEYS[1], ARGV[1])
if not used then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], '0')
return tonumber(used)";

/// The script, and the name under which a server that has it runs it.
#[derive(Debug, Clone)]
pub(super) struct Script {
    text: String,
    sha1: String,
}

impl Default for Script {
    fn default() -> Self {
        Self::with_clock(CLOCK)
    }
}

impl Script {
    /// Charges by a clock that `clock` makes: it sets `now_s`, `now_n` and `slack`.
    pub(super) fn with_clock(clock: &str) -> Self {
        let text = format!("{clock}{CHARGE}");
        let found = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let mut sha1 = String::with_capacity(40);
        for byte in found.as_ref() {
            let _ = write!(sha1, "{byte:02x}");
        }
        Self { text, sha1 }
    }

    /// Lets the server keep it.
    pub(super) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.text);
        command
    }

    /// Runs it by its name, or by its text where the server does not have it (any more).
    pub(super) fn run(&self, by_name: bool, charges: &[Charge], uses: &[Use], name: impl Fn(&Key) -> String) -> Cmd {
        let mut command = match by_name {
            true => redis::cmd("EVALSHA"),
            false => redis::cmd("EVAL"),
        };
        let keys = charges.len().saturating_add(uses.len().saturating_mul(2));
        command.arg(if by_name { &self.sha1 } else { &self.text }).arg(keys);
        for charge in charges {
            command.arg(name(&charge.key));
        }
        for one in uses {
            command.arg(name(&one.keys.used)).arg(name(&one.keys.whose));
        }
        command.arg(charges.len());
        for charge in charges {
            for number in [charge.depth_ns, charge.cost_ns] {
                command.arg(number / NS).arg(number % NS);
            }
        }
        for one in uses {
            command
                .arg(use_name(one.id))
                .arg(one.cost)
                .arg(one.amount)
                .arg(one.most)
                .arg(one.start_s)
                .arg(one.end_s)
                .arg(&*one.text);
        }
        command
    }
}

/// The name of a key in the hashes of its quota.
#[must_use]
pub fn use_name(id: u128) -> String {
    format!("{id:032x}")
}

/// An answer of the script for so many buckets and quotas.
pub(super) fn read(values: &[Value], charges: usize, uses: usize) -> Result<Charged, Unavailable> {
    if matches!(values, [Value::Int(2)]) {
        return Err(Unavailable::Clock);
    }
    numbers(values, charges, uses).ok_or(Unavailable::Failed)
}

fn numbers(values: &[Value], charges: usize, uses: usize) -> Option<Charged> {
    let mut numbers = values.iter().map(|value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    });
    let granted = match numbers.next()?? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let mut ahead_ns = SmallVec::new();
    for _ in 0..charges {
        ahead_ns.push(numbers.next()??.checked_mul(NS)?.checked_add(numbers.next()??)?);
    }
    let used: SmallVec<[u64; 2]> = numbers.collect::<Option<_>>()?;
    (used.len() == uses).then_some(Charged { granted, ahead_ns, used })
}
