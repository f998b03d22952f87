//! Bodies of forms: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578), read strictly.

use serde_json::{Map, Value};

use super::content::ContentType;
use super::json;
use super::parameters::read;
use crate::body::FieldError;
use crate::ir::{FormBounds, FormField, JsonBounds, ValueKind};
use crate::path::decode_query;

/// Bytes of the head of one part.
const HEAD_BYTES: usize = 2048;
/// Bytes of a name.
const NAME_BYTES: usize = 200;

/// What is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is no form, or could be read in two ways.
    Malformed(&'static str),
    /// More than the bounds allow.
    TooMuch(FieldError),
    /// A part is not what it has to be.
    Part(FieldError),
}

/// How a form is read.
#[derive(Debug)]
pub struct Form {
    fields: Box<[(Box<str>, FormField)]>,
    bounds: FormBounds,
    json: JsonBounds,
    /// Whether fields that are not known are read; what becomes of them is the schema's to say.
    open: bool,
    /// Whether nothing is known of them: any field and file passes within the bounds, as often as it likes.
    loose: bool,
}

impl Form {
    /// Knows these fields; others are texts where `open`.
    #[must_use]
    pub fn new(fields: impl Iterator<Item = (Box<str>, FormField)>, bounds: FormBounds, json: JsonBounds, open: bool) -> Self {
        Self { fields: fields.collect(), bounds, json, open, loose: false }
    }

    /// Knows the bounds only.
    #[must_use]
    pub fn loose(bounds: FormBounds, json: JsonBounds) -> Self {
        Self { fields: Box::default(), bounds, json, open: true, loose: true }
    }

    fn field(&self, name: &str) -> Option<&FormField> {
        self.fields.iter().find(|(known, _)| **known == *name).map(|(_, field)| field)
    }

    /// Reads pairs of names and values.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn urlencoded(&self, data: &[u8]) -> Result<Value, Fault> {
        let mut found = Found::new(self);
        for pair in data.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let mut next = || decode_query(parts.next().unwrap_or_default());
            let (Some(name), Some(value)) = (next(), next()) else {
                return Err(Fault::Malformed("a name or value cannot be decoded"));
            };
            found.text(&name, &value)?;
        }
        Ok(Value::Object(found.map))
    }

    /// Reads the parts between boundaries.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn multipart(&self, data: &[u8], boundary: &str) -> Result<Value, Fault> {
        let mut found = Found::new(self);
        parts(data, boundary, |part| self.part(part, &mut found))?;
        Ok(Value::Object(found.map))
    }

    fn part(&self, part: &[u8], found: &mut Found<'_>) -> Result<(), Fault> {
        let (head, body) = Head::of_part(part)?;
        if head.file.as_deref().is_some_and(leads_elsewhere) {
            return Err(Fault::Malformed("the head of a part cannot be read"));
        }
        let wrong = |detail: String| Fault::Part(FieldError::of("part", &head.name, detail));
        let field = self.field(&head.name);
        let kind = head.content_type.as_ref().map_or("text/plain", |kind| &*kind.essence);
        if let Some(field) = field
            && !field.content_types.is_empty()
        {
            let own = head.content_type.clone().unwrap_or(ContentType { essence: kind.into(), boundary: None });
            if !field.content_types.iter().any(|accepted| own.is_taken_by(accepted)) {
                return Err(wrong("is of a type that is not accepted here".to_owned()));
            }
        }
        match field {
            _ if field.map_or(self.loose && head.file.is_some(), |field| field.file) => {
                if body.len() as u64 > self.bounds.file {
                    return Err(Fault::TooMuch(FieldError::of(
                        "part",
                        &head.name,
                        format!("may have at most {} bytes", self.bounds.file),
                    )));
                }
                found.value(&head.name, Value::Bool(true))
            }
            _ if head.file.is_some() => Err(wrong("may not be a file".to_owned())),
            Some(field) if field.json => {
                if json::scan(body, &self.json).is_err() {
                    return Err(wrong("has to be JSON, within the bounds".to_owned()));
                }
                let value = serde_json::from_slice(body).map_err(|_| wrong("has to be JSON".to_owned()))?;
                found.value(&head.name, value)
            }
            _ => {
                let text = std::str::from_utf8(body).map_err(|_| wrong("has to be UTF-8".to_owned()))?;
                found.text(&head.name, text)
            }
        }
    }
}

/// Hands over what stands between the boundaries.
///
/// # Errors
/// It is no such body, or what `each` says.
pub fn parts(data: &[u8], boundary: &str, mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
    if boundary.is_empty() || boundary.len() > 70 || !boundary.bytes().all(is_boundary) || boundary.ends_with(' ') {
        return Err(Fault::Malformed("the boundary cannot be one"));
    }
    let delimiter = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    let first = delimiter.as_bytes().get(2..).unwrap_or_default();
    let mut rest = data.strip_prefix(first).ok_or(Fault::Malformed("it does not begin with its boundary"))?;
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return match end {
                b"" | b"\r\n" => Ok(()),
                _ => Err(Fault::Malformed("something follows its end")),
            };
        }
        let inner = rest.strip_prefix(b"\r\n").ok_or(Fault::Malformed("a boundary does not end its line"))?;
        let end = finder.find(inner).ok_or(Fault::Malformed("its last boundary is missing"))?;
        let (part, after) = inner.split_at_checked(end).unwrap_or((inner, b""));
        each(part)?;
        rest = after.get(delimiter.len()..).unwrap_or_default();
    }
}

