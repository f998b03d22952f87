//! Filters: one file per feature, beside what several of them share (`header_edits`, `keyed_hash`, `limit_table`).
pub mod address_limit;
pub mod authorize;
pub mod external_authorization;
pub mod header_edits;
pub mod keyed_hash;
pub mod limit_table;
pub mod mirror;
pub mod rate_limit;
pub mod redirect;
pub mod request_headers;
pub mod respond;
pub mod response_headers;
pub mod rewrite;
pub mod security_headers;
pub mod split;
pub mod websocket;
