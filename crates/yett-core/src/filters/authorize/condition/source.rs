//! Where a value comes from.

use crate::filters::authorize::body::BodyField;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Source {
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
pub(in super::super) enum CertificatePart {
    Subject,
    Serial,
    Fingerprint,
    Spiffe,
    Expires,
}
