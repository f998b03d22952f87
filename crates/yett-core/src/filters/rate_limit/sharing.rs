//! What the process knows of limits that instances share: buckets that have no room yet, and credit that was leased.
//!
//! Of a bucket in the shared store two things are known here. *Its moment*: the TAT as the store last told it, on the clock of
//! this process and reckoned from before the store was asked. Nobody charges less than nothing, so the bucket has at least this
//! much, and a request that has no room by it is refused without asking. *Credit*, where leases are configured: charged there
//! already, to be spent here without asking. It counts until the moment passes: then the bucket would be full anyway.
//!
//! A table of fixed size, as that of limits: what has passed may be overwritten, and what finds no place is not remembered, so
//! that the store is asked each time.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio::sync::mpsc;

use crate::exchange::Now;
use crate::filters::limit_table::mix;
use crate::ir::LimitLoss;
use crate::server::clock;
use crate::shared::{Counter, Shared};
use crate::store::Unavailable;
use crate::store::limits::{Charge, Charged};

const SHARDS: usize = 32;
const WAYS: usize = 8;
/// Leases that may wait to be asked for.
const QUEUE: usize = 1024;
/// No second lease of a bucket is asked for while one may be under way, nanoseconds.
const UNDER_WAY_NS: u64 = 1_000_000_000;
/// Nor so long after the store did not answer.
const PAUSE_NS: u64 = 100_000_000;
/// It is said at most so often that the store is lost.
const TELL_NS: u64 = 10_000_000_000;

#[derive(Debug, Default)]
struct Known {
    /// When the bucket is full, as far as is known here; nothing counts after it.
    tat_ns: AtomicU64,
    credit_ns: AtomicU64,
    /// No lease is asked for before.
    rest_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct Group {
    keys: [u64; WAYS],
    known: [Known; WAYS],
}

impl Known {
    /// At least this moment; credit of one that has passed goes.
    fn raise(&self, tat_ns: u64, now_ns: u64) {
        if self.tat_ns.load(Ordering::Acquire) <= now_ns {
            self.credit_ns.store(0, Ordering::Release);
        }
        self.tat_ns.fetch_max(tat_ns, Ordering::AcqRel);
    }

    fn spend(&self, cost_ns: u64) -> Option<u64> {
        let spend = |credit: u64| credit.checked_sub(cost_ns);
        let before = self.credit_ns.fetch_update(Ordering::AcqRel, Ordering::Acquire, spend).ok()?;
        before.checked_sub(cost_ns)
    }
}

/// A lease to be asked for.
#[derive(Debug)]
pub struct Refill {
    bucket: u64,
    charge: Charge,
}

/// Whether the shared store answers, for the log.
#[derive(Debug, Default)]
struct Loss {
    /// It was said that it does not.
    told: bool,
    told_ns: Option<u64>,
}

/// What the process knows of shared limits. One for the process.
#[derive(Debug)]
pub struct Sharing {
    shards: [RwLock<Vec<Group>>; SHARDS],
    keys: AtomicU32,
    used: AtomicBool,
    refills: mpsc::Sender<Refill>,
    waiting: Mutex<Option<mpsc::Receiver<Refill>>>,
    lost: AtomicBool,
    loss: Mutex<Loss>,
    /// Times that a limit was decided without the shared store: refused, by local buckets, let through.
    without: [Counter; 3],
    /// Leases granted and not.
    pub leases: [Counter; 2],
}

impl Sharing {
    /// For so many buckets; memory is taken when the first shared limit is built, about 45 bytes each.
    pub fn new(keys: u32) -> Self {
        let (refills, waiting) = mpsc::channel(QUEUE);
        Self {
            shards: Default::default(),
            keys: AtomicU32::new(keys),
            used: AtomicBool::new(false),
            refills,
            waiting: Mutex::new(Some(waiting)),
            lost: AtomicBool::new(false),
            loss: Mutex::default(),
            without: Default::default(),
            leases: Default::default(),
        }
    }

    /// A shared limit is there.
    pub fn used(&self) {
        if !self.used.swap(true, Ordering::AcqRel) {
            self.allocate();
        }
    }

    /// Another bound. What was known goes: the store is asked.
    pub fn resize(&self, keys: u32) {
        if self.keys.swap(keys, Ordering::AcqRel) != keys && self.used.load(Ordering::Acquire) {
            self.allocate();
        }
    }

    fn allocate(&self) {
        let slots = u64::from(self.keys.load(Ordering::Acquire)) * 4 / 3;
        let groups = usize::try_from(slots).unwrap_or(usize::MAX).div_ceil(SHARDS * WAYS).max(1);
        for shard in &self.shards {
            let made = std::iter::repeat_with(Group::default).take(groups).collect();
            *shard.write().unwrap_or_else(PoisonError::into_inner) = made;
        }
    }

