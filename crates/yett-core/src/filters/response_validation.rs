//! What an answer of a service has to be before any of it leaves: its status, type, size and shape, and nothing internal in it.

mod cards;
mod fields;
mod leaks;
mod strip;

use std::sync::atomic::{AtomicU64, Ordering};

use self::leaks::Leaks;
use super::request_validation::content::ContentType;
use super::request_validation::json;
use super::request_validation::json::document::{Document, Documents};
use super::request_validation::schema::Schema;
use crate::exchange::ResponseHead;
use crate::headers::{Headers, Known};
use crate::ir::{self, JsonBounds, ResponseMode};
use crate::reason::Reason;
use crate::shared::Counter;

/// Reasons for which an answer does not fit, and that there was no room to look at it.
pub const REASONS: [Reason; 7] = [
    Reason::BufferExhausted,
    Reason::ResponseStatusUnexpected,
    Reason::ResponseTypeUnexpected,
    Reason::ResponseTooLarge,
    Reason::ResponseMalformed,
    Reason::ResponseSchemaMismatch,
    Reason::ResponseLeak,
];

/// Counts answers that do not fit and pass, by reason.
#[derive(Debug, Default)]
pub struct Faults([Counter; REASONS.len()]);

impl Faults {
    /// Counts one more.
    pub fn count(&self, reason: Reason) {
        if let Some(counter) = index(reason).and_then(|index| self.0.get(index)) {
            counter.increment();
        }
    }

    /// Those so far, of each reason.
    pub fn all(&self) -> impl Iterator<Item = (Reason, u64)> {
        REASONS.into_iter().zip(self.0.iter().map(Counter::get))
    }
}

fn index(reason: Reason) -> Option<usize> {
    REASONS.iter().position(|known| *known == reason)
}

/// What answers have to be.
#[derive(Debug)]
pub struct ResponseValidation {
    mode: ResponseMode,
    answers: Box<[AnswerType]>,
    /// Bytes of a body that is looked at.
    pub size: u64,
    streams: bool,
    internals: bool,
    leaks: Leaks,
    json: JsonBounds,
    /// The second in which each of [`REASONS`] was last reported.
    reported: [AtomicU64; REASONS.len()],
}

/// Answers of some statuses.
#[derive(Debug)]
struct AnswerType {
    status: Status,
    /// Any body where it is absent.
    bodies: Option<Box<[BodyType]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Exactly(u16),
    Hundred(u16),
    Any,
}

#[derive(Debug)]
struct BodyType {
    content_type: Box<str>,
    schema: Option<Schema<Documents>>,
}

/// What has to be looked at of an answer whose head is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing more: there is no body, or it is a stream, or of a type that nothing is known about.
    Nothing,
    /// The whole body; `json` says that it has to be JSON, of the schema at these places, where there is one.
    Body {
        /// Whether it has to be JSON.
        json: bool,
        /// Where its schema is.
        schema: Option<(usize, usize)>,
    },
}

/// What becomes of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// It passes as it is.
    Passes,
    /// This passes in its place.
    Stripped(Vec<u8>),
}

impl ResponseValidation {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(spec: &ir::ResponseValidation) -> Result<Self, String> {
        let mut answers = Vec::with_capacity(spec.answers.len());
        for one in &spec.answers {
            let status = Status::parse(&one.status).ok_or_else(|| format!("`{}` is no status", one.status))?;
            let body = |body: &ir::BodyType| {
                let schema = body.schema.as_ref().map(|schema| Schema::build(schema, spec.formats)).transpose();
                let schema = schema.map_err(|fault| {
                    format!("the schema of `{}` {}, `{}`: {}", one.status, body.content_type, fault.pointer, fault.message)
                })?;
                if schema.is_some() && !ContentType::is_json(&body.content_type) {
                    return Err(format!("a schema says nothing about `{}`, which is no JSON", body.content_type));
                }
                Ok(BodyType { content_type: body.content_type.as_str().into(), schema })
            };
            let bodies = one.bodies.as_ref().map(|bodies| bodies.iter().map(body).collect::<Result<Vec<_>, String>>());
            let mut bodies = bodies.transpose()?;
            if let Some(bodies) = &mut bodies {
                // A type by its name counts before all of its kind.
                bodies.sort_by_key(|body| body.content_type.ends_with('*'));
            }
            answers.push(AnswerType { status, bodies: bodies.map(Vec::into_boxed_slice) });
        }
        if answers.is_empty() {
            return Err("no answer would ever pass; name the statuses".to_owned());
        }
        let leaks = Leaks::build(&spec.leaks)?;
        Ok(Self {
            mode: spec.mode,
            answers: answers.into(),
            size: spec.size,
            streams: spec.streams,
            internals: spec.internals,
            leaks,
            json: spec.json,
            reported: Default::default(),
        })
    }

