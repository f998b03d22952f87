//! Every value of a request, each by itself, with where it stands.

use super::AttackPlace;
use crate::attack::Kind;
use crate::body::{FieldError, Place};
use crate::exchange::Exchange;
use crate::filters::request_validation::content::ContentType;
use crate::filters::request_validation::form::{self, Fault, Head};
use crate::filters::request_validation::json::{self, Way};
use crate::headers::Known;
use crate::ir::JsonBounds;
use crate::path::decode_query;

/// Bounds of JSON that no `request_validation` has judged; depth and work stay bounded by them, memory by the body's size.
const JSON: JsonBounds = JsonBounds { depth: 64, keys: 100_000, items: 1_000_000, string: u64::MAX, number: 400 };

/// Who is told of the values.
pub(super) trait Reading {
    fn value(&mut self, value: &[u8], kind: Kind, site: &Site<'_>);
    /// Something cannot be read.
    fn undecided(&mut self, why: &'static str);
}

/// Where a value stands; its name is made when somebody asks.
pub(super) enum Site<'a> {
    Path,
    Query(&'a str),
    Header(&'a str),
    Cookie(&'a str),
    Form(&'a str),
    Json(&'a Way<'a>),
    Text,
}

impl Site<'_> {
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Path => FieldError::of("path", "", "").place,
            Self::Query(name) => FieldError::of("query", name, "").place,
            Self::Header(name) => FieldError::of("header", name, "").place,
            Self::Cookie(name) => FieldError::of("cookie", name, "").place,
            Self::Form(name) => FieldError::of("part", name, "").place,
            Self::Json(way) => FieldError::at(&way.pointer(), "").place,
            Self::Text => FieldError::at("", "").place,
        }
    }

    pub(super) fn part(&self) -> AttackPlace {
        match self {
            Self::Path => AttackPlace::Path,
            Self::Query(_) => AttackPlace::Query,
            Self::Header(_) => AttackPlace::Header,
            Self::Cookie(_) => AttackPlace::Cookie,
            Self::Form(_) => AttackPlace::Form,
            Self::Json(_) | Self::Text => AttackPlace::Body,
        }
    }
}

/// Path, query, and the header fields that clients choose: `User-Agent`, `Referer`, `X-…`, and each cookie.
pub(super) fn head(exchange: &Exchange, to: &mut impl Reading) {
    to.value(exchange.path.raw(), Kind::Path, &Site::Path);
    for segment in exchange.path.segments() {
        to.value(segment.as_bytes(), Kind::Value, &Site::Path);
    }
    pairs(exchange.query(), b'&', |name| Site::Query(name), to);
    for (known, name, value) in exchange.request.headers.iter() {
        let kind = match known {
            Known::UserAgent => Kind::Agent,
            Known::Cookie => {
                pairs(value, b';', |name| Site::Cookie(name), to);
                continue;
            }
            _ if name == b"referer" => Kind::Referer,
            _ if name.starts_with(b"x-") => Kind::Value,
            _ => continue,
        };
        to.value(value, kind, &Site::Header(std::str::from_utf8(name).unwrap_or_default()));
    }
}

/// `name=value`, decoded as forms are.
fn pairs(text: &[u8], between: u8, site: for<'s> fn(&'s str) -> Site<'s>, to: &mut impl Reading) {
    for pair in text.split(|byte| *byte == between).filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut next =
            || halves.next().map(|half| decode_query(half).unwrap_or_else(|| String::from_utf8_lossy(half).into_owned()));
        let (name, value) = (next().unwrap_or_default(), next());
        let name = name.trim();
        let site = site(name);
        named(name, &site, to);
        if let Some(value) = value {
            to.value(value.trim_matches('"').as_bytes(), Kind::Value, &site);
            // The quotes of a cookie are not its value's, but may be an attack's.
            if value.starts_with('"') {
                to.value(value.as_bytes(), Kind::Value, &site);
            }
        }
    }
}

/// A name: as one, and as a value, for whoever puts it somewhere.
fn named(name: &str, site: &Site<'_>, to: &mut impl Reading) {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) && !name.starts_with('_') {
        return;
    }
    to.value(name.as_bytes(), Kind::Name, site);
    to.value(name.as_bytes(), Kind::Value, site);
}

/// Kinds of bodies that are read.
enum Body {
    Json,
    Form,
    Multipart(Option<Box<str>>),
    Xml,
    /// Whatever it looks like: many services do not ask for its type.
    Any,
    /// Nobody knows what the service takes it for.
    Unknown,
}

/// Types of what is no text, which is not looked at.
const BINARY: [&str; 11] = [
    "image/",
    "audio/",
    "video/",
    "font/",
    "application/grpc",
    "application/protobuf",
    "application/x-protobuf",
    "application/zip",
    "application/gzip",
    "application/pdf",
    "application/wasm",
];

