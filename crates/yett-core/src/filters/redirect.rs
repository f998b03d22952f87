//! A redirect in place of a service.

use crate::exchange::{Answer, Exchange};
use crate::filters::rewrite::PathTemplate;
use crate::headers::is_value;
use crate::ir;

/// Compiled `redirect`.
#[derive(Debug)]
pub struct Redirect {
    status: u16,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Fixed(Box<str>),
    Built { scheme: Option<Box<str>>, host: Option<Box<str>>, path: Option<PathTemplate> },
}

impl Redirect {
    /// Checks the parts.
    ///
    /// # Errors
    /// A status that is no redirect, no target or two, a scheme other than http and https, a path that is not canonical.
    pub fn build(redirect: &ir::Redirect, variables: &[&str]) -> Result<Self, String> {
        if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
            return Err(format!("`{}` is no status of a redirect; write 301, 302, 303, 307 or 308", redirect.status));
        }
        let parts = redirect.scheme.is_some() || redirect.host.is_some() || redirect.path.is_some();
        let target = match &redirect.location {
            Some(_) if parts => return Err("`location` does not go with `scheme`, `host` or `path`".to_owned()),
            Some(location) if is_value(location.as_bytes()) && !location.is_empty() => Target::Fixed(location.as_str().into()),
            Some(location) => return Err(format!("`{location}` cannot stand in Location")),
            None if !parts => return Err("a redirect needs `location`, or one of `scheme`, `host` and `path`".to_owned()),
            None => {
                if let Some(scheme) = redirect.scheme.as_deref().filter(|s| !matches!(*s, "http" | "https")) {
                    return Err(format!("`{scheme}` is no scheme to redirect to; write `http` or `https`"));
                }
                let valid_host = |h: &str| h.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b)) && !h.is_empty();
                if let Some(host) = redirect.host.as_deref().filter(|h| !valid_host(h)) {
                    return Err(format!("`{host}` is no host to redirect to"));
                }
                let path = redirect.path.as_deref().map(|p| PathTemplate::build(p, variables)).transpose()?;
                let boxed = |text: &Option<String>| text.as_deref().map(Into::into);
                Target::Built { scheme: boxed(&redirect.scheme), host: boxed(&redirect.host), path }
            }
        };
        Ok(Self { status: redirect.status, target })
    }

    /// The answer. A built target keeps scheme, authority, path and query of the request where it names no other.
    #[must_use]
    pub fn answer(&self, exchange: &Exchange) -> Answer {
        let location: Box<str> = match &self.target {
            Target::Fixed(location) => location.clone(),
            Target::Built { scheme, host, path } => {
                let scheme = scheme.as_deref().unwrap_or(if exchange.https { "https" } else { "http" });
                let mut out = format!("{scheme}://").into_bytes();
                out.extend_from_slice(host.as_deref().map_or(exchange.authority.as_slice(), str::as_bytes));
                match path {
                    Some(path) => path.fill(&exchange.variables, &mut out),
                    None => out.extend_from_slice(exchange.path.raw()),
                }
                if !exchange.query().is_empty() {
                    out.push(b'?');
                    out.extend_from_slice(exchange.query());
                }
                String::from_utf8_lossy(&out).into()
            }
        };
        Answer { status: self.status, headers: vec![("location".into(), location)], body: [].into() }
    }
}

#[cfg(test)]
mod tests {
    use super::Redirect;
    use crate::ir;

    fn spec() -> ir::Redirect {
        ir::Redirect { status: 308, location: None, scheme: None, host: None, path: None }
    }

    #[test]
    fn broken_redirects_do_not_load() {
        let cases: [fn(&mut ir::Redirect); 7] = [
            |_| {},
            |r| r.location = Some("/a\r\nb".into()),
            |r| r.scheme = Some("javascript".into()),
            |r| r.host = Some("a/b".into()),
            |r| r.path = Some("/{nobody}".into()),
            |r| {
                r.location = Some("/a".into());
                r.host = Some("h".into());
            },
            |r| {
                r.location = Some("/a".into());
                r.status = 200;
            },
        ];
        for (number, change) in cases.iter().enumerate() {
            let mut broken = spec();
            change(&mut broken);
            assert!(Redirect::build(&broken, &[]).is_err(), "case {number}");
        }
    }
}
