//! GCRA limits by address (IPv6 by /64, IPv4-mapped addresses as IPv4). [owner: credentials]
use std::net::IpAddr;
use crate::exchange::{LimitReport, Now, Refusal};
use crate::filters::rate_limit::Tables;
use crate::ir;

/// One compiled limit.
#[derive(Debug)]
pub struct AddressLimit {}

impl AddressLimit {
    /// Finds or makes its table.
    pub fn build(limit: &ir::RateLimit, tables: &Tables, seed: &[u8; 32]) -> Result<Self, String> { let _ = (limit, tables, seed); todo!() }
    /// Charges one request, or refuses with `address_limited`.
    pub fn check(&self, client: IpAddr, now: Now) -> Result<LimitReport, (Refusal, LimitReport)> { let _ = (client, now); todo!() }
}
