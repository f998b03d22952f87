//! What a request has to be: the type, size and shape of its body, and its parameters.

pub mod content;
pub mod contract;
pub mod form;
mod graphql;
pub mod json;
pub mod parameters;
pub mod schema;

use serde_json::Value;

use self::content::{ContentType, Refused};
use self::form::Form;
use self::graphql::GraphQl;
use self::json::Wrong;
use self::json::document::{Document, Documents};
use self::parameters::{Fault, Parameters};
use self::schema::{Schema, SchemaFault};
use crate::body::FieldError;
use crate::exchange::{Exchange, Framing, Method, Refusal};
use crate::headers::Known;
use crate::ir::{self, BodyPresence, JsonBounds};
use crate::path::query_values;
use crate::reason::Reason;

/// Arrays and objects inside of each other, at most; what reads values goes down as deep.
const MAX_DEPTH: u32 = 64;

/// What a request has to be.
#[derive(Debug)]
pub struct RequestValidation {
    presence: BodyPresence,
    bodies: Box<[BodyType]>,
    json: JsonBounds,
    parameters: Parameters,
    headers: Option<Box<[Box<str>]>>,
    graphql: Option<GraphQl>,
}

/// A kind of body.
#[derive(Debug)]
struct BodyType {
    content_type: Box<str>,
    read: Read,
}

/// How a body is read, and what it has to be then.
#[derive(Debug)]
enum Read {
    /// As JSON, where its type is one that is.
    Document(Option<Schema<Documents>>),
    /// As the fields of a form.
    Form(Form, Option<Schema>),
}

/// What the head of a request says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of it has to be looked at.
    Passes,
    /// It has to be this kind of body.
    Body(usize),
}

/// Why a request is refused, and which parts of it are wrong.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// Which parts, never with their values.
    pub errors: Vec<FieldError>,
}

type Judged<T> = Result<T, Box<Rejected>>;

