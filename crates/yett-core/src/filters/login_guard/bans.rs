//! Addresses from which nobody new may log in for a while, each with a reason and an end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shared::Counter;

/// Bans at once. Beyond it nobody is banned; who would have been is refused as before.
pub const BANS: usize = 10_000;

/// A ban.
#[derive(Debug, Clone)]
pub struct Ban {
    /// The address; of IPv6 the first of its /64.
    pub address: IpAddr,
    /// The route whose guard banned it.
    pub route: Arc<str>,
    /// The parts of the score.
    pub why: Box<str>,
    /// When it began, milliseconds since 1970.
    pub since_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// Attempts refused since.
    pub refused: u64,
    /// What the guard counted of the address, which goes with the ban where that is lifted.
    pub counted: u64,
}

/// All of the process.
#[derive(Debug, Default)]
pub struct Bans {
    all: Mutex<HashMap<IpAddr, Ban>>,
    count: AtomicUsize,
    /// When it was last looked through for room.
    swept_ms: AtomicU64,
    /// Since start.
    pub begun: Counter,
    /// Addresses that would have been banned, had there been room.
    pub without_room: Counter,
}

/// An address as it is banned: IPv6 by /64, an IPv4-mapped address as IPv4.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// For people: `192.0.2.1`, `2001:db8::/64`.
#[must_use]
pub fn text(address: IpAddr) -> String {
    if address.is_ipv6() { format!("{address}/64") } else { address.to_string() }
}

impl Bans {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Ban>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the ban of an address ends; counts the attempt.
    pub fn meets(&self, address: IpAddr, now_ms: u64) -> Option<u64> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let address = network(address);
        let mut all = self.lock();
        let ban = all.get_mut(&address)?;
        if ban.until_ms <= now_ms {
            all.remove(&address);
            self.count.store(all.len(), Ordering::Relaxed);
            return None;
        }
        ban.refused = ban.refused.saturating_add(1);
        Some(ban.until_ms)
    }

    /// Whether an address is banned now; nothing is counted.
    #[must_use]
    pub fn holds(&self, address: IpAddr, now_ms: u64) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.lock().get(&network(address)).is_some_and(|ban| ban.until_ms > now_ms)
    }

    /// Begins one; false where there is no room.
    pub fn begin(&self, ban: Ban) -> bool {
        let mut all = self.lock();
        if all.len() >= BANS && !all.contains_key(&ban.address) {
            // Once a second: whoever fills it has everybody wait for each look through all of it.
            let swept = self.swept_ms.load(Ordering::Relaxed);
            if swept == 0 || ban.since_ms.saturating_sub(swept) >= 1_000 {
                self.swept_ms.store(ban.since_ms, Ordering::Relaxed);
                all.retain(|_, one| one.until_ms > ban.since_ms);
            }
            if all.len() >= BANS {
                self.without_room.increment();
                return false;
            }
        }
        self.begun.increment();
        all.insert(ban.address, ban);
        self.count.store(all.len(), Ordering::Relaxed);
        true
    }

    /// Ends one.
    pub fn lift(&self, address: IpAddr) -> Option<Ban> {
        let mut all = self.lock();
        let lifted = all.remove(&network(address));
        self.count.store(all.len(), Ordering::Relaxed);
        lifted
    }

    /// Those that last, those that end last first.
    #[must_use]
    pub fn all(&self, now_ms: u64) -> Vec<Ban> {
        let mut found: Vec<Ban> = self.lock().values().filter(|ban| ban.until_ms > now_ms).cloned().collect();
        found.sort_by(|one, other| other.until_ms.cmp(&one.until_ms).then_with(|| one.address.cmp(&other.address)));
        found
    }

    /// How many there are now.
    #[must_use]
    pub fn active(&self, now_ms: u64) -> usize {
        self.lock().values().filter(|ban| ban.until_ms > now_ms).count()
    }

    /// Ends all of them.
    pub fn forget(&self) {
        self.lock().clear();
        self.count.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{BANS, Ban, Bans, network, text};

    fn ban(address: IpAddr, until_ms: u64) -> Ban {
        let address = network(address);
        Ban { address, route: "login".into(), why: "accounts 120".into(), since_ms: 10, until_ms, refused: 0, counted: 1 }
    }

    #[test]
    fn a_ban_is_of_an_address_or_network_and_ends() {
        let bans = Bans::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(bans.meets(one, 1).is_none());
        assert!(bans.begin(ban(one, 100)) && bans.begin(ban("2001:db8::5".parse().unwrap(), 200)));
        assert_eq!(bans.meets("::ffff:192.0.2.1".parse().unwrap(), 99), Some(100));
        assert_eq!(bans.meets("2001:db8::ffff:1".parse().unwrap(), 99), Some(200));
        assert!(bans.meets("2001:db8:0:1::1".parse().unwrap(), 99).is_none());
        let shown: Vec<_> = bans.all(99).iter().map(|ban| (text(ban.address), ban.refused)).collect();
        assert_eq!(shown, [("2001:db8::/64".to_owned(), 1), ("192.0.2.1".to_owned(), 1)]);
        assert!(bans.meets(one, 100).is_none(), "it has ended");
        assert_eq!(bans.active(100), 1);
        assert!(bans.lift("2001:db8::9".parse().unwrap()).is_some());
        assert!(bans.meets("2001:db8::1".parse().unwrap(), 99).is_none());
    }

    #[test]
    fn where_there_is_no_room_nobody_goes_free_for_another() {
        let bans = Bans::default();
        let address = |number: usize| IpAddr::V4(u32::try_from(number).unwrap().into());
        for number in 0..BANS {
            assert!(bans.begin(ban(address(number), 100)));
        }
        assert!(!bans.begin(ban(address(BANS), 100)) && bans.without_room.get() == 1);
        assert!(bans.begin(ban(address(3), 300)), "who is banned already may be banned for longer");
        assert!(!bans.begin(Ban { since_ms: 150, ..ban(address(BANS), 2_000) }), "it was looked through a moment ago");
        assert!(bans.begin(Ban { since_ms: 1_050, ..ban(address(BANS), 2_000) }), "those that have ended make room");
        assert_eq!(bans.active(1_050), 1);
    }
}
