//! A fixed answer in place of a service.

use std::sync::Arc;

use crate::exchange::Answer;
use crate::headers::is_value;
use crate::ir;

/// Compiled `respond`.
#[derive(Debug)]
pub struct Respond {
    status: u16,
    content_type: Box<str>,
    body: Arc<[u8]>,
}

impl Respond {
    /// Checks the parts.
    ///
    /// # Errors
    /// A status outside 200 to 599, or a content type that cannot stand in a field.
    pub fn build(respond: &ir::Respond) -> Result<Self, String> {
        if !(200..600).contains(&respond.status) {
            return Err(format!("`{}` is no status to answer with; write one from 200 to 599", respond.status));
        }
        if respond.content_type.is_empty() || !is_value(respond.content_type.as_bytes()) {
            return Err(format!("`{}` cannot stand in Content-Type", respond.content_type));
        }
        Ok(Self {
            status: respond.status,
            content_type: respond.content_type.as_str().into(),
            body: respond.body.as_bytes().into(),
        })
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let headers = vec![("content-type".into(), self.content_type.clone())];
        Answer { status: self.status, headers, body: Arc::clone(&self.body) }
    }
}

#[cfg(test)]
mod tests {
    use super::Respond;
    use crate::ir;

    #[test]
    fn broken_answers_do_not_load() {
        for (status, content_type) in [(100, "text/plain"), (600, "text/plain"), (200, "a\r\nb: c"), (200, "")] {
            let spec = ir::Respond { status, content_type: content_type.into(), body: "x".into() };
            assert!(Respond::build(&spec).is_err(), "{status} {content_type:?}");
        }
    }
}
