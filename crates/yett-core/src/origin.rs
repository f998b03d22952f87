//! Web origins (RFC 6454): whose page sent a request, as its browser says, and whose pages a configuration names.

use crate::headers::{Headers, Known};

/// Whose page sent a request, as its browser says in fields that no page can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Of this very host and scheme.
    Own,
    /// Of an origin that is named.
    Listed,
    /// Of another one, or the browser contradicts itself.
    Foreign,
    /// Nothing is said.
    Untold,
    /// Nothing is said, and a token stands for it, which is compared once it is known whose session it is.
    Promised,
}

/// Reads `Sec-Fetch-Site` (Fetch Metadata) and `Origin`. Where both are there, both have to say it.
///
/// A page that sends no referrer says `Origin: null` with a form, to its own host, too.
#[must_use]
pub fn page(headers: &Headers, https: bool, authority: &[u8], named: Option<&Origins>) -> Page {
    let mut sites = headers.named(b"sec-fetch-site");
    let site = sites.next().map(|site| if sites.next().is_none() { site } else { b"" });
    let origin = headers.get(Known::Origin);
    let own = || origin.is_some_and(|origin| is_own(origin, https, authority));
    let listed = || {
        origin.zip(named).is_some_and(|(origin, named)| matches!(named.find(origin), Some(Named::Listed(_) | Named::Under(_))))
    };
    match (site, origin) {
        (None, None) => Page::Untold,
        (Some(b"same-origin"), None | Some(b"null")) => Page::Own,
        (Some(b"same-origin") | None, Some(_)) if own() => Page::Own,
        (Some(b"same-site" | b"cross-site") | None, Some(_)) if listed() => Page::Listed,
        (Some(_), _) | (None, Some(_)) => Page::Foreign,
    }
}

/// Whether an origin (RFC 6454 section 6.2) is this host over this scheme; a default port may be said or not.
#[must_use]
pub fn is_own(origin: &[u8], https: bool, authority: &[u8]) -> bool {
    let (scheme, port): (&[u8], &[u8]) = if https { (b"https://", b":443") } else { (b"http://", b":80") };
    let bare = |text: &'_ [u8]| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    origin
        .split_at_checked(scheme.len())
        .is_some_and(|(start, rest)| start.eq_ignore_ascii_case(scheme) && bare(rest) == bare(authority))
}

/// Which entry of a configuration names an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `any`.
    Any,
    /// `null`: pages without an origin of their own.
    Null,
    /// The one at this place.
    Listed(usize),
    /// This one, by a pattern.
    Under(Box<str>),
}

/// Origins that a configuration names.
#[derive(Debug, Default)]
pub struct Origins {
    any: bool,
    null: bool,
    /// Sorted.
    exact: Vec<Box<str>>,
    subdomains: Vec<Subdomain>,
}

/// `https://*.example.com:8443`: exactly one label in place of the star.
#[derive(Debug)]
struct Subdomain {
    /// `https://`
    scheme: Box<[u8]>,
    /// `.example.com:8443`
    rest: Box<[u8]>,
}

impl Origins {
    /// Reads `https://shop.example.com[:port]`, `https://*.example.com[:port]`, `null` and `any`.
    ///
    /// # Errors
    /// What no browser would send, or a pattern that is wider than one label of a site.
    pub fn build(list: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        for one in list {
            match one.as_str() {
                "any" => all.any = true,
                "null" => all.null = true,
                text => {
                    let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme));
                    let (scheme, rest) = scheme.and_then(|scheme| text.split_at_checked(scheme.len())).unwrap_or_default();
                    let plain = |text: &str| {
                        let byte = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b':' | b'[' | b']' | b'_');
                        !text.is_empty() && text.bytes().all(byte)
                    };
                    match rest.strip_prefix('*') {
                        // A pattern below a top-level domain would be open to whoever buys a name.
                        Some(rest) if scheme == "https://" && rest.starts_with('.') && plain(rest) => {
                            if rest.matches('.').count() < 2 {
                                return Err(format!("`{one}` covers a whole top-level domain"));
                            }
                            all.subdomains.push(Subdomain { scheme: scheme.as_bytes().into(), rest: rest.as_bytes().into() });
                        }
                        None if plain(rest) => all.exact.push(text.into()),
                        _ => return Err(format!("`{one}` is not an origin; write one such as `https://shop.example.com`")),
                    }
                }
            }
        }
        all.exact.sort_unstable();
        Ok(all)
    }

    /// Whether pages may come from anywhere.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.any || self.null
    }

    /// Which entry names this origin, compared byte by byte: browsers know one spelling.
    #[must_use]
    pub fn find(&self, origin: &[u8]) -> Option<Named> {
        if origin == b"null" {
            return self.null.then_some(Named::Null);
        }
        if let Ok(index) = self.exact.binary_search_by(|one| one.as_bytes().cmp(origin)) {
            return Some(Named::Listed(index));
        }
        if self.subdomains.iter().any(|one| one.covers(origin)) {
            return std::str::from_utf8(origin).ok().map(|text| Named::Under(text.into()));
        }
        (self.any && !origin.is_empty()).then_some(Named::Any)
    }

    /// What `Access-Control-Allow-Origin` says of one that was found.
    #[must_use]
    pub fn text<'a>(&'a self, named: &'a Named) -> &'a str {
        match named {
            Named::Any => "*",
            Named::Null => "null",
            Named::Listed(index) => self.exact.get(*index).map_or("", |one| one),
            Named::Under(text) => text,
        }
    }
}

