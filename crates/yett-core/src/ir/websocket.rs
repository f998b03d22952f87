//! WebSocket connections.

use serde::Deserialize;

/// WebSocket connections of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    /// From which pages.
    pub origins: Origins,
    /// Longest time without a byte either way.
    pub idle_ms: u64,
    /// Bytes of one message, as it is sent.
    pub message: u64,
    /// Open ones at a time, in the whole process.
    pub connections: u32,
}

/// Pages that may open WebSocket connections.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origins {
    /// Those of the same host.
    Same,
    /// All, without cookies and client certificates; with them, those of the same host.
    Any,
    /// These and those of the same host; `https://shop.example.com`, lower case.
    Listed(Vec<String>),
}
