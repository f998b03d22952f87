//! What a condition may read, and of which type it is.

use std::collections::{BTreeMap, BTreeSet};

use super::Readable;
use super::source::{CertificatePart, Source};
use crate::cel::{Declared, Environment, Field, Type};
use crate::filters::authorize::body;
use crate::filters::authorize::claims::{CHECKED, DEVICE, POSTURE};
use crate::ir::ClaimType;

/// Everything that a condition may read.
pub(super) fn environment(readable: &Readable) -> Environment<Source> {
    let variables =
        readable.variables.iter().enumerate().map(|(at, name)| (name.clone(), value(Type::Text, Source::Variable(at))));
    let roots = [
        ("geo", places(readable)),
        ("request", request(readable)),
        ("principal", principal(readable)),
        ("connection", connection()),
        ("device", device(readable)),
        ("route", route()),
        ("path", Declared::Record(variables.collect())),
        ("query", Declared::Named(|name| Field::new(Type::Text, Source::Query(name.into())))),
    ];
    Environment {
        roots: roots.map(|(name, declared)| (name.to_owned(), declared)).into(),
        refused: refused(readable).map(|(name, message)| (name.to_owned(), message.to_owned())).into(),
        vouched: Some(("principal.provider".to_owned(), readable.claims.keys().cloned().collect::<BTreeSet<_>>())),
        strict: true,
    }
}

fn request(readable: &Readable) -> Declared<Source> {
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
    let body = readable.body.as_ref().and_then(body::declared);
    if let (Declared::Record(fields), Some(body)) = (&mut request, body) {
        fields.insert("body".to_owned(), body);
    }
    request
}

fn principal(readable: &Readable) -> Declared<Source> {
    let texts = || Type::List(Box::new(Type::Text));
    record([
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
    ])
}

fn connection() -> Declared<Source> {
    record([
        ("address", value(Type::Text, Source::Address)),
        ("tls", value(Type::Bool, Source::Tls)),
        ("server_name", value(Type::Text, Source::ServerName)),
        ("ja4", value(Type::Text, Source::Ja4)),
        ("certificate", certificate()),
    ])
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

fn device(readable: &Readable) -> Declared<Source> {
    match claims(readable, |name| name.strip_prefix(DEVICE).map(str::to_owned), |name| Source::Claim(name.into())) {
        Declared::Record(mut fields) => {
            fields.insert("posture".to_owned(), known(readable, POSTURE, Type::Text, Source::DevicePosture));
            fields.insert("checked".to_owned(), known(readable, CHECKED, Type::Time, Source::DeviceChecked));
            fields.insert("age".to_owned(), known(readable, CHECKED, Type::Span, Source::DeviceAge));
            fields.insert("certificate".to_owned(), value(Type::Bool, Source::DeviceCertificate));
            Declared::Record(fields)
        }
        other => other,
    }
}

fn route() -> Declared<Source> {
    record([
        ("name", value(Type::Text, Source::RouteName)),
        ("group", value(Type::Text, Source::RouteGroup)),
        ("classification", value(Type::Text, Source::RouteClassification)),
    ])
}

/// What databases say of addresses, as far as there is one.
fn places(readable: &Readable) -> Declared<Source> {
    let places =
        [("country", Type::Text, Source::Country), ("continent", Type::Text, Source::Continent), ("asn", Type::Int, Source::Asn)];
    let places = places.into_iter().filter(|(name, ..)| readable.geo.iter().any(|known| known == name));
    Declared::Record(places.map(|(name, kind, source)| (name.to_owned(), value(kind, source))).collect())
}

/// What somebody may try to read, and what to do in its place.
fn refused(readable: &Readable) -> [(&'static str, &'static str); 6] {
    let body = match readable.body {
        None => "a body counts only once it has been validated; give the route a `request_validation` with a schema",
        Some(_) => "write `request.body.NAME`, and let the schema of the body give it a type",
    };
    [
        ("request.body", body),
        ("body", body),
        ("request.headers.*", "a rule names the fields that its conditions may read: `headers: [x-region]`"),
        ("principal.claims.*", "providers declare the claims that rules may read: `claims: {level: {from: acr, type: int}}`"),
        (
            "geo.*",
            "no database says that of addresses; name one: `geo: {country: GeoLite2-Country.mmdb, asn: GeoLite2-ASN.mmdb}`",
        ),
        ("request.query", "write `query.NAME`"),
    ]
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

/// A value that is read from a claim of this name, by those who declare it; of another type than the claim's.
fn known(readable: &Readable, claim: &str, kind: Type, source: Source) -> Declared<Source> {
    let providers = readable.claims.iter().filter(|(_, declared)| declared.contains_key(claim));
    Declared::Value(Field { kinds: providers.map(|(name, _)| (name.clone(), kind.clone())).collect(), source })
}

fn claim_type(kind: ClaimType) -> Type {
    match kind {
        ClaimType::String => Type::Text,
        ClaimType::Int => Type::Int,
        ClaimType::Bool => Type::Bool,
        ClaimType::StringList => Type::List(Box::new(Type::Text)),
    }
}

fn value(kind: Type, source: Source) -> Declared<Source> {
    Declared::Value(Field::new(kind, source))
}

fn record<const N: usize>(fields: [(&str, Declared<Source>); N]) -> Declared<Source> {
    Declared::Record(fields.map(|(name, declared)| (name.to_owned(), declared)).into())
}
