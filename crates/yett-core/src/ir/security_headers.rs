//! Fields that tell browsers to be strict.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Fields that tell browsers to be strict, and attributes of cookies. Values are checked in Python and again when built.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityHeaders {
    /// Strict-Transport-Security (RFC 6797).
    pub hsts: Option<Hsts>,
    /// X-Content-Type-Options.
    pub content_type_options: Option<String>,
    /// X-Frame-Options; its `frame-ancestors` stands in `content_security_policy`.
    pub frame_options: Option<String>,
    /// Referrer-Policy.
    pub referrer_policy: Option<String>,
    /// Content-Security-Policy: all of them apply.
    pub content_security_policy: Vec<String>,
    /// Permissions-Policy: feature and list, such as `()` or `(self)`.
    pub permissions_policy: BTreeMap<String, String>,
    /// Cross-Origin-Opener-Policy.
    pub cross_origin_opener_policy: Option<String>,
    /// Cross-Origin-Embedder-Policy.
    pub cross_origin_embedder_policy: Option<String>,
    /// Cross-Origin-Resource-Policy.
    pub cross_origin_resource_policy: Option<String>,
    /// Attributes of cookies.
    pub cookies: Option<CookieAttributes>,
}

/// Strict-Transport-Security (RFC 6797).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// Seconds.
    pub max_age_s: u64,
    /// For subdomains, too.
    pub include_subdomains: bool,
    /// Consent to the browsers' built-in lists.
    pub preload: bool,
}

/// What a service's cookies have at least.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CookieAttributes {
    /// `Secure`, where the client came over TLS.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`, where the cookie says none.
    pub same_site: Option<SameSite>,
    /// Names of cookies that scripts may read: they get no `HttpOnly`.
    pub readable: Vec<String>,
}

/// Whether a cookie goes along with requests from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// With links only.
    Lax,
    /// Never.
    Strict,
}
