//! Conditions (`when:`) about a request: what they may read, and where it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use serde::Deserialize;

use super::Ask;
use super::body::BodyField;
use super::claims::{CHECKED, DEVICE, POSTURE};
use crate::cel::{self, Activation, BOUNDS, Declared, Environment, Failure, Fault, Field, List, Text, Type, Value};
use crate::certificate::SubjectName;
use crate::decisions::Recorded;
use crate::exchange::Exchange;
use crate::geo::Fact;
use crate::ir::ClaimType;
use crate::path::query_values;
use crate::principal::ClaimValue;

/// What a condition may read beside what every request has: of its route, its providers and its rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readable {
    /// Declared claims and their types, by provider; all providers whose callers the rule is about.
    pub claims: BTreeMap<String, BTreeMap<String, ClaimType>>,
    /// Header fields, lower case.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Variables of the path, in order.
    #[serde(default)]
    pub variables: Vec<String>,
    /// What databases know of addresses: `country`, `continent`, `asn`.
    #[serde(default)]
    pub geo: Vec<String>,
    /// JSON Schema of the body, where bodies are validated before they are read.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Method,
    Path,
    Host,
    Scheme,
    Size,
    Time,
    Header(Box<str>),
    Provider,
    Issuer,
    Subject,
    Client,
    Kind,
    How,
    Scopes,
    Roles,
    Tenant,
    Partner,
    Assurance,
    Authenticated,
    Issued,
    Expires,
    Claim(Box<str>),
    Address,
    Country,
    Continent,
    Asn,
    Tls,
    ServerName,
    Ja4,
    Certificate(CertificatePart),
    DevicePosture,
    DeviceChecked,
    DeviceAge,
    DeviceCertificate,
    RouteName,
    RouteGroup,
    RouteClassification,
    Variable(usize),
    Query(Box<str>),
    Body(BodyField),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CertificatePart {
    Subject,
    Serial,
    Fingerprint,
    Spiffe,
    Expires,
}

/// What is known of a route when its rules are compiled.
#[derive(Debug, Clone, Default)]
pub struct RouteFacts {
    /// Its name.
    pub name: Box<str>,
    /// Its group.
    pub group: Option<Box<str>>,
    /// How sensitive its data is.
    pub classification: Option<Box<str>>,
}

/// A compiled condition.
#[derive(Debug)]
pub(super) struct Condition {
    program: cel::Program<Source>,
    headers: Vec<Box<str>>,
}

fn value(kind: Type, source: Source) -> Declared<Source> {
    Declared::Value(Field::new(kind, source))
}

fn record<const N: usize>(fields: [(&str, Declared<Source>); N]) -> Declared<Source> {
    Declared::Record(fields.map(|(name, declared)| (name.to_owned(), declared)).into())
}

fn claim_type(kind: ClaimType) -> Type {
    match kind {
        ClaimType::String => Type::Text,
        ClaimType::Int => Type::Int,
        ClaimType::Bool => Type::Bool,
        ClaimType::StringList => Type::List(Box::new(Type::Text)),
    }
}

/// A claim is typed by who declares it.
fn claims(readable: &Readable, pick: impl Fn(&str) -> Option<String>, source: fn(&str) -> Source) -> Declared<Source> {
    let mut fields: BTreeMap<String, Declared<Source>> = BTreeMap::new();
    for (provider, declared) in &readable.claims {
        for (name, kind) in declared {
            let Some(shown) = pick(name) else { continue };
            let field = fields.entry(shown).or_insert_with(|| Declared::Value(Field { kinds: Vec::new(), source: source(name) }));
            if let Declared::Value(field) = field {
                field.kinds.push((provider.clone(), claim_type(*kind)));
            }
        }
    }
    Declared::Record(fields)
}

fn certificate() -> Declared<Source> {
    let part = |kind, part| value(kind, Source::Certificate(part));
    record([
        ("subject", part(Type::Text, CertificatePart::Subject)),
        ("serial", part(Type::Text, CertificatePart::Serial)),
        ("fingerprint", part(Type::Text, CertificatePart::Fingerprint)),
        ("spiffe", part(Type::Text, CertificatePart::Spiffe)),
        ("expires", part(Type::Time, CertificatePart::Expires)),
    ])
}

