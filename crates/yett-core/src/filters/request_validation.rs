//! What a request has to be: the type, size and shape of its body, and its parameters.

pub mod content;
pub mod json;
pub mod schema;

use serde_json::Value;

use self::content::{ContentType, Refused};
use self::json::Wrong;
use self::schema::Schema;
use crate::body::FieldError;
use crate::exchange::{Exchange, Framing, Method, Refusal};
use crate::headers::Known;
use crate::ir::{self, BodyPresence, JsonBounds};
use crate::reason::Reason;

/// Arrays and objects inside of each other, at most; what reads values goes down as deep.
const MAX_DEPTH: u32 = 64;

/// What a request has to be.
#[derive(Debug)]
pub struct RequestValidation {
    presence: BodyPresence,
    bodies: Box<[BodyType]>,
    json: JsonBounds,
}

/// A kind of body.
#[derive(Debug)]
struct BodyType {
    content_type: Box<str>,
    schema: Option<Schema>,
}

/// What the head of a request says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of it has to be looked at.
    Passes,
    /// It has to be this kind of body.
    Body(usize),
}

type Judged<T> = Result<T, Box<Refusal>>;

impl RequestValidation {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(spec: &ir::RequestValidation) -> Result<Self, String> {
        if !(1..=MAX_DEPTH).contains(&spec.json.depth) {
            return Err(format!("`depth` has to be between 1 and {MAX_DEPTH}"));
        }
        let refused = spec.presence_refused();
        if refused != spec.bodies.is_empty() {
            return Err("a route takes bodies of some type, or none".to_owned());
        }
        let mut bodies = Vec::with_capacity(spec.bodies.len());
        for body in &spec.bodies {
            let kind = &body.content_type;
            let plain =
                ContentType::parse(kind.strip_suffix('*').map_or_else(|| kind.clone(), |kind| format!("{kind}x")).as_bytes());
            if plain.is_err() || *kind != kind.to_ascii_lowercase() || kind.contains(';') {
                return Err(format!("`{kind}` is no content type"));
            }
            if body.schema.is_some() && !ContentType::is_json(kind) {
                return Err(format!("a schema says nothing about `{kind}`, which is no JSON"));
            }
            let schema = body.schema.as_ref().map(|schema| Schema::build(schema, spec.formats)).transpose();
            let schema = schema.map_err(|fault| format!("the schema of `{kind}`, `{}`: {}", fault.pointer, fault.message))?;
            bodies.push(BodyType { content_type: kind.as_str().into(), schema });
        }
        Ok(Self { presence: spec.body, bodies: bodies.into(), json: spec.json })
    }

    /// What the head says, before anything of the body is read.
    ///
    /// # Errors
    /// No such body is accepted here.
    pub fn head(&self, exchange: &Exchange) -> Judged<Verdict> {
        let request = &exchange.request;
        if request.headers.named(b"content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity")) {
            return Err(refuse(Reason::ContentEncodingUnsupported));
        }
        // A body that was held is of known length.
        if exchange.body.is_none() && request.framing == Framing::Empty {
            let needed = self.presence == BodyPresence::Required && !matches!(request.method, Method::Get | Method::Head);
            return if needed { Err(refuse(Reason::BodyMissing)) } else { Ok(Verdict::Passes) };
        }
        if self.presence == BodyPresence::Refused {
            return Err(refuse(Reason::BodyUnexpected));
        }
        let mut types = request.headers.get_all(Known::ContentType);
        let (Some(value), None) = (types.next(), types.next()) else {
            return Err(unsupported("exactly one `Content-Type` is needed"));
        };
        let found = ContentType::parse(value).map_err(|refused| match refused {
            Refused::Malformed => unsupported("the `Content-Type` cannot be read"),
            Refused::Charset => unsupported("the charset has to be UTF-8"),
        })?;
        match self.bodies.iter().position(|body| found.is_taken_by(&body.content_type)) {
            None => Err(refuse(Reason::ContentTypeUnsupported)),
            Some(index) if ContentType::is_json(&found.essence) => Ok(Verdict::Body(index)),
            Some(_) => Ok(Verdict::Passes),
        }
    }

    /// Whether the whole body is what its type and schema ask for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn body(&self, index: usize, data: &[u8]) -> Judged<()> {
        let body = self.bodies.get(index).ok_or_else(|| refuse(Reason::Internal))?;
        if data.is_empty() && self.presence == BodyPresence::Required {
            return Err(refuse(Reason::BodyMissing));
        }
        json::scan(data, &self.json).map_err(|fault| self.refused(data, fault))?;
        let Some(schema) = &body.schema else { return Ok(()) };
        // What the scan lets through can be read; if that is ever wrong, the body is refused.
        let value: Value = serde_json::from_slice(data).map_err(|_| refuse(Reason::JsonMalformed))?;
        schema.check(&value, data.len()).map_err(|errors| {
            let mut refusal = refuse(Reason::SchemaMismatch);
            refusal.errors = Some(errors);
            refusal
        })
    }

    fn refused(&self, data: &[u8], fault: json::Fault) -> Box<Refusal> {
        let bounds = &self.json;
        let (reason, detail) = match fault.wrong {
            Wrong::Malformed => (Reason::JsonMalformed, format!("this is no JSON from byte {} on", fault.at)),
            Wrong::Duplicate => (Reason::JsonDuplicateName, "this name stands here before".to_owned()),
            Wrong::Depth => {
                (Reason::JsonTooComplex, format!("at most {} arrays and objects may be inside of each other", bounds.depth))
            }
            Wrong::Keys => (Reason::JsonTooComplex, format!("there may be at most {} names", bounds.keys)),
            Wrong::Items => (Reason::JsonTooComplex, format!("there may be at most {} items of arrays", bounds.items)),
            Wrong::String => (Reason::JsonTooComplex, format!("a string may have at most {} bytes", bounds.string)),
            Wrong::Number => (
                Reason::JsonTooComplex,
                format!("a number may have at most {} characters, and has to fit into 64 bits", bounds.number),
            ),
        };
        let mut refusal = refuse(reason);
        refusal.errors = Some(Box::new([FieldError::at(&json::pointer(data, fault.at), detail)]));
        refusal
    }
}

impl ir::RequestValidation {
    fn presence_refused(&self) -> bool {
        self.body == BodyPresence::Refused
    }
}

fn refuse(reason: Reason) -> Box<Refusal> {
    Box::new(reason.into())
}

fn unsupported(detail: &str) -> Box<Refusal> {
    Box::new(Refusal { detail: Some(detail.into()), ..Reason::ContentTypeUnsupported.into() })
}
