//! What a service's answer says of an attempt to log in: by its head, and where a value of its body decides, by that.

use serde_json::Value;

use super::Told;
use super::credentials::doubled;
use crate::exchange::ResponseHead;
use crate::filters::request_validation::content::ContentType;
use crate::filters::request_validation::json;
use crate::headers::{Known, is_lower_token};
use crate::ir::{self, JsonBounds, LoginValue};

/// Bytes of an answer's body that are read.
pub const ANSWER: u64 = 64 * 1024;

const JSON: JsonBounds = JsonBounds { depth: 32, keys: 10_000, items: 10_000, string: 64 * 1024, number: 40 };

/// Which answers say no.
#[derive(Debug)]
pub struct Answers(ir::LoginFailed);

impl Answers {
    /// Compiles it.
    ///
    /// # Errors
    /// A field without a valid name, a pointer that is none.
    pub fn build(spec: &ir::LoginFailed) -> Result<Self, String> {
        if spec.header.as_ref().is_some_and(|field| !is_lower_token(field.name.as_bytes())) {
            return Err("the field that says that a login failed has no valid name".to_owned());
        }
        if spec.body.as_ref().is_some_and(|body| !body.pointer.starts_with('/')) {
            return Err("what says in an answer that a login failed is a JSON Pointer, such as `/error`".to_owned());
        }
        Ok(Self(spec.clone()))
    }

    /// Whether a value of the body decides.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.0.body.is_some()
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
            status if self.0.status.contains(&status) => Told::Failed,
            _ if self.0.header.as_ref().is_some_and(says) => Told::Failed,
            400..500 => Told::Failed,
            500.. => Told::Broken,
            _ if self.0.body.is_none() => Told::Passed,
            _ if is_plain_json(answer) => Told::InBody,
            _ => Told::Failed,
        }
    }

    /// What the whole body says: what is no JSON, has a name twice, or something like the name beside it, has failed.
    #[must_use]
    pub fn read(&self, body: &[u8]) -> Told {
        let Some(says) = &self.0.body else { return Told::Passed };
        if body.len() as u64 > ANSWER || json::scan(body, &JSON).is_err() {
            return Told::Failed;
        }
        let Ok(read) = serde_json::from_slice::<Value>(body) else { return Told::Failed };
        if doubled(&read, &says.pointer) {
            return Told::Failed;
        }
        let no = match (read.pointer(&says.pointer), &says.value) {
            (None, _) => false,
            (Some(found), None) => !matches!(found, Value::Null | Value::Bool(false)),
            (Some(found), Some(wanted)) => is(found, wanted),
        };
        if no { Told::Failed } else { Told::Passed }
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