    fn shard(&self, bucket: u64) -> Option<&RwLock<Vec<Group>>> {
        self.shards.get(usize::try_from(bucket % SHARDS as u64).ok()?)
    }

    /// What is known of the bucket, where that still counts.
    fn with<T>(&self, bucket: u64, now_ns: u64, f: impl FnOnce(&Known) -> T) -> Option<T> {
        let key = slot_key(bucket);
        let groups = self.shard(bucket)?.read().unwrap_or_else(PoisonError::into_inner);
        let group = groups.get(place(key, groups.len())?)?;
        let known = group.keys.iter().zip(&group.known).find(|(k, _)| **k == key)?.1;
        (known.tat_ns.load(Ordering::Acquire) > now_ns).then(|| f(known))
    }

    /// How far ahead of now the bucket is at least, and the credit for it.
    pub fn known(&self, bucket: u64, now_ns: u64) -> (u64, u64) {
        let read = |known: &Known| {
            (known.tat_ns.load(Ordering::Acquire).saturating_sub(now_ns), known.credit_ns.load(Ordering::Acquire))
        };
        self.with(bucket, now_ns, read).unwrap_or_default()
    }

    /// Pays from the credit, if there is enough; how far ahead the bucket is then, without what is left of the credit.
    pub fn spend(&self, bucket: u64, cost_ns: u64, now_ns: u64) -> Option<u64> {
        let spend = |known: &Known| {
            let left = known.spend(cost_ns)?;
            Some(known.tat_ns.load(Ordering::Acquire).saturating_sub(now_ns).saturating_sub(left))
        };
        self.with(bucket, now_ns, spend)?
    }

    /// Takes a payment back.
    pub fn unspend(&self, bucket: u64, cost_ns: u64, now_ns: u64) {
        self.with(bucket, now_ns, |known| known.credit_ns.fetch_add(cost_ns, Ordering::AcqRel));
    }

    /// The store told how far ahead of `asked_ns` the bucket is.
    pub fn learn(&self, bucket: u64, ahead_ns: u64, asked_ns: u64) {
        self.enter(bucket, ahead_ns, asked_ns, |_| ());
    }

    fn enter(&self, bucket: u64, ahead_ns: u64, asked_ns: u64, f: impl Fn(&Known)) {
        let tat_ns = asked_ns.saturating_add(ahead_ns);
        if ahead_ns == 0 {
            return;
        }
        let set = |known: &Known| {
            known.raise(tat_ns, asked_ns);
            f(known);
        };
        if self.with(bucket, asked_ns, set).is_some() {
            return;
        }
        let key = slot_key(bucket);
        let Some(shard) = self.shard(bucket) else { return };
        let mut groups = shard.write().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = place(key, groups.len()) else { return };
        let Some(group) = groups.get_mut(at) else { return };
        let same = group.keys.iter().position(|k| *k == key);
        let found = same.or_else(|| group.known.iter_mut().position(|known| *known.tat_ns.get_mut() <= asked_ns));
        let Some(slot) = found else { return };
        if let (Some(k), Some(known)) = (group.keys.get_mut(slot), group.known.get_mut(slot)) {
            if *k != key {
                (*k, *known) = (key, Known::default());
            }
            set(known);
        }
    }

    /// Asks for a lease in the background, where less than half of `slice_ns` is left; `charge` says of which bucket.
    pub fn refill(&self, bucket: u64, slice_ns: u64, now_ns: u64, charge: impl FnOnce(u64) -> Option<Charge>) {
        let wanted = |known: &Known| {
            let credit = known.credit_ns.load(Ordering::Acquire);
            let rest = known.rest_ns.load(Ordering::Acquire);
            if credit > slice_ns / 2 || rest > now_ns {
                return None;
            }
            let until = now_ns.saturating_add(UNDER_WAY_NS);
            known.rest_ns.compare_exchange(rest, until, Ordering::AcqRel, Ordering::Acquire).ok()?;
            Some(slice_ns.saturating_sub(credit))
        };
        let Some(Some(amount)) = self.with(bucket, now_ns, wanted) else { return };
        if let Some(charge) = charge(amount) {
            // Where too many wait, the next one asks after a second.
            let _ = self.refills.try_send(Refill { bucket, charge });
        }
    }

