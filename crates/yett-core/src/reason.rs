//! Why a request was refused: a closed list, each with a stable code, a status, whose fault it is and whether to retry.

/// Whose fault a refusal or failure is; the `fault` of an access log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong in itself.
    Client,
    /// The request is fine, and policy says no.
    Policy,
    /// The configuration cannot be carried out.
    Configuration,
    /// An identity provider does not answer.
    Provider,
    /// A service does not answer, or answers wrongly.
    Service,
    /// The gateway itself.
    Gateway,
}

impl Fault {
    /// The word in logs and documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Policy => "policy",
            Self::Configuration => "configuration",
            Self::Provider => "provider",
            Self::Service => "service",
            Self::Gateway => "gateway",
        }
    }
}

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: something has to change first.
    No,
    /// Yes, after a pause.
    Later,
}

macro_rules! reasons {
    ($($variant:ident $code:literal $status:literal $fault:ident $retry:ident $title:literal;)*) => {
        /// Why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $title] $variant,)*
        }

        impl Reason {
            /// All of them, in the order of their phases.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code in responses, logs and metrics.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// Whether to retry.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }

            /// The `title` of the problem document (RFC 9457): a sentence for people, without internals.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

reasons! {
    // receive
    MalformedRequest "malformed_request" 400 Client No "the request is not valid HTTP";
    HttpVersionUnsupported "http_version_unsupported" 505 Client No "this HTTP version is not supported";
    MethodNotSupported "method_not_supported" 501 Client No "this method is not supported here";
    RequestLineTooLong "request_line_too_long" 414 Client No "the request line is too long";
    HeadersTooLarge "headers_too_large" 431 Client No "the header fields are too many or too large";
    HostInvalid "host_invalid" 400 Client No "the request names no valid host";
    PathNotCanonical "path_not_canonical" 400 Client No "the path is not in canonical form";
    HeaderInvalid "header_invalid" 400 Client No "a header field is repeated or has a value that is not allowed";
    ForwardingHeaderInvalid "forwarding_header_invalid" 400 Client No "a trusted proxy sent an unreadable forwarding header";
    ExpectationFailed "expectation_failed" 417 Client No "the expectation cannot be met";
    RequestTimeout "request_timeout" 408 Client Later "the request did not arrive in time";
    ConnectionLimit "connection_limit" 503 Gateway Later "too many connections are open";
    BodyTooLarge "body_too_large" 413 Client No "the body is too large";
    BodyMalformed "body_malformed" 400 Client No "the body is not framed as announced";
    BufferExhausted "buffer_exhausted" 503 Gateway Later "the gateway's buffers are full";
    MisdirectedRequest "misdirected_request" 421 Client No "this connection is not for that host";
    Overloaded "overloaded" 503 Gateway Later "the gateway has more to do than it can; what matters less is refused";
    // screen
    AddressFiltered "address_filtered" 403 Policy No "this address may not come in here";
    AddressListUnavailable "address_list_unavailable" 503 Configuration Later "who may come in by address is not known";
    GeoFiltered "geo_filtered" 403 Policy No "nobody may come in here from there";
    GeoUnknown "geo_unknown" 403 Policy No "it is not known where this address is";
    GeoUnavailable "geo_unavailable" 503 Configuration Later "where addresses are is not known";
    AddressLimited "address_limited" 429 Policy Later "too many requests from this address";
    // route
    RouteNotFound "route_not_found" 404 Client No "nothing is served here";
    MethodNotAllowed "method_not_allowed" 405 Client No "this method is not allowed here";
    UpgradeRequired "upgrade_required" 426 Client No "only WebSocket connections are served here";
    WebsocketHandshakeInvalid "websocket_handshake_invalid" 400 Client No "the request opens no WebSocket connection";
    OriginForbidden "origin_forbidden" 403 Policy No "pages of this origin may not connect";
    CorsRefused "cors_refused" 403 Policy No "pages of another origin may not do this";
    // bots
    BotRefused "bot_refused" 403 Policy No "programs like this may not come in here";
    CrawlerUnverified "crawler_unverified" 403 Client No "the client is not the crawler that it says it is";
    CrawlerUnknown "crawler_unknown" 503 Gateway Later "it is not known whether the client is the crawler that it says it is";
    // authenticate
    ClientCertificateRequired "client_certificate_required" 403 Client No "a client certificate is needed";
    ClientCertificateUnknown "client_certificate_unknown" 403 Client No "the client certificate belongs to nobody who is known here";
    CredentialMissing "credential_missing" 401 Client No "a credential is needed";
    CredentialMalformed "credential_malformed" 401 Client No "the credential cannot be read";
    CredentialAmbiguous "credential_ambiguous" 401 Client No "more than one credential was sent";
    CredentialInUrl "credential_in_url" 400 Client No "credentials are not accepted in the URL";
    TokenTooLarge "token_too_large" 401 Client No "the token is too large";
    TokenAlgorithmForbidden "token_algorithm_forbidden" 401 Client No "the token is signed with an algorithm that is not accepted";
    TokenHeaderRefused "token_header_refused" 401 Client No "the token's header asks for something that is not supported";
    TokenIssuerUnknown "token_issuer_unknown" 401 Client No "the token's issuer is not accepted here";
    TokenKeyUnknown "token_key_unknown" 401 Client No "the token is signed with an unknown key";
    TokenSignatureInvalid "token_signature_invalid" 401 Client No "the token's signature is not valid";
    TokenExpired "token_expired" 401 Client No "the token has expired";
    TokenNotYetValid "token_not_yet_valid" 401 Client Later "the token is not valid yet";
    TokenAudienceMismatch "token_audience_mismatch" 401 Client No "the token was made for another audience";
    TokenClientNotAccepted "token_client_not_accepted" 401 Client No "the token was issued to a client that is not accepted here";
    TokenClaimInvalid "token_claim_invalid" 401 Client No "a claim of the token is missing or has the wrong type";
    TokenInactive "token_inactive" 401 Client No "the token is not active, or not known to its issuer";
    ApiKeyUnknown "api_key_unknown" 401 Client No "the API key is not known";
    ApiKeyExpired "api_key_expired" 401 Client No "the API key has expired";
    ApiKeyAddressForbidden "api_key_address_forbidden" 403 Client No "the API key may not be used from this address";
    SignatureKeyUnknown "signature_key_unknown" 401 Client No "the request is not signed with a known key";
    SignatureAlgorithmForbidden "signature_algorithm_forbidden" 401 Client No "the signature names an algorithm that its key is not for";
    SignatureIncomplete "signature_incomplete" 401 Client No "the signature does not cover what it has to";
    SignatureInvalid "signature_invalid" 401 Client No "the signature of the request is not valid";
    SignatureExpired "signature_expired" 401 Client No "the signature of the request has expired";
    SignatureNotYetValid "signature_not_yet_valid" 401 Client Later "the signature of the request lies in the future";
    SignatureReplayed "signature_replayed" 401 Client No "the signature of the request was used before";
    AssertionReplayed "assertion_replayed" 401 Client No "the assertion was used before";
    ContentDigestMismatch "content_digest_mismatch" 400 Client No "the body is not the one that was signed";
    ProviderNotAccepted "provider_not_accepted" 401 Client No "this kind of credential is not accepted here";
    TokenRevoked "token_revoked" 401 Client No "the credential was revoked";
    StateUnavailable "state_unavailable" 503 Gateway Later "what the gateway has to look up cannot be reached";
    ProofMissing "proof_missing" 401 Client No "the token needs a proof";
    ProofInvalid "proof_invalid" 401 Client No "the proof is not valid for this request";
    ProofNonce "proof_nonce" 401 Client Later "the proof needs the nonce that this answer gives";
    ProofReplayed "proof_replayed" 401 Client No "the proof was used before";
    NotBound "not_bound" 401 Client No "the token is not bound as it has to be";
    SessionInvalid "session_invalid" 401 Client No "the session cannot be read";
    SessionExpired "session_expired" 401 Client No "the session has ended";
    CsrfRefused "csrf_refused" 403 Client No "the request has to come from a page that may send it";
    CsrfTokenInvalid "csrf_token_invalid" 403 Client No "the token that the page has to send is missing, or of another session";
    LoginStateInvalid "login_state_invalid" 400 Client No "this browser has no such login under way";
    LoginRefused "login_refused" 403 Client No "the identity provider refused the login";
    LoginFailed "login_failed" 502 Provider Later "the identity provider's answer to the login does not fit";
    LoginInsecure "login_insecure" 400 Configuration No "a login needs HTTPS";
    SessionTooLarge "session_too_large" 500 Configuration No "the session does not fit into cookies";
    LogoutTokenInvalid "logout_token_invalid" 400 Client No "the logout token does not fit";
    IdentityProviderUnavailable "identity_provider_unavailable" 503 Provider Later "the identity provider cannot be reached";
    // authorize
    InsufficientUserAuthentication "insufficient_user_authentication" 401 Policy No "a stronger or more recent login is needed";
    CallerNotAllowed "caller_not_allowed" 403 Policy No "this caller may not do this";
    ScopeMissing "scope_missing" 403 Policy No "the credential lacks a scope";
    RoleMissing "role_missing" 403 Policy No "the caller lacks a role";
    PermissionMissing "permission_missing" 403 Policy No "no role of the caller permits this";
    AttributeMismatch "attribute_mismatch" 403 Policy No "an attribute of the caller does not allow this";
    AddressNotAllowed "address_not_allowed" 403 Policy No "this is not allowed from this address";
    TimeNotAllowed "time_not_allowed" 403 Policy Later "this is not allowed at this time";
    DeviceNotAllowed "device_not_allowed" 403 Policy No "the device does not allow this";
    PolicyDenied "policy_denied" 403 Policy No "a rule denies this";
    PolicyError "policy_error" 403 Policy No "a rule could not be decided";
    TenantMissing "tenant_missing" 403 Policy No "the credential or the request names no tenant";
    TenantMismatch "tenant_mismatch" 403 Policy No "the caller belongs to another tenant";
    TenantAmbiguous "tenant_ambiguous" 403 Policy No "the request names its tenant more than once";
    ExternalDenied "external_denied" 403 Policy No "the external check denies this";
    ExternalUnavailable "external_unavailable" 503 Provider Later "the external check gave no answer";
    // limit
    RateLimited "rate_limited" 429 Policy Later "too many requests";
    ConcurrencyLimited "concurrency_limited" 429 Policy Later "too many requests at once";
    QuotaExceeded "quota_exceeded" 429 Policy Later "the quota of this period is used up";
    QuotaUnavailable "quota_unavailable" 503 Gateway Later "what was used of a quota cannot be written down";
    LimitUndecided "limit_undecided" 403 Policy No "whom or what a limit counts could not be decided";
    WebsocketLimit "websocket_limit" 503 Gateway Later "too many WebSocket connections are open";
    // validate
    ContentTypeUnsupported "content_type_unsupported" 415 Client No "a body of this type is not accepted here";
    ContentEncodingUnsupported "content_encoding_unsupported" 415 Client No "the body is encoded in a way that is not accepted here";
    ParameterUnknown "parameter_unknown" 400 Client No "a parameter of the query is not known here";
    ParameterInvalid "parameter_invalid" 400 Client No "a parameter is missing, or not what it has to be";
    BodyMissing "body_missing" 400 Client No "a body is needed";
    BodyUnexpected "body_unexpected" 400 Client No "no body is accepted here";
    JsonMalformed "json_malformed" 400 Client No "the body is not one JSON value";
    JsonDuplicateName "json_duplicate_name" 400 Client No "a name stands twice in one object of the body";
    JsonTooComplex "json_too_complex" 400 Client No "the body is deeper, longer or larger in a part than is accepted here";
    FormMalformed "form_malformed" 400 Client No "the body is no form, or could be read in two ways";
    FormTooComplex "form_too_complex" 400 Client No "the form has more or larger fields than are accepted here";
    XmlRefused "xml_refused" 400 Client No "the XML has a document type, or is not in UTF-8";
    GraphqlMalformed "graphql_malformed" 400 Client No "the GraphQL request cannot be read, or could be read in two ways";
    GraphqlTooComplex "graphql_too_complex" 400 Client No "the GraphQL query asks for more than is answered at once";
    GraphqlNotAllowed "graphql_not_allowed" 403 Client No "the GraphQL query asks for something that is not open here";
    SchemaMismatch "schema_mismatch" 422 Client No "the body is not what its schema asks for";
    AttackSuspected "attack_suspected" 403 Client No "a part of the request looks like an attack";
    AttackUndecided "attack_undecided" 403 Client No "the request cannot be looked through for attacks";
    // guard
    LoginUnreadable "login_unreadable" 400 Client No "the account cannot be read from the request";
    LoginLimited "login_limited" 429 Policy Later "too many attempts have failed; wait before the next one";
    LoginChallenge "login_challenge" 403 Policy No "the browser has to do a short calculation before the next attempt";
    LoginProofInvalid "login_proof_invalid" 403 Client No "the calculation does not count";
    LoginBanned "login_banned" 429 Policy Later "too many attempts from here have failed; nobody new is let in from here for a while";
    // forward
    ServiceTokenUnavailable "service_token_unavailable" 503 Provider Later "a token for the service cannot be had now";
    ServiceTokenRefused "service_token_refused" 502 Provider No "a token for the service was refused";
    NoHealthyEndpoint "no_healthy_endpoint" 503 Service Later "no endpoint of the service is healthy";
    ServiceOverloaded "service_overloaded" 503 Service Later "the service has too many requests under way";
    CircuitOpen "circuit_open" 503 Service Later "the service has failed too often and is left alone for a while";
    ServiceUnreachable "service_unreachable" 502 Service Later "the service cannot be reached";
    ServiceConnectTimeout "service_connect_timeout" 504 Service Later "the service could not be reached in time";
    ServiceTlsFailed "service_tls_failed" 502 Service Later "the service could not prove who it is";
    ServiceAddressForbidden "service_address_forbidden" 502 Configuration No "the service's address is not allowed";
    ServiceReset "service_reset" 502 Service Later "the service closed the connection";
    ServiceResponseInvalid "service_response_invalid" 502 Service Later "the service's answer is not valid";
    ServiceTimeout "service_timeout" 504 Service Later "the service did not answer in time";
    TenantLeak "tenant_leak" 502 Service No "the service's answer belongs to another tenant";
    ResponseStatusUnexpected "response_status_unexpected" 502 Service No "the service's answer has a status that is not expected";
    ResponseTypeUnexpected "response_type_unexpected" 502 Service No "the service's answer is of a type that is not expected";
    ResponseTooLarge "response_too_large" 502 Service No "the service's answer is too large";
    ResponseMalformed "response_malformed" 502 Service No "the service's answer is not the JSON that it says it is";
    ResponseSchemaMismatch "response_schema_mismatch" 502 Service No "the service's answer is not what its schema asks for";
    ResponseLeak "response_leak" 502 Service No "the service's answer has something in it that may not leave";
    TotalTimeout "total_timeout" 504 Service Later "the request took too long";
    CredentialExpired "credential_expired" 401 Client No "the credential expired while the stream was open";
    RouteChanged "route_changed" 503 Configuration Later "the route was changed or removed while the stream was open";
    WebsocketFault "websocket_fault" 400 Client No "what was sent is no WebSocket";
    WebsocketMessageTooLarge "websocket_message_too_large" 413 Client No "a WebSocket message is too large";
    WebsocketIdle "websocket_idle" 408 Client Later "nothing was sent for too long";
    LengthRequired "length_required" 411 Client No "the length of the body has to be announced";
    AssertionFailed "assertion_failed" 500 Gateway No "the service could not be told who calls";
    RewriteNotCanonical "rewrite_not_canonical" 400 Configuration No "the path cannot be rewritten";
    // any phase
    ShuttingDown "shutting_down" 503 Gateway Later "the gateway is shutting down";
    Internal "internal" 500 Gateway Later "the gateway could not decide";
}

/// All reasons as a JSON list of `{code, status, fault, retry, title}`, for tools and documentation.
#[must_use]
pub fn to_json() -> String {
    let reasons: Vec<serde_json::Value> = Reason::ALL
        .iter()
        .map(|reason| {
            let retry = if reason.retry() == Retry::Later { "later" } else { "no" };
            serde_json::json!({
                "code": reason.code(), "status": reason.status(), "fault": reason.fault().as_str(), "retry": retry,
                "title": reason.title(),
            })
        })
        .collect();
    serde_json::Value::Array(reasons).to_string()
}

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_snake_case() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn every_code_has_its_part_of_the_page() {
        let page = include_str!("../../../docs/reasons.md");
        let documented: HashSet<_> = page.lines().filter_map(|l| l.strip_prefix("### `")?.strip_suffix('`')).collect();
        let codes: HashSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(documented, codes);
    }

    #[test]
    fn statuses_are_errors() {
        assert!(Reason::ALL.iter().all(|r| (400..600).contains(&r.status())));
    }
}
