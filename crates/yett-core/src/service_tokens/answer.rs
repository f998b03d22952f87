//! What a token endpoint answers (RFC 6749 section 5, RFC 8693 section 2.2), judged strictly.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::ir::TokenGrant;
use crate::outbound::{Fault, Response};

/// Bytes of a token at most: it has to fit into a head.
const TOKEN_BYTES: usize = 8 * 1024;
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A token, and for how long it is good, if that was said.
pub(super) struct Issued {
    pub authorization: Zeroizing<Vec<u8>>,
    pub lifetime: Option<Duration>,
}

/// Why there is none.
pub(super) enum Denied {
    /// The endpoint failed.
    Failed(Fault),
    /// It answered as it should, and said no: the code, if it is one of RFC 6749 or RFC 8693.
    Refused(&'static str),
    /// It answered with something else than a token for us.
    Unusable(&'static str),
}

/// Codes of RFC 6749 section 5.2 and RFC 8693 section 2.2.2: nothing else of an answer is told to anyone.
const CODES: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
];

pub(super) fn read(response: &Response, grant: TokenGrant) -> Result<Issued, Denied> {
    match response.status {
        StatusCode::OK => {}
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let answer = response.json_of_any_status().map_err(|_| Denied::Failed(Fault::Status(response.status.as_u16())))?;
            let said = answer.get("error").and_then(Value::as_str);
            return Err(Denied::Refused(CODES.into_iter().find(|code| Some(*code) == said).unwrap_or("another error")));
        }
        status => return Err(Denied::Failed(Fault::Status(status.as_u16()))),
    }
    let answer = response.read_json().map_err(Denied::Failed)?;
    issued(&answer, grant).map_err(Denied::Unusable)
}

fn issued(answer: &Map<String, Value>, grant: TokenGrant) -> Result<Issued, &'static str> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let token = text("access_token").ok_or("has no `access_token`")?;
    if token.is_empty() || token.len() > TOKEN_BYTES || !token.bytes().all(|b| (0x21..0x7f).contains(&b)) {
        return Err("has an `access_token` that no header can carry");
    }
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("has a `token_type` other than Bearer");
    }
    if grant == TokenGrant::TokenExchange && !matches!(text("issued_token_type"), Some(ACCESS_TOKEN | JWT)) {
        return Err("has an `issued_token_type` that is no access token");
    }
    let lifetime = match answer.get("expires_in") {
        None => None,
        Some(value) => Some(Duration::from_secs(value.as_u64().ok_or("has an `expires_in` that is no number of seconds")?)),
    };
    let mut authorization = Zeroizing::new(Vec::with_capacity(token.len().saturating_add(7)));
    authorization.extend_from_slice(b"Bearer ");
    authorization.extend_from_slice(token.as_bytes());
    Ok(Issued { authorization, lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answer: Value, grant: TokenGrant) -> Result<Issued, &'static str> {
        issued(answer.as_object().unwrap(), grant)
    }

    #[test]
    fn a_token_is_a_bearer_token_that_a_header_can_carry() {
        let good = serde_json::json!({"access_token": "abc", "token_type": "bearer", "expires_in": 60});
        let issued = judged(good.clone(), TokenGrant::ClientCredentials).ok().unwrap();
        assert_eq!((issued.authorization.as_slice(), issued.lifetime), (&b"Bearer abc"[..], Some(Duration::from_secs(60))));
        for (name, value) in [
            ("access_token", serde_json::json!("")),
            ("access_token", serde_json::json!("a b")),
            ("access_token", serde_json::json!("a\r\nx: y")),
            ("access_token", serde_json::json!("x".repeat(TOKEN_BYTES + 1))),
            ("access_token", serde_json::json!(7)),
            ("token_type", serde_json::json!("DPoP")),
            ("token_type", serde_json::json!(null)),
            ("expires_in", serde_json::json!("60")),
            ("expires_in", serde_json::json!(-1)),
            ("expires_in", serde_json::json!(1.5)),
        ] {
            let mut bad = good.clone();
            bad[name] = value.clone();
            assert!(judged(bad, TokenGrant::ClientCredentials).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn an_exchanged_token_is_an_access_token() {
        let answer = |kind: Value| serde_json::json!({"access_token": "abc", "token_type": "Bearer", "issued_token_type": kind});
        for (kind, good) in [
            (serde_json::json!(ACCESS_TOKEN), true),
            (serde_json::json!(JWT), true),
            (serde_json::json!("urn:ietf:params:oauth:token-type:refresh_token"), false),
            (serde_json::json!("urn:ietf:params:oauth:token-type:id_token"), false),
            (serde_json::json!(null), false),
        ] {
            assert_eq!(judged(answer(kind.clone()), TokenGrant::TokenExchange).is_ok(), good, "{kind}");
        }
    }
}
