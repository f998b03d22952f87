//! Whose bucket in a store that instances share: a digest that is the same in all of them.
//!
//! The hashes of [`super::measure`] have a key of the process, so that nobody can aim at a bucket; between processes SHA-256
//! does the same. Parts have lengths, and kinds are kept apart, so no two callers are one.

use smallvec::SmallVec;

use super::measure::{Key, Undecided};
use crate::cel::Value;
use crate::exchange::Exchange;
use crate::filters::authorize::Ask;
use crate::ir::LimitKey;
use crate::principal::{AuthenticationMethod, Principal};
use crate::store::{self, Space};

type Parts<'a> = SmallVec<[&'a [u8]; 8]>;

impl Key {
    /// The bucket of a request; as [`Key::of`] picks it.
    pub fn shared(&self, exchange: &Exchange, ask: Option<&Ask<'_>>, identity: &[u8; 32]) -> Result<store::Key, Undecided> {
        if let Self::Value(expression) = self {
            let Ok(Value::Text(text)) = expression.value(ask.ok_or(Undecided)?) else { return Err(Undecided) };
            return Ok(store::Key::new(Space::Limit, &[identity, text.as_str().as_bytes()]));
        }
        let mut parts = Parts::new();
        parts.push(identity);
        match self {
            Self::Everyone | Self::Value(_) => {}
            Self::Header(name) => parts.extend(exchange.request.headers.named(name)),
            Self::Caller(key) => caller(key, ask.ok_or(Undecided)?.principal, &mut parts),
        }
        Ok(store::Key::new(Space::Limit, &parts))
    }
}

fn caller<'a>(key: &LimitKey, principal: &'a Principal, parts: &mut Parts<'a>) {
    let shared = |kind: &'static [u8], value: &'a Option<Box<str>>| {
        value.as_deref().map(|value| Parts::from_slice(&[kind, value.as_bytes()]))
    };
    let own = |kind: &'static [u8], value: &'a [u8]| Parts::from_slice(&[kind, principal.provider.as_bytes(), value]);
    let text = |kind: &'static [u8], value: &'a Option<Box<str>>| value.as_deref().map(|value| own(kind, value.as_bytes()));
    let token = || match (&principal.token_id, &principal.credential) {
        (Some(id), _) => Some(own(b"token", id.as_bytes())),
        (None, Some(digest)) => Some(own(b"credential", digest)),
        (None, None) => None,
    };
    let found = match key {
        LimitKey::Client => text(b"client", &principal.client),
        LimitKey::Session => text(b"session", &principal.session),
        LimitKey::Key if principal.method != AuthenticationMethod::ApiKey => None,
        LimitKey::Key | LimitKey::Token => token(),
        LimitKey::Partner => shared(b"partner", &principal.partner),
        LimitKey::Tenant => shared(b"tenant", &principal.tenant),
        _ => None,
    };
    match found {
        Some(found) => parts.extend(found),
        None => {
            let text = |value: &'a Option<Box<str>>| value.as_deref().unwrap_or_default().as_bytes();
            // Of machines the client counts: its keys and certificates share its limits.
            let subject = match principal.method {
                AuthenticationMethod::Mtls | AuthenticationMethod::SignedRequest | AuthenticationMethod::ClientAssertion => "",
                AuthenticationMethod::Jwt
                | AuthenticationMethod::Introspection
                | AuthenticationMethod::Oidc
                | AuthenticationMethod::ApiKey => &principal.subject,
            };
            parts.extend([
                b"principal".as_slice(),
                principal.provider.as_bytes(),
                principal.issuer.as_bytes(),
                subject.as_bytes(),
                text(&principal.client),
                text(&principal.tenant),
            ]);
        }
    }
}