/// What was read so far.
struct Found<'f> {
    form: &'f Form,
    map: Map<String, Value>,
    count: u32,
}

impl<'f> Found<'f> {
    fn new(form: &'f Form) -> Self {
        Self { form, map: Map::new(), count: 0 }
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), Fault> {
        if text.len() as u64 > self.form.bounds.field {
            let detail = format!("may have at most {} bytes", self.form.bounds.field);
            return Err(Fault::TooMuch(FieldError::of("part", name, detail)));
        }
        let types = self.form.field(name).map_or([ValueKind::String].as_slice(), |field| &field.types);
        self.value(name, read(types, text))
    }

    fn value(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        self.count = self.count.saturating_add(1);
        if self.count > self.form.bounds.fields {
            let detail = format!("there may be at most {} fields", self.form.bounds.fields);
            return Err(Fault::TooMuch(FieldError::of("part", name, detail)));
        }
        if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
            return Err(Fault::Malformed("a field has no name, or an odd one"));
        }
        let field = self.form.field(name);
        if field.is_none() && !self.form.open {
            return Err(Fault::Part(FieldError::of("part", name, "is not known here")));
        }
        let list = field.is_some_and(|field| field.list);
        match (self.map.get_mut(name), list) {
            (Some(Value::Array(items)), true) => items.push(value),
            (Some(_), _) if self.form.loose => {}
            (Some(_), _) => return Err(Fault::Part(FieldError::of("part", name, "stands more than once"))),
            (None, true) => drop(self.map.insert(name.to_owned(), Value::Array(vec![value]))),
            (None, false) => drop(self.map.insert(name.to_owned(), value)),
        }
        Ok(())
    }
}

/// The head of a part (RFC 7578 section 4.2).
#[derive(Debug)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// The name of the file that it is, if it is one.
    pub file: Option<String>,
    /// What it says it is.
    pub content_type: Option<ContentType>,
}

/// A name of a file that leads elsewhere is no name.
fn leads_elsewhere(name: &str) -> bool {
    name.contains(['/', '\\', '\0']) || name == ".." || name == "."
}

impl Head {
    /// The head of a part, and its body.
    ///
    /// # Errors
    /// It is too long, or anything that two readers could read differently.
    pub fn of_part(part: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let end = memchr::memmem::find(part, b"\r\n\r\n").ok_or(Fault::Malformed("a part has no head"))?;
        let (head, body) = part.split_at_checked(end).unwrap_or((part, b""));
        if head.len() > HEAD_BYTES {
            return Err(Fault::Malformed("the head of a part is too long"));
        }
        let head = Self::read(head).ok_or(Fault::Malformed("the head of a part cannot be read"))?;
        Ok((head, body.get(4..).unwrap_or_default()))
    }

    /// `None` for anything that two readers could read differently.
    fn read(head: &[u8]) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let (mut disposition, mut content_type) = (None, None);
        for line in head.split("\r\n") {
            let (name, value) = line.split_once(':')?;
            if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return None;
            }
            let value = value.trim_matches([' ', '\t']);
            let seen = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => disposition.replace(value).is_some(),
                "content-type" => content_type.replace(ContentType::parse(value.as_bytes()).ok()?).is_some(),
                // Every other one would change what the part is.
                _ => return None,
            };
            if seen {
                return None;
            }
        }
        let rest = disposition?.strip_prefix("form-data")?;
        let (mut name, mut filename) = (None, None);
        let mut rest = rest.trim_start_matches([' ', '\t']);
        while let Some(after) = rest.strip_prefix(';') {
            let (key, value, left) = quoted(after)?;
            let seen = match key {
                "name" => name.replace(value).is_some(),
                "filename" => filename.replace(value).is_some(),
                _ => return None,
            };
            if seen {
                return None;
            }
            rest = left;
        }
        if !rest.is_empty() {
            return None;
        }
        Some(Self { name: name?, file: filename, content_type })
    }
}

/// `key="value"`, the quotes escaped as browsers do (`%22`) and no other way: key, value, and what follows.
fn quoted(text: &str) -> Option<(&str, String, &str)> {
    let (key, rest) = text.trim_start_matches([' ', '\t']).split_once('=')?;
    let (value, rest) = rest.strip_prefix('"')?.split_once('"')?;
    if value.contains('\\') {
        return None;
    }
    Some((key, value.replace("%22", "\"").replace("%0D%0A", "\n"), rest.trim_start_matches([' ', '\t'])))
}

/// `bchars` (RFC 2046 section 5.1.1).
fn is_boundary(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}
