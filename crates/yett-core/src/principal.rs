//! A verified caller, whatever vouched for it.

use std::sync::{Arc, OnceLock};

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Name of the provider that vouched.
    pub provider: Arc<str>,
    /// How it was verified.
    pub method: AuthenticationMethod,
    /// `iss`; empty where nothing issued it, as for API keys.
    pub issuer: Arc<str>,
    /// `sub`, or the name of the API key.
    pub subject: Box<str>,
    /// OAuth client.
    pub client: Option<Box<str>>,
    /// User, service or device.
    pub kind: PrincipalKind,
    /// Granted scopes.
    pub scopes: Vec<Box<str>>,
    /// Roles.
    pub roles: Vec<Box<str>>,
    /// Tenant.
    pub tenant: Option<Box<str>>,
    /// `act`: who acts for the subject, as JSON with nothing but `sub`, `client_id`, `iss` and the actor before (RFC 8693
    /// section 4.1).
    pub actor: Option<Box<str>>,
    /// Partner: whose application it is.
    pub partner: Option<Box<str>>,
    /// Declared claims, by name.
    pub claims: Vec<(Arc<str>, ClaimValue)>,
    /// `jti` of the token (for logs), or the id of the API key; never the credential.
    pub token_id: Option<Box<str>>,
    /// What a token without `jti`, or an opaque one, is revoked by: see [`crate::revocation::credential_digest`].
    pub credential: Option<[u8; 32]>,
    /// `sid`: the session at the provider (OpenID Connect Front-Channel Logout section 3).
    pub session: Option<Box<str>>,
    /// `acr`: how surely the caller was authenticated (OpenID Connect Core section 2).
    pub assurance: Option<Box<str>>,
    /// `auth_time`: when the person logged in, seconds since 1970.
    pub authenticated_s: Option<u64>,
    /// `iat`: when the credential was issued, milliseconds since 1970.
    pub issued_ms: Option<u64>,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// `cnf`: the key that a request has to prove to have (RFC 7800 section 3).
    pub confirmation: Option<Confirmation>,
    /// Keyed hash of provider, subject, client and tenant: the key of limits. One person in two tenants has two.
    pub key: u64,
    /// Of a session: what its own pages prove themselves with.
    pub page_token: Option<PageToken>,
    /// Its part of a line of the access log.
    pub shown: Shown,
}

/// The token of a session against foreign pages, as text; made once, where a session becomes a caller.
#[derive(Clone, Copy)]
pub struct PageToken([u8; Self::LENGTH]);

impl PageToken {
    /// Characters: 32 bytes in base64.
    pub const LENGTH: usize = 43;

    /// Of its text.
    #[must_use]
    pub const fn new(text: [u8; Self::LENGTH]) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageToken")
    }
}

/// Text that is written when it is first needed, and belongs to what has it: a copy writes its own.
#[derive(Debug, Default)]
pub struct Shown(OnceLock<Box<[u8]>>);

impl Shown {
    /// The text.
    pub fn get_or_write(&self, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.0.get_or_init(|| {
            let mut text = Vec::with_capacity(128);
            write(&mut text);
            text.into_boxed_slice()
        })
    }
}

impl Clone for Shown {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Principal {
    /// What tells it from every other one in limits that outlive the process or are shared: provider, issuer, subject, client and
    /// tenant. Of machines the client counts in place of the subject: its keys and certificates share its limits.
    #[must_use]
    pub fn limit_parts(&self) -> [&[u8]; 5] {
        let subject = match self.method {
            AuthenticationMethod::Mtls | AuthenticationMethod::SignedRequest | AuthenticationMethod::ClientAssertion => "",
            AuthenticationMethod::Jwt
            | AuthenticationMethod::Introspection
            | AuthenticationMethod::Oidc
            | AuthenticationMethod::ApiKey => &self.subject,
        };
        [
            self.provider.as_bytes(),
            self.issuer.as_bytes(),
            subject.as_bytes(),
            self.client.as_deref().unwrap_or_default().as_bytes(),
            self.tenant.as_deref().unwrap_or_default().as_bytes(),
        ]
    }

    /// One of whom nothing is known but who vouched and how; for `..Principal::blank(…)`.
    #[must_use]
    pub fn blank(provider: Arc<str>, method: AuthenticationMethod) -> Self {
        Self {
            provider,
            method,
            issuer: Arc::from(""),
            subject: Box::default(),
            client: None,
            kind: PrincipalKind::Service,
            scopes: Vec::new(),
            roles: Vec::new(),
            tenant: None,
            actor: None,
            partner: None,
            claims: Vec::new(),
            token_id: None,
            credential: None,
            session: None,
            assurance: None,
            authenticated_s: None,
            issued_ms: None,
            expires_ms: None,
            confirmation: None,
            key: 0,
            page_token: None,
            shown: Shown::default(),
        }
    }

    /// The declared claim of this name, if the caller holds it.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&ClaimValue> {
        self.claims.iter().find(|(claim, _)| **claim == *name).map(|(_, value)| value)
    }
}

/// What a principal is. An API key is never a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person, through whatever application.
    User,
    /// A program that acts for itself.
    Service,
    /// A machine that is known as such.
    Device,
}

impl PrincipalKind {
    /// From that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::User, Self::Service, Self::Device].into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word in logs, rules and assertions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Device => "device",
        }
    }
}

/// How a caller was verified: the type of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the provider type of its name")]
pub enum AuthenticationMethod {
    Jwt,
    Introspection,
    Oidc,
    ApiKey,
    Mtls,
    SignedRequest,
    ClientAssertion,
}

impl AuthenticationMethod {
    /// From the provider's type.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all =
            [Self::Jwt, Self::Introspection, Self::Oidc, Self::ApiKey, Self::Mtls, Self::SignedRequest, Self::ClientAssertion];
        all.into_iter().find(|method| method.as_str() == word)
    }

    /// The provider's type in a configuration; the word in logs, rules and assertions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Introspection => "introspection",
            Self::Oidc => "oidc",
            Self::ApiKey => "api_key",
            Self::Mtls => "mtls",
            Self::SignedRequest => "signed_request",
            Self::ClientAssertion => "client_assertion",
        }
    }
}

/// A key that a request has to prove to have: SHA-256 thumbprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// `jkt`: of a JWK (RFC 7638), proved by DPoP (RFC 9449 section 6).
    Jkt([u8; 32]),
    /// `x5t#S256`: of the client's certificate (RFC 8705 section 3.1).
    X5t([u8; 32]),
}

/// A declared claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the JSON type of its name")]
pub enum ClaimValue {
    String(Box<str>),
    Int(i64),
    Bool(bool),
    StringList(Vec<Box<str>>),
}
