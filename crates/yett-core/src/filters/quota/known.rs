//! What the configuration that serves says of its quotas.

use super::book::{Book, lock};
use super::entry::Names;
use crate::ir;

/// What a configuration says of a quota, for people.
#[derive(Debug, Clone)]
pub struct Known {
    /// Requests in a period.
    pub amount: u64,
    /// Percentages at which it is told.
    pub warn: Vec<u8>,
    /// How long a period is.
    pub period: ir::Period,
    /// Where it begins.
    pub zone: String,
    /// Whether instances share it.
    pub shared: bool,
}

impl Book {
    /// What the configuration that serves now says.
    pub fn configure(&self, ir: &ir::Ir) {
        self.know(ir.routes.iter().flat_map(|route| &route.quotas));
        self.set_keys(ir.process.quota_keys);
    }

    pub(super) fn know<'q>(&self, quotas: impl IntoIterator<Item = &'q ir::Quota>) {
        let known = quotas.into_iter().map(|quota| {
            let names = Names { scope: quota.scope.as_str().into(), name: quota.name.as_str().into() };
            let said = Known {
                amount: quota.amount,
                warn: quota.warn.clone(),
                period: quota.period,
                zone: quota.zone.clone(),
                shared: quota.shared,
            };
            (names, said)
        });
        *lock(&self.known) = known.collect();
    }

    /// The quotas of the configuration that instances share.
    #[must_use]
    pub fn shared(&self) -> Vec<(Names, Known)> {
        lock(&self.known).iter().filter(|(_, known)| known.shared).map(|(names, known)| (names.clone(), known.clone())).collect()
    }

    /// What is known of a quota.
    #[must_use]
    pub fn known(&self, names: &Names) -> Option<Known> {
        lock(&self.known).get(names).cloned()
    }
}