    /// Whether answers that do not fit pass, and are reported.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.mode == ResponseMode::Report
    }

    /// Whether to write an event for it: once a second for each reason, so that other events are not drowned.
    #[must_use]
    pub fn may_report(&self, reason: Reason, second: u64) -> bool {
        let last = index(reason).and_then(|index| self.reported.get(index));
        // 0 is no second at all.
        last.is_some_and(|last| last.swap(second + 1, Ordering::Relaxed) != second + 1)
    }

    /// Judges the head, whose fields are still the service's. `body` says whether a body follows, `head` that the request was
    /// one for the head only, and `inside` names the endpoint and the host that the client asked for.
    ///
    /// # Errors
    /// Why nothing of the answer may leave.
    pub fn head(&self, response: &ResponseHead, body: bool, head: bool, inside: (&[u8], &[u8])) -> Result<Look, Reason> {
        let headers = &response.headers;
        let (answer, known) = self.answer(response.status).ok_or(Reason::ResponseStatusUnexpected)?;
        if (self.leaks.addresses && fields::names_endpoint(headers, inside.0, inside.1)) || fields::leak(headers, &self.leaks) {
            return Err(Reason::ResponseLeak);
        }
        if !body {
            let none = head || matches!(response.status, 204 | 304);
            return if none || !known.needs_body() { Ok(Look::Nothing) } else { Err(Reason::ResponseMalformed) };
        }
        if headers.named(b"content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity")) {
            return Err(Reason::ResponseTypeUnexpected);
        }
        let mut types = headers.get_all(Known::ContentType);
        let kind = match (types.next(), types.next()) {
            (Some(value), None) => ContentType::parse(value).map_err(|_| Reason::ResponseTypeUnexpected)?,
            (None, None) if known.bodies.is_none() => return Ok(Look::Body { json: false, schema: None }),
            _ => return Err(Reason::ResponseTypeUnexpected),
        };
        let stream = is_stream(&kind.essence);
        if stream && !self.streams {
            return Err(Reason::ResponseTypeUnexpected);
        }
        let index = match &known.bodies {
            None => None,
            Some(bodies) => {
                let found = bodies.iter().position(|body| kind.is_taken_by(&body.content_type));
                Some(found.ok_or(Reason::ResponseTypeUnexpected)?)
            }
        };
        let schema = index.filter(|index| {
            let body = known.bodies.as_ref().and_then(|bodies| bodies.get(*index));
            body.is_some_and(|body| body.schema.is_some())
        });
        // A type with a schema is looked at, whatever else it may be.
        if schema.is_none() && (stream || !is_text(&kind.essence)) {
            return Ok(Look::Nothing);
        }
        Ok(Look::Body { json: ContentType::is_json(&kind.essence), schema: schema.map(|index| (answer, index)) })
    }

    /// What is known of answers of a status: the most precise, whatever the order. A 304 stands for the answer that it saves
    /// (RFC 9110 section 15.4.5).
    fn answer(&self, status: u16) -> Option<(usize, &AnswerType)> {
        let of = |status: u16| {
            let fits = |one: &(usize, &AnswerType)| one.1.status.rank(status).is_some();
            self.answers.iter().enumerate().filter(fits).max_by_key(|(_, one)| one.status.rank(status))
        };
        of(status).or_else(|| of(200).filter(|_| status == 304))
    }

    /// Takes away fields that say what the service is made of.
    pub fn clean(&self, headers: &mut Headers) {
        if self.internals && !self.reports() {
            headers.retain(|_, name, _| !fields::is_internal(name));
        }
    }

    /// Judges a whole body.
    ///
    /// # Errors
    /// Why nothing of the answer may leave.
    pub fn body(&self, look: Look, data: &[u8]) -> Result<Judged, Reason> {
        let Look::Body { json, schema } = look else { return Ok(Judged::Passes) };
        let mut judged = Judged::Passes;
        if json {
            let schema =
                schema.and_then(|(answer, index)| self.answers.get(answer)?.bodies.as_ref()?.get(index)?.schema.as_ref());
            match schema {
                None => json::scan(data, &self.json).map_err(|_| Reason::ResponseMalformed)?,
                Some(schema) => {
                    let document = Document::read(data, &self.json).map_err(|_| Reason::ResponseMalformed)?;
                    if !schema.fits(document.root()) {
                        let strips = self.mode == ResponseMode::Strip;
                        let stripped = if strips { strip::strip(schema, data, &self.json) } else { None };
                        judged = Judged::Stripped(stripped.ok_or(Reason::ResponseSchemaMismatch)?);
                    }
                }
            }
        }
        // Of what leaves: what was stripped harms nobody.
        let leaves = if let Judged::Stripped(text) = &judged { text } else { data };
        if self.leaks.find(leaves, json).is_some() { Err(Reason::ResponseLeak) } else { Ok(judged) }
    }
}

impl AnswerType {
    /// Whether every body that it may have is of some schema: none is of none.
    fn needs_body(&self) -> bool {
        self.bodies.as_ref().is_some_and(|bodies| !bodies.is_empty() && bodies.iter().all(|body| body.schema.is_some()))
    }
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"default" => Some(Self::Any),
            [digit @ b'1'..=b'5', b'x', b'x'] => Some(Self::Hundred(u16::from(*digit - b'0'))),
            _ => text.parse().ok().filter(|status| (100..600).contains(status)).map(Self::Exactly),
        }
    }

    /// How precisely it names a status; nothing where it does not.
    fn rank(self, status: u16) -> Option<u8> {
        match self {
            Self::Exactly(own) => (own == status).then_some(2),
            Self::Hundred(own) => (own == status / 100).then_some(1),
            Self::Any => Some(0),
        }
    }
}

/// Bodies without an end that could be waited for.
fn is_stream(essence: &str) -> bool {
    matches!(
        essence,
        "text/event-stream" | "application/x-ndjson" | "application/jsonl" | "application/json-seq" | "application/stream+json"
    ) || essence.starts_with("application/grpc")
        || essence.starts_with("multipart/x-mixed-replace")
}

/// Bodies that something could be read from.
fn is_text(essence: &str) -> bool {
    ContentType::is_json(essence)
        || essence.starts_with("text/")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/xml"
                | "application/javascript"
                | "application/x-www-form-urlencoded"
                | "application/yaml"
                | "application/x-yaml"
        )
}
