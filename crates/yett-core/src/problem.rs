//! Refusals as HTTP: problem documents (RFC 9457), challenges, Retry-After, Allow.

use std::fmt::Write;

use crate::body::FieldError;
use crate::exchange::{Answer, Refusal};
use crate::filters::login_guard::page::Written;
use crate::reason::{Reason, Retry};
use crate::snapshot::Challenge;

/// What an answer to a refusal needs to know of the request; empty where no head was read.
#[derive(Debug, Default)]
pub struct ProblemContext<'a> {
    /// The `Accept` of the request: HTML only where it prefers it.
    pub accept: Option<&'a [u8]>,
    /// The request id, empty before there is one.
    pub request_id: &'a [u8],
    /// WWW-Authenticate challenges are built for these providers' kinds (`bearer`, `api_key`), empty otherwise.
    pub challenges: &'a [Challenge],
    /// A nonce for the client's next proof (RFC 9449 section 8.2).
    pub dpop_nonce: Option<&'a str>,
    /// JWA names that proofs may be signed with; empty where there are none.
    pub dpop_algorithms: &'a str,
    /// Every scope that the route asks for.
    pub scope: Option<&'a str>,
    /// Which parts of the request are wrong.
    pub errors: &'a [FieldError],
    /// The page that does what is asked for, in place of the common one.
    pub page: Option<&'a Written>,
    /// Where the document is that says what protects this host (RFC 9728 section 5.1).
    pub resource: Option<String>,
}

