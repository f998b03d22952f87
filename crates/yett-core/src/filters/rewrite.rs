//! Another path for the service, built from the route's variables.

use crate::exchange::Variables;
use crate::ir::PathAllow;
use crate::path::CanonicalPath;

/// A path template with places for variables.
#[derive(Debug)]
pub struct PathTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<str>),
    /// One segment: a `/` in it is encoded.
    Variable(usize),
    /// Several segments.
    Rest(usize),
}

impl PathTemplate {
    /// Reads the template. `variables` are the names of the route's variables, in order.
    ///
    /// # Errors
    /// An unknown variable, or a template that is not canonical whatever is put in.
    pub fn build(template: &str, variables: &[&str]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut sample = String::new();
        let mut left = template;
        while let Some((text, after)) = left.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("`{template}` has a `{{` without `}}`"))?;
            let (name, many) = name.strip_suffix("...").map_or((name, false), |n| (n, true));
            let index = variables
                .iter()
                .position(|v| *v == name)
                .ok_or_else(|| format!("`{{{name}}}` is no variable of the route's path; it has: {}", variables.join(", ")))?;
            sample.push_str(text);
            sample.push('x');
            pieces.push(Piece::Text(text.into()));
            pieces.push(if many { Piece::Rest(index) } else { Piece::Variable(index) });
            left = after;
        }
        sample.push_str(left);
        pieces.push(Piece::Text(left.into()));
        match CanonicalPath::default().parse_into(sample.as_bytes()) {
            Ok(used) if used.is_plain() => Ok(Self { pieces }),
            _ => Err(format!("`{template}` is not a canonical path")),
        }
    }

    /// Appends the path with the values put in, percent-encoded.
    pub fn fill(&self, values: &Variables, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Variable(index) => encode(values.get(*index).unwrap_or_default(), false, out),
                Piece::Rest(index) => encode(values.get(*index).unwrap_or_default(), true, out),
            }
        }
    }
}

/// Everything but unreserved characters and those that mean nothing in a segment (RFC 3986 section 3.3) is encoded.
fn encode(value: &str, slashes: bool, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte) || (slashes && byte == b'/') {
            out.push(byte);
        } else {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Compiled `rewrite`.
#[derive(Debug)]
pub struct Rewrite(PathTemplate);

impl Rewrite {
    /// Reads the template.
    ///
    /// # Errors
    /// As [`PathTemplate::build`]; also where the route allows encoded slashes: put into a new path, they could not be
    /// told from real ones.
    pub fn build(template: &str, variables: &[&str], allowed: &[PathAllow]) -> Result<Self, String> {
        if !allowed.is_empty() {
            return Err("`rewrite` does not go with `path: {allow: …}`: the rewritten path would not be canonical".to_owned());
        }
        PathTemplate::build(template, variables).map(Self)
    }

    /// Appends the new path; false where it is not canonical, and then nothing may be forwarded.
    #[must_use]
    pub fn apply(&self, values: &Variables, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.0.fill(values, out);
        let path = out.get(start..).unwrap_or_default();
        CanonicalPath::default().parse_into(path).is_ok_and(|used| used.is_plain())
    }
}

#[cfg(test)]
mod tests {
    use super::Rewrite;
    use crate::exchange::Variables;
    use crate::ir::PathAllow;
    use proptest::prelude::*;

    fn rewrite(template: &str, values: &[&str]) -> Option<String> {
        let rewrite = Rewrite::build(template, &["id", "rest"], &[]).unwrap();
        let mut variables = Variables::default();
        for value in values {
            variables.push([*value]);
        }
        let mut out = Vec::new();
        rewrite.apply(&variables, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_encoded_again() {
        assert_eq!(rewrite("/v1/{id}/{rest...}", &["a b", "c/é"]).unwrap(), "/v1/a%20b/c/%C3%A9");
        assert_eq!(rewrite("/v1/{id}", &["100%"]).unwrap(), "/v1/100%25");
    }

    #[test]
    fn what_is_not_canonical_afterwards_is_not_forwarded() {
        for value in ["..", ".", "a/b", "", "a;b", "\u{1}", "%2e%2e", "\\"] {
            assert_eq!(rewrite("/v1/{id}/x", &[value]), None, "{value:?}");
        }
    }

    #[test]
    fn broken_templates_do_not_load() {
        for template in ["v1", "/{nobody}", "/{id", "/../{id}", "//{id}", "/a b", "/a?b={id}"] {
            assert!(Rewrite::build(template, &["id"], &[]).is_err(), "{template}");
        }
        assert!(Rewrite::build("/{id}", &["id"], &[PathAllow::EncodedSlash]).is_err());
    }

    proptest! {
        #[test]
        fn a_value_never_leaves_its_segment(value in "[ -~é/]{0,8}") {
            if let Some(path) = rewrite("/v1/{id}/end", &[&value]) {
                prop_assert_eq!(path.matches('/').count(), 3);
                prop_assert!(path.starts_with("/v1/") && path.ends_with("/end"));
            }
        }
    }
}
