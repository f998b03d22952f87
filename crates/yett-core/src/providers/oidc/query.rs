//! Parameters of a query or a form, and putting them together again.

use std::fmt::Write;

use crate::path::decode_query;

/// Parameters that were sent.
const MAX: usize = 64;

/// A parameter stands more than once (RFC 6749 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twice;

/// Names and values, decoded, in order.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads them; `None` where one is not UTF-8 or there are too many.
    #[must_use]
    pub fn read(raw: &[u8]) -> Option<Self> {
        let mut out = Vec::new();
        for pair in raw.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(at)?;
            out.push((decode_query(name)?, decode_query(value.get(1..).unwrap_or_default())?));
        }
        (out.len() <= MAX).then_some(Self(out))
    }

    /// The value of this one: none, or one; twice is `Err` (RFC 6749 section 3.1).
    ///
    /// # Errors
    /// It stands twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Twice> {
        let mut found = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() { Err(Twice) } else { Ok(first) }
    }
}

/// `url` with these parameters behind what it has already.
#[must_use]
pub fn with_parameters<'a>(url: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = url.to_owned();
    let mut mark = if url.contains('?') { '&' } else { '?' };
    for (name, value) in parameters {
        out.push(mark);
        mark = '&';
        encode(&mut out, name);
        out.push('=');
        encode(&mut out, value);
    }
    out
}

/// Percent-encodes all but unreserved characters (RFC 3986 section 2.3).
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Parameters, Twice, with_parameters};
    use proptest::prelude::*;

    #[test]
    fn a_parameter_stands_once() {
        let read = Parameters::read(b"code=a%2Fb+c&state=x&&empty=&flag&state=y").unwrap();
        assert_eq!(read.one("code"), Ok(Some("a/b c")));
        assert_eq!(read.one("empty"), Ok(Some("")));
        assert_eq!(read.one("flag"), Ok(Some("")));
        assert_eq!(read.one("iss"), Ok(None));
        assert_eq!(read.one("state"), Err(Twice));
        assert!(Parameters::read(b"a=%ff").is_none() && Parameters::read("a&".repeat(100).as_bytes()).is_none());
    }

    #[test]
    fn what_a_url_has_stays() {
        assert_eq!(with_parameters("https://a/x?y=1", [("b", "c&d"), ("e", "")]), "https://a/x?y=1&b=c%26d&e=");
        assert_eq!(with_parameters("https://a/x", [("b", "é ")]), "https://a/x?b=%C3%A9%20");
        assert_eq!(with_parameters("https://a/x", []), "https://a/x");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z]{1,5}", value in "\\PC{0,30}") {
            let url = with_parameters("u", [(name.as_str(), value.as_str())]);
            let read = Parameters::read(url.strip_prefix("u?").unwrap().as_bytes()).unwrap();
            prop_assert_eq!(read.one(&name), Ok(Some(value.as_str())));
        }
    }
}
