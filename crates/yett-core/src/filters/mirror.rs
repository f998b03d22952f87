//! A copy of a share of a route's requests for a second service, whose answers are dropped.

use std::collections::HashMap;

use super::split::WHOLE;
use crate::headers::Headers;
use crate::ir;

/// Which service gets how much.
#[derive(Debug)]
pub struct Mirror {
    /// Index of the service.
    pub service: u32,
    share: u32,
}

/// What is mirrored of one request that was drawn.
#[derive(Debug)]
pub struct Mirrored {
    /// Index of the service.
    pub service: u32,
    /// The fields that it sees; `None` where the request cannot be mirrored.
    pub headers: Option<Headers>,
}

impl Mirror {
    /// Resolves the service.
    ///
    /// # Errors
    /// A service that is not there, that the route forwards to anyway, or that asks for what is not done for copies; a share
    /// outside of the whole; a route that forwards nothing, or WebSocket connections.
    pub fn build(spec: &ir::Mirror, route: &ir::Route, services: &HashMap<&str, u32>, ir: &ir::Ir) -> Result<Self, String> {
        let name = &spec.service;
        let found = services.get(name.as_str()).and_then(|index| Some((*index, ir.services.get(*index as usize)?)));
        let (index, service) = found.ok_or_else(|| format!("there is no service `{name}`"))?;
        let ir::Action::Forward(shares) = &route.action else {
            return Err("the route forwards nothing, so nothing can be mirrored".to_owned());
        };
        if route.websocket.is_some() {
            return Err("WebSocket connections are not mirrored".to_owned());
        }
        if shares.iter().any(|share| share.service == *name) {
            return Err(format!("`{name}` gets the route's requests already"));
        }
        if service.speaks.http2().is_some() {
            return Err(format!("requests are mirrored over HTTP/1.1, and `{name}` is asked over HTTP/2"));
        }
        if service.limits.is_some() || service.circuit_breaker.is_some() || service.retry.is_some() {
            return Err(format!("`{name}` has limits, circuit breakers or retries, which do not hold for mirrored requests"));
        }
        if spec.share == 0 || spec.share > WHOLE {
            return Err(format!("the share is {} of {WHOLE}", spec.share));
        }
        Ok(Self { service: index, share: spec.share })
    }

    /// Whether a request is drawn, for a random number; without one it is not.
    #[must_use]
    pub fn draws(&self, random: impl FnOnce() -> Option<u32>) -> bool {
        self.share == WHOLE || random().is_some_and(|number| number % WHOLE < self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mirror, WHOLE};

    #[test]
    fn exactly_the_share_is_drawn() {
        let mirror = Mirror { service: 0, share: 500 };
        assert_eq!((0..WHOLE).filter(|number| mirror.draws(|| Some(*number))).count(), 500);
        assert!(!mirror.draws(|| None));
        assert!(Mirror { service: 0, share: WHOLE }.draws(|| None));
    }
}
