//! Open connections by client address, for the whole process: one client takes no more than its part.
//!
//! An entry exists only while a connection of it does, so the table is no larger than the listener's bound on connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Tables that are locked one by one.
const SHARDS: usize = 16;

/// Who is counted as one: an IPv4 address, or an IPv6 network of 64 bits, of which one client has all addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    V4(u32),
    V6(u64),
}

impl Who {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(0)),
        }
    }

    /// Spread over the shards by the bits in which clients differ most.
    fn shard(self) -> usize {
        let bits = match self {
            Self::V4(bits) => u64::from(bits),
            Self::V6(bits) => bits,
        };
        usize::try_from((bits ^ (bits >> 16)) % SHARDS as u64).unwrap_or(0)
    }
}

/// Open connections of one listener, by address; outlives reloads.
#[derive(Debug, Default)]
pub struct Addresses([Mutex<HashMap<Who, u32>>; SHARDS]);

/// A listener's `connections_per_address`.
#[derive(Debug, Clone)]
pub struct PerAddress {
    /// Open connections of one address.
    pub limit: u32,
    /// Shared by the workers.
    pub table: Arc<Addresses>,
    /// Proxies, which connect for many.
    pub exempt: Vec<IpNet>,
}

/// Counts one open connection while it lives.
#[derive(Debug)]
pub struct Held {
    table: Arc<Addresses>,
    who: Who,
}

impl PerAddress {
    /// Counts a connection; `None` where the address has as many as it may. An exempt address is not counted.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> Option<Option<Held>> {
        let address = address.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&address)) {
            return Some(None);
        }
        let who = Who::of(address);
        let mut shard = self.table.0.get(who.shard())?.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shard.entry(who).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Some(Held { table: Arc::clone(&self.table), who }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(shard) = self.table.0.get(self.who.shard()) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = shard.entry(self.who) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(limit: u32, exempt: &[&str]) -> PerAddress {
        let exempt = exempt.iter().map(|network| network.parse().unwrap()).collect();
        PerAddress { limit, table: Arc::default(), exempt }
    }

    fn entries(cap: &PerAddress) -> usize {
        cap.table.0.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn one_client_is_one_whatever_it_is_called() {
        let cap = cap(2, &[]);
        let admit = |address: &str| cap.admit(address.parse().unwrap()).flatten();
        let held = [admit("192.0.2.1").unwrap(), admit("::ffff:192.0.2.1").unwrap()];
        assert!(admit("192.0.2.1").is_none() && admit("192.0.2.2").is_some());
        let network = [admit("2001:db8::1").unwrap(), admit("2001:db8::ffff:0:0:1").unwrap()];
        assert!(admit("2001:db8:0:0:1::").is_none() && admit("2001:db8:0:1::1").is_some());
        // The bits of an IPv4 address in an IPv6 one.
        assert!(admit("0:0:c000:201::1").is_some());
        drop(held);
        assert!(admit("192.0.2.1").is_some());
        drop(network);
        assert_eq!(entries(&cap), 0, "nothing is left of who left");
    }

    #[test]
    fn proxies_connect_for_many() {
        let cap = cap(1, &["10.0.0.0/8"]);
        let all: Vec<_> = (0..10).map(|_| cap.admit("::ffff:10.1.2.3".parse().unwrap()).unwrap()).collect();
        assert!(all.iter().all(Option::is_none));
        assert_eq!(entries(&cap), 0);
    }
}
