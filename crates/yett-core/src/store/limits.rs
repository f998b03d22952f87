//! Limits that instances share: the GCRA of [`crate::filters::limit_table::gcra`] in one script of Redis.
//!
//! A bucket is a key with its theoretical arrival time, as `SECONDS NANOSECONDS` since 1970. One script looks at all buckets
//! of a request and charges each, or none where one has no room; Redis runs one script at a time, so any number of instances
//! let through what one would. The time is that of Redis: of two instances with clocks of their own, the faster one would let
//! callers through early. Where its clock is set back, a bucket is cut to its depth, so nobody waits longer than a burst takes
//! to fill; where it is set forward, buckets fill by as much.
//!
//! Numbers of Lua are floating point and exact up to 2^53, which nanoseconds since 1970 are beyond: seconds and nanoseconds
//! are kept apart, and every step is exact. A bucket goes by itself a second after it is full again.

use std::fmt::Write;

use aws_lc_rs::digest;
use redis::{Cmd, Value};
use smallvec::SmallVec;

use super::Key;

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

/// What became of charges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Whether all were charged; otherwise none was.
    pub granted: bool,
    /// For each in order how far ahead of now it stands: charged, or as it was. Nanoseconds.
    pub ahead_ns: SmallVec<[u64; 4]>,
}

/// The time of Redis, frozen while a script runs. Redis 6.2 writes nothing after it, unless effects are replicated.
const CLOCK: &str = "
if redis.replicate_commands then redis.replicate_commands() end
local now = redis.call('TIME')
local now_s, now_n, slack = tonumber(now[1]), tonumber(now[2]) * 1000, 1000
";
/// KEYS: buckets. ARGV, for each: depth and cost, in seconds and nanoseconds each. Gives 1 or 0, then for each how far it is ahead.
const CHARGE: &str = "
local unit, room, found = 1000000000, true, {}
for i, key in ipairs(KEYS) do
  local depth_s, depth_n = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local s, n = 0, 0
  local tat = redis.call('GET', key)
  if tat then
    local tat_s, tat_n = string.match(tat, '^(%d+) (%d+)$')
    s, n = tonumber(tat_s) - now_s, tonumber(tat_n) - now_n
    if n < 0 then s, n = s - 1, n + unit end
    if s < 0 then s, n = 0, 0 end
    if s > depth_s or (s == depth_s and n > depth_n) then s, n = depth_s, depth_n end
  end
  local charged_s, charged_n = s + tonumber(ARGV[4 * i - 1]), n + tonumber(ARGV[4 * i])
  if charged_n >= unit then charged_s, charged_n = charged_s + 1, charged_n - unit end
  if charged_s > depth_s or (charged_s == depth_s and charged_n > depth_n) then room = false end
  found[i] = {s, n, charged_s, charged_n}
end
local out = {room and 1 or 0}
for i, key in ipairs(KEYS) do
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
return out";

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
    pub(super) fn run(&self, by_name: bool, charges: &[Charge], name: impl Fn(&Key) -> String) -> Cmd {
        let mut command = match by_name {
            true => redis::cmd("EVALSHA"),
            false => redis::cmd("EVAL"),
        };
        command.arg(if by_name { &self.sha1 } else { &self.text }).arg(charges.len());
        for charge in charges {
            command.arg(name(&charge.key));
        }
        for charge in charges {
            for number in [charge.depth_ns, charge.cost_ns] {
                command.arg(number / NS).arg(number % NS);
            }
        }
        command
    }
}

/// An answer of the script for so many charges.
pub(super) fn read(values: &[Value], charges: usize) -> Option<Charged> {
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
    while let Some(seconds) = numbers.next() {
        ahead_ns.push(seconds?.checked_mul(NS)?.checked_add(numbers.next()??)?);
    }
    (ahead_ns.len() == charges).then_some(Charged { granted, ahead_ns })
}