/// Everything that a condition may read.
fn environment(readable: &Readable) -> Environment<Source> {
    let texts = || Type::List(Box::new(Type::Text));
    let headers = readable.headers.iter().map(|name| (name.clone(), value(Type::Text, Source::Header(name.as_str().into()))));
    let mut request = record([
        ("method", value(Type::Text, Source::Method)),
        ("path", value(Type::Text, Source::Path)),
        ("host", value(Type::Text, Source::Host)),
        ("scheme", value(Type::Text, Source::Scheme)),
        ("size", value(Type::Int, Source::Size)),
        ("time", value(Type::Time, Source::Time)),
        ("headers", Declared::Record(headers.collect())),
    ]);
    let body = readable.body.as_ref().and_then(super::body::declared);
    if let (Declared::Record(fields), Some(body)) = (&mut request, body) {
        fields.insert("body".to_owned(), body);
    }
    let principal = record([
        ("provider", value(Type::Text, Source::Provider)),
        ("issuer", value(Type::Text, Source::Issuer)),
        ("subject", value(Type::Text, Source::Subject)),
        ("client", value(Type::Text, Source::Client)),
        ("kind", value(Type::Text, Source::Kind)),
        ("method", value(Type::Text, Source::How)),
        ("scopes", value(texts(), Source::Scopes)),
        ("roles", value(texts(), Source::Roles)),
        ("tenant", value(Type::Text, Source::Tenant)),
        ("partner", value(Type::Text, Source::Partner)),
        ("assurance", value(Type::Text, Source::Assurance)),
        ("authenticated", value(Type::Time, Source::Authenticated)),
        ("issued", value(Type::Time, Source::Issued)),
        ("expires", value(Type::Time, Source::Expires)),
        ("claims", claims(readable, |name| Some(name.to_owned()), |name| Source::Claim(name.into()))),
    ]);
    let connection = record([
        ("address", value(Type::Text, Source::Address)),
        ("tls", value(Type::Bool, Source::Tls)),
        ("server_name", value(Type::Text, Source::ServerName)),
        ("ja4", value(Type::Text, Source::Ja4)),
        ("certificate", certificate()),
    ]);
    let device = match claims(readable, |name| name.strip_prefix(DEVICE).map(str::to_owned), |name| Source::Claim(name.into())) {
        Declared::Record(mut fields) => {
            fields.insert("posture".to_owned(), known(readable, POSTURE, Type::Text, Source::DevicePosture));
            fields.insert("checked".to_owned(), known(readable, CHECKED, Type::Time, Source::DeviceChecked));
            fields.insert("age".to_owned(), known(readable, CHECKED, Type::Span, Source::DeviceAge));
            fields.insert("certificate".to_owned(), value(Type::Bool, Source::DeviceCertificate));
            Declared::Record(fields)
        }
        other => other,
    };
    let route = record([
        ("name", value(Type::Text, Source::RouteName)),
        ("group", value(Type::Text, Source::RouteGroup)),
        ("classification", value(Type::Text, Source::RouteClassification)),
    ]);
    let variables =
        readable.variables.iter().enumerate().map(|(at, name)| (name.clone(), value(Type::Text, Source::Variable(at))));
    let places =
        [("country", Type::Text, Source::Country), ("continent", Type::Text, Source::Continent), ("asn", Type::Int, Source::Asn)];
    let places = places.into_iter().filter(|(name, ..)| readable.geo.iter().any(|known| known == name));
    let places = places.map(|(name, kind, source)| (name.to_owned(), value(kind, source)));
    let roots = [
        ("geo", Declared::Record(places.collect())),
        ("request", request),
        ("principal", principal),
        ("connection", connection),
        ("device", device),
        ("route", route),
        ("path", Declared::Record(variables.collect())),
        ("query", Declared::Named(|name| Field::new(Type::Text, Source::Query(name.into())))),
    ];
    let body = match readable.body {
        None => "a body counts only once it has been validated; give the route a `request_validation` with a schema",
        Some(_) => "write `request.body.NAME`, and let the schema of the body give it a type",
    };
    let refused = [
        ("request.body", body),
        ("body", body),
        ("request.headers.*", "a rule names the fields that its conditions may read: `headers: [x-region]`"),
        ("principal.claims.*", "providers declare the claims that rules may read: `claims: {level: {from: acr, type: int}}`"),
        (
            "geo.*",
            "no database says that of addresses; name one: `geo: {country: GeoLite2-Country.mmdb, asn: GeoLite2-ASN.mmdb}`",
        ),
        ("request.query", "write `query.NAME`"),
    ];
    Environment {
        roots: roots.map(|(name, declared)| (name.to_owned(), declared)).into(),
        refused: refused.map(|(name, message)| (name.to_owned(), message.to_owned())).into(),
        vouched: Some(("principal.provider".to_owned(), readable.claims.keys().cloned().collect::<BTreeSet<_>>())),
        strict: true,
    }
}

