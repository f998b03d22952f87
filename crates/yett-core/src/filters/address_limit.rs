//! GCRA limits by address (IPv6 by /64, IPv4-mapped addresses as IPv4).

use std::net::IpAddr;

use crate::exchange::{LimitReport, Now, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::filters::rate_limit::{RateLimit, Tables};
use crate::ir;
use crate::reason::Reason;

/// One compiled limit; its buckets outlive a reload as those of `rate_limit` do.
#[derive(Debug)]
pub struct AddressLimit {
    limit: RateLimit,
    hash: KeyedHash,
}

impl AddressLimit {
    /// Finds or makes its buckets. `seed` has to stay the same for the life of `tables`.
    pub fn build(limit: &ir::RateLimit, tables: &Tables, seed: &[u8; 32]) -> Result<Self, String> {
        if limit.key != ir::LimitKey::Address {
            return Err(format!("limit `{}` is not keyed by address; write it as a `rate_limit`", limit.name));
        }
        if limit.cost.is_some()
            || limit.class.is_some()
            || limit.during.is_some()
            || !limit.outside.is_empty()
            || limit.shared.is_some()
            || limit.idempotency.is_some()
        {
            return Err(format!(
                "limit `{}` is by address: it knows no classes, costs, schedules and repeats, and is not shared",
                limit.name
            ));
        }
        Ok(Self { limit: RateLimit::compile(limit, tables, Reason::AddressLimited)?, hash: KeyedHash::new(seed) })
    }

    /// Charges one request, or refuses with `address_limited`.
    #[expect(clippy::result_large_err, reason = "made only for a refusal, and taken apart by the one caller")]
    pub fn check(&self, client: IpAddr, now: Now) -> Result<LimitReport, (Refusal, LimitReport)> {
        self.limit.check(self.hash.address(client), now)
    }
}

#[cfg(test)]
mod tests {
    use super::AddressLimit;
    use crate::exchange::Now;
    use crate::filters::rate_limit::Tables;
    use crate::ir;
    use crate::reason::Reason;

    #[test]
    fn one_bucket_per_ipv4_address_and_per_ipv6_network() {
        let spec = ir::RateLimit {
            name: "probing".into(),
            scope: "listener:public".into(),
            count: 1,
            period_ms: 60_000,
            burst: 2,
            key: ir::LimitKey::Address,
            ..ir::RateLimit::default()
        };
        let limit = AddressLimit::build(&spec, &Tables::new(100), &[7; 32]).unwrap();
        let now = Now { monotonic_ns: 1, unix_ms: 1 };
        let passes = |text: &str| limit.check(text.parse().unwrap(), now).is_ok();
        assert!(passes("192.0.2.1") && passes("::ffff:192.0.2.1") && !passes("192.0.2.1"));
        assert!(passes("192.0.2.2"));
        assert!(passes("2001:db8::1") && passes("2001:db8::ffff:2") && !passes("2001:db8::3"));
        let (refusal, _) = limit.check("192.0.2.1".parse().unwrap(), now).unwrap_err();
        assert_eq!(refusal.reason, Reason::AddressLimited);
        assert_eq!(refusal.retry_after_s, Some(60));
    }
}
