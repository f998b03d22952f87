//! Which of several services takes a request.

use std::collections::HashMap;

use crate::ir;

/// Parts of the whole.
pub const WHOLE: u32 = 10_000;

/// Compiled shares: indices of services with the upper end of their part of [`WHOLE`].
#[derive(Debug)]
pub struct Split {
    parts: Vec<(u32, u32)>,
}

impl Split {
    /// Resolves the services.
    ///
    /// # Errors
    /// Every unknown service, no service at all, or shares that are not the whole.
    pub fn build(shares: &[ir::WeightedService], services: &HashMap<&str, u32>) -> Result<Self, Vec<String>> {
        let mut parts = Vec::with_capacity(shares.len());
        let mut errors = Vec::new();
        let mut end = 0_u32;
        for share in shares {
            end = end.saturating_add(share.weight);
            match services.get(share.service.as_str()) {
                Some(index) => parts.push((end, *index)),
                None => errors.push(format!("there is no service `{}`", share.service)),
            }
        }
        if shares.is_empty() {
            errors.push("the route forwards to no service".to_owned());
        } else if end != WHOLE {
            errors.push(format!("the shares add up to {end} of {WHOLE}"));
        }
        if errors.is_empty() { Ok(Self { parts }) } else { Err(errors) }
    }

    /// The service for a random number.
    #[must_use]
    pub fn choose(&self, random: impl FnOnce() -> u32) -> Option<u32> {
        match self.parts.as_slice() {
            [(_, only)] => Some(*only),
            several => {
                let point = random() % WHOLE;
                several.iter().find(|(end, _)| point < *end).map(|(_, service)| *service)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Split, WHOLE};
    use crate::ir::WeightedService;
    use std::collections::HashMap;

    fn share(service: &str, weight: u32) -> WeightedService {
        WeightedService { service: service.to_owned(), weight }
    }

    #[test]
    fn every_point_belongs_to_exactly_its_share() {
        let services = HashMap::from([("v1", 7), ("v2", 8)]);
        let split = Split::build(&[share("v1", 9_500), share("v2", 500)], &services).unwrap();
        let second = (0..WHOLE).filter(|point| split.choose(|| *point) == Some(8)).count();
        assert_eq!(second, 500);
        assert_eq!(split.choose(|| 9_499), Some(7));
        assert_eq!(split.choose(|| WHOLE + 9_500), Some(8));
    }

    #[test]
    fn shares_have_to_be_the_whole_of_known_services() {
        let services = HashMap::from([("v1", 0)]);
        assert!(Split::build(&[], &services).is_err());
        assert!(Split::build(&[share("v1", 9_999)], &services).is_err());
        assert!(Split::build(&[share("v3", WHOLE)], &services).is_err());
    }
}
