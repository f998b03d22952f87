//! Limits and quotas that are counted there.

use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::super::limits::{Charge, Charged, Use, UseKeys, UsedBy};
use super::super::{Unavailable, limits};
use super::{Inner, PAGE};

/// Time for all that is used of a quota.
pub(super) const SHOW: Duration = Duration::from_secs(10);

impl Inner {
    /// Runs the script of limits, which a server that restarted does not have any more.
    pub(super) async fn charge(
        &self,
        connection: &MultiplexedConnection,
        charges: &[Charge],
        uses: &[Use],
    ) -> Result<Charged, Unavailable> {
        let run = |by_name| self.limit_script.run(by_name, charges, uses, |key| self.key(key));
        let mut answer = self.send::<Vec<Value>>(connection, &run(true)).await;
        if answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT")) {
            answer = self.send(connection, &run(false)).await;
        }
        let values = answer.map_err(|error| self.failed(&error))?;
        limits::read(&values, charges.len(), uses.len())
    }

    /// All that is used in a period, page by page, so that nobody waits for all of it.
    pub(super) async fn used(&self, connection: &MultiplexedConnection, keys: UseKeys) -> Result<Vec<UsedBy>, Unavailable> {
        let (used, whose) = (self.key(&keys.used), self.key(&keys.whose));
        let mut found = std::collections::HashMap::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&used).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, page): (u64, Vec<(String, u64)>) =
                self.send(connection, &scan).await.map_err(|error| self.failed(&error))?;
            if !page.is_empty() {
                let mut texts = redis::cmd("HMGET");
                texts.arg(&whose).arg(page.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>());
                let texts: Vec<Option<String>> = self.send(connection, &texts).await.map_err(|error| self.failed(&error))?;
                for ((id, used), text) in page.into_iter().zip(texts) {
                    found.insert(id, (used, text.unwrap_or_default()));
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(found.into_iter().map(|(id, (used, text))| UsedBy { id, used, text }).collect());
            }
        }
    }
}