    fn leased(&self, refill: &Refill, answer: Result<Charged, Unavailable>, asked_ns: u64) {
        let Refill { bucket, charge } = refill;
        match answer {
            Ok(Charged { granted, ahead_ns, .. }) => {
                let ahead = ahead_ns.first().copied().unwrap_or(0);
                let wait = ahead.saturating_add(charge.cost_ns).saturating_sub(charge.depth_ns);
                if let Some(counter) = self.leases.get(usize::from(!granted)) {
                    counter.increment();
                }
                self.enter(*bucket, ahead, asked_ns, |known| {
                    if granted {
                        known.credit_ns.fetch_add(charge.cost_ns, Ordering::AcqRel);
                    }
                    known.rest_ns.store(if granted { 0 } else { asked_ns.saturating_add(wait) }, Ordering::Release);
                });
            }
            Err(_) => {
                let rest = asked_ns.saturating_add(PAUSE_NS);
                self.with(*bucket, asked_ns, |known| known.rest_ns.store(rest, Ordering::Release));
            }
        }
    }

    /// Starts to fetch leases, once.
    pub fn serve(shared: &Arc<Shared>) {
        let sharing = shared.limits.sharing();
        let waiting = sharing.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            shared.service_runtime.spawn(fetch(Arc::downgrade(shared), waiting));
        }
    }

    /// Counts a limit that was decided without the shared store.
    pub fn count(&self, loss: LimitLoss) {
        if let Some(counter) = self.without.get(loss as usize) {
            counter.increment();
        }
    }

    /// How many were, so far.
    pub fn without(&self, loss: LimitLoss) -> u64 {
        self.without.get(loss as usize).map_or(0, Counter::get)
    }

    /// Whether the store did not answer when it was asked last; nothing where no limit is shared.
    pub fn lost(&self) -> Option<bool> {
        self.used.load(Ordering::Acquire).then(|| self.lost.load(Ordering::Acquire))
    }

    /// The store answered, or not; what is to be said of it.
    fn heard(&self, answered: bool, now_ns: u64) -> Option<bool> {
        if answered && !self.lost.load(Ordering::Acquire) {
            return None;
        }
        self.lost.store(!answered, Ordering::Release);
        let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        let soon = loss.told_ns.is_some_and(|told| now_ns < told.saturating_add(TELL_NS));
        if answered == loss.told && (answered || !soon) {
            loss.told = !answered;
            if !answered {
                loss.told_ns = Some(now_ns);
            }
            return Some(answered);
        }
        None
    }
}

/// Says in the log that the shared store does not answer, or answers again, and counts.
pub fn note(shared: &Shared, answer: Result<(), Unavailable>, now: Now) {
    if let Err(why) = answer {
        shared.store_failures.count(why);
        if why == Unavailable::Busy {
            // It was not asked.
            return;
        }
    }
    match shared.limits.sharing().heard(answer.is_ok(), now.monotonic_ns) {
        Some(true) => shared.events.push("info", "limits_shared_again", &[]),
        Some(false) => {
            let cause = answer.err().map_or("", Unavailable::code);
            shared.events.push("warning", "limits_not_shared", &[("cause", cause)]);
        }
        None => {}
    }
}

/// Fetches leases as long as the gateway is there; how many at once is bounded by the store.
async fn fetch(shared: Weak<Shared>, mut waiting: mpsc::Receiver<Refill>) {
    while let Some(refill) = waiting.recv().await {
        let Some(here) = shared.upgrade() else { return };
        let asked = clock::now();
        let reply = here.stores.main().charge(std::slice::from_ref(&refill.charge), &[]);
        here.service_runtime.clone().spawn(async move {
            let answer = reply.await;
            note(&here, answer.as_ref().map(drop).map_err(|why| *why), clock::now());
            here.limits.sharing().leased(&refill, answer, asked.monotonic_ns);
        });
    }
}

/// The shard took the low bits; 0 stands for nothing.
fn slot_key(bucket: u64) -> u64 {
    mix(bucket).max(1)
}

fn place(key: u64, groups: usize) -> Option<usize> {
    usize::try_from(((key >> 32) * u64::try_from(groups).ok()?) >> 32).ok()
}

#[cfg(test)]
mod tests {
    use super::{Refill, Sharing, TELL_NS, UNDER_WAY_NS};
    use crate::filters::limit_table::mix;
    use smallvec::SmallVec;

    use crate::store::limits::{Charge, Charged};
    use crate::store::{Key, Space, Unavailable};

    fn sharing() -> Sharing {
        let sharing = Sharing::new(1000);
        sharing.used();
        sharing
    }

    fn lease(cost_ns: u64) -> Refill {
        Refill { bucket: 7, charge: Charge { key: Key::new(Space::Limit, &[b"a"]), depth_ns: 1000, cost_ns } }
    }

    fn granted(ahead_ns: u64) -> Result<Charged, Unavailable> {
        Ok(Charged { granted: true, ahead_ns: [ahead_ns].into_iter().collect(), used: SmallVec::new() })
    }