/// A value that is read from a claim of this name, by those who declare it; of another type than the claim's.
fn known(readable: &Readable, claim: &str, kind: Type, source: Source) -> Declared<Source> {
    let providers = readable.claims.iter().filter(|(_, declared)| declared.contains_key(claim));
    Declared::Value(Field { kinds: providers.map(|(name, _)| (name.clone(), kind.clone())).collect(), source })
}

/// Checks a condition without keeping it: for tools, which show the place of a fault.
///
/// # Errors
/// The first fault.
pub fn check(source: &str, readable: &Readable) -> Result<(), Fault> {
    cel::Program::compile(source, &environment(readable), BOUNDS).map(|_| ())
}

impl Condition {
    pub(super) fn build(source: &str, readable: &Readable) -> Result<Self, String> {
        let program = cel::Program::compile(source, &environment(readable), BOUNDS)
            .map_err(|fault| format!("`when`, at byte {}: {}", fault.at, fault.message))?;
        let header = |source: &Source| match source {
            Source::Header(name) => Some(name.clone()),
            _ => None,
        };
        let headers = program.sources().iter().filter_map(header).collect();
        Ok(Self { program, headers })
    }

    /// Fields that it reads, lower case.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|name| &**name)
    }

    /// Parameters of the query that it reads.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.program.sources().iter().filter_map(|source| match source {
            Source::Query(name) => Some(&**name),
            _ => None,
        })
    }

    /// Fields of the body that it reads.
    pub(super) fn body_fields(&self) -> impl Iterator<Item = &BodyField> {
        self.program.sources().iter().filter_map(|source| match source {
            Source::Body(field) => Some(field),
            _ => None,
        })
    }

    /// Whether it reads the body, which is there only once it has been validated.
    pub(super) fn reads_body(&self) -> bool {
        self.program.sources().iter().any(|source| matches!(source, Source::Body(_)))
    }

    pub(super) fn holds(&self, ask: &Ask<'_>) -> Result<bool, Failure> {
        self.program.holds(ask)
    }
}

/// A compiled expression that comes to a value, of what is known before the body is read.
#[derive(Debug)]
pub struct Expression {
    program: cel::Program<Source>,
}

impl Expression {
    /// Compiles one that comes to a value of this type.
    ///
    /// # Errors
    /// The first fault of it; reading the body is one.
    pub fn build(source: &str, readable: &Readable, wanted: &Type) -> Result<Self, String> {
        let program = cel::Program::compile_as(source, &environment(readable), BOUNDS, wanted)
            .map_err(|fault| format!("`{source}`, at byte {}: {}", fault.at, fault.message))?;
        if program.sources().iter().any(|source| matches!(source, Source::Body(_))) {
            return Err(format!("`{source}` reads the body, which is not there yet when limits are charged"));
        }
        Ok(Self { program })
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Why it has no value.
    pub fn value<'a>(&'a self, ask: &'a Ask<'_>) -> Result<Value<'a>, Failure> {
        self.program.evaluate(ask)
    }
}

const MILLISECOND: i128 = 1_000_000;

fn time(milliseconds: Option<u64>) -> Option<Value<'static>> {
    milliseconds.map(|ms| Value::Time(i128::from(ms) * MILLISECOND))
}

fn optional(text: Option<&str>) -> Option<Value<'_>> {
    text.filter(|text| !text.is_empty()).map(Value::text)
}

/// The only one; more than one, or one that cannot be read, is unclear.
fn single<'a>(mut values: impl Iterator<Item = Option<Value<'a>>>) -> Result<Option<Value<'a>>, Failure> {
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(Some(value)), None) => Ok(Some(value)),
        _ => Err(Failure::Unclear),
    }
}

