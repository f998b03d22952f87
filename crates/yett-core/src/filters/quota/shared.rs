//! Quotas that instances share: counted in Redis, in the script that charges rates, all of a request at once.
//!
//! When a period begins and ends is reckoned here, as for others; the script counts only where its own clock agrees. Who has used
//! up a quota is refused again without asking for a second. What was counted while Redis did not answer stays here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::book::Book;
use super::{Charge, Charges, disk};
use crate::exchange::{Now, Refusal};
use crate::filters::limit_table::mix;
use crate::filters::rate_limit::{Answered, Reports, Sharing};
use crate::ir::LimitLoss;
use crate::reason::Reason;
use crate::server::clock;
use crate::shared::Shared;
use crate::store::limits::Use;

/// How long who has nothing left is refused without asking, nanoseconds.
const FULL_NS: u64 = 1_000_000_000;

/// Tells of thresholds and drops what has ended, once a second from now on, where instances share a quota.
pub fn serve(shared: &Arc<Shared>) {
    if shared.quotas.shared().is_empty() || shared.quotas.served.swap(true, Ordering::AcqRel) {
        return;
    }
    let weak = Arc::downgrade(shared);
    shared.service_runtime.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Some(shared) = weak.upgrade() else { return };
            disk::told(&shared);
            Book::sweep(&shared.quotas, clock::now().unix_ms / 1000);
        }
    });
}

impl Charge<'_> {
    /// Whether it is counted in the store.
    pub(super) fn is_shared(&self) -> bool {
        self.quota.shared && !self.free
    }

    fn bucket(&self) -> u64 {
        let (high, low) = (u64::try_from(self.id >> 64).unwrap_or(0), u64::try_from(self.id & u128::from(u64::MAX)).unwrap_or(0));
        mix(high ^ mix(low ^ mix(self.span.start_s)))
    }

    /// Whether nothing was left a moment ago.
    pub(super) fn is_used_up(&self, sharing: &Sharing, now: Now) -> bool {
        self.is_shared() && self.cost > 0 && sharing.known(self.bucket(), now.monotonic_ns).0 > 0
    }

    fn asked(&self, most: usize) -> Use {
        Use {
            keys: self.quota.keys(self.span),
            id: self.id,
            text: format!("{}\n{}", self.whom.by(), self.whom.text(self.id)).into(),
            cost: self.cost,
            amount: self.quota.amount,
            most: u64::try_from(most).unwrap_or(u64::MAX),
            start_s: self.span.start_s,
            end_s: self.span.end_s,
        }
    }
}

impl Charges<'_> {
    /// What is to be asked of the store.
    #[must_use]
    pub fn asked(&self) -> Box<[Use]> {
        let (_, most) = self.book.size();
        self.all.iter().filter(|one| one.is_shared()).map(|one| one.asked(most)).collect()
    }

    /// What the store said; whether it said nothing, and those that it ought to count are counted here.
    ///
    /// # Errors
    /// The refusal of the quota whose period ends last; or that the store did not answer.
    pub fn settle(&self, answered: &Answered, now: Now, reports: &mut Reports) -> Result<bool, Refusal> {
        let shared = || self.all.iter().filter(|one| one.is_shared());
        let Some(charged) = answered.charged() else {
            if !answered.is_lost() {
                // A tool asks, and everything is counted in its memory.
                return Ok(true);
            }
            if let Some(one) = shared().find(|one| one.quota.refuses) {
                self.sharing.count(LimitLoss::Refuse);
                return Err(one.quota.refuse(Reason::QuotaUnavailable));
            }
            shared().for_each(|_| self.sharing.count(LimitLoss::Local));
            return Ok(true);
        };
        if charged.used.len() != shared().count() {
            return Err(Reason::Internal.into());
        }
        let mut last: Option<&Charge<'_>> = None;
        for (one, used) in shared().zip(charged.used.iter().copied()) {
            reports.push(one.report(used, now));
            if used >= one.quota.amount {
                self.sharing.learn(one.bucket(), FULL_NS, now.monotonic_ns);
            }
            if !one.quota.refuses {
                let who = || (one.whom.by().into(), one.whom.text(one.id));
                self.book.learn(&one.place(), one.span, used, who);
            }
            if charged.granted {
                one.warn(self.book, used);
            } else if one.cost > one.quota.amount.saturating_sub(used)
                && last.is_none_or(|other| other.span.end_s < one.span.end_s)
            {
                last = Some(one);
            }
        }
        last.map_or(Ok(false), |one| Err(one.refuse(now)))
    }
}
