//! Tokens that their issuer is asked about (RFC 7662).

use serde::Deserialize;

use super::{ClaimMap, Discovery, OauthClient, OutboundEndpoint};

/// Opaque tokens (RFC 7662), in `Authorization: Bearer`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionProvider {
    /// The name in the configuration.
    pub name: String,
    /// The exact `iss` of answers that name one.
    pub issuer: Option<String>,
    /// Whom to ask.
    pub introspection: IntrospectionEndpoint,
    /// One of these has to be in `aud`; not looked at where it is empty, and then `clients` is not.
    pub audiences: Vec<String>,
    /// The client has to be one of these, where any is named.
    pub clients: Vec<String>,
    /// Seconds of clock difference allowed.
    pub leeway_s: u64,
    /// How long the answer that a token is active counts.
    pub max_age_ms: u64,
    /// How long the answer that it is not counts.
    pub inactive_max_age_ms: u64,
    /// Where the principal's parts stand in the answer.
    pub claims: ClaimMap,
}

/// Has a verified credential confirmed by its issuer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveCheck {
    /// How old the issuer's word may be.
    pub max_age_ms: u64,
    /// Name of the introspection provider that is asked; the endpoint of the credential's own provider otherwise.
    #[serde(default)]
    pub provider: Option<String>,
}

/// An introspection endpoint and who asks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionEndpoint {
    /// Its address; absent where `discovery` says it.
    #[serde(default)]
    pub endpoint: Option<OutboundEndpoint>,
    /// Where the issuer says it itself.
    #[serde(default)]
    pub discovery: Option<Discovery>,
    /// Who the gateway is there.
    pub client: OauthClient,
    /// For one question, waiting included.
    pub timeout_ms: u64,
    /// Questions under way at once, for the process.
    pub concurrency: u32,
    /// Questions that wait; further ones are refused.
    pub queue: u32,
}
