//! What a condition reads of a request; of one that was recorded, as far as the record goes.

use std::fmt::Write;
use std::net::IpAddr;

use super::source::{CertificatePart, Source};
use crate::cel::{Activation, Failure, List, Text, Value};
use crate::certificate::SubjectName;
use crate::decisions::Recorded;
use crate::exchange::Exchange;
use crate::filters::authorize::Ask;
use crate::filters::authorize::claims::{CHECKED, POSTURE};
use crate::geo::Fact;
use crate::path::query_values;
use crate::principal::ClaimValue;

const MILLISECOND: i128 = 1_000_000;

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
