//! Changes of the header fields that a client sees.

use crate::filters::header_edits::HeaderEdits;
use crate::headers::{FieldError, Headers};
use crate::ir;

/// Compiled `response_headers`: for answers of services and for `redirect` and `respond`, not for refusals.
#[derive(Debug, Default)]
pub struct ResponseHeaders(HeaderEdits);

impl ResponseHeaders {
    /// Checks names and values.
    ///
    /// # Errors
    /// As [`HeaderEdits::build`].
    pub fn build(edits: &ir::HeaderEdits) -> Result<Self, String> {
        HeaderEdits::build(edits).map(Self)
    }

    /// Changes a service's answer.
    ///
    /// # Errors
    /// As [`HeaderEdits::apply`].
    pub fn apply(&self, headers: &mut Headers) -> Result<(), FieldError> {
        self.0.apply(headers)
    }

    /// Whether a service's field of this name is taken away.
    #[must_use]
    pub fn takes(&self, name: &[u8]) -> bool {
        self.0.takes(name)
    }

    /// The fields for an answer that the gateway makes itself.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.fields()
    }
}