fn shown(address: IpAddr) -> Value<'static> {
    let mut text = String::with_capacity(40);
    let _ = write!(text, "{address}");
    Value::made(&text)
}

impl Activation<Source> for Ask<'_> {
    fn value<'a>(&'a self, source: &'a Source) -> Result<Option<Value<'a>>, Failure> {
        match &self.exchange.recorded {
            None => self.live(source),
            Some(recorded) => {
                self.need(recorded, source);
                Ok(self.live(source)?.map(|value| opaque(recorded, value)))
            }
        }
    }
}

/// What a record only has hashes of is opaque.
fn opaque<'a>(recorded: &Recorded, value: Value<'a>) -> Value<'a> {
    match value {
        Value::Text(text) => match recorded.opaque(text.as_str()) {
            Some(opaque) => Value::Text(Text::Opaque(opaque)),
            None => Value::Text(text),
        },
        Value::List(list) => Value::List(List::Shared(list.iter().map(|item| opaque(recorded, item)).collect())),
        other => other,
    }
}

impl Ask<'_> {
    /// Notes it where a record lacks what is read.
    fn need(&self, recorded: &Recorded, source: &Source) {
        let claim = |name: &str| recorded.claim(&self.principal.provider, name);
        match source {
            Source::Header(name) => recorded.header(name),
            Source::Query(name) => recorded.parameter(name),
            Source::Claim(name) => claim(name),
            Source::DevicePosture => claim(POSTURE),
            Source::DeviceChecked | Source::DeviceAge => claim(CHECKED),
            Source::Body(field) => recorded.field(field.pointer()),
            Source::Address | Source::Scheme => recorded.origin(),
            Source::Country | Source::Continent | Source::Asn => recorded.place(),
            Source::Ja4 => recorded.hello(!self.exchange.connection.tls || self.exchange.connection.ja4.is_some()),
            _ => {}
        }
    }

    fn live<'a>(&'a self, source: &'a Source) -> Result<Option<Value<'a>>, Failure> {
        let (exchange, principal) = (self.exchange, self.principal);
        Ok(match source {
            Source::Method => Some(Value::text(exchange.request.method.as_str())),
            Source::Path => Some(path(exchange)?),
            Source::Host => Some(Value::text(&exchange.host)),
            Source::Scheme => Some(Value::text(if exchange.https { "https" } else { "http" })),
            Source::Size => {
                let size = exchange.request.framing.length();
                size.map(|size| i64::try_from(size).map(Value::Int)).transpose().map_err(|_| Failure::Overflow)?
            }
            Source::Time => time(Some(self.now.unix_ms)),
            Source::Header(name) => {
                let values = exchange.request.headers.named(name.as_bytes());
                single(values.map(|value| std::str::from_utf8(value).ok().map(Value::text)))?
            }
            Source::Provider => Some(Value::text(&principal.provider)),
            Source::Issuer => optional(Some(&principal.issuer)),
            Source::Subject => optional(Some(&principal.subject)),
            Source::Client => optional(principal.client.as_deref()),
            Source::Kind => Some(Value::text(principal.kind.as_str())),
            Source::How => Some(Value::text(principal.method.as_str())),
            Source::Scopes => Some(Value::List(List::Texts(&principal.scopes))),
            Source::Roles => Some(Value::List(List::Texts(&principal.roles))),
            Source::Tenant => optional(principal.tenant.as_deref()),
            Source::Partner => optional(principal.partner.as_deref()),
            Source::Assurance => optional(principal.assurance.as_deref()),
            Source::Authenticated => time(principal.authenticated_s.map(|seconds| seconds.saturating_mul(1000))),
            Source::Issued => time(principal.issued_ms),
            Source::Expires => time(principal.expires_ms),
            Source::Claim(name) => principal.claim(name).map(claim_value),
            Source::DevicePosture => principal.claim(POSTURE).map(claim_value),
            Source::Variable(at) => exchange.variables.get(*at).map(Value::text),
            Source::Query(name) => {
                let values = query_values(exchange.query(), name);
                single(values.map(|value| value.map(|text| Value::Text(Text::Shared(text.into())))))?
            }
            Source::Body(field) => exchange.validated.as_deref().map_or(Ok(None), |body| field.value(body))?,
            Source::RouteName => Some(Value::text(&self.route.name)),
            Source::RouteGroup => optional(self.route.group.as_deref()),
            Source::RouteClassification => optional(self.route.classification.as_deref()),
            Source::Country => placed(exchange.geo.map(|geo| geo.country), |code| Value::made(code.as_str()))?,
            Source::Continent => placed(exchange.geo.map(|geo| geo.continent), |code| Value::made(code.as_str()))?,
            Source::Asn => placed(exchange.geo.map(|geo| geo.asn), |asn| Value::Int(asn.into()))?,
            Source::Ja4 => self.hello()?,
            other => self.circumstance(other),
        })
    }
}

