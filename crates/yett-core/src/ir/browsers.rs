//! What pages of other origins may do.

use serde::Deserialize;

/// Requests of pages of other origins (Fetch standard, CORS protocol).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// `https://shop.example.com`, `https://*.example.com` (one label), `null`, or `any`; lower case.
    pub origins: Vec<String>,
    /// Methods that these pages may use, upper case; GET brings HEAD with it.
    pub methods: Vec<String>,
    /// Names of header fields that they may send, lower case.
    pub headers: Vec<String>,
    /// Names of header fields of answers that they may read beside the gateway's own, lower case.
    pub expose: Vec<String>,
    /// Whether browsers send cookies and certificates along.
    pub credentials: bool,
    /// How long browsers may remember what a preflight said.
    pub max_age_s: u32,
    /// Whether pages of public networks may reach this private one.
    pub private_network: bool,
}

/// From whose pages requests that may change something may come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csrf {
    /// Beside those of the same host: `https://app.example.com`, or `https://*.example.com` (one label); lower case.
    pub origins: Vec<String>,
    /// Whether `Referer` counts where neither `Sec-Fetch-Site` nor `Origin` is sent.
    pub referer: bool,
    /// When a token of the session is needed.
    #[serde(default)]
    pub token: Option<CsrfToken>,
    /// A field of forms that may have it, in the place of the header field.
    #[serde(default)]
    pub form: Option<String>,
}

/// When a token of the session is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CsrfToken {
    /// Where the browser does not say whose page it is.
    Needed,
    /// With everything that may change something, beside what the browser says.
    Always,
}
