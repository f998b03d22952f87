//! Attributes that a cookie lacks (RFC 6265bis section 4.1.2).

use crate::ir;

/// What every cookie has at least.
#[derive(Debug)]
pub(super) struct Cookies {
    secure: bool,
    http_only: bool,
    same_site: Option<&'static str>,
    /// Names of cookies that scripts may read.
    readable: Vec<Box<[u8]>>,
}

impl Cookies {
    pub(super) fn build(spec: &ir::CookieAttributes) -> Self {
        let same_site = spec.same_site.map(|same_site| match same_site {
            ir::SameSite::Lax => "; SameSite=Lax",
            ir::SameSite::Strict => "; SameSite=Strict",
        });
        let readable = spec.readable.iter().map(|name| name.as_bytes().into()).collect();
        Self { secure: spec.secure, http_only: spec.http_only, same_site, readable }
    }

    /// What has to be appended to a `Set-Cookie`. `Secure` only where the client came over TLS: from elsewhere a browser
    /// would drop the cookie. An explicit SameSite stays; the last one counts, as for browsers, and one that is no known
    /// word is none.
    pub(super) fn missing(&self, value: &[u8], https: bool) -> [&'static str; 3] {
        let mut parts = value.split(|b| *b == b';');
        let name = parts.next().and_then(|pair| pair.split(|b| *b == b'=').next()).unwrap_or_default().trim_ascii();
        let (mut secure, mut http_only, mut same_site) = (false, false, None);
        for part in parts {
            let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
            let (attribute, rest) = part.split_at_checked(at).unwrap_or((part, &[]));
            let attribute = attribute.trim_ascii();
            secure |= attribute.eq_ignore_ascii_case(b"secure");
            http_only |= attribute.eq_ignore_ascii_case(b"httponly");
            if attribute.eq_ignore_ascii_case(b"samesite") {
                same_site = word(rest.get(1..).unwrap_or_default().trim_ascii());
            }
        }
        let begins = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        let for_http = begins(b"__Http-") || begins(b"__Host-Http-");
        let for_secure = for_http || begins(b"__Secure-") || begins(b"__Host-");
        let wants_secure = self.secure || for_secure || same_site == Some(Word::None);
        let wants_http = for_http || (self.http_only && !self.readable.iter().any(|readable| **readable == *name));
        [
            if https && wants_secure && !secure { "; Secure" } else { "" },
            if wants_http && !http_only { "; HttpOnly" } else { "" },
            if same_site.is_none() { self.same_site.unwrap_or_default() } else { "" },
        ]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    None,
    Other,
}

fn word(value: &[u8]) -> Option<Word> {
    if value.eq_ignore_ascii_case(b"none") {
        return Some(Word::None);
    }
    (value.eq_ignore_ascii_case(b"lax") || value.eq_ignore_ascii_case(b"strict")).then_some(Word::Other)
}
