//! Writes that a foreign page has a visitor's browser send (CSRF): from whose pages they may come.

use crate::exchange::{AuthenticationMethod, Exchange, Method, Need, Refusal, Upgrade};
use crate::filters::login_guard::credentials::{form_field, is_form, strict_form};
use crate::filters::request_validation::form::Form;
use crate::headers::Known;
use crate::ir;
use crate::origin::{Named, Origins, Page, page};
use crate::path::decode_query;
use crate::providers::oidc::Oidc;
use crate::providers::oidc::csrf::SessionId;
use crate::reason::Reason;

/// Parameters by which frameworks take a GET for another method.
const OVERRIDES: [&str; 5] = ["_method", "_httpmethod", "x-http-method", "x-http-method-override", "x-method-override"];

/// The field that a page's script sends the token of its session in.
pub const FIELD: &[u8] = b"x-csrf-token";
/// Bytes of a form that the token is looked for in, and how long it may take to come.
const FORM: (u64, u64) = (64 * 1024, 10_000);

/// What has to be read of a body for its token.
#[must_use]
pub fn form_of(body_limit: u64) -> Need {
    let (limit, within_ms) = FORM;
    Need::Body { limit: limit.min(body_limit), within_ms }
}

/// Compiled `csrf`.
#[derive(Debug)]
pub struct Csrf {
    origins: Origins,
    referer: bool,
    token: Option<ir::CsrfToken>,
    form: Option<InForm>,
}

/// A field of forms that may have the token.
#[derive(Debug)]
struct InForm {
    name: Box<str>,
    form: Form,
}

/// What a request needs to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// Nothing more.
    Now,
    /// The token in its body, which was not read yet.
    WithBody,
}

impl Csrf {
    /// Reads the origins.
    ///
    /// # Errors
    /// What no browser would send, and pages of anyone.
    pub fn build(spec: &ir::Csrf) -> Result<Self, String> {
        let origins = Origins::build(&spec.origins)?;
        if origins.is_open() {
            return Err("pages that may write are named, never `any` or `null`".to_owned());
        }
        if spec.form.is_some() && spec.token.is_none() {
            return Err("a form has a token only where tokens count".to_owned());
        }
        if spec.form.as_deref().is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            return Err("the field of a form that has the token has a name without blanks".to_owned());
        }
        let form = spec.form.as_deref().map(|name| InForm { name: name.into(), form: strict_form() });
        Ok(Self { origins, referer: spec.referer, token: spec.token, form })
    }

    /// Whose page sent the request: `Sec-Fetch-Site` and `Origin` first, and where neither is there `Referer`, if that counts.
    #[must_use]
    pub fn page(&self, exchange: &Exchange) -> Page {
        let headers = &exchange.request.headers;
        match page(headers, exchange.https, &exchange.authority, Some(&self.origins)) {
            Page::Untold if self.referer => {
                let mut values = headers.named(b"referer");
                let Some(origin) = values.next().and_then(origin_of).filter(|_| values.next().is_none()) else {
                    return Page::Untold;
                };
                if crate::origin::is_own(origin, exchange.https, &exchange.authority) {
                    Page::Own
                } else if matches!(self.origins.find(origin), Some(Named::Listed(_) | Named::Under(_))) {
                    Page::Listed
                } else {
                    Page::Foreign
                }
            }
            other => other,
        }
    }

    /// Whether tokens of sessions count.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        self.token.is_some()
    }

    /// Whether services are told the token of a session, to write it into forms.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.form.is_some()
    }

    /// Whose page sent the request, where a token may stand for what the browser does not say.
    #[must_use]
    pub fn promised(&self, exchange: &Exchange) -> Page {
        match self.page(exchange) {
            Page::Untold if self.takes_tokens() && (token(exchange).is_some() || self.is_in_form(exchange)) => Page::Promised,
            page => page,
        }
    }

    /// Whether a request with a credential that browsers add by themselves comes from a page that may send it; after the
    /// caller is known, and its session, where it has one.
    ///
    /// # Errors
    /// `csrf_refused`, `csrf_token_invalid`.
    pub fn check(&self, exchange: &Exchange, session: Option<(&Oidc, SessionId)>) -> Result<Passes, Refusal> {
        if !writes(exchange) || brings_its_own(exchange) {
            return Ok(Passes::Now);
        }
        let page = self.page(exchange);
        // No page can send a field of its own with a WebSocket: there what the browser says has to do.
        let asked = match (self.token, page) {
            (None, _) | (_, Page::Foreign) => false,
            (Some(ir::CsrfToken::Needed), Page::Own | Page::Listed) => false,
            (Some(ir::CsrfToken::Needed), _) => session.is_some() || is_assumed(exchange),
            (Some(ir::CsrfToken::Always), Page::Own | Page::Listed) => exchange.upgrade == Upgrade::None,
            (Some(ir::CsrfToken::Always), _) => true,
        };
        if asked {
            return self.token(exchange, session);
        }
        let said = match page {
            Page::Own | Page::Listed => return Ok(Passes::Now),
            Page::Foreign => "the browser says that a page of another origin sent it",
            // A program without any of it has nothing that a page could abuse.
            Page::Untold if !is_ambient(exchange) => return Ok(Passes::Now),
            Page::Untold | Page::Promised => "neither `Sec-Fetch-Site` nor `Origin` says from which page it comes",
        };
        Err(Refusal { detail: Some(said.into()), ..Reason::CsrfRefused.into() })
    }

    /// Whether a form may have the token: where no header field does.
    fn is_in_form(&self, exchange: &Exchange) -> bool {
        self.form.is_some() && exchange.request.headers.named(FIELD).next().is_none() && is_form(exchange)
    }

    /// Whether the request has the token of its session. A body is read only for a session that there is.
    fn token(&self, exchange: &Exchange, session: Option<(&Oidc, SessionId)>) -> Result<Passes, Refusal> {
        let found = match &self.form {
            Some(own) if self.is_in_form(exchange) && (session.is_some() || !exchange.assumed.is_empty()) => match &exchange.body
            {
                None => return Ok(Passes::WithBody),
                Some(Err(reason)) => return Err((*reason).into()),
                Some(Ok(_)) => {
                    let token = form_field(exchange, &own.form, &own.name);
                    token.is_some_and(|token| holds(exchange, session, token.as_bytes()))
                }
            },
            _ => token(exchange).is_some_and(|token| holds(exchange, session, token)),
        };
        if found { Ok(Passes::Now) } else { Err(Reason::CsrfTokenInvalid.into()) }
    }
}

