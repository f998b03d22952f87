//! Where state is kept that outlives the process.

use serde::Deserialize;

/// Where state is kept that outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// A directory that only the gateway uses, as an absolute path.
    #[serde(default)]
    pub directory: Option<String>,
    /// A server that instances share.
    #[serde(default)]
    pub redis: Option<Redis>,
}

/// A Redis or Valkey that instances share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken; plain text had to be given a reason.
    pub tls: bool,
    /// Number of the database.
    pub database: u32,
    /// User of its access control list.
    pub username: Option<String>,
    /// Name of the secret that holds the password.
    pub password: Option<String>,
    /// PEM of the authorities that vouch for it; those of the system otherwise.
    pub ca: Option<String>,
    /// Time for an answer.
    pub deadline_ms: u64,
    /// What all keys begin with.
    pub prefix: String,
    /// How long what is known of revocations may be out of date.
    pub stale_ms: u64,
    /// What becomes of requests of verified callers then.
    pub state_loss: StateLoss,
    /// Who says where it is; host and port are those of a Sentinel then.
    #[serde(default)]
    pub sentinel: Option<Sentinel>,
    /// Further nodes of a Redis Cluster; host and port are those of one of its nodes then.
    #[serde(default)]
    pub cluster: Option<Vec<SentinelAddress>>,
}

/// Redis Sentinel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// What the master is called.
    pub master: String,
    /// Further Sentinels.
    pub further: Vec<SentinelAddress>,
    /// User of their access control list.
    #[serde(default)]
    pub username: Option<String>,
    /// Name of the secret that holds their password.
    #[serde(default)]
    pub password: Option<String>,
}

/// A Sentinel, or a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentinelAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What becomes of requests of verified callers while revocations of other instances cannot be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateLoss {
    /// They are refused.
    Refuse,
    /// They are decided by what is known here.
    Local,
}
