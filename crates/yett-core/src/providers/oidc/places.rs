//! Where the gateway itself answers: under a path of each provider, on the listeners and hosts of its routes only.

use std::collections::HashSet;
use std::sync::Arc;

use crate::exchange::Method;
use crate::ir;
use crate::path::CanonicalPath;

/// What is asked of the gateway itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin a login.
    Login,
    /// The provider sends the browser back.
    Callback,
    /// End the session, here and at the provider.
    Logout,
    /// The provider says that a session has ended (OpenID Connect Back-Channel Logout 1.0).
    Backchannel,
    /// The provider has the browser load this when a session has ended (OpenID Connect Front-Channel Logout 1.0).
    Frontchannel,
}

impl Action {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "login" => Self::Login,
            "callback" => Self::Callback,
            "logout" => Self::Logout,
            "backchannel-logout" => Self::Backchannel,
            "frontchannel-logout" => Self::Frontchannel,
            _ => return None,
        })
    }

    /// The one method that it takes, and the value of `Allow`.
    #[must_use]
    pub const fn method(self) -> (Method, &'static str) {
        match self {
            Self::Login | Self::Callback | Self::Frontchannel => (Method::Get, "GET"),
            Self::Logout | Self::Backchannel => (Method::Post, "POST"),
        }
    }
}

/// Hosts of one listener.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    any: bool,
    exact: HashSet<Box<str>>,
    /// Of `*.example.com`, without the star: `.example.com`.
    below: Vec<Box<str>>,
}

impl Hosts {
    /// Those of another route; all where it names none.
    pub(crate) fn add(&mut self, hosts: Option<&[String]>) {
        let Some(hosts) = hosts else {
            self.any = true;
            return;
        };
        for host in hosts {
            match host.strip_prefix('*') {
                Some(below) => self.below.push(below.into()),
                None => {
                    self.exact.insert(host.as_str().into());
                }
            }
        }
    }

    /// Whether a host is among them.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.any || self.exact.contains(host) || self.below.iter().any(|below| host.ends_with(&**below))
    }
}

#[derive(Debug)]
struct Place {
    provider: u32,
    /// Segments of the path, decoded.
    base: Vec<Box<str>>,
    listeners: Vec<(Arc<str>, Hosts)>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Places(Vec<Place>);

impl Places {
    /// Adds the provider of this index and name, which answers under `base`.
    ///
    /// # Errors
    /// A path that is none, or under which another provider or a route stands.
    pub fn add(&mut self, provider: u32, name: &str, base: &str, routes: &[ir::Route]) -> Result<(), String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
        let segments: Vec<Box<str>> = base.split('/').skip(1).map(Into::into).collect();
        let dots = |segment: &str| matches!(segment, "" | "." | "..");
        if !base.starts_with('/') || !base.bytes().all(plain) || segments.is_empty() || segments.iter().any(|s| dots(s)) {
            return Err(format!("provider `{name}` cannot answer under `{base}`; use a path such as `/.yett/{name}`"));
        }
        let under = |one: &[Box<str>], other: &[Box<str>]| one.starts_with(other) || other.starts_with(one);
        if self.0.iter().any(|place| under(&place.base, &segments)) {
            return Err(format!("provider `{name}` answers under `{base}`, where another provider does already"));
        }
        let mut listeners: Vec<(Arc<str>, Hosts)> = Vec::new();
        for route in routes {
            if route.matches.path == base || route.matches.path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')) {
                return Err(format!("the route `{}` stands under `{base}`, where the gateway itself answers", route.name));
            }
            let accepts = match &route.access {
                ir::Access::Public => false,
                ir::Access::Authenticated(access) => access.providers.iter().any(|own| own == name),
            };
            for listener in route.listeners.iter().filter(|_| accepts) {
                let found = listeners.iter_mut().find(|(known, _)| **known == **listener);
                match found {
                    Some((_, hosts)) => hosts.add(route.matches.hosts.as_deref()),
                    None => {
                        let mut hosts = Hosts::default();
                        hosts.add(route.matches.hosts.as_deref());
                        listeners.push((listener.as_str().into(), hosts));
                    }
                }
            }
        }
        self.0.push(Place { provider, base: segments, listeners });
        Ok(())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The provider and what is asked of the gateway; no action where the path is reserved and nothing is there.
    #[must_use]
    pub fn find(&self, listener: &str, host: &str, path: &CanonicalPath) -> Option<(u32, Option<Action>)> {
        self.0.iter().find_map(|place| {
            let mut segments = path.segments();
            if !place.base.iter().all(|own| segments.next() == Some(&**own)) {
                return None;
            }
            let here = place.listeners.iter().any(|(name, hosts)| **name == *listener && hosts.has(host));
            let action = segments.next().and_then(Action::of).filter(|_| segments.next().is_none());
            here.then_some((place.provider, action))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> CanonicalPath {
        let mut path = CanonicalPath::default();
        path.parse_into(raw.as_bytes()).unwrap();
        path
    }

    #[test]
    fn hosts_are_those_of_routes() {
        let mut hosts = Hosts::default();
        hosts.add(Some(&["shop.example".to_owned(), "*.teams.example".to_owned()]));
        for (host, expected) in [
            ("shop.example", true),
            ("a.teams.example", true),
            ("a.b.teams.example", true),
            ("teams.example", false),
            ("xteams.example", false),
            ("other.example", false),
            ("", false),
        ] {
            assert_eq!(hosts.has(host), expected, "{host}");
        }
        hosts.add(None);
        assert!(hosts.has("other.example"));
    }

    #[test]
    fn actions_by_their_path() {
        let hosts = Hosts { any: true, ..Hosts::default() };
        let place = Place { provider: 3, base: vec![".yett".into(), "staff".into()], listeners: vec![("main".into(), hosts)] };
        let places = Places(vec![place]);
        let find = |raw: &str| places.find("main", "a", &path(raw));
        assert_eq!(find("/.yett/staff/callback"), Some((3, Some(Action::Callback))));
        assert_eq!(find("/.yett/st%61ff/login"), Some((3, Some(Action::Login))));
        for nothing in ["/.yett/staff", "/.yett/staff/", "/.yett/staff/x", "/.yett/staff/login/", "/.yett/staff/login/x"] {
            assert_eq!(find(nothing), Some((3, None)), "{nothing}");
        }
        for other in ["/", "/.yett", "/.yett/staffs/login", "/staff/login", "/.yett/other/login"] {
            assert_eq!(find(other), None, "{other}");
        }
        assert_eq!(places.find("internal", "a", &path("/.yett/staff/login")), None);
    }

    #[test]
    fn a_path_that_is_none_does_not_load() {
        for bad in ["", "/", "x", "/a//b", "/a/", "/..", "/a/../b", "/{x}", "/a?b", "/a b"] {
            assert!(Places::default().add(0, "staff", bad, &[]).is_err(), "{bad}");
        }
        let mut places = Places::default();
        places.add(0, "a", "/.yett/a", &[]).unwrap();
        assert!(places.add(1, "b", "/.yett/a/b", &[]).is_err() && places.add(1, "b", "/.yett", &[]).is_err());
        assert!(places.add(1, "ab", "/.yett/ab", &[]).is_ok());
    }
}
