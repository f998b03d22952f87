//! Filters: one file per feature, beside what several of them share (`header_edits`, `keyed_hash`, `limit_table`).
pub mod address_filter;
pub mod address_limit;
pub mod assurance;
pub mod authorize;
pub mod concurrency_limit;
pub mod cors;
pub mod csrf;
pub mod external_authorization;
pub mod header_edits;
pub mod identity_assertion;
pub mod keyed_hash;
pub mod limit_shadow;
pub mod limit_table;
#[cfg(test)]
mod many_keys_tests;
pub mod mirror;
pub mod quota;
pub mod rate_limit;
pub mod redirect;
pub mod request_headers;
pub mod request_validation;
pub mod respond;
pub mod response_headers;
pub mod response_validation;
pub mod rewrite;
pub mod security_headers;
pub mod split;
pub mod websocket;
