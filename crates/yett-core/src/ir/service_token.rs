//! Tokens that the gateway gets for a service.

use serde::Deserialize;

use super::{Discovery, OauthClient, OutboundEndpoint};

/// How the gateway gets a token for a service, in place of the caller's credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceToken {
    /// Which grant.
    pub grant: TokenGrant,
    /// The token endpoint; absent where `discovery` says it.
    #[serde(default)]
    pub endpoint: Option<OutboundEndpoint>,
    /// Where the issuer says it itself.
    #[serde(default)]
    pub discovery: Option<Discovery>,
    /// `aud` of assertions; the endpoint's URL where it is absent.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Who the gateway is there.
    pub client: OauthClient,
    /// `audience` (RFC 8693 section 2.1), each once.
    pub audiences: Vec<String>,
    /// `resource` (RFC 8707), each once.
    pub resources: Vec<String>,
    /// `scope`
    pub scopes: Vec<String>,
    /// How long before its end a token is not used any more.
    pub margin_ms: u64,
    /// For one token, waiting included.
    pub timeout_ms: u64,
    /// Requests for tokens under way at once, for the process.
    pub concurrency: u32,
    /// Requests that wait; further ones are refused.
    pub queue: u32,
}

/// Grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenGrant {
    /// In the gateway's own name (RFC 6749 section 4.4).
    ClientCredentials,
    /// In the caller's name (RFC 8693).
    TokenExchange,
}