impl Ask<'_> {
    /// What the client's hello of TLS says of its program. Without TLS there is none; one that was not read, or could not be, says
    /// nothing, not even that it is absent: or a client could choose to have none.
    fn hello(&self) -> Result<Option<Value<'_>>, Failure> {
        let connection = &self.exchange.connection;
        match &connection.ja4 {
            Some(ja4) => std::str::from_utf8(ja4).map(|text| Some(Value::text(text))).map_err(|_| Failure::Unclear),
            None if connection.tls => Err(Failure::Unclear),
            None => Ok(None),
        }
    }

    /// What is known of the connection and the device.
    fn circumstance<'a>(&'a self, source: &Source) -> Option<Value<'a>> {
        let connection = &self.exchange.connection;
        let checked = || match self.principal.claim(CHECKED) {
            Some(ClaimValue::Int(seconds)) => Some(i128::from(*seconds) * 1000 * MILLISECOND),
            _ => None,
        };
        match source {
            Source::Address => Some(shown(self.exchange.client)),
            Source::Tls => Some(Value::Bool(connection.tls)),
            Source::ServerName => optional(connection.sni.as_deref()),
            Source::DeviceCertificate => Some(Value::Bool(connection.client_certificate.is_some())),
            Source::DeviceChecked => checked().map(Value::Time),
            Source::DeviceAge => checked().map(|checked| Value::Span(i128::from(self.now.unix_ms) * MILLISECOND - checked)),
            Source::Certificate(part) => {
                let certificate = connection.client_certificate.as_ref()?;
                Some(match part {
                    CertificatePart::Subject => Value::text(&certificate.subject),
                    CertificatePart::Serial => Value::text(&certificate.serial),
                    CertificatePart::Fingerprint => Value::text(&certificate.fingerprint),
                    CertificatePart::Expires => time(Some(certificate.not_after_ms))?,
                    CertificatePart::Spiffe => {
                        let spiffe = |name: &'a SubjectName| match name {
                            SubjectName::Uri(uri) if uri.starts_with("spiffe://") => Some(&**uri),
                            _ => None,
                        };
                        Value::text(certificate.names.iter().find_map(spiffe)?)
                    }
                })
            }
            _ => None,
        }
    }
}

/// What a database says; where it was never read, nothing follows.
fn placed<T>(fact: Option<Fact<T>>, value: impl FnOnce(T) -> Value<'static>) -> Result<Option<Value<'static>>, Failure> {
    match fact {
        Some(Fact::Known(known)) => Ok(Some(value(known))),
        Some(Fact::Unknown) => Ok(None),
        Some(Fact::Unavailable) | None => Err(Failure::Unclear),
    }
}

fn claim_value(value: &ClaimValue) -> Value<'_> {
    match value {
        ClaimValue::String(text) => Value::text(text),
        ClaimValue::Int(value) => Value::Int(*value),
        ClaimValue::Bool(value) => Value::Bool(*value),
        ClaimValue::StringList(items) => Value::List(List::Texts(items)),
    }
}

/// Decoded, without the query. A `/` inside of a segment could be read as two segments: then nothing follows from it.
fn path(exchange: &Exchange) -> Result<Value<'static>, Failure> {
    let mut text = String::with_capacity(exchange.path.raw().len());
    for segment in exchange.path.segments() {
        if segment.contains('/') {
            return Err(Failure::Unclear);
        }
        text.push('/');
        text.push_str(segment);
    }
    Ok(Value::made(&text))
}
