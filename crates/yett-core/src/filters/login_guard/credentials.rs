//! The account that a request names, and its password: read strictly, and kept as keyed hashes only.

use serde_json::Value;

use super::alike::alike;
use super::pointer;
use crate::exchange::{Exchange, Framing};
use crate::filters::keyed_hash::KeyedHash;
use crate::filters::request_validation::content::ContentType;
use crate::filters::request_validation::form::Form;
use crate::filters::request_validation::json;
use crate::headers::Known;
use crate::ir::{FormBounds, JsonBounds, LoginPart};
use crate::path::decode_query;

const JSON: JsonBounds = JsonBounds { depth: 16, keys: 200, items: 200, string: 16 * 1024, number: 40 };

/// What a request says, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Of the account: lower case, without blanks around it.
    pub account: u64,
    /// Of all spellings that a service may take for it; the same where it is the plainest of them.
    pub alike: u64,
    /// Of the password, where that is looked at.
    pub password: Option<u64>,
}

/// Where they stand.
#[derive(Debug)]
pub struct Reader {
    account: LoginPart,
    password: Option<LoginPart>,
    form: Form,
    hash: KeyedHash,
}

/// What a body was read as.
enum Read {
    Form(Value),
    Json(Value),
}

impl Reader {
    /// Compiles it.
    ///
    /// # Errors
    /// A pointer that is none; parts of two kinds of bodies, or in the same place.
    pub fn build(account: &LoginPart, password: Option<&LoginPart>, hash: KeyedHash) -> Result<Self, String> {
        for part in [Some(account), password].into_iter().flatten() {
            match part {
                LoginPart::Json(pointer) => pointer::check(pointer)?,
                LoginPart::Form(name) | LoginPart::Header(name) if name.is_empty() => {
                    return Err("the place of an account has a name".to_owned());
                }
                _ => {}
            }
        }
        if let (LoginPart::Form(_), Some(LoginPart::Json(_))) | (LoginPart::Json(_), Some(LoginPart::Form(_))) =
            (account, password)
        {
            return Err("account and password stand in one body, which is a form or JSON".to_owned());
        }
        if password == Some(account) {
            return Err("account and password are not the same; name the place of each".to_owned());
        }
        Ok(Self { account: account.clone(), password: password.cloned(), form: strict_form(), hash })
    }

    /// The field of requests that is read, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        [Some(&self.account), self.password.as_ref()].into_iter().flatten().filter_map(|part| match part {
            LoginPart::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether the body has to be held.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        [Some(&self.account), self.password.as_ref()].into_iter().flatten().any(|part| !matches!(part, LoginPart::Header(_)))
    }

    /// Whether the query has what a body should: the password, or the account where no password is looked at.
    #[must_use]
    pub fn is_in_query(&self, exchange: &Exchange) -> bool {
        let name = match self.password.as_ref().unwrap_or(&self.account) {
            LoginPart::Form(name) => name.as_str(),
            LoginPart::Json(pointer) => pointer.rsplit('/').next().unwrap_or_default(),
            LoginPart::Header(_) => return false,
        };
        has_parameter(exchange.query(), name)
    }

    /// Nothing where there is no account, or where two programs could read two.
    #[must_use]
    pub fn read(&self, exchange: &Exchange) -> Option<Credentials> {
        let body = if self.needs_body() { Some(self.body(exchange)?) } else { None };
        let account = find(&self.account, exchange, body.as_ref())?;
        let name = account.trim().to_lowercase();
        if name.is_empty() {
            return None;
        }
        let password = match &self.password {
            // Where it is missed or stands twice, the service may still find one.
            Some(part) => Some(self.hash.parts(&[b"password", find(part, exchange, body.as_ref())?.as_bytes()])),
            None => None,
        };
        let account = |name: &str| self.hash.parts(&[b"account", name.as_bytes()]);
        Some(Credentials { account: account(&name), alike: account(&alike(&name)), password })
    }

    fn body(&self, exchange: &Exchange) -> Option<Read> {
        let kind = kind(exchange)?;
        let data = exchange.held()?;
        let json = [Some(&self.account), self.password.as_ref()].into_iter().flatten().any(|p| matches!(p, LoginPart::Json(_)));
        if json {
            if !ContentType::is_json(&kind.essence) {
                return None;
            }
            json::scan(data, &JSON).ok()?;
            return serde_json::from_slice(data).ok().map(Read::Json);
        }
        fields(&self.form, &kind, data).map(Read::Form)
    }
}

/// Reads forms strictly: no field twice, within bounds.
#[must_use]
pub fn strict_form() -> Form {
    Form::new(std::iter::empty(), FormBounds::default(), JSON, true)
}