fn kind(exchange: &Exchange) -> Option<Body> {
    let mut types = exchange.request.headers.get_all(Known::ContentType);
    let Some(value) = types.next() else { return Some(Body::Any) };
    let value = value.strip_suffix(b";").unwrap_or(value);
    let misspelt = value.to_ascii_lowercase().ends_with(b"charset=utf8");
    let found = match value.strip_suffix(b"8").filter(|_| misspelt) {
        Some(start) => ContentType::parse(&[start, b"-8"].concat()),
        None => ContentType::parse(value),
    };
    let (Ok(found), None) = (found, types.next()) else { return Some(Body::Unknown) };
    Some(match &*found.essence {
        json if ContentType::is_json(json) => Body::Json,
        "application/x-www-form-urlencoded" => Body::Form,
        "multipart/form-data" => Body::Multipart(found.boundary),
        xml if xml.ends_with("+xml") || matches!(xml, "application/xml" | "text/xml") => Body::Xml,
        binary if BINARY.iter().any(|start| binary.starts_with(start)) => return None,
        _ => Body::Any,
    })
}

/// Whether a body of this type is looked at.
pub(super) fn is_read(exchange: &Exchange) -> bool {
    kind(exchange).is_some()
}

/// The body that is held.
pub(super) fn body(exchange: &Exchange, to: &mut impl Reading) {
    let Some(data) = exchange.held().filter(|data| !data.is_empty()) else { return };
    if exchange.request.headers.named(b"content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity")) {
        return to.undecided("its body is compressed");
    }
    match kind(exchange) {
        Some(Body::Json) => document(data, to),
        Some(Body::Form) => pairs(data, b'&', |name| Site::Form(name), to),
        Some(Body::Multipart(boundary)) => {
            let each = |part: &[u8]| {
                multipart(part, to)?;
                Ok(())
            };
            if form::parts(data, boundary.as_deref().unwrap_or_default(), each).is_err() {
                to.undecided("its form cannot be read");
            }
        }
        Some(Body::Xml) => xml(data, to),
        Some(Body::Any) => any(data, to),
        Some(Body::Unknown) => to.undecided("its type cannot be read"),
        None => {}
    }
}

/// As JSON or a form where it looks like that, and as text.
fn any(data: &[u8], to: &mut impl Reading) {
    if std::str::from_utf8(data).is_err() {
        return;
    }
    let begins = data.trim_ascii_start().first();
    if matches!(begins, Some(b'{' | b'[')) && json::strings(data, &JSON, |_, _, _| {}).is_ok() {
        return document(data, to);
    }
    to.value(data, Kind::Value, &Site::Text);
    if is_form(data) {
        pairs(data, b'&', |name| Site::Form(name), to);
    }
}

/// Whether each part has a name as fields have, and is no prose with an equals sign in it.
fn is_form(data: &[u8]) -> bool {
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]%+$".contains(byte);
    data.split(|byte| *byte == b'&').all(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.len() < pair.len() && !name.is_empty() && name.iter().all(named)
    })
}

fn document(data: &[u8], to: &mut impl Reading) {
    let heard = |text: &str, way: &Way<'_>, name: bool| {
        let site = Site::Json(way);
        if name { named(text, &site, to) } else { to.value(text.as_bytes(), Kind::Value, &site) }
    };
    if json::strings(data, &JSON, heard).is_err() {
        to.undecided("its JSON cannot be read");
    }
}

fn multipart(part: &[u8], to: &mut impl Reading) -> Result<(), Fault> {
    let (head, body) = Head::of_part(part)?;
    let site = Site::Form(&head.name);
    named(&head.name, &site, to);
    match &head.file {
        // What is in a file is not looked at, but for what it is called.
        Some(file) if !file.is_empty() => to.value(file.as_bytes(), Kind::File, &site),
        _ => to.value(body, Kind::Value, &site),
    }
    Ok(())
}

/// As a whole for what its head may fetch; then each text and each attribute.
fn xml(data: &[u8], to: &mut impl Reading) {
    let mut rest = data;
    while let Some(begin) = memchr::memchr(b'<', rest) {
        let (text, tag) = rest.split_at_checked(begin).unwrap_or((rest, b""));
        to.value(text.trim_ascii(), Kind::Value, &Site::Text);
        let end = memchr::memchr(b'>', tag).map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at_checked(end).unwrap_or((tag, b""));
        if tag.starts_with(b"<!") {
            // Declarations stand in one another.
            to.value(rest.get(begin..).unwrap_or_default(), Kind::Value, &Site::Text);
            return;
        }
        let mut left = tag;
        while let Some(open) = memchr::memchr2(b'"', b'\'', left) {
            let (quote, inside) = (left.get(open).copied().unwrap_or_default(), left.get(open + 1..).unwrap_or_default());
            let close = memchr::memchr(quote, inside).unwrap_or(inside.len());
            to.value(inside.get(..close).unwrap_or_default(), Kind::Value, &Site::Text);
            left = inside.get(close + 1..).unwrap_or_default();
        }
        rest = after;
    }
    to.value(rest.trim_ascii(), Kind::Value, &Site::Text);
}
