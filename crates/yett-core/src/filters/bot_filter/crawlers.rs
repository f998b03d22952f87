//! Whether an address is a crawler's: its name, in a domain of the crawler, has that address (forward-confirmed reverse DNS).
//!
//! Asked on the service runtime, each address once at a time; what came of it is remembered for a bounded time, and so many.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::turns::{Turns, network};
use crate::dns::{self, Kind, Unanswered};
use crate::server::clock::monotonic_ns;
use crate::shared::Counter;

/// Addresses that are remembered.
const REMEMBERED: usize = 10_000;
const SHARDS: usize = 16;
/// How long one is asked about at most, waiting included.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names of an address that are looked up.
const NAMES: usize = 4;
const SECOND_NS: u64 = 1_000_000_000;

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the crawler's.
    Genuine,
    /// It is not.
    False,
    /// The resolver says that it could not find out: the address's own servers can make it say so.
    Failed,
    /// Nobody could say.
    Unknown,
}

/// Names that are a crawler's.
#[derive(Debug)]
struct Domain {
    /// How the one label before it has to begin, where not all names in it are the crawler's: `crawl-*.example.com`.
    begins: Option<Box<str>>,
    domain: Box<str>,
}

impl Domain {
    fn new(text: &str) -> Self {
        match text.split_once("*.") {
            Some((begins, domain)) => Self { begins: Some(begins.into()), domain: domain.into() },
            None => Self { begins: None, domain: text.into() },
        }
    }

    fn has(&self, name: &str) -> bool {
        let Some(before) = name.strip_suffix(&*self.domain) else { return false };
        let label = before.strip_suffix('.');
        match &self.begins {
            None => before.is_empty() || label.is_some(),
            Some(begins) => label.is_some_and(|label| label.starts_with(&**begins) && !label.contains('.')),
        }
    }
}

/// What has to hold of an address.
#[derive(Debug)]
pub struct Terms {
    domains: Box<[Domain]>,
    resolvers: Box<[SocketAddr]>,
    digest: [u8; 32],
}

impl Terms {
    /// Names in one of these domains, as these resolvers say; those of the system where there are none.
    #[must_use]
    pub fn new(domains: &[String], resolvers: &[SocketAddr]) -> Self {
        let digest = crate::providers::jwk::sha256(format!("{domains:?}{resolvers:?}").as_bytes());
        Self { domains: domains.iter().map(|one| Domain::new(one)).collect(), resolvers: resolvers.into(), digest }
    }

    fn has(&self, name: &str) -> bool {
        self.domains.iter().any(|domain| domain.has(name))
    }
}

type Key = (IpAddr, [u8; 32]);
type Answer = watch::Receiver<Option<Verdict>>;

enum Entry {
    Known { verdict: Verdict, until_ns: u64 },
    Asked(Answer),
}

/// What is remembered, and who is asked about now.
pub struct Verifier {
    shards: [Mutex<HashMap<Key, Entry>>; SHARDS],
    /// Nobody outside knows which networks share a shard.
    hasher: RandomState,
    turns: Arc<Turns>,
    /// Addresses that were a crawler's.
    pub genuine: Counter,
    /// Those that were not.
    pub false_claims: Counter,
    /// Those of which nobody could say.
    pub unknown: Counter,
}

impl Default for Verifier {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            turns: Arc::default(),
            genuine: Counter::default(),
            false_claims: Counter::default(),
            unknown: Counter::default(),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Verifier {
    /// All of one network in one shard, so that who has many addresses drives out no others than his neighbours.
    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Entry>> {
        let [last, ..] = self.hasher.hash_one(network(key.0)).to_be_bytes();
        let [first, others @ ..] = &self.shards;
        let shard = usize::from(last) % SHARDS;
        let shard = shard.checked_sub(1).and_then(|index| others.get(index)).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of an address.
    #[must_use]
    pub fn known(&self, address: IpAddr, terms: &Terms, now_ns: u64) -> Option<Verdict> {
        let key = (address, terms.digest);
        match self.shard(&key).get(&key) {
            Some(Entry::Known { verdict, until_ns }) if *until_ns > now_ns => Some(*verdict),
            _ => None,
        }
    }

    /// How many are asked about, or wait for it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.turns.count()
    }

    /// What is remembered, or what those say who are asked now. Ends by itself.
    pub async fn ask(self: Arc<Self>, address: IpAddr, terms: Arc<Terms>, runtime: Handle) -> Verdict {
        let Some(mut answer) = self.begin(address, &terms, &runtime) else { return Verdict::Unknown };
        match answer.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.unwrap_or(Verdict::Unknown),
            // The task is gone: the gateway stops.
            Err(_) => Verdict::Unknown,
        }
    }

