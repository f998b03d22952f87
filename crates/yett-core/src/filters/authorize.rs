//! What a verified caller may do. [owner: credentials]
use crate::exchange::{Principal, Refusal};
use crate::ir;

/// One compiled `authorize:`.
#[derive(Debug)]
pub struct Rule {}

impl Rule {
    /// `variables` are the names of the route's template variables, in order.
    pub fn build(rule: &ir::AuthorizeRule, variables: &[&str]) -> Result<Self, String> { let _ = (rule, variables); todo!() }
    /// Allows, or refuses with its reason. `values` are the decoded template variables, in order.
    pub fn check(&self, principal: &Principal, values: &[Box<str>]) -> Result<(), Refusal> { let _ = (principal, values); todo!() }
}
