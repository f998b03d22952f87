//! Content-Type (RFC 9110 section 8.3), read strictly: one field, one type, UTF-8.

/// What a body says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype`, lower case.
    pub essence: Box<str>,
    /// The `boundary` of a multipart body.
    pub boundary: Option<Box<str>>,
}

/// Why a Content-Type is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be read, or in more than one way.
    Malformed,
    /// A charset other than UTF-8.
    Charset,
}

/// Parameters of one field.
const MAX_PARAMETERS: usize = 8;

impl ContentType {
    /// Reads a value.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn parse(value: &[u8]) -> Result<Self, Refused> {
        let value = std::str::from_utf8(value).ok().filter(|text| text.is_ascii()).ok_or(Refused::Malformed)?;
        let (essence, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
        let essence = essence.trim_matches([' ', '\t']).to_ascii_lowercase();
        let two = essence.split_once('/').ok_or(Refused::Malformed)?;
        if !is_token(two.0) || !is_token(two.1) || essence.contains('*') {
            return Err(Refused::Malformed);
        }
        let (mut charset, mut boundary) = (None, None);
        let mut count = 0;
        while let Some(after) = rest.strip_prefix(';') {
            let (name, value, left) = parameter(after).ok_or(Refused::Malformed)?;
            count += 1;
            let seen = match &*name {
                "charset" => charset.replace(value),
                "boundary" => boundary.replace(value),
                _ => None,
            };
            if seen.is_some() || count > MAX_PARAMETERS {
                return Err(Refused::Malformed);
            }
            rest = left;
        }
        if !rest.is_empty() {
            return Err(Refused::Malformed);
        }
        match charset {
            Some(name) if !name.eq_ignore_ascii_case("utf-8") => Err(Refused::Charset),
            _ => Ok(Self { essence: essence.into(), boundary: boundary.map(Into::into) }),
        }
    }

    /// Whether it is JSON: `application/json`, or a type that is built on it (RFC 6839 section 3.1).
    #[must_use]
    pub fn is_json(essence: &str) -> bool {
        essence == "application/json" || essence.ends_with("+json")
    }

    /// Whether `accepted` (`type/subtype` or `type/*`) takes it.
    #[must_use]
    pub fn is_taken_by(&self, accepted: &str) -> bool {
        match accepted.strip_suffix('*') {
            Some(kind) => self.essence.starts_with(kind),
            None => *self.essence == *accepted,
        }
    }
}

fn is_token(text: &str) -> bool {
    crate::headers::is_token(text.as_bytes())
}

/// `name=value` or `name="value"` with blanks around: its name in lower case, its value, and what follows.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (name, rest) = text.split_once('=')?;
    if !is_token(name) {
        return None;
    }
    let (value, rest) = match rest.strip_prefix('"') {
        None => {
            let end = rest.find([';', ' ', '\t']).unwrap_or(rest.len());
            let (value, rest) = rest.split_at(end);
            if !is_token(value) {
                return None;
            }
            (value.to_owned(), rest)
        }
        Some(quoted) => {
            let mut value = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(characters.next()?.1),
                    (_, other) => value.push(other),
                }
            };
            (value, quoted.get(end + 1..)?)
        }
    };
    Some((name.to_ascii_lowercase(), value, rest.trim_start_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use super::{ContentType, Refused};

    #[test]
    fn one_type_one_charset_and_nothing_odd() {
        let read = |text: &str| ContentType::parse(text.as_bytes()).map(|found| found.essence.to_string());
        for (text, essence) in [
            ("application/json", "application/json"),
            ("Application/JSON; charset=UTF-8", "application/json"),
            ("application/json;charset=\"utf-8\" ; v=1", "application/json"),
            ("application/merge-patch+json", "application/merge-patch+json"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(essence));
        }
        for text in ["application/json; charset=utf-7", "application/json;charset=\"UTF-16LE\"", "text/plain; charset=latin1"] {
            assert_eq!(read(text), Err(Refused::Charset), "{text}");
        }
        for text in [
            "",
            "json",
            "application/",
            "*/*",
            "application/json,text/plain",
            "application/json text/plain",
            "application/json;charset=utf-8;charset=utf-7",
            "application/json;charset",
            "application/json;charset=",
            "application/json;charset=\"utf-8",
            "application/json;;charset=utf-8",
            "application/json; charset =utf-8",
            "application/j\u{17f}on",
        ] {
            assert_eq!(read(text), Err(Refused::Malformed), "{text}");
        }
        let form = ContentType::parse(b"multipart/form-data; boundary=\"a b\"").unwrap();
        assert_eq!(form.boundary.as_deref(), Some("a b"));
        assert!(form.is_taken_by("multipart/*") && !form.is_taken_by("multipart/mixed"));
    }
}
