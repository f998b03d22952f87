//! Filters, one file each. [owner: credentials; core owns redirect, respond, rewrite, request_headers, response_headers]
pub mod address_limit;
pub mod authorize;
pub mod keyed_hash;
pub mod limit_table;
pub mod rate_limit;