    /// Joins whoever asks about the address already, or begins; nothing where too many wait.
    pub(super) fn begin(self: &Arc<Self>, address: IpAddr, terms: &Arc<Terms>, runtime: &Handle) -> Option<Answer> {
        let key = (address, terms.digest);
        let now_ns = monotonic_ns();
        let mut shard = self.shard(&key);
        match shard.get(&key) {
            Some(Entry::Known { verdict, until_ns }) if *until_ns > now_ns => {
                return Some(watch::channel(Some(*verdict)).1);
            }
            Some(Entry::Asked(answer)) if answer.has_changed().is_ok() => return Some(answer.clone()),
            _ => {}
        }
        let was_genuine = matches!(shard.get(&key), Some(Entry::Known { verdict: Verdict::Genuine, .. }));
        let Some(mut turn) = self.turns.enter(address, was_genuine) else {
            self.unknown.increment();
            return None;
        };
        make_room(&mut shard, now_ns);
        let (sender, answer) = watch::channel(None);
        shard.insert(key, Entry::Asked(answer.clone()));
        drop(shard);
        let (verifier, terms) = (Arc::clone(self), Arc::clone(terms));
        runtime.spawn(async move {
            let asking = async { if turn.come().await { look(address, &terms).await } else { (Verdict::Unknown, UNKNOWN_S) } };
            let (verdict, seconds) = timeout(PATIENCE, asking).await.unwrap_or((Verdict::Unknown, UNKNOWN_S));
            drop(turn);
            verifier.note(key, verdict, seconds);
            sender.send_replace(Some(verdict));
        });
        Some(answer)
    }

    fn note(&self, key: Key, verdict: Verdict, seconds: u32) {
        match verdict {
            Verdict::Genuine => self.genuine.increment(),
            Verdict::False => self.false_claims.increment(),
            Verdict::Failed | Verdict::Unknown => self.unknown.increment(),
        }
        let until_ns = monotonic_ns().saturating_add(u64::from(seconds).saturating_mul(SECOND_NS));
        self.shard(&key).insert(key, Entry::Known { verdict, until_ns });
    }
}

async fn look(address: IpAddr, terms: &Terms) -> (Verdict, u32) {
    let system;
    let resolvers = match &*terms.resolvers {
        [] => {
            system = dns::of_system().await;
            &system
        }
        own => own,
    };
    confirm(resolvers, address, terms).await
}

/// How long a verdict is remembered, seconds: a genuine one as long as DNS says, within bounds.
const GENUINE_S: (u32, u32) = (60, 3_600);
const FALSE_S: u32 = 300;
const UNKNOWN_S: u32 = 10;

/// What is out of date goes first, then lies and what nobody knows, then the truth; each that would go out of date first before others.
fn make_room(shard: &mut HashMap<Key, Entry>, now_ns: u64) {
    let room = REMEMBERED / SHARDS;
    if shard.len() < room {
        return;
    }
    shard.retain(|_, entry| match entry {
        Entry::Known { until_ns, .. } => *until_ns > now_ns,
        Entry::Asked(answer) => answer.has_changed().is_ok(),
    });
    if shard.len() < room {
        return;
    }
    let ends = |entry: &Entry| match entry {
        Entry::Known { verdict, until_ns } => Some((*verdict == Verdict::Genuine, *until_ns)),
        Entry::Asked(_) => None,
    };
    let first = shard.iter().filter_map(|(key, entry)| ends(entry).map(|until| (until, *key))).min_by_key(|(until, _)| *until);
    if let Some((_, key)) = first {
        shard.remove(&key);
    }
}

