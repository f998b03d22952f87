//! What requests and answers have to be, and what is looked for in them.

use super::super::Errors;
use super::Draft;
use crate::filters::attack_filter::AttackFilter;
use crate::filters::request_validation::RequestValidation;
use crate::filters::response_validation::ResponseValidation;

pub(super) struct Validation {
    pub(super) request: Option<RequestValidation>,
    pub(super) response: Option<ResponseValidation>,
    pub(super) attacks: Option<AttackFilter>,
}

impl Draft<'_> {
    pub(super) fn validation(&self, errors: &mut Errors) -> Option<Validation> {
        let spec = self.spec;
        let request = spec.request_validation.as_ref().map(|one| RequestValidation::build(one, &self.variables)).transpose();
        let request = errors.take(|| self.at("request_validation"), request);
        let response = spec.response_validation.as_deref().map(ResponseValidation::build).transpose();
        let response = errors.take(|| self.at("response_validation"), response);
        let attacks = spec.attack_filter.as_ref().map(|one| AttackFilter::build(one, &self.context.shared.attacks)).transpose();
        let attacks = errors.take(|| self.at("attack_filter"), attacks);
        Some(Validation { request: request?, response: response?, attacks: attacks? })
    }
}
