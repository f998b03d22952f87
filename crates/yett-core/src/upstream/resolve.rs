//! Names of endpoints: resolved by one task a name on the service runtime, ahead of time and again and again.
//!
//! A request waits for a name's first answer only. Later ones replace it in the background; while the resolver fails, the
//! last one is used on, for a bounded time. How long an answer is valid (its TTL) the system's resolver does not say.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::balance::random;
use super::network::is_special;
use crate::ir;
use crate::shared::Shared;

/// Addresses of one name that are used.
pub const MAX_ADDRESSES: usize = 64;
/// Names that are asked for at once; the system's resolver takes a thread for each.
const AT_ONCE: usize = 4;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// A name without any answer is asked for again after this at the latest.
const RETRY: Duration = Duration::from_secs(1);

/// Addresses, in the resolver's order; shared by all who connect.
pub type Addresses = Arc<[IpAddr]>;
/// How a name is asked for.
type Lookup = dyn Fn(Box<str>) -> Pin<Box<dyn Future<Output = Option<Vec<IpAddr>>> + Send>> + Send + Sync;
type Key = (Box<str>, ir::Dns);

/// Every name in use, once.
pub struct Names {
    known: Mutex<HashMap<Key, Weak<Name>>>,
    lookup: Arc<Lookup>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new(Arc::new(|name| Box::pin(by_system(name))))
    }
}

async fn by_system(name: Box<str>) -> Option<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((&*name, 0)).await.ok()?;
    Some(found.map(|address| address.ip()).collect())
}

