//! What a service's answer says of an attempt to log in: by its head, and where a value of its body decides, by that.

use serde_json::Value;

use super::Told;
use super::credentials::doubled;
use super::pointer;
use crate::exchange::ResponseHead;
use crate::filters::request_validation::content::ContentType;
use crate::filters::request_validation::json;
use crate::headers::{Known, is_lower_token};
use crate::ir::{self, JsonBounds, LoginBody, LoginValue};

/// Bytes of an answer's body that are read.
pub const ANSWER: u64 = 64 * 1024;

const JSON: JsonBounds = JsonBounds { depth: 32, keys: 10_000, items: 10_000, string: 64 * 1024, number: 40 };

/// Which answers say no, and what one that says yes has.
#[derive(Debug)]
pub struct Answers {
    failed: ir::LoginFailed,
    passed: Option<LoginBody>,
}

impl Answers {
    /// Compiles it.
    ///
    /// # Errors
    /// A field without a valid name, a pointer that is none.
    pub fn build(failed: &ir::LoginFailed, passed: Option<&LoginBody>) -> Result<Self, String> {
        if failed.header.as_ref().is_some_and(|field| !is_lower_token(field.name.as_bytes())) {
            return Err("the field that says that a login failed has no valid name".to_owned());
        }
        for body in failed.body.iter().chain(passed) {
            pointer::check(&body.pointer)?;
        }
        Ok(Self { failed: failed.clone(), passed: passed.cloned() })
    }

    /// Whether a value of the body decides.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.failed.body.is_some() || self.passed.is_some()
    }

    /// What the head says. Whatever is no clear success has failed, and so has what has no body that could be read.
    #[must_use]
    pub fn told(&self, answer: &ResponseHead) -> Told {
        let says = |field: &ir::LoginField| {
            let wanted = field.value.as_bytes();
            let same = |value: &[u8]| if field.prefix { value.starts_with(wanted) } else { value == wanted };
            answer.headers.named(field.name.as_bytes()).any(same)
        };
        match answer.status {
            status if self.failed.status.contains(&status) => Told::Failed,
            _ if self.failed.header.as_ref().is_some_and(says) => Told::Failed,
            400..500 => Told::Failed,
            500.. => Told::Broken,
            _ if !self.reads_body() => Told::Passed,
            _ if is_plain_json(answer) => Told::InBody,
            _ => Told::Failed,
        }
    }

    /// What the whole body says: what is no JSON, has a name twice, or something like the name beside it, has failed. So has one
    /// without the object that could say no: whoever asks may have had it put elsewhere.
    #[must_use]
    pub fn read(&self, body: &[u8]) -> Told {
        if body.len() as u64 > ANSWER || json::scan(body, &JSON).is_err() {
            return Told::Failed;
        }
        let Ok(read) = serde_json::from_slice::<Value>(body) else { return Told::Failed };
        let no = |body: &LoginBody| {
            doubled(&read, &body.pointer) || pointer::parent(&read, &body.pointer).is_none() || stands(&read, body)
        };
        let yes = |body: &LoginBody| !doubled(&read, &body.pointer) && stands(&read, body);
        let passed = !self.failed.body.as_ref().is_some_and(no) && self.passed.as_ref().is_none_or(yes);
        if passed { Told::Passed } else { Told::Failed }
    }
}

/// Whether it stands there: just that value, or, where none is named, anything but null and false.
fn stands(read: &Value, body: &LoginBody) -> bool {
    match (read.pointer(&body.pointer), &body.value) {
        (None, _) => false,
        (Some(found), None) => !matches!(found, Value::Null | Value::Bool(false)),
        (Some(found), Some(wanted)) => is(found, wanted),
    }
}

/// Whether the body can be read as it comes.
fn is_plain_json(answer: &ResponseHead) -> bool {
    let headers = &answer.headers;
    headers.named(b"content-encoding").next().is_none()
        && headers.count(Known::ContentType) == 1
        && headers
            .get(Known::ContentType)
            .and_then(|value| ContentType::parse(value).ok())
            .is_some_and(|kind| ContentType::is_json(&kind.essence))
}

fn is(found: &Value, wanted: &LoginValue) -> bool {
    match wanted {
        LoginValue::Bool(wanted) => found.as_bool() == Some(*wanted),
        // 2 and 2.0 are one number to those who read it.
        LoginValue::Int(wanted) => found.as_i64() == Some(*wanted) || found.as_f64() == Some(*wanted as f64),
        LoginValue::Text(wanted) => found.as_str() == Some(wanted),
    }
}