/// Which answer fields a reason brings with it.
enum Extra {
    /// None.
    Plain,
    /// WWW-Authenticate without an error: no credential was sent (RFC 6750 section 3.1).
    Challenge,
    /// WWW-Authenticate with this error code (RFC 6750 section 3.1).
    Error(&'static str),
    /// Allow.
    Allow,
    /// Upgrade to WebSocket (RFC 6455 section 4.4); not over HTTP/2, which knows no such field.
    Upgrade,
}

/// The one place where a refusal becomes HTTP.
#[must_use]
pub fn render(refusal: &Refusal, context: &ProblemContext<'_>) -> Answer {
    let reason = refusal.reason;
    let mut headers: Vec<(Box<str>, Box<str>)> = vec![("cache-control".into(), "no-store".into())];
    match extra(reason) {
        Extra::Plain => {}
        Extra::Challenge => challenge(&mut headers, context.challenges, context, None, refusal),
        Extra::Error(code) => {
            challenge(&mut headers, context.challenges, context, Some(code), refusal);
            let about_proof = matches!(code, "invalid_dpop_proof" | "use_dpop_nonce");
            let is_dpop = |one: &Challenge| matches!(one, Challenge::Dpop(..));
            // A bound token was sent where bearers are taken, too.
            if about_proof && !context.challenges.iter().any(is_dpop) {
                let realm = context.challenges.iter().find_map(Challenge::token_realm).unwrap_or_default();
                let own = Challenge::Dpop(realm, context.dpop_algorithms.into());
                challenge(&mut headers, &[own], context, Some(code), refusal);
            }
        }
        Extra::Upgrade => {
            let fields = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")];
            headers.extend(fields.map(|(name, value)| (name.into(), value.into())));
        }
        Extra::Allow => {
            if let Some(allow) = &refusal.allow {
                headers.push(("allow".into(), allow.as_ref().into()));
            }
        }
    }
    if let Some(nonce) = context.dpop_nonce {
        headers.push(("dpop-nonce".into(), nonce.into()));
    }
    if let Some(seconds) = refusal.retry_after_s.or_else(|| default_pause(reason)) {
        headers.push(("retry-after".into(), seconds.to_string().into()));
    }
    let id = std::str::from_utf8(context.request_id).unwrap_or_default();
    if !id.is_empty() {
        headers.push(("x-request-id".into(), id.into()));
    }
    if let Some(page) = context.page.filter(|_| reason == Reason::LoginChallenge) {
        let fields = [
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", &*page.policy),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
        ];
        headers.extend(fields.map(|(name, value)| (name.into(), value.into())));
        return Answer { status: reason.status(), headers, body: std::sync::Arc::clone(&page.body) };
    }
    let (content_type, body) = if prefers_html(context.accept) {
        // The page loads nothing and runs nothing, whatever a detail may hold.
        headers.push(("content-security-policy".into(), "default-src 'none'".into()));
        ("text/html; charset=utf-8", html(refusal, id))
    } else {
        ("application/problem+json", json(refusal, context.errors, id))
    };
    headers.push(("content-type".into(), content_type.into()));
    headers.push(("x-content-type-options".into(), "nosniff".into()));
    Answer { status: reason.status(), headers, body: body.into_bytes().into() }
}

/// Exhaustive on purpose: a new reason does not compile before someone has decided what its answer carries.
fn extra(reason: Reason) -> Extra {
    match reason {
        Reason::CredentialMissing | Reason::SessionInvalid | Reason::SessionExpired => Extra::Challenge,
        Reason::InsufficientUserAuthentication => Extra::Error("insufficient_user_authentication"),
        Reason::CredentialAmbiguous => Extra::Error("invalid_request"),
        // "The access token provided is expired, revoked, malformed" (RFC 6750 section 3.1).
        Reason::CredentialMalformed
        | Reason::TokenTooLarge
        | Reason::TokenAlgorithmForbidden
        | Reason::TokenHeaderRefused
        | Reason::TokenIssuerUnknown
        | Reason::TokenKeyUnknown
        | Reason::TokenSignatureInvalid
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenAudienceMismatch
        | Reason::TokenClientNotAccepted
        | Reason::TokenClaimInvalid
        | Reason::TokenInactive
        | Reason::ApiKeyUnknown
        | Reason::ApiKeyExpired
        | Reason::NotBound
        | Reason::TokenRevoked
        | Reason::SignatureKeyUnknown
        | Reason::SignatureAlgorithmForbidden
        | Reason::SignatureIncomplete
        | Reason::SignatureInvalid
        | Reason::SignatureExpired
        | Reason::SignatureNotYetValid
        | Reason::SignatureReplayed
        | Reason::AssertionReplayed
        | Reason::ProviderNotAccepted => Extra::Error("invalid_token"),
        Reason::ProofMissing | Reason::ProofInvalid | Reason::ProofReplayed => Extra::Error("invalid_dpop_proof"),
        Reason::ProofNonce => Extra::Error("use_dpop_nonce"),
        Reason::ScopeMissing => Extra::Error("insufficient_scope"),
        Reason::MethodNotAllowed => Extra::Allow,
        Reason::UpgradeRequired => Extra::Upgrade,
        Reason::MalformedRequest
        | Reason::HttpVersionUnsupported
        | Reason::MethodNotSupported
        | Reason::RequestLineTooLong
        | Reason::HeadersTooLarge
        | Reason::HostInvalid
        | Reason::PathNotCanonical
        | Reason::HeaderInvalid
        | Reason::ForwardingHeaderInvalid
        | Reason::ExpectationFailed
        | Reason::RequestTimeout
        | Reason::ConnectionLimit
        | Reason::Overloaded
        | Reason::BodyTooLarge
        | Reason::BodyMalformed
        | Reason::BufferExhausted
        | Reason::MisdirectedRequest
        | Reason::ClientCertificateRequired
        | Reason::ClientCertificateUnknown
        | Reason::ApiKeyAddressForbidden
        | Reason::ContentDigestMismatch
        | Reason::AddressFiltered
        | Reason::AddressListUnavailable
        | Reason::GeoFiltered
        | Reason::GeoUnknown
        | Reason::GeoUnavailable
        | Reason::AddressLimited
        | Reason::BotRefused
        | Reason::CrawlerUnverified
        | Reason::CrawlerUnknown
        | Reason::RouteNotFound
        | Reason::WebsocketHandshakeInvalid
        | Reason::OriginForbidden
        | Reason::CorsRefused
        | Reason::WebsocketLimit
        | Reason::WebsocketIdle
        | Reason::WebsocketFault
        | Reason::WebsocketMessageTooLarge
        | Reason::CredentialExpired
        | Reason::RouteChanged
        | Reason::CredentialInUrl
        | Reason::CsrfRefused
        | Reason::CsrfTokenInvalid
        | Reason::LoginStateInvalid
        | Reason::LoginRefused
        | Reason::LoginFailed
        | Reason::LoginInsecure
        | Reason::SessionTooLarge
        | Reason::LogoutTokenInvalid
        | Reason::IdentityProviderUnavailable
        | Reason::StateUnavailable
        | Reason::CallerNotAllowed
        | Reason::RoleMissing
        | Reason::ServiceOverloaded
        | Reason::PermissionMissing
        | Reason::AttributeMismatch
        | Reason::AddressNotAllowed
        | Reason::TimeNotAllowed
        | Reason::DeviceNotAllowed
        | Reason::PolicyDenied
        | Reason::PolicyError
        | Reason::LimitUndecided
        | Reason::TenantAmbiguous
        | Reason::TenantLeak
        | Reason::ExternalDenied
        | Reason::ExternalUnavailable
        | Reason::TenantMissing
        | Reason::TenantMismatch
        | Reason::RateLimited
        | Reason::ConcurrencyLimited
        | Reason::QuotaExceeded
        | Reason::QuotaUnavailable
        | Reason::LoginUnreadable
        | Reason::LoginLimited
        | Reason::LoginChallenge
        | Reason::LoginProofInvalid
        | Reason::LoginBanned
        | Reason::ContentTypeUnsupported
        | Reason::ContentEncodingUnsupported
        | Reason::ParameterUnknown
        | Reason::ParameterInvalid
        | Reason::FormMalformed
        | Reason::FormTooComplex
        | Reason::XmlRefused
        | Reason::GraphqlMalformed
        | Reason::GraphqlTooComplex
        | Reason::GraphqlNotAllowed
        | Reason::ResponseStatusUnexpected
        | Reason::ResponseTypeUnexpected
        | Reason::ResponseTooLarge
        | Reason::ResponseMalformed
        | Reason::ResponseSchemaMismatch
        | Reason::ResponseLeak
        | Reason::BodyMissing
        | Reason::BodyUnexpected
        | Reason::JsonMalformed
        | Reason::JsonDuplicateName
        | Reason::JsonTooComplex
        | Reason::SchemaMismatch
        | Reason::AttackSuspected
        | Reason::AttackUndecided
        | Reason::ServiceTokenUnavailable
        | Reason::ServiceTokenRefused
        | Reason::NoHealthyEndpoint
        | Reason::CircuitOpen
        | Reason::ServiceUnreachable
        | Reason::ServiceConnectTimeout
        | Reason::ServiceTlsFailed
        | Reason::ServiceAddressForbidden
        | Reason::ServiceReset
        | Reason::ServiceResponseInvalid
        | Reason::ServiceTimeout
        | Reason::TotalTimeout
        | Reason::RewriteNotCanonical
        | Reason::ShuttingDown
        | Reason::LengthRequired
        | Reason::AssertionFailed
        | Reason::Internal => Extra::Plain,
    }
}

/// A pause for refusals of a moment; a limit knows its own.
fn default_pause(reason: Reason) -> Option<u32> {
    (reason.retry() == Retry::Later && matches!(reason.status(), 429 | 503)).then_some(1)
}

type Fields = Vec<(Box<str>, Box<str>)>;

/// One for each provider that the route accepts (RFC 6750 section 3).
fn challenge(
    headers: &mut Fields,
    challenges: &[Challenge],
    context: &ProblemContext<'_>,
    error: Option<&'static str>,
    refusal: &Refusal,
) {
    for challenge in challenges {
        let mut value = match challenge {
            Challenge::Bearer(realm) => format!("Bearer realm={}", quoted(realm)),
            Challenge::Dpop(realm, names) => format!("DPoP realm={}, algs={}", quoted(realm), quoted(names)),
            Challenge::ApiKey(realm, header) => format!("ApiKey realm={}, header={}", quoted(realm), quoted(header)),
            Challenge::Certificate(realm) => format!("Certificate realm={}", quoted(realm)),
            Challenge::Signature(realm, parts) => format!("Signature realm={}, components={}", quoted(realm), quoted(parts)),
            Challenge::Session(realm, login) => format!("Cookie realm={}, login={}", quoted(realm), quoted(login)),
        };
        let about_proof = matches!(error, Some("invalid_dpop_proof" | "use_dpop_nonce"));
        let told = match challenge {
            Challenge::Bearer(_) => !about_proof,
            Challenge::Dpop(..) => true,
            Challenge::Session(..) => refusal.assurance.is_some(),
            Challenge::ApiKey(..) | Challenge::Certificate(_) | Challenge::Signature(..) => false,
        };
        if let (Some(error), true) = (error, told) {
            let _ = write!(value, ", error=\"{error}\", error_description={}", quoted(refusal.reason.title()));
        }
        if told && matches!(challenge, Challenge::Bearer(_) | Challenge::Dpop(..)) {
            if let Some(scope) = refusal.scope.as_deref().or(context.scope) {
                let _ = write!(value, ", scope={}", quoted(scope));
            }
            if let Some(resource) = &context.resource {
                let _ = write!(value, ", resource_metadata={}", quoted(resource));
            }
        }
        if let (Some(assurance), true) = (&refusal.assurance, told && error.is_some()) {
            value.push_str(assurance);
        }
        headers.push(("www-authenticate".into(), value.into()));
    }
}

/// A quoted-string (RFC 9110 section 5.6.4); characters that cannot stand in one are dropped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for character in text.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

/// Whether HTML is preferred over JSON: named itself, with a weight above what JSON gets (RFC 9110 section 12.5.1).
/// An Accept of `*/*`, as API clients send it, is none.
fn prefers_html(accept: Option<&[u8]>) -> bool {
    let Some(accept) = accept.and_then(|a| std::str::from_utf8(a).ok()) else { return false };
    let mut html = 0.0_f32;
    let mut json = 0.0_f32;
    for item in accept.split(',').take(32) {
        let mut parts = item.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        match kind.as_str() {
            "text/html" | "application/xhtml+xml" => html = html.max(weight),
            "application/json" | "application/problem+json" => json = json.max(weight),
            _ => {}
        }
    }
    html > json
}

fn json(refusal: &Refusal, errors: &[FieldError], id: &str) -> String {
    let reason = refusal.reason;
    let mut document = serde_json::Map::new();
    document.insert("type".into(), format!("urn:yett:reason:{}", reason.code()).into());
    document.insert("title".into(), reason.title().into());
    document.insert("status".into(), reason.status().into());
    if let Some(detail) = &refusal.detail {
        document.insert("detail".into(), detail.as_ref().into());
    }
    document.insert("reason".into(), reason.code().into());
    if !errors.is_empty() {
        document.insert("errors".into(), errors.iter().map(FieldError::document).collect());
    }
    // By which part of a score an attempt was refused is for the log.
    if reason.status() == 429
        && reason != Reason::LoginLimited
        && let Some(limit) = &refusal.rule
    {
        document.insert("limit".into(), limit.as_ref().into());
    }
    if !id.is_empty() {
        document.insert("request_id".into(), id.into());
    }
    let mut text = serde_json::Value::Object(document).to_string();
    text.push('\n');
    text
}

fn html(refusal: &Refusal, id: &str) -> String {
    let reason = refusal.reason;
    let detail = refusal.detail.as_deref().unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {title}</title></head>\n\
         <body><h1>{status}</h1><p>{title}</p><p>{detail}</p><p>Reason: <code>{code}</code></p>\
         <p>Request: <code>{id}</code></p></body></html>\n",
        status = reason.status(),
        title = escaped(reason.title()),
        detail = escaped(detail),
        code = reason.code(),
        id = escaped(id),
    )
}

