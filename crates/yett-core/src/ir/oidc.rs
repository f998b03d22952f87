//! People in browsers, as it stands in the document.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ClaimMap, Discovery, Jwks, OauthClient};

/// Login at an OpenID provider, and sessions in browsers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// The name in the configuration.
    pub name: String,
    /// The exact `iss`.
    pub issuer: String,
    /// Who the gateway is there.
    pub client: OauthClient,
    /// What is asked for, separated by blanks; `openid` is in it.
    pub scope: String,
    /// Further parameters of the login page.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Where its endpoints are; absent where `discovery` says it.
    #[serde(default)]
    pub endpoints: Option<OidcEndpoints>,
    /// Where it says its endpoints itself.
    #[serde(default)]
    pub discovery: Option<Discovery>,
    /// Where its keys come from.
    pub jwks: Jwks,
    /// PEM of the authority of its certificate; the system's roots otherwise.
    #[serde(default)]
    pub ca: Option<String>,
    /// Whether plain HTTP was allowed, with a reason.
    #[serde(default)]
    pub plaintext: bool,
    /// JWA names of ID tokens; asymmetric only.
    pub algorithms: Vec<String>,
    /// Seconds of clock difference allowed.
    pub leeway_s: u64,
    /// Where the principal's parts stand in the ID token.
    pub claims: ClaimMap,
    /// Its sessions.
    pub session: OidcSession,
    /// The path under which the gateway itself answers, without a slash at its end.
    pub base: String,
    /// The path that a logout ends at.
    pub after_logout: String,
}

/// Endpoints that the configuration names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcEndpoints {
    /// For browsers, to log in.
    pub authorization: String,
    /// For the gateway, to get tokens.
    pub token: String,
    /// For browsers, to log out.
    #[serde(default)]
    pub end_session: Option<String>,
    /// Whether its answers name the issuer (RFC 9207).
    pub names_issuer: bool,
}

/// Sessions of one provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSession {
    /// Names of the secrets that seal them: the first encrypts, all decrypt.
    pub keys: Vec<String>,
    /// Longest time between two requests, seconds.
    pub idle_s: u64,
    /// Longest time after the login, seconds.
    pub absolute_s: u64,
    /// Where they are.
    #[serde(default)]
    pub store: SessionStore,
}

/// Where the sessions of a provider are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStore {
    /// Sealed in browsers.
    #[default]
    Cookie,
    /// In the store of `state`; browsers have a handle.
    Server,
}

/// How surely, and how lately, the caller has to have logged in (RFC 9470).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assurance {
    /// One of these as `acr`; any where there are none.
    #[serde(default)]
    pub acr: Vec<String>,
    /// Seconds since the login at the provider.
    #[serde(default)]
    pub max_age_s: Option<u64>,
}
