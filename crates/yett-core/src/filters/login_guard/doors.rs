//! Where solutions of challenges are taken: at one path of the gateway's own, on the listeners and hosts of routes that make
//! challenges.

use super::challenge::{PATH, is_path};
use crate::ir;
use crate::path::CanonicalPath;
use crate::providers::oidc::places::Hosts;

/// A route that makes challenges.
#[derive(Debug)]
struct Door {
    route: u32,
    listeners: Box<[String]>,
    hosts: Hosts,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Doors(Vec<Door>);

impl Doors {
    /// Those of routes whose guard is enforced.
    ///
    /// # Errors
    /// A route at the gateway's own path.
    pub fn build(routes: &[ir::Route]) -> Result<Self, String> {
        let makes =
            |route: &ir::Route| route.login_guard.as_ref().is_some_and(|guard| guard.challenge.is_some() && !guard.shadow);
        let mut doors = Vec::new();
        for (index, route) in routes.iter().enumerate().filter(|(_, route)| makes(route)) {
            let mut hosts = Hosts::default();
            hosts.add(route.matches.hosts.as_deref());
            let route_index = u32::try_from(index).map_err(|_| "there are too many routes".to_owned())?;
            doors.push(Door { route: route_index, listeners: route.listeners.clone().into(), hosts });
        }
        let taken = routes.iter().find(|route| route.matches.path == PATH && !doors.is_empty());
        match taken {
            Some(route) => Err(format!("the route `{}` stands at `{PATH}`, where solutions of challenges are taken", route.name)),
            None => Ok(Self(doors)),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Routes whose challenges may be meant; none where the path is another one.
    pub fn at(&self, listener: &str, host: &str, path: &CanonicalPath) -> impl Iterator<Item = u32> {
        let here = !self.0.is_empty() && is_path(path.segments());
        let doors = if here { self.0.as_slice() } else { &[] };
        let open = move |door: &&Door| door.hosts.has(host) && door.listeners.iter().any(|name| name == listener);
        doors.iter().filter(open).map(|door| door.route)
    }
}
