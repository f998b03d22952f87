//! Removing, setting and adding header fields; shared by `request_headers` and `response_headers`.

use crate::headers::{FieldError, Headers, folds_to};
use crate::ir;

/// A name and a value.
type Pair = (Box<[u8]>, Box<[u8]>);

/// Compiled changes, carried out in this order: remove, set, add.
#[derive(Debug, Default)]
pub struct HeaderEdits {
    remove: Vec<Box<[u8]>>,
    set: Vec<Pair>,
    add: Vec<Pair>,
}

impl HeaderEdits {
    /// Checks every name and value.
    ///
    /// # Errors
    /// A name that is no token or a value that cannot stand in a field.
    pub fn build(edits: &ir::HeaderEdits) -> Result<Self, String> {
        let mut scratch = Headers::default();
        let mut check = |name: &str, value: &str| match scratch.push(name.as_bytes(), value.as_bytes()) {
            Ok(()) => Ok((name.to_ascii_lowercase().into_bytes().into(), value.as_bytes().into())),
            Err(FieldError::Name) => Err(format!("`{name}` is no header name")),
            Err(FieldError::Value) => Err(format!("the value for `{name}` cannot stand in a header field")),
        };
        Ok(Self {
            remove: edits.remove.iter().map(|n| check(n, "").map(|(n, _): Pair| n)).collect::<Result<_, _>>()?,
            set: edits.set.iter().map(|(n, v)| check(n, v)).collect::<Result<_, _>>()?,
            add: edits.add.iter().map(|(n, v)| check(n, v)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Whether a field of this name, or of a folding of it, is taken away.
    #[must_use]
    pub fn takes(&self, name: &[u8]) -> bool {
        self.remove.iter().chain(self.set.iter().map(|(n, _)| n)).any(|edited| folds_to(name, edited))
    }

    /// Carries the changes out. A name that is removed or set goes in every folding (`X_Stage` for `x-stage`), because
    /// some services fold.
    ///
    /// # Errors
    /// Never for edits that were built; the caller refuses all the same.
    pub fn apply(&self, headers: &mut Headers) -> Result<(), FieldError> {
        if self.is_empty() {
            return Ok(());
        }
        headers.retain(|_, name, _| !self.takes(name));
        for (name, value) in self.set.iter().chain(&self.add) {
            headers.push(name, value)?;
        }
        Ok(())
    }

    /// The fields that a new answer gets: those set and added.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.set.iter().chain(&self.add).map(|(n, v)| (&**n, &**v))
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderEdits;
    use crate::headers::Headers;
    use crate::ir;

    #[test]
    fn removes_every_folding_then_sets_then_adds() {
        let spec = ir::HeaderEdits {
            remove: vec!["x-old".into()],
            set: [("x-stage".to_owned(), "beta".to_owned())].into(),
            add: [("x-tag".to_owned(), "b".to_owned())].into(),
        };
        let edits = HeaderEdits::build(&spec).unwrap();
        let mut headers = Headers::default();
        for (name, value) in [("X_Old", "1"), ("x-old", "2"), ("X.Stage", "prod"), ("x-tag", "a"), ("other", "o")] {
            headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        edits.apply(&mut headers).unwrap();
        let left: Vec<_> = headers.iter().map(|(_, n, v)| format!("{}={}", n.escape_ascii(), v.escape_ascii())).collect();
        assert_eq!(left, ["x-tag=a", "other=o", "x-stage=beta", "x-tag=b"]);
    }

    #[test]
    fn what_cannot_stand_in_a_field_does_not_load() {
        for (name, value) in [("bad name", "x"), ("x", "a\r\nb"), ("", "x"), ("x", "\0")] {
            let spec = ir::HeaderEdits { set: [(name.to_owned(), value.to_owned())].into(), ..ir::HeaderEdits::default() };
            assert!(HeaderEdits::build(&spec).is_err(), "{name:?} {value:?}");
        }
    }
}
