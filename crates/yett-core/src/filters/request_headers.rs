//! Changes of the header fields that a service sees.

use crate::filters::header_edits::HeaderEdits;
use crate::headers::{FieldError, Headers};
use crate::ir;

/// Compiled `request_headers`. Carried out before the gateway writes its own fields, which therefore always win.
#[derive(Debug, Default)]
pub struct RequestHeaders(HeaderEdits);

impl RequestHeaders {
    /// Checks names and values.
    ///
    /// # Errors
    /// As [`HeaderEdits::build`].
    pub fn build(edits: &ir::HeaderEdits) -> Result<Self, String> {
        HeaderEdits::build(edits).map(Self)
    }

    /// Changes the fields to forward.
    ///
    /// # Errors
    /// As [`HeaderEdits::apply`].
    pub fn apply(&self, headers: &mut Headers) -> Result<(), FieldError> {
        self.0.apply(headers)
    }
}