/// What a script of a page says to be the token of its session: the only one.
fn token(exchange: &Exchange) -> Option<&[u8]> {
    let mut values = exchange.request.headers.named(FIELD);
    values.next().filter(|_| values.next().is_none())
}

/// Whether it is. Whom a policy tool takes as verified has no session, and is taken to have its token as well.
fn holds(exchange: &Exchange, session: Option<(&Oidc, SessionId)>, token: &[u8]) -> bool {
    !exchange.assumed.is_empty() || session.is_some_and(|(oidc, id)| oidc.csrf_holds(id, token))
}

/// Whether a policy tool takes somebody as logged in, whose session nobody has.
fn is_assumed(exchange: &Exchange) -> bool {
    !exchange.assumed.is_empty() && exchange.principals().any(|one| one.method == AuthenticationMethod::Oidc)
}

/// Whether a request may change something: by its method, as a WebSocket, or by a parameter that stands for a method.
#[must_use]
pub fn writes(exchange: &Exchange) -> bool {
    let safe = matches!(exchange.request.method, Method::Get | Method::Head | Method::Options);
    !safe || exchange.upgrade != Upgrade::None || overrides(exchange.query())
}

fn overrides(query: &[u8]) -> bool {
    !query.is_empty()
        && query.split(|b| matches!(b, b'&' | b';')).any(|pair| {
            let raw = pair.split(|b| *b == b'=').next().unwrap_or_default();
            decode_query(raw).is_none_or(|name| OVERRIDES.iter().any(|known| known.eq_ignore_ascii_case(&name)))
        })
}

/// Whether a verified credential is one that no browser adds by itself: a page that has it needs no browser's help.
fn brings_its_own(exchange: &Exchange) -> bool {
    exchange.principals().any(|one| !matches!(one.method, AuthenticationMethod::Oidc | AuthenticationMethod::Mtls))
}

