//! How the gateway reaches identity providers itself, and who it is to them.

use serde::Deserialize;

/// An address that the gateway sends requests of its own to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundEndpoint {
    /// `https://…`, or `http://…` where `plaintext` is set.
    pub url: String,
    /// Whether plain HTTP was allowed, with a reason.
    #[serde(default)]
    pub plaintext: bool,
    /// PEM of the authority that signed the server's certificate; the system's roots otherwise.
    #[serde(default)]
    pub ca: Option<String>,
}

/// The gateway as a client of an authorization server (RFC 6749 section 2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthClient {
    /// `client_id`
    pub id: String,
    /// How it proves who it is.
    pub authentication: ClientAuthentication,
}

impl OauthClient {
    /// Names of the secrets that it uses.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let name = match &self.authentication {
            ClientAuthentication::ClientSecretBasic(name) | ClientAuthentication::ClientSecretPost(name) => name,
            ClientAuthentication::PrivateKeyJwt(key) => &key.key,
            ClientAuthentication::TlsClientAuth(own) => &own.key,
        };
        std::iter::once(name.as_str())
    }
}

/// How a client proves who it is. Secrets are names of entries in the secrets passed beside the document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientAuthentication {
    /// Secret in `Authorization: Basic` (RFC 6749 section 2.3.1).
    ClientSecretBasic(String),
    /// Secret in the form (RFC 6749 section 2.3.1).
    ClientSecretPost(String),
    /// A signed assertion (RFC 7523 section 2.2).
    PrivateKeyJwt(PrivateKeyJwt),
    /// A certificate in the TLS handshake (RFC 8705 section 2); `client_id` stands in the form.
    TlsClientAuth(TlsClientAuth),
}

/// A key that signs assertions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateKeyJwt {
    /// Name of the secret that holds the PEM key.
    pub key: String,
    /// JWA name; the key's own where it is absent.
    #[serde(default)]
    pub algorithm: Option<String>,
    /// `kid` of the assertions' header.
    #[serde(default)]
    pub kid: Option<String>,
    /// `aud` of the assertions; the issuer or, where none is known, the endpoint's URL otherwise.
    #[serde(default)]
    pub audience: Option<String>,
}

/// A certificate that the client shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsClientAuth {
    /// PEM text, leaf first.
    pub certificate: String,
    /// Name of the secret that holds the PEM key.
    pub key: String,
}