impl Names {
    fn new(lookup: Arc<Lookup>) -> Self {
        Self { known: Mutex::default(), lookup, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Finds a name that is in use, or begins to ask for it.
    fn name(&self, host: &str, dns: &ir::Dns, shared: &Arc<Shared>) -> Arc<Name> {
        let key: Key = (host.into(), dns.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(&key).and_then(Weak::upgrade) {
            return name;
        }
        known.retain(|_, name| name.strong_count() > 0);
        let (answers, seen) = watch::channel(None);
        let changes = Arc::new(AtomicU32::new(0));
        let task = Task {
            host: host.into(),
            dns: dns.clone(),
            lookup: Arc::clone(&self.lookup),
            permits: Arc::clone(&self.permits),
            answers,
            changes: Arc::clone(&changes),
            shared: Arc::clone(shared),
        };
        let task = shared.service_runtime.spawn(task.run()).abort_handle();
        let name = Arc::new(Name { answers: seen, changes, task });
        known.insert(key, Arc::downgrade(&name));
        name
    }
}

/// A name that is kept fresh until nobody uses it.
#[derive(Debug)]
pub struct Name {
    answers: watch::Receiver<Option<Addresses>>,
    changes: Arc<AtomicU32>,
    task: AbortHandle,
}

impl Drop for Name {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where an endpoint is: an address, or a name that may lead to several.
#[derive(Debug, Clone)]
pub enum Host {
    /// As it stands in the configuration.
    Literal(Addresses),
    /// Kept fresh in the background.
    Name(Arc<Name>),
}

impl Host {
    /// Of an endpoint's host.
    #[must_use]
    pub fn new(host: &str, dns: &ir::Dns, shared: &Arc<Shared>) -> Self {
        match host.parse::<IpAddr>() {
            Ok(literal) => Self::Literal(Arc::from([literal])),
            Err(_) => Self::Name(shared.network.names.name(host, dns, shared)),
        }
    }

    /// Whether both are the same address, or the same name kept fresh in the same way.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(one), Self::Literal(two)) => one == two,
            (Self::Name(one), Self::Name(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }

    /// Its addresses; empty where it has none. Waits for a name's first answer, and never again.
    pub async fn addresses(&self) -> Addresses {
        match self {
            Self::Literal(addresses) => Arc::clone(addresses),
            Self::Name(name) => {
                let mut answers = name.answers.clone();
                let answer = answers.wait_for(Option::is_some).await;
                answer.ok().and_then(|answer| answer.clone()).unwrap_or_default()
            }
        }
    }

    /// Its addresses as far as they are known.
    #[must_use]
    pub fn known(&self) -> Addresses {
        match self {
            Self::Literal(addresses) => Arc::clone(addresses),
            Self::Name(name) => name.answers.borrow().clone().unwrap_or_default(),
        }
    }

    /// Grows whenever an address went, or one came that no service may have.
    #[must_use]
    pub fn changes(&self) -> u32 {
        match self {
            Self::Literal(_) => 0,
            Self::Name(name) => name.changes.load(Ordering::Acquire),
        }
    }
}

struct Task {
    host: Box<str>,
    dns: ir::Dns,
    lookup: Arc<Lookup>,
    permits: Arc<Semaphore>,
    answers: watch::Sender<Option<Addresses>>,
    changes: Arc<AtomicU32>,
    shared: Arc<Shared>,
}

impl Task {
    async fn run(self) {
        let refresh = Duration::from_millis(self.dns.refresh_ms.max(1));
        let mut good_until = Instant::now();
        loop {
            let found = self.ask().await;
            let now = Instant::now();
            match found {
                Some(addresses) => {
                    good_until = now + Duration::from_millis(self.dns.stale_ms);
                    self.publish(addresses);
                }
                None => {
                    self.shared.counters.dns_failures.increment();
                    if now >= good_until {
                        self.publish(Vec::new());
                    }
                }
            }
            let known = self.answers.borrow().as_ref().is_some_and(|addresses| !addresses.is_empty());
            let pause = if known { refresh } else { refresh.min(RETRY) };
            // Up to a tenth less, so that names are not asked for all at once.
            let tenth = u64::try_from(pause.as_millis() / 10).unwrap_or(0);
            tokio::time::sleep(pause.saturating_sub(Duration::from_millis(random() % (tenth + 1)))).await;
        }
    }

    async fn ask(&self) -> Option<Vec<IpAddr>> {
        let _permit = self.permits.acquire().await.ok()?;
        let found = tokio::time::timeout(PATIENCE, (self.lookup)(self.host.clone())).await.ok().flatten()?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
                addresses.push(address);
            }
        }
        (!addresses.is_empty()).then_some(addresses)
    }

    fn publish(&self, addresses: Vec<IpAddr>) {
        let before = self.answers.borrow().clone();
        let old: &[IpAddr] = before.as_deref().unwrap_or_default();
        let came = addresses.iter().any(|address| !old.contains(address));
        let went = old.iter().any(|address| !addresses.contains(address));
        if before.is_some() && !came && !went {
            return;
        }
        if before.is_some() {
            let listed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let level = if addresses.is_empty() { "warning" } else { "info" };
            self.shared.events.push(level, "addresses_changed", &[("host", &self.host), ("addresses", &listed)]);
        } else if addresses.is_empty() {
            self.shared.events.push("warning", "name_unresolved", &[("host", &self.host)]);
        }
        let leave = went || addresses.iter().any(|address| is_special(*address));
        self.answers.send_replace(Some(addresses.into()));
        if leave {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use super::{Host, Names};
    use crate::ir;
    use crate::shared::Shared;

    type Answers = Arc<Mutex<Option<Vec<IpAddr>>>>;

    fn named(answers: &Answers, refresh_ms: u64, stale_ms: u64) -> (Arc<Shared>, ir::Dns) {
        let mut shared = Shared::new(tokio::runtime::Handle::current(), [0; 32]);
        let answers = Arc::clone(answers);
        shared.network.names = Names::new(Arc::new(move |_| {
            let answer = answers.lock().unwrap().clone();
            Box::pin(async move { answer })
        }));
        (Arc::new(shared), ir::Dns { refresh_ms, stale_ms })
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    async fn until(met: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !met() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn answers_are_replaced_in_the_background_and_kept_while_the_resolver_fails() {
        let answers: Answers = Arc::new(Mutex::new(Some(ips(&["192.0.2.1", "192.0.2.2", "192.0.2.1"]))));
        let (shared, dns) = named(&answers, 5, 60_000);
        let host = Host::new("billing.test", &dns, &shared);
        assert_eq!(*host.addresses().await, ips(&["192.0.2.1", "192.0.2.2"]));
        assert!(host.is(&Host::new("billing.test", &dns, &shared)), "one task for a name");
        // another address is a change, but only one that went counts
        *answers.lock().unwrap() = Some(ips(&["192.0.2.2", "192.0.2.1", "192.0.2.3"]));
        until(|| host.known().len() == 3).await;
        assert_eq!(host.changes(), 0);
        // another order is none
        *answers.lock().unwrap() = Some(ips(&["192.0.2.3"]));
        until(|| host.changes() == 1).await;
        assert_eq!(*host.known(), ips(&["192.0.2.3"]));
        *answers.lock().unwrap() = None;
        until(|| shared.counters.dns_failures.get() > 3).await;
        assert_eq!(*host.addresses().await, ips(&["192.0.2.3"]));
    }

    #[tokio::test]
    async fn an_old_answer_is_not_used_for_ever() {
        let answers: Answers = Arc::new(Mutex::new(Some(ips(&["192.0.2.1"]))));
        let (shared, dns) = named(&answers, 5, 50);
        let host = Host::new("billing.test", &dns, &shared);
        assert_eq!(host.addresses().await.len(), 1);
        *answers.lock().unwrap() = None;
        until(|| host.known().is_empty()).await;
        assert_eq!(host.changes(), 1);
        *answers.lock().unwrap() = Some(ips(&["192.0.2.4"]));
        until(|| *host.known() == ips(&["192.0.2.4"])).await;
    }

    #[tokio::test]
    async fn a_name_that_nobody_uses_is_not_asked_for() {
        let answers: Answers = Arc::new(Mutex::new(None));
        let (shared, dns) = named(&answers, 5, 5_000);
        let host = Host::new("billing.test", &dns, &shared);
        assert!(host.addresses().await.is_empty(), "one attempt, then no waiting");
        let other = Host::new("other.test", &dns, &shared);
        drop(host);
        until(|| Arc::strong_count(&shared) == 2).await;
        drop(other);
        until(|| Arc::strong_count(&shared) == 1).await;
    }

    #[tokio::test]
    async fn addresses_and_the_system_s_names() {
        let shared = Arc::new(Shared::new(tokio::runtime::Handle::current(), [0; 32]));
        let dns = ir::Dns::default();
        assert_eq!(*Host::new("192.0.2.1", &dns, &shared).addresses().await, ips(&["192.0.2.1"]));
        assert!(!Host::new("localhost", &dns, &shared).addresses().await.is_empty());
        assert!(Host::new("name.invalid", &dns, &shared).addresses().await.is_empty());
    }
}