/// As text or the value of an attribute of HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{ProblemContext, prefers_html, render};
    use crate::exchange::{Answer, Refusal};
    use crate::reason::Reason;
    use crate::snapshot::Challenge;

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    #[test]
    fn every_reason_renders_with_its_code_and_id() {
        for reason in Reason::ALL {
            let answer = render(&Refusal::from(*reason), &ProblemContext { request_id: b"id-1", ..ProblemContext::default() });
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["reason"], reason.code());
            assert_eq!(body["status"], reason.status());
            assert_eq!(body["request_id"], "id-1");
            assert_eq!(header(&answer, "x-request-id"), Some("id-1"));
            assert_eq!(answer.status, reason.status());
        }
    }

    #[test]
    fn challenges_name_the_error_and_the_scope() {
        let challenges = [Challenge::Bearer("customers \"x\"".into()), Challenge::ApiKey("partners".into(), "x-api-key".into())];
        let context = ProblemContext { challenges: &challenges, ..ProblemContext::default() };
        let missing = render(&Reason::CredentialMissing.into(), &context);
        assert_eq!(header(&missing, "www-authenticate"), Some("Bearer realm=\"customers \\\"x\\\"\""));
        let mut refusal = Refusal::from(Reason::ScopeMissing);
        refusal.scope = Some("billing.read".into());
        let scope = render(&refusal, &context);
        let value = header(&scope, "www-authenticate").unwrap();
        assert!(value.contains("error=\"insufficient_scope\"") && value.ends_with("scope=\"billing.read\""), "{value}");
        assert_eq!(scope.headers.iter().filter(|(n, _)| &**n == "www-authenticate").count(), 2);
    }

    #[test]
    fn html_only_where_it_is_preferred_and_always_escaped() {
        assert!(prefers_html(Some(b"text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(!prefers_html(Some(b"*/*")));
        assert!(!prefers_html(Some(b"application/json, text/html;q=0.5")));
        assert!(!prefers_html(None));
        let mut refusal = Refusal::from(Reason::HeaderInvalid);
        refusal.detail = Some("<script>alert('x')</script>".into());
        let answer = render(&refusal, &ProblemContext { accept: Some(b"text/html"), ..ProblemContext::default() });
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    }
}