impl RequestValidation {
    /// Compiles it. `variables` are those of the route's path.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(spec: &ir::RequestValidation, variables: &[&str]) -> Result<Self, String> {
        if !(1..=MAX_DEPTH).contains(&spec.json.depth) {
            return Err(format!("`depth` has to be between 1 and {MAX_DEPTH}"));
        }
        if (spec.body == BodyPresence::Refused) != spec.bodies.is_empty() {
            return Err("a route takes bodies of some type, or none".to_owned());
        }
        let bodies = spec.bodies.iter().map(|body| BodyType::build(body, spec)).collect::<Result<_, _>>()?;
        let headers = spec.headers.as_ref().map(|names| names.iter().map(|name| name.as_str().into()).collect());
        if spec.graphql.is_some()
            && !matches!(&*spec.bodies, [one] if one.content_type == "application/json" && one.schema.is_none())
        {
            return Err("GraphQL requests are `application/json`, and of no schema".to_owned());
        }
        let graphql = spec.graphql.as_ref().map(GraphQl::build).transpose()?;
        let parameters = Parameters::build(spec, variables)?;
        Ok(Self { presence: spec.body, bodies, json: spec.json, parameters, headers, graphql })
    }

    /// Header fields that are judged, lower case.
    pub fn judged_headers(&self) -> impl Iterator<Item = &str> {
        self.parameters.headers()
    }

    /// Whether a field of this name passes, where only some do.
    #[must_use]
    pub fn passes(&self, known: Known, name: &[u8]) -> bool {
        const COMMON: [&[u8]; 4] = [b"accept-encoding", b"accept-language", b"content-encoding", b"content-language"];
        let Some(names) = &self.headers else { return true };
        matches!(
            known,
            Known::Accept
                | Known::Authorization
                | Known::ContentLength
                | Known::ContentType
                | Known::Traceparent
                | Known::Tracestate
                | Known::UserAgent
        ) || COMMON.contains(&name)
            || name.starts_with(b"sec-websocket-")
            || names.iter().any(|own| own.as_bytes() == name)
            || self.parameters.headers().any(|own| own.as_bytes() == name)
    }

    /// What the head says, before anything of the body is read.
    ///
    /// # Errors
    /// A parameter does not fit, or no such body is accepted here.
    pub fn head(&self, exchange: &Exchange) -> Judged<Verdict> {
        self.parameters.check(exchange).map_err(|fault| match fault {
            Fault::Unknown(errors) => with(Reason::ParameterUnknown, errors),
            Fault::Invalid(errors) => with(Reason::ParameterInvalid, errors),
        })?;
        let request = &exchange.request;
        if request.headers.named(b"content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity")) {
            return Err(refuse(Reason::ContentEncodingUnsupported));
        }
        // A body that was held is of known length.
        let empty = exchange.body.is_none() && request.framing == Framing::Empty;
        if let Some(graphql) = &self.graphql {
            graphql::plain_names(exchange.query())?;
            let get = matches!(request.method, Method::Get | Method::Head);
            let values = |name: &str| -> Vec<Option<String>> { query_values(exchange.query(), name).collect() };
            match (get, empty) {
                (true, true) => return graphql.address(values, &self.json).map(|()| Verdict::Passes),
                (true, false) => return Err(refuse(Reason::BodyUnexpected)),
                (false, _) => graphql::unsaid(values)?,
            }
        }
        if empty {
            return self.without_body(exchange).map(|()| Verdict::Passes);
        }
        if self.presence == BodyPresence::Refused {
            return Err(refuse(Reason::BodyUnexpected));
        }
        let found = content_type(exchange)?;
        match self.bodies.iter().position(|body| found.is_taken_by(&body.content_type)) {
            None => Err(refuse(Reason::ContentTypeUnsupported)),
            Some(index) => {
                let read = self.bodies.get(index).is_some_and(|body| matches!(body.read, Read::Form(..)));
                let looked_at = read || ContentType::is_json(&found.essence) || is_xml(&found.essence);
                Ok(if looked_at { Verdict::Body(index) } else { Verdict::Passes })
            }
        }
    }

    /// Whether the whole body is what its type and schema ask for; what it says, where `keep` and where it is read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn body(&self, index: usize, exchange: &Exchange, keep: bool) -> Judged<Option<Box<Value>>> {
        let body = self.bodies.get(index).ok_or_else(|| refuse(Reason::Internal))?;
        let data = exchange.held().ok_or_else(|| refuse(Reason::Internal))?;
        if data.is_empty() {
            return self.without_body(exchange).map(|()| None);
        }
        let kind = content_type(exchange)?;
        let mismatch = |errors: Box<[FieldError]>| with(Reason::SchemaMismatch, errors.into());
        match (&body.read, &self.graphql) {
            (Read::Form(form, schema), _) => {
                let value = read_form(form, &kind, data)?;
                schema.as_ref().map_or(Ok(()), |schema| schema.check(&value, data.len())).map_err(mismatch)?;
                Ok(keep.then(|| Box::new(value)))
            }
            (Read::Document(_), _) if is_xml(&kind.essence) => xml(data).map(|()| None),
            (Read::Document(None), Some(graphql)) => {
                let document = Document::read(data, &self.json).map_err(|fault| self.refused(data, fault))?;
                graphql.body(&document).map(|()| None)
            }
            (Read::Document(None), None) => {
                json::scan(data, &self.json).map_err(|fault| self.refused(data, fault))?;
                Ok(None)
            }
            (Read::Document(Some(schema)), _) => {
                let document = Document::read(data, &self.json).map_err(|fault| self.refused(data, fault))?;
                schema.check(document.root(), data.len()).map_err(mismatch)?;
                if !keep {
                    return Ok(None);
                }
                // What the scan lets through can be read; if that is ever wrong, the body is refused.
                serde_json::from_slice(data).map(|value| Some(Box::new(value))).map_err(|_| refuse(Reason::JsonMalformed))
            }
        }
    }

    /// Whether a request may come without a body.
    fn without_body(&self, exchange: &Exchange) -> Judged<()> {
        let needed = self.presence == BodyPresence::Required && !matches!(exchange.request.method, Method::Get | Method::Head);
        if needed { Err(refuse(Reason::BodyMissing)) } else { Ok(()) }
    }

    fn refused(&self, data: &[u8], fault: json::Fault) -> Box<Rejected> {
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
            Wrong::Number => {
                let detail = format!("a number may have at most {} characters, and has to fit into 64 bits", bounds.number);
                (Reason::JsonTooComplex, detail)
            }
        };
        with(reason, vec![FieldError::at(&json::pointer(data, fault.at), detail)])
    }
}

