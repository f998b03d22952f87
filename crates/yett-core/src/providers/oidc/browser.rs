//! What a request says about the browser that sent it: whether a person is looking, and from which page it came.

use crate::exchange::{Exchange, Method, Upgrade};
use crate::headers::Known;
use crate::origin::{Page, page};

/// Whether a person waits for a page, who can be sent elsewhere to log in. What a script fetches gets 401: it could not
/// follow, and its caller would take the login page for an answer.
#[must_use]
pub fn is_navigation(exchange: &Exchange) -> bool {
    let headers = &exchange.request.headers;
    let says = |name: &'static [u8], word: &[u8]| headers.named(name).all(|value| value == word);
    exchange.request.method == Method::Get
        && exchange.upgrade == Upgrade::None
        && headers.named(b"x-requested-with").next().is_none()
        && says(b"sec-fetch-mode", b"navigate")
        && says(b"sec-fetch-dest", b"document")
        && headers.get_all(Known::Accept).any(accepts_html)
}

/// Whether whoever sent this can be led on by a redirect: a form on a page, and no script.
#[must_use]
pub fn is_page(exchange: &Exchange) -> bool {
    let headers = &exchange.request.headers;
    headers.named(b"x-requested-with").next().is_none()
        && headers.named(b"sec-fetch-mode").all(|mode| mode == b"navigate")
        && headers.get_all(Known::Accept).any(accepts_html)
}

/// Whether HTML is named itself: `*/*` is what programs send.
fn accepts_html(accept: &[u8]) -> bool {
    accept.split(|b| *b == b',').take(32).any(|item| {
        let kind = item.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
    })
}

/// Whether a method only reads (RFC 9110 section 9.2.1).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options)
}

/// Whether the request comes from a page of this very origin: the browser says so in `Sec-Fetch-Site` or `Origin`, which
/// no page can forge. Where both are there, both have to say it; where neither is, nothing is proved.
#[must_use]
pub fn is_same_origin(exchange: &Exchange) -> bool {
    page(&exchange.request.headers, exchange.https, &exchange.authority, None) == Page::Own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ConnectionInfo;
    use std::rc::Rc;

    fn exchange(fields: &[(&str, &str)]) -> Exchange {
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection = ConnectionInfo { peer, listener: "l".into(), tls: true, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(Rc::new(connection));
        exchange.authority = b"Shop.example:8443".to_vec();
        for (name, value) in fields {
            exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        exchange
    }

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn who_is_sent_to_log_in() {
        let navigation = [PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(is_navigation(&exchange(&navigation)) && is_navigation(&exchange(&[PAGE])));
        for other in [
            vec![],
            vec![("accept", "*/*")],
            vec![("accept", "application/json")],
            vec![PAGE, ("x-requested-with", "XMLHttpRequest")],
            vec![PAGE, ("sec-fetch-mode", "cors")],
            vec![PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")],
            vec![PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        ] {
            assert!(!is_navigation(&exchange(&other)), "{other:?}");
        }
        for method in [Method::Post, Method::Head, Method::Put, Method::Options] {
            let mut one = exchange(&navigation);
            one.request.method = method;
            assert!(!is_navigation(&one));
        }
        let mut socket = exchange(&navigation);
        socket.upgrade = Upgrade::Taken;
        assert!(!is_navigation(&socket));
    }

    #[test]
    fn what_proves_the_same_origin() {
        for (fields, expected) in [
            (vec![], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
            (vec![("origin", "https://shop.example:8443")], true),
            (vec![("origin", "https://SHOP.example:8443")], true),
            (vec![("origin", "http://shop.example:8443")], false),
            (vec![("origin", "https://shop.example")], false),
            (vec![("origin", "https://shop.example:8443.evil.example")], false),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "null"), ("sec-fetch-site", "same-site")], false),
            (vec![("origin", "")], false),
            (vec![("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], false),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "https://shop.example:8443")], false),
            (vec![("sec-fetch-site", "same-origin"), ("origin", "https://shop.example:8443")], true),
            (vec![("referer", "https://shop.example:8443/")], false),
        ] {
            assert_eq!(is_same_origin(&exchange(&fields)), expected, "{fields:?}");
        }
        let mut plain = exchange(&[("origin", "https://shop.example")]);
        plain.authority = b"shop.example:443".to_vec();
        assert!(is_same_origin(&plain));
    }
}