/// Forward-confirmed reverse DNS, and for how many seconds it is good.
async fn confirm(resolvers: &[SocketAddr], address: IpAddr, terms: &Terms) -> (Verdict, u32) {
    let names = match dns::lookup(resolvers, &dns::reverse(address), Kind::Ptr).await {
        Ok(names) => names,
        Err(Unanswered::Failed) => return (Verdict::Failed, UNKNOWN_S),
        Err(Unanswered::Silent) => return (Verdict::Unknown, UNKNOWN_S),
    };
    let kind = if address.is_ipv4() { Kind::A } else { Kind::Aaaa };
    let mut verdict = (Verdict::False, FALSE_S);
    for name in names.names.iter().filter(|name| terms.has(name)).take(NAMES) {
        match dns::lookup(resolvers, name, kind).await {
            Ok(found) if found.addresses.contains(&address) => {
                let (least, most) = GENUINE_S;
                return (Verdict::Genuine, names.ttl_s.min(found.ttl_s).clamp(least, most));
            }
            Ok(_) => {}
            Err(_) => verdict = (Verdict::Unknown, UNKNOWN_S),
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::bot_filter::turns::OF_NETWORK;

    fn terms(domains: &[&str]) -> Arc<Terms> {
        let domains: Vec<String> = domains.iter().map(|one| (*one).to_owned()).collect();
        // Nobody listens there.
        Arc::new(Terms::new(&domains, &["127.0.0.1:1".parse().unwrap()]))
    }

    #[test]
    fn a_domain_ends_at_a_dot() {
        let terms = terms(&["googlebot.com", "google.com", "crawl-*.example.com"]);
        for name in ["crawl-1.googlebot.com", "a.b.google.com", "googlebot.com", "crawl-1-2.example.com"] {
            assert!(terms.has(name), "{name}");
        }
        for name in [
            "googlebot.com.evil.example",
            "evilgooglebot.com",
            "xgoogle.com",
            "com",
            "",
            "googlebot.co",
            "crawl-1.googlebot.com.x",
            "proxy-1.example.com",
            "crawl-1.a.example.com",
            "a.crawl-1.example.com",
            "example.com",
            "crawl-1example.com",
        ] {
            assert!(!terms.has(name), "{name}");
        }
    }

    #[test]
    fn what_is_remembered_has_an_end_and_a_bound() {
        let verifier = Arc::new(Verifier::default());
        let terms = terms(&["a.example"]);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        verifier.note((address, terms.digest), Verdict::Genuine, 60);
        let now = monotonic_ns();
        assert_eq!(verifier.known(address, &terms, now), Some(Verdict::Genuine));
        assert_eq!(verifier.known(address, &terms, now + 61 * SECOND_NS), None);
        assert_eq!(verifier.known(address, &Terms::new(&["b.example".to_owned()], &[]), now), None, "of other terms nothing");
        let mut shard = HashMap::new();
        for number in 0..u32::try_from(REMEMBERED).unwrap() {
            make_room(&mut shard, 0);
            let key = (IpAddr::V4(number.into()), terms.digest);
            // The truth, which would go out of date before all lies.
            let (verdict, until_ns) =
                if number == 3 { (Verdict::Genuine, 500) } else { (Verdict::False, 1_000 + u64::from(number)) };
            shard.insert(key, Entry::Known { verdict, until_ns });
            assert!(shard.len() <= REMEMBERED / SHARDS);
        }
        assert!(shard.contains_key(&(IpAddr::V4(3.into()), terms.digest)), "lies go before the truth");
    }

    #[tokio::test]
    async fn nobody_answers_and_too_many_ask() {
        let verifier = Arc::new(Verifier::default());
        let terms = terms(&["a.example"]);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let ask = || Arc::clone(&verifier).ask(address, Arc::clone(&terms), Handle::current());
        let (one, other) = tokio::join!(ask(), ask());
        assert_eq!((one, other), (Verdict::Unknown, Verdict::Unknown));
        assert_eq!(verifier.unknown.get(), 1, "asked once for both");
        assert_eq!(verifier.known(address, &terms, monotonic_ns()), Some(Verdict::Unknown));
        assert_eq!(verifier.waiting(), 0);
    }

    #[tokio::test]
    async fn one_network_does_not_take_all_places() {
        let verifier = Arc::new(Verifier::default());
        // Nobody reads what is sent there.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let terms = Arc::new(Terms::new(&["a.example".to_owned()], &[silent.local_addr().unwrap()]));
        let begin = |text: &str| verifier.begin(text.parse().unwrap(), &terms, &Handle::current()).is_some();
        for number in 0..OF_NETWORK {
            assert!(begin(&format!("192.0.2.{number}")) && begin(&format!("2001:db8:{number}::1")));
        }
        assert!(begin("192.0.2.0"), "who is asked about already is only waited for");
        assert!(!begin("192.0.2.200") && !begin("2001:db8:0:ffff::1") && !begin("2001:db8:ffff::1"));
        assert!(begin("192.0.3.200") && begin("2001:db9::1"));
    }
}