/// What a body is said to be, where that is said once and it is not compressed.
fn kind(exchange: &Exchange) -> Option<ContentType> {
    let headers = &exchange.request.headers;
    if headers.named(b"content-encoding").next().is_some() || headers.count(Known::ContentType) != 1 {
        return None;
    }
    ContentType::parse(headers.get(Known::ContentType)?).ok()
}

fn fields(form: &Form, kind: &ContentType, data: &[u8]) -> Option<Value> {
    match (&*kind.essence, &kind.boundary) {
        ("application/x-www-form-urlencoded", _) => form.urlencoded(data).ok(),
        ("multipart/form-data", Some(boundary)) => form.multipart(data, boundary).ok(),
        _ => None,
    }
}

/// Whether a request says that it brings a form.
#[must_use]
pub fn is_form(exchange: &Exchange) -> bool {
    exchange.request.framing != Framing::Empty
        && kind(exchange).is_some_and(|kind| {
            matches!(
                (&*kind.essence, &kind.boundary),
                ("application/x-www-form-urlencoded", _) | ("multipart/form-data", Some(_))
            )
        })
}

/// The text of a field of the form that was held: one that stands there once, with none beside it that some program could take for it,
/// and not in the query as well.
#[must_use]
pub fn form_field(exchange: &Exchange, form: &Form, name: &str) -> Option<String> {
    let read = fields(form, &kind(exchange)?, exchange.held()?)?;
    if has_parameter(exchange.query(), name) || has_double(&read, name) || is_behind_semicolon(exchange, name) {
        return None;
    }
    read.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The text at a place, where there is exactly one.
fn find<'a>(part: &'a LoginPart, exchange: &'a Exchange, body: Option<&'a Read>) -> Option<std::borrow::Cow<'a, str>> {
    match (part, body) {
        (LoginPart::Header(name), _) => {
            let mut values = exchange.request.headers.named(name.as_bytes());
            match (values.next(), values.next()) {
                (Some(value), None) => std::str::from_utf8(value).ok().map(Into::into),
                _ => None,
            }
        }
        // Some frameworks mix the fields of a form with the parameters of the query.
        (LoginPart::Form(name), Some(Read::Form(form))) if !has_parameter(exchange.query(), name) => {
            if has_double(form, name) || is_behind_semicolon(exchange, name) {
                return None;
            }
            form.get(name).and_then(Value::as_str).map(Into::into)
        }
        (LoginPart::Json(pointer), Some(Read::Json(json))) if doubled(json, pointer) => None,
        (LoginPart::Json(pointer), Some(Read::Json(json))) => match json.pointer(pointer)? {
            Value::String(text) => Some(text.as_str().into()),
            Value::Number(number) => Some(number.to_string().into()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an object has, beside a name, another one that some programs take for the same.
fn has_double(object: &Value, name: &str) -> bool {
    let Some(fields) = object.as_object() else { return false };
    let wanted = folded(name);
    fields.keys().any(|other| other != name && is_taken_for(other, &wanted))
}

/// Whether a query has a parameter of a name, or of one that some programs take for it. Some split it at `;`, too.
fn has_parameter(query: &[u8], name: &str) -> bool {
    if query.is_empty() {
        return false;
    }
    let wanted = folded(name);
    query.split(|byte| matches!(byte, b'&' | b';')).any(|pair| {
        let key = pair.split(|byte| *byte == b'=').next().and_then(decode_query);
        key.is_some_and(|key| key == name || is_taken_for(&key, &wanted))
    })
}

/// Whether who splits a form at `;`, too, finds a field of that name there. Browsers write `;` as `%3B`.
fn is_behind_semicolon(exchange: &Exchange, name: &str) -> bool {
    let data = exchange.held().unwrap_or_default();
    memchr::memchr(b';', data).is_some()
        && kind(exchange).is_some_and(|kind| &*kind.essence == "application/x-www-form-urlencoded")
        && data
            .split(|byte| *byte == b'&')
            .filter_map(|pair| pair.splitn(2, |b| *b == b';').nth(1))
            .any(|rest| has_parameter(rest, name))
}

/// Other case, blanks, dots, brackets, and for PHP and the like also what is in brackets after the name (`user[0]`) or after a NUL.
fn is_taken_for(other: &str, wanted: &str) -> bool {
    let begins = other.match_indices(['[', '\0']).filter_map(|(at, _)| other.get(..at));
    begins.chain([other]).any(|name| folded(name) == wanted)
}

/// The same on the whole way of a JSON Pointer.
pub(super) fn doubled(json: &Value, pointer: &str) -> bool {
    let mut here = json;
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        if has_double(here, &name) {
            return true;
        }
        let next = match here {
            Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
            other => other.get(name.as_str()),
        };
        let Some(next) = next else { return false };
        here = next;
    }
    false
}

/// Letters and digits alone, without case.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