/// Whether a browser may have added something by which the sender is known.
fn is_ambient(exchange: &Exchange) -> bool {
    exchange.principal.is_some()
        || exchange.request.headers.get(Known::Cookie).is_some()
        || exchange.connection.client_certificate.is_some()
}

/// `https://shop.example.com:8443` of a URL.
fn origin_of(url: &[u8]) -> Option<&[u8]> {
    let start = url.windows(3).position(|at| at == b"://")?.checked_add(3)?;
    let length = url.get(start..)?.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b'\\' | b'@'));
    match length {
        None => Some(url),
        // What comes before an `@` is no host.
        Some(length) if url.get(start.checked_add(length)?) == Some(&b'@') => None,
        Some(length) => url.get(..start.checked_add(length)?),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{Csrf, origin_of, writes};
    use crate::exchange::{ConnectionInfo, Exchange, Framing, Method, Upgrade};
    use crate::ir;
    use crate::origin::Page;

    fn exchange(method: Method, target: &str, fields: &[(&str, &str)]) -> Exchange {
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection = ConnectionInfo { peer, listener: "l".into(), tls: true, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(Rc::new(connection));
        exchange.request.method = method;
        exchange.request.target = target.into();
        exchange.authority = b"shop.example".to_vec();
        for (name, value) in fields {
            exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        exchange
    }

    #[test]
    fn what_may_change_something() {
        for method in [Method::Post, Method::Put, Method::Delete, Method::Patch, Method::Other("BREW".into())] {
            assert!(writes(&exchange(method, "/", &[])));
        }
        for method in [Method::Get, Method::Head, Method::Options] {
            assert!(!writes(&exchange(method.clone(), "/?method=x&a_method=b", &[])));
            for query in
                ["_method=DELETE", "a=1&_METHOD=put", "%5fmethod=x", "a;_method=x", "X-HTTP-Method-Override=PUT", "_method"]
            {
                assert!(writes(&exchange(method.clone(), &format!("/?{query}"), &[])), "{query}");
            }
        }
        let mut socket = exchange(Method::Get, "/", &[]);
        socket.upgrade = Upgrade::Taken;
        assert!(writes(&socket));
    }

    #[test]
    fn whose_pages() {
        let build = |referer| {
            Csrf::build(&ir::Csrf { origins: vec!["https://app.example".into()], referer, token: None, form: None }).unwrap()
        };
        let cookie = ("cookie", "a=b");
        for (fields, referer, expected) in [
            (vec![], false, true),
            (vec![cookie], false, false),
            (vec![cookie, ("sec-fetch-site", "same-origin")], false, true),
            (vec![cookie, ("sec-fetch-site", "same-origin"), ("origin", "null")], false, true),
            (vec![cookie, ("origin", "null")], false, false),
            (vec![cookie, ("sec-fetch-site", "cross-site"), ("origin", "https://app.example")], false, true),
            (vec![cookie, ("sec-fetch-site", "none"), ("origin", "https://app.example")], false, false),
            (vec![cookie, ("sec-fetch-site", "cross-site")], false, false),
            (vec![cookie, ("origin", "https://app.example")], false, true),
            (vec![cookie, ("origin", "https://evil.example")], false, false),
            (vec![("origin", "https://evil.example")], false, false),
            (vec![("sec-fetch-site", "cross-site")], false, false),
            (vec![cookie, ("referer", "https://shop.example/a")], false, false),
            (vec![cookie, ("referer", "https://shop.example/a")], true, true),
            (vec![cookie, ("referer", "https://app.example")], true, true),
            (vec![cookie, ("referer", "https://shop.example.evil.example/")], true, false),
            (vec![cookie, ("referer", "https://shop.example@evil.example/")], true, false),
            (vec![cookie, ("referer", "https://evil.example/?https://shop.example/")], true, false),
            (vec![cookie, ("referer", "https://shop.example/"), ("referer", "https://shop.example/")], true, false),
            (vec![cookie, ("referer", "https://shop.example/"), ("origin", "https://evil.example")], true, false),
        ] {
            let passes = build(referer).check(&exchange(Method::Post, "/", &fields), None).is_ok();
            assert_eq!(passes, expected, "{fields:?} {referer}");
        }
    }

    #[test]
    fn when_a_token_is_asked_for() {
        use crate::reason::Reason;
        let (own, untold) = (("sec-fetch-site", "same-origin"), ("cookie", "a=b"));
        let token = ("x-csrf-token", "anything");
        for (wanted, fields, expected) in [
            (ir::CsrfToken::Needed, vec![own], None),
            (ir::CsrfToken::Needed, vec![untold], Some(Reason::CsrfRefused)),
            (ir::CsrfToken::Needed, vec![untold, token], Some(Reason::CsrfRefused)),
            (ir::CsrfToken::Needed, vec![token, ("sec-fetch-site", "cross-site")], Some(Reason::CsrfRefused)),
            (ir::CsrfToken::Always, vec![own], Some(Reason::CsrfTokenInvalid)),
            (ir::CsrfToken::Always, vec![own, token], Some(Reason::CsrfTokenInvalid)),
            (ir::CsrfToken::Always, vec![untold, token], Some(Reason::CsrfTokenInvalid)),
            (ir::CsrfToken::Always, vec![token, ("origin", "https://evil.example")], Some(Reason::CsrfRefused)),
        ] {
            let csrf = Csrf::build(&ir::Csrf { origins: vec![], referer: false, token: Some(wanted), form: None }).unwrap();
            let found = csrf.check(&exchange(Method::Post, "/", &fields), None).err().map(|refusal| refusal.reason);
            assert_eq!(found, expected, "{wanted:?} {fields:?}");
            assert!(csrf.check(&exchange(Method::Get, "/", &fields), None).is_ok());
        }
    }

    #[test]
    fn a_form_is_read_for_a_session_only() {
        use crate::reason::Reason;
        let spec = |token| ir::Csrf { origins: vec![], referer: false, token, form: Some("csrf".into()) };
        assert!(Csrf::build(&spec(None)).is_err());
        for form in ["", " ", "csrf token", "csrf\u{a0}token", "csrf\t"] {
            let named = ir::Csrf { form: Some(form.into()), ..spec(Some(ir::CsrfToken::Needed)) };
            assert!(Csrf::build(&named).is_err(), "{form:?}");
        }
        let csrf = Csrf::build(&spec(Some(ir::CsrfToken::Needed))).unwrap();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let promised = |fields: &[(&str, &str)], framing| {
            let mut one = exchange(Method::Post, "/", fields);
            one.request.framing = framing;
            csrf.promised(&one) == Page::Promised
        };
        let length = Framing::Length(9);
        assert!(promised(&[form], length) && promised(&[("content-type", "multipart/form-data; boundary=x")], Framing::Chunked));
        assert!(!promised(&[form], Framing::Empty) && !promised(&[], length) && !promised(&[form, form], length));
        assert!(!promised(&[("content-type", "application/json")], length));
        assert!(!promised(&[form, ("content-encoding", "gzip")], length));
        assert!(!promised(&[form, ("x-csrf-token", "a"), ("x-csrf-token", "a")], length), "a header field goes before");
        // Nobody's body is read without a session.
        let always = Csrf::build(&spec(Some(ir::CsrfToken::Always))).unwrap();
        let mut one = exchange(Method::Post, "/", &[form, ("sec-fetch-site", "same-origin")]);
        one.request.framing = length;
        assert_eq!(always.check(&one, None).map_err(|refusal| refusal.reason), Err(Reason::CsrfTokenInvalid));
    }

    #[test]
    fn origins_of_urls() {
        assert_eq!(origin_of(b"https://a.example:1/b"), Some(&b"https://a.example:1"[..]));
        assert_eq!(origin_of(b"https://a.example"), Some(&b"https://a.example"[..]));
        assert_eq!(origin_of(b"https://a.example\\@b/"), Some(&b"https://a.example"[..]));
        for bad in [&b"a.example"[..], b"", b"https://a@b/"] {
            assert_eq!(origin_of(bad), None);
        }
    }

    #[test]
    fn pages_of_anyone_do_not_load() {
        for origin in ["any", "null", "https://*.com"] {
            assert!(Csrf::build(&ir::Csrf { origins: vec![origin.into()], referer: false, token: None, form: None }).is_err());
        }
    }
}
