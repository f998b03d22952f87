//! Which endpoint of a service a request goes to.

use std::rc::Rc;

use super::{Endpoint, Service};
use crate::ir;

/// Endpoints of one service, at most.
pub const MAX_ENDPOINTS: usize = 256;

/// Endpoints of one service that a request has tried, by their place.
#[derive(Debug, Default, Clone)]
pub struct Tried([u64; MAX_ENDPOINTS / 64]);

impl Tried {
    /// Whether it was tried. What has no place here counts as tried.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_none_or(|word| word & (1 << (place % 64)) != 0)
    }

    /// Notes that it was tried.
    pub fn insert(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }
}

impl Service {
    /// The endpoint for the next attempt of a request, which becomes one of `tried`; `None` when none is left. `key` is
    /// what `consistent_hash` goes by.
    #[must_use]
    pub fn choose(&self, _key: Option<u64>, now: u64, tried: &mut Tried) -> Option<&Rc<Endpoint>> {
        let count = self.endpoints.len();
        let turn = self.next.get() % count.max(1);
        self.next.set(turn + 1);
        let mut best: Option<((bool, u32), usize)> = None;
        for offset in 0..count {
            let place = (turn + offset) % count;
            let Some(endpoint) = self.endpoints.get(place).filter(|_| !tried.contains(place)) else { continue };
            let load = if self.balance == ir::Balance::LeastRequests { endpoint.active() } else { 0 };
            let rank = (!endpoint.is_preferred(now), load);
            if best.is_none_or(|(found, _)| rank < found) {
                best = Some((rank, place));
            }
        }
        let (_, place) = best?;
        tried.insert(place);
        self.endpoints.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENDPOINTS, Tried};

    #[test]
    fn places_are_remembered_and_what_has_none_counts_as_tried() {
        let mut tried = Tried::default();
        for place in [0, 63, 64, MAX_ENDPOINTS - 1] {
            assert!(!tried.contains(place));
            tried.insert(place);
            assert!(tried.contains(place) && !tried.contains(place ^ 1));
        }
        tried.insert(MAX_ENDPOINTS);
        assert!(tried.contains(MAX_ENDPOINTS));
    }
}