    fn refused(ahead_ns: u64) -> Result<Charged, Unavailable> {
        Ok(Charged { granted: false, ahead_ns: [ahead_ns].into_iter().collect(), used: SmallVec::new() })
    }

    #[test]
    fn what_was_learnt_counts_until_its_moment_and_never_becomes_less() {
        let sharing = sharing();
        assert_eq!(sharing.known(7, 0), (0, 0));
        sharing.learn(7, 500, 100);
        sharing.learn(7, 10, 100);
        assert_eq!(sharing.known(7, 200), (400, 0));
        assert_eq!(sharing.known(7, 600), (0, 0));
        assert_eq!(sharing.known(8, 200), (0, 0));
    }

    #[test]
    fn credit_is_spent_once_and_goes_with_its_moment() {
        let sharing = sharing();
        sharing.leased(&lease(50), granted(500), 100);
        assert_eq!(sharing.spend(7, 30, 200), Some(400 - 20));
        assert_eq!(sharing.spend(7, 30, 200), None);
        sharing.unspend(7, 30, 200);
        assert_eq!(sharing.known(7, 200), (400, 50));
        assert_eq!(sharing.spend(7, 10, 600), None, "the bucket is full by then");
        sharing.learn(7, 500, 700);
        assert_eq!(sharing.known(7, 700), (500, 0), "and what was left does not come back");
    }

    #[test]
    fn threads_spend_a_lease_once() {
        let sharing = sharing();
        sharing.leased(&lease(1000), granted(5000), 0);
        let spent: usize = std::thread::scope(|scope| {
            let run = || (0..1000).filter(|_| sharing.spend(7, 1, 10).is_some()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(spent, 1000);
    }

    #[test]
    fn one_lease_at_a_time_of_what_is_missing_and_none_while_there_is_no_room() {
        let sharing = sharing();
        let wanted = |now_ns| {
            let mut found = None;
            sharing.refill(7, 100, now_ns, |amount| {
                found = Some(amount);
                None
            });
            found
        };
        assert_eq!(wanted(0), None, "of what is not known");
        sharing.learn(7, 10_000_000_000, 0);
        assert_eq!((wanted(1), wanted(2)), (Some(100), None));
        assert_eq!(wanted(1 + UNDER_WAY_NS), Some(100), "it was lost");
        sharing.leased(&lease(100), granted(10_000_000_000), 10);
        assert_eq!(wanted(20), None);
        assert!(sharing.spend(7, 49, 20).is_some() && wanted(20).is_none());
        assert!(sharing.spend(7, 1, 20).is_some() && wanted(20) == Some(50));
        sharing.leased(&lease(50), refused(990), 30);
        assert_eq!((wanted(69), wanted(70)), (None, Some(50)), "40 have to pass until 50 have room");
        sharing.leased(&lease(50), Err(Unavailable::Slow), 80);
        assert_eq!((wanted(90), wanted(80 + super::PAUSE_NS)), (None, Some(50)));
        assert_eq!([sharing.leases[0].get(), sharing.leases[1].get()], [1, 1]);
    }

    #[test]
    fn a_full_table_remembers_no_more_and_another_size_begins_anew() {
        let sharing = Sharing::new(256);
        sharing.learn(1, 10, 0);
        assert_eq!(sharing.known(1, 0), (0, 0), "no memory where no limit is shared");
        sharing.used();
        let known = |now_ns| (0..5000).filter(|bucket| sharing.known(mix(*bucket), now_ns).0 > 0).count();
        for bucket in 0..5000 {
            sharing.learn(mix(bucket), 100, 10);
        }
        let first = known(20);
        assert!((256..=512).contains(&first), "{first}");
        for bucket in 0..5000 {
            sharing.learn(mix(bucket), 1000, 200);
        }
        assert!(known(300) >= 256, "what has passed gave way");
        sharing.resize(1024);
        assert_eq!(known(300), 0);
    }

    #[test]
    fn a_loss_is_told_once_and_its_end_once() {
        let sharing = sharing();
        assert_eq!(sharing.heard(true, 0), None);
        assert_eq!(sharing.heard(false, 1), Some(false));
        assert_eq!((sharing.heard(false, 2), sharing.lost()), (None, Some(true)));
        assert_eq!((sharing.heard(true, 3), sharing.lost()), (Some(true), Some(false)));
        assert_eq!((sharing.heard(false, 4), sharing.heard(true, 5)), (None, None), "not all the time");
        assert_eq!(sharing.heard(false, 6), None);
        assert_eq!(sharing.heard(false, 1 + TELL_NS), Some(false), "but when it lasts");
        assert_eq!(sharing.heard(true, 2 + TELL_NS), Some(true));
    }
}