impl Subdomain {
    fn covers(&self, origin: &[u8]) -> bool {
        let Some(label) = origin.strip_prefix(&*self.scheme).and_then(|rest| rest.strip_suffix(&*self.rest)) else {
            return false;
        };
        let inner = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        (1..=63).contains(&label.len()) && label.iter().all(inner) && label.first() != Some(&b'-') && label.last() != Some(&b'-')
    }
}

#[cfg(test)]
mod tests {
    use super::{Named, Origins, is_own};

    fn origins(list: &[&str]) -> Result<Origins, String> {
        Origins::build(&list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn exact_origins_are_scheme_host_and_port() {
        let all = origins(&["https://shop.example.com", "http://localhost:3000", "https://[::1]:8443"]).unwrap();
        for origin in ["https://shop.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            let named = all.find(origin.as_bytes()).unwrap();
            assert_eq!(all.text(&named), origin);
        }
        for origin in [
            "http://shop.example.com",
            "https://shop.example.com:8443",
            "https://shop.example.com.evil.example",
            "https://evil-shop.example.com",
            "https://x.shop.example.com",
            "https://shop.example.com/",
            "https://SHOP.example.com",
            "https://user@shop.example.com",
            "https://shop.example.com https://evil.example",
            "http://localhost",
            "null",
            "",
        ] {
            assert_eq!(all.find(origin.as_bytes()), None, "{origin}");
        }
    }

    #[test]
    fn a_pattern_is_one_label() {
        let all = origins(&["https://*.example.com:8443"]).unwrap();
        let found = all.find(b"https://pr-17.example.com:8443").unwrap();
        assert_eq!((all.text(&found), found == Named::Any), ("https://pr-17.example.com:8443", false));
        for origin in [
            "https://.example.com:8443",
            "https://example.com:8443",
            "https://a.b.example.com:8443",
            "https://a.example.com",
            "http://a.example.com:8443",
            "https://-a.example.com:8443",
            "https://a-.example.com:8443",
            "https://evil.example/.example.com:8443",
            "https://evil.example?.example.com:8443",
            "https://evil.example#.example.com:8443",
            "https://evil.example:443@a.example.com:8443",
            "https://a_b.example.com:8443",
            "https://A.example.com:8443",
            "https://evilexample.com:8443",
        ] {
            assert_eq!(all.find(origin.as_bytes()), None, "{origin}");
        }
        let long = format!("https://{}.example.com:8443", "a".repeat(64));
        assert_eq!(all.find(long.as_bytes()), None);
    }

    #[test]
    fn null_is_named_or_refused() {
        assert_eq!(origins(&["any"]).unwrap().find(b"null"), None);
        assert_eq!(origins(&["any"]).unwrap().find(b"https://evil.example"), Some(Named::Any));
        assert_eq!(origins(&["null"]).unwrap().find(b"null"), Some(Named::Null));
        assert_eq!(origins(&["null"]).unwrap().find(b"https://evil.example"), None);
    }

    #[test]
    fn what_is_no_origin_does_not_load() {
        for bad in [
            "shop.example.com",
            "https://",
            "https://shop.example.com/",
            "https://Shop.example.com",
            "*",
            "https://*",
            "https://*.com",
            "http://*.example.com",
            "https://a.*.example.com",
            "https://*example.com",
            "https://**.example.com",
            "ftp://a.example",
            "",
        ] {
            assert!(origins(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn its_own_origin() {
        assert!(is_own(b"https://shop.example", true, b"Shop.example:443"));
        assert!(!is_own(b"http://shop.example", true, b"shop.example"));
        assert!(!is_own(b"https://shop.example:8443", true, b"shop.example"));
        assert!(!is_own(b"", true, b""));
    }
}
