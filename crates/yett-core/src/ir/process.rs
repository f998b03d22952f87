//! The process: its bounds, its admin listener, its access log, and the certificates that it reports.

use std::net::SocketAddr;

use serde::Deserialize;

/// Bounds of the whole process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Bytes of bodies and heads held in memory at once; beyond it 503 `buffer_exhausted`.
    pub buffered_bytes: u64,
    /// Entries of the verdict cache, shared out among the workers.
    pub verdict_cache: u32,
    /// Answers of introspection endpoints that are remembered: of active tokens, and as many of others.
    #[serde(default = "default_introspection_cache")]
    pub introspection_cache: u32,
    /// Keys of all rate limit tables together.
    pub limit_keys: u32,
    /// Keys of quotas.
    #[serde(default = "quota_keys")]
    pub quota_keys: u32,
    /// Addresses, accounts and the like that guarded logins count; and as many pairs that succeeded.
    #[serde(default = "login_keys")]
    pub login_keys: u32,
    /// Revocations that are held at once.
    #[serde(default = "revocations")]
    pub revocations: u32,
    /// How long a drain may take before open connections are cut.
    pub drain_ms: u64,
    /// The delay of a worker beyond which it refuses by priority; absent where it never does.
    #[serde(default)]
    pub load_shedding_ms: Option<u64>,
}

const fn default_introspection_cache() -> u32 {
    10_000
}

fn quota_keys() -> u32 {
    100_000
}

fn login_keys() -> u32 {
    crate::filters::login_guard::DEFAULT_KEYS
}

fn revocations() -> u32 {
    crate::revocation::DEFAULT_ENTRIES
}

/// The admin listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// A loopback address, or any when `token` is set.
    pub address: SocketAddr,
    /// Name of the secret that a bearer token has to equal; `/healthz` and `/readyz` never ask for it.
    pub token: Option<String>,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// A file, appended to and reopened on request.
    File(String),
    /// Nothing; `yett check` lists it as weakened.
    Off,
}

/// A certificate in use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `listener`, `client_ca`, `service_ca`, `service_client`, `provider_ca`, `provider_client` or `check_ca`.
    #[serde(rename = "use")]
    pub purpose: String,
    /// The listener, service or provider that uses it.
    pub owner: String,
    /// RFC 4514.
    pub subject: String,
    /// Hexadecimal.
    pub serial: String,
    /// When it ends, Unix seconds.
    pub not_after_s: i64,
}
