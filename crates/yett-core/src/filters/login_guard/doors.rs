//! Where solutions of challenges are taken: at one path of the gateway's own, on the listeners and hosts of routes that make
//! challenges.

use super::challenge::{PATH, is_path, is_place};
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
        let guards = |route: &ir::Route| route.login_guard.as_ref().is_some_and(|guard| guard.challenge.is_some());
        let makes = |route: &ir::Route| guards(route) && route.login_guard.as_ref().is_some_and(|guard| !guard.shadow);
        let mut doors = Vec::new();
        for (index, route) in routes.iter().enumerate().filter(|(_, route)| makes(route)) {
            let mut hosts = Hosts::default();
            hosts.add(route.matches.hosts.as_deref());
            let route_index = u32::try_from(index).map_err(|_| "there are too many routes".to_owned())?;
            doors.push(Door { route: route_index, listeners: route.listeners.clone().into(), hosts });
        }
        // Also beside a guard that is tried out: what is enforced later changes no route.
        let taken = routes.iter().find(|route| is_place(&route.matches.path)).filter(|_| routes.iter().any(guards));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A guarded route and one at this path.
    fn routes(path: &str, shadow: bool) -> Vec<ir::Route> {
        let document = include_bytes!("../../../../../tests/config/cases/good/login_challenge.ir.json");
        let ir: ir::Ir = serde_json::from_slice(document).unwrap();
        let guarded = |route: &ir::Route| route.login_guard.as_ref().is_some_and(|guard| guard.challenge.is_some());
        let mut login = ir.routes.iter().find(|route| guarded(route)).unwrap().clone();
        login.login_guard.as_mut().unwrap().shadow = shadow;
        let mut other = ir::Route { login_guard: None, ..login.clone() };
        other.matches.path = path.to_owned();
        vec![other, login]
    }

    #[test]
    fn no_route_stands_in_the_place_of_solutions() {
        for taken in ["/.yett/challenge", "/.yett/challenge/", "/.yett/{what}", "/.yett/{what}/", "/.yett/{rest...}"] {
            for shadow in [false, true] {
                assert!(Doors::build(&routes(taken, shadow)).unwrap_err().contains("stands at"), "{taken} {shadow}");
            }
            assert!(Doors::build(routes(taken, false).get(..1).unwrap()).is_ok(), "{taken}: nobody makes challenges");
        }
        // Those for everything lose this one path; what stands beside or below it loses nothing.
        for fine in
            ["/", "/{rest...}", "/{a}/{b}", "/{a}/challenge", "/.yett", "/.yett/other", "/.yett/{a}/b", "/.yett/challenge/x"]
        {
            assert!(Doors::build(&routes(fine, false)).is_ok(), "{fine}");
        }
        assert!(Doors::build(&routes("/", true)).unwrap().is_empty());
    }
}
