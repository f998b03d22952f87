//! Whose use a request is: a digest that is the same after a restart and in every instance, and a text for people.

use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};

use super::entry::Id;
use crate::cel::Value;
use crate::exchange::Exchange;
use crate::filters::authorize::Ask;
use crate::filters::rate_limit::{Key, Named, Undecided};
use crate::ir;
use crate::principal::Principal;

/// Characters of a text for people.
const SHOWN: usize = 120;

/// Whose it is.
#[derive(Debug)]
pub enum Whom<'a> {
    /// Everybody's.
    Everyone,
    /// Something that is known of the verified caller: its word, and what of it is the key.
    Caller(&'static str, [&'a [u8]; 4]),
    /// The caller itself.
    Principal(&'a Principal),
    /// What the field holds, which may be secret: only its digest is kept.
    Header(Vec<&'a [u8]>),
    /// What an expression came to.
    Value(String),
}

impl<'a> Whom<'a> {
    /// Of a request.
    pub fn of(key: &'a Key, exchange: &'a Exchange, ask: Option<&Ask<'a>>) -> Result<Self, Undecided> {
        Ok(match key {
            Key::Everyone => Self::Everyone,
            Key::Caller(key) => caller(key, ask.ok_or(Undecided)?.principal),
            Key::Header(name) => Self::Header(exchange.request.headers.named(name).collect()),
            Key::Value(expression) => match expression.value(ask.ok_or(Undecided)?) {
                Ok(Value::Text(text)) => Self::Value(text.as_str().to_owned()),
                _ => return Err(Undecided),
            },
        })
    }

    /// The word for what it is.
    #[must_use]
    pub fn by(&self) -> &'static str {
        match self {
            Self::Everyone => "route",
            Self::Caller(by, _) => by,
            Self::Principal(_) => "principal",
            Self::Header(_) => "header",
            Self::Value(_) => "cel",
        }
    }

    /// Its place in a quota, whose digest was begun.
    #[must_use]
    pub fn id(&self, quota: &Context) -> Id {
        let mut digest = quota.clone();
        part(&mut digest, self.by().as_bytes());
        match self {
            Self::Everyone => {}
            Self::Caller(_, parts) => parts.iter().for_each(|one| part(&mut digest, one)),
            Self::Principal(principal) => principal.limit_parts().iter().for_each(|one| part(&mut digest, one)),
            Self::Header(values) => values.iter().for_each(|one| part(&mut digest, one)),
            Self::Value(text) => part(&mut digest, text.as_bytes()),
        }
        half(digest)
    }

    /// For people: what is printed of it cannot be taken for anything else, and no credential is in it.
    #[must_use]
    pub fn text(&self, id: Id) -> Box<str> {
        match self {
            Self::Everyone => "everyone".into(),
            Self::Header(_) => format!("sha256:{:016x}", id >> 64).into(),
            Self::Value(text) => printable(text).into(),
            Self::Caller("token" | "key", [provider, value, ..]) => {
                // A digest of a credential is bytes; an id is text.
                let value = std::str::from_utf8(value).map_or_else(|_| format!("sha256:{:016x}", id >> 64), printable);
                format!("{}/{value}", printable(&String::from_utf8_lossy(provider))).into()
            }
            Self::Caller(_, parts) => words(parts),
            Self::Principal(principal) => {
                let text = |value: &'a Option<Box<str>>| value.as_deref().unwrap_or_default().as_bytes();
                let subject = principal.subject.as_bytes();
                words(&[principal.provider.as_bytes(), subject, text(&principal.client), text(&principal.tenant)])
            }
        }
    }
}

/// Those that are not empty.
fn words(parts: &[&[u8]]) -> Box<str> {
    let words: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| printable(&String::from_utf8_lossy(part))).collect();
    words.join("/").into()
}

/// As for `rate_limit`.
fn caller<'a>(key: &ir::LimitKey, principal: &'a Principal) -> Whom<'a> {
    match Named::of(key, principal) {
        Named::Own(kind, value) => {
            let by = match key {
                ir::LimitKey::Key => "key",
                ir::LimitKey::Token => "token",
                _ => kind,
            };
            Whom::Caller(by, [principal.provider.as_bytes(), value, b"", b""])
        }
        Named::Shared(kind, value) => Whom::Caller(kind, [value, b"", b"", b""]),
        Named::Principal => Whom::Principal(principal),
    }
}

/// The beginning of the digests of a quota. Its period and zone are parts of it: instances that have others would begin each
/// other's periods anew.
#[must_use]
pub fn begin(parts: &[&[u8]; 4]) -> Context {
    let mut digest = Context::new(&SHA256);
    parts.iter().for_each(|one| part(&mut digest, one));
    digest
}