impl BodyType {
    fn build(spec: &ir::BodyType, of: &ir::RequestValidation) -> Result<Self, String> {
        let kind = &spec.content_type;
        let plain = kind.strip_suffix('*').map_or_else(|| kind.clone(), |kind| format!("{kind}x"));
        if ContentType::parse(plain.as_bytes()).is_err() || *kind != kind.to_ascii_lowercase() || kind.contains(';') {
            return Err(format!("`{kind}` is no content type"));
        }
        let is_form = matches!(kind.as_str(), "application/x-www-form-urlencoded" | "multipart/form-data");
        if spec.fields.is_some() && !is_form {
            return Err(format!("`{kind}` has no fields"));
        }
        if spec.schema.is_some() && !ContentType::is_json(kind) && spec.fields.is_none() {
            return Err(format!("a schema says nothing about `{kind}`, which is no JSON"));
        }
        let fault = |fault: SchemaFault| format!("the schema of `{kind}`, `{}`: {}", fault.pointer, fault.message);
        let schema = spec.schema.as_ref();
        let read = match &spec.fields {
            Some(fields) if fields.is_empty() && schema.is_none() => Read::Form(Form::loose(of.form, of.json), None),
            Some(fields) => {
                let schema = schema.map(|schema| Schema::build(schema, of.formats)).transpose().map_err(fault)?;
                let fields = fields.iter().map(|(name, field)| (name.as_str().into(), field.clone()));
                Read::Form(Form::new(fields, of.form, of.json, schema.is_some()), schema)
            }
            None => Read::Document(schema.map(|schema| Schema::build(schema, of.formats)).transpose().map_err(fault)?),
        };
        Ok(Self { content_type: kind.as_str().into(), read })
    }
}

fn content_type(exchange: &Exchange) -> Judged<ContentType> {
    let mut types = exchange.request.headers.get_all(Known::ContentType);
    let (Some(value), None) = (types.next(), types.next()) else {
        return Err(unsupported("exactly one `Content-Type` is needed"));
    };
    ContentType::parse(value).map_err(|refused| match refused {
        Refused::Malformed => unsupported("the `Content-Type` cannot be read"),
        Refused::Charset => unsupported("the charset has to be UTF-8"),
    })
}

fn read_form(form: &Form, kind: &ContentType, data: &[u8]) -> Judged<Value> {
    let read = match (&*kind.essence, &kind.boundary) {
        ("multipart/form-data", Some(boundary)) => form.multipart(data, boundary),
        ("multipart/form-data", None) => Err(form::Fault::Malformed("there is no boundary")),
        _ => form.urlencoded(data),
    };
    read.map_err(|fault| match fault {
        form::Fault::Malformed(detail) => explained(Reason::FormMalformed, detail),
        form::Fault::TooMuch(error) => with(Reason::FormTooComplex, vec![error]),
        form::Fault::Part(error) => with(Reason::SchemaMismatch, vec![error]),
    })
}

fn is_xml(essence: &str) -> bool {
    matches!(essence, "application/xml" | "text/xml") || essence.ends_with("+xml")
}

/// XML in UTF-8 without a document type: no entities, and nothing that is fetched.
fn xml(data: &[u8]) -> Judged<()> {
    let text = std::str::from_utf8(data).map_err(|_| refuse(Reason::XmlRefused))?;
    let upper = text.to_ascii_uppercase();
    let encoding =
        upper.strip_prefix("<?XML").and_then(|rest| rest.split_once("?>")).and_then(|(head, _)| head.split_once("ENCODING"));
    let other = encoding.is_some_and(|(_, name)| {
        let name = name.trim_start_matches([' ', '\t', '\r', '\n', '=', '"', '\'']);
        !name.starts_with("UTF-8")
    });
    if upper.contains("<!DOCTYPE") || upper.contains("<!ENTITY") || other || data.contains(&0) {
        return Err(refuse(Reason::XmlRefused));
    }
    Ok(())
}

/// A refusal that is about the whole request.
pub(crate) fn refuse(reason: Reason) -> Box<Rejected> {
    with(reason, Vec::new())
}

fn with(reason: Reason, errors: Vec<FieldError>) -> Box<Rejected> {
    Box::new(Rejected { refusal: reason.into(), errors })
}

fn unsupported(detail: &str) -> Box<Rejected> {
    explained(Reason::ContentTypeUnsupported, detail)
}

fn explained(reason: Reason, detail: &str) -> Box<Rejected> {
    Box::new(Rejected { refusal: Refusal { detail: Some(detail.into()), ..reason.into() }, errors: Vec::new() })
}
