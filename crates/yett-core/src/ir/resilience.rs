//! What keeps a service's failures small: checks, limits, circuits and retries.

use serde::Deserialize;

/// How endpoints are asked whether they serve.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    pub protocol: CheckProtocol,
    /// Path and query of a request.
    #[serde(default)]
    pub path: String,
    /// Statuses that pass.
    #[serde(default)]
    pub status: Vec<u16>,
    /// The Host field; the service's own otherwise.
    #[serde(default)]
    pub host: Option<String>,
    /// The name that gRPC is asked about; empty for all of it.
    #[serde(default)]
    pub service: String,
    /// From the end of one check to the next.
    pub interval_ms: u64,
    /// For one check.
    pub timeout_ms: u64,
    /// Passed checks in a row after which an endpoint is healthy.
    pub healthy: u32,
    /// Failed checks in a row after which it is not.
    pub unhealthy: u32,
}

/// What a check asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckProtocol {
    /// A request that is answered with one of the statuses.
    Http,
    /// A connection.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc,
}

/// When failing requests keep an endpoint away.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierDetection {
    /// Failures in a row; 0 does not count them.
    pub consecutive_errors: u32,
    /// Least share of requests that succeed, in parts of 10,000; 0 does not count them.
    pub success_rate: u32,
    /// How long the first time.
    pub eject_ms: u64,
    /// Most endpoints at once, in parts of 10,000 of all.
    pub max_ejected: u32,
}

/// Requests under way at a service at once, for the process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceLimits {
    /// Under way.
    pub concurrency: u32,
    /// Waiting until one of them ends; beyond it 503 `service_overloaded`.
    pub pending: u32,
    /// How long one waits; then the same.
    pub wait_ms: u64,
}

/// When an endpoint that fails is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// How long it stays open.
    pub open_ms: u64,
    /// Requests that try the endpoint at once after that.
    pub probes: u32,
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Further tries of one request.
    pub retries: u32,
    /// After which failures.
    pub on: Vec<RetryOn>,
    /// Retries among the requests of the last seconds, in parts of 10,000.
    pub budget: u32,
    /// Bytes of a request body that is held to be sent again.
    pub body: u64,
}

/// A failure after which a request may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RetryOn {
    /// No endpoint could be reached.
    #[serde(rename = "connect")]
    Connect,
    /// The service closed or reset the connection.
    #[serde(rename = "reset")]
    Reset,
    /// The service answered 502.
    #[serde(rename = "502")]
    BadGateway,
    /// The service answered 503.
    #[serde(rename = "503")]
    Unavailable,
    /// The service answered 504.
    #[serde(rename = "504")]
    GatewayTimeout,
}