/// What a quota is: its scope, name, period and zone.
#[must_use]
pub fn parts(spec: &ir::Quota) -> [&[u8]; 4] {
    [spec.scope.as_bytes(), spec.name.as_bytes(), spec.period.as_str().as_bytes(), spec.zone.as_bytes()]
}

/// The place that keys without one share.
#[must_use]
pub fn others(quota: &Context) -> Id {
    let mut digest = quota.clone();
    part(&mut digest, b"others");
    half(digest)
}

/// With its length, so that no two lists of parts are one.
fn part(digest: &mut Context, bytes: &[u8]) {
    digest.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    digest.update(bytes);
}

fn half(digest: Context) -> Id {
    let digest = digest.finish();
    digest.as_ref().first_chunk::<16>().map_or(0, |first| Id::from_be_bytes(*first))
}

/// Without what a terminal or a log line could be led astray with.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN {
            out.push('…');
            break;
        }
        // Marks that turn lines around, and others that are not seen, are written out.
        if character.is_alphanumeric() || character == ' ' || character.is_ascii_graphic() {
            out.push(character);
        } else {
            let _ = write!(out, "{}", character.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Whom, begin, caller, others, printable};
    use crate::ir::LimitKey;
    use crate::principal::{AuthenticationMethod, Principal};

    fn partner(name: &str) -> Principal {
        Principal {
            subject: "job".into(),
            partner: Some(name.into()),
            ..Principal::blank("partners".into(), AuthenticationMethod::ApiKey)
        }
    }

    #[test]
    fn the_digest_is_the_same_for_ever() {
        let quota = begin(&[b"group:orders", b"per-partner", b"month", b"UTC"]);
        let acme = partner("acme");
        assert_eq!(caller(&LimitKey::Partner, &acme).id(&quota), 0xf497_249a_071e_c5e4_983c_ef7c_1fde_ee89);
        assert_ne!(
            caller(&LimitKey::Partner, &acme).id(&begin(&[b"group:orders", b"per-partne", b"month", b"UTC"])),
            others(&quota)
        );
    }

    #[test]
    fn kinds_and_parts_do_not_run_into_each_other() {
        let quota = begin(&[b"route:a", b"q", b"day", b"UTC"]);
        let acme = partner("acme");
        let ids = [
            caller(&LimitKey::Partner, &acme).id(&quota),
            Whom::Caller("tenant", [b"acme", b"", b"", b""]).id(&quota),
            Whom::Caller("partner", [b"ac", b"me", b"", b""]).id(&quota),
            Whom::Value("acme".to_owned()).id(&quota),
            Whom::Header(vec![b"acme"]).id(&quota),
            Whom::Header(vec![b"ac", b"me"]).id(&quota),
            Whom::Everyone.id(&quota),
            others(&quota),
        ];
        let distinct: std::collections::HashSet<_> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn whoever_lacks_the_key_is_a_principal() {
        let known = Principal { partner: None, client: Some("app".into()), ..partner("") };
        let whom = caller(&LimitKey::Partner, &known);
        assert_eq!((whom.by(), &*whom.text(0)), ("principal", "partners/job/app"));
        let token = caller(&LimitKey::Token, &known);
        assert_eq!(token.by(), "principal");
    }

    #[test]
    fn principals_are_those_of_other_limits() {
        let quota = begin(&[b"route:a", b"q", b"day", b"UTC"]);
        let machine = |subject: &str| Principal {
            subject: subject.into(),
            client: Some("reports".into()),
            ..Principal::blank("machines".into(), AuthenticationMethod::Mtls)
        };
        let id = |one: &Principal| caller(&LimitKey::Principal, one).id(&quota);
        assert_eq!(id(&machine("certificate 1")), id(&machine("certificate 2")), "a new certificate is no new quota");
        let person = |issuer: &str| Principal {
            subject: "alice".into(),
            issuer: issuer.into(),
            ..Principal::blank("people".into(), AuthenticationMethod::Jwt)
        };
        assert_ne!(id(&person("https://a.example")), id(&person("https://b.example")));
    }

    #[test]
    fn what_is_shown_has_no_credential_and_leads_no_terminal_astray() {
        let header = Whom::Header(vec![b"yett_secret"]);
        assert!(!header.text(header.id(&begin(&[b"route:a", b"q", b"day", b"UTC"]))).contains("secret"));
        let bound = Principal { credential: Some([0xff; 32]), ..partner("acme") };
        assert!(caller(&LimitKey::Token, &bound).text(1 << 64).contains("sha256:"));
        assert_eq!(printable("a\u{1b}[31m\n\u{202e}ü"), "a\\u{1b}[31m\\u{a}\\u{202e}ü");
        assert_eq!(printable(&"x".repeat(500)).chars().count(), 121);
    }
}
