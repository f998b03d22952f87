//! Certificates of clients that the listener verified: a name in them is the caller.

use std::collections::HashMap;

use crate::certificate::{ClientCertificate, SubjectName};
use crate::exchange::{AuthenticationMethod, Principal, Refusal};
use crate::ir::{self, CertificateSubject, Machine};
use crate::providers::machine::Maker;
use crate::providers::{assumed, refuse};
use crate::reason::Reason;

/// Variable parts of a pattern at most.
const MAX_PARTS: usize = 16;

/// A compiled provider.
#[derive(Debug)]
pub(super) struct Mtls {
    subject: CertificateSubject,
    trust_domains: Vec<Box<str>>,
    exact: HashMap<Box<str>, Machine>,
    patterns: Vec<(Pattern, Machine)>,
    assurance: Option<Box<str>>,
}

/// Who a certificate is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recognized {
    /// The name in the certificate.
    pub name: Box<str>,
    /// Its trust domain, where it is a SPIFFE id.
    pub trust_domain: Option<Box<str>>,
    /// What it carries.
    pub machine: Machine,
}

impl Mtls {
    pub(super) fn build(spec: &ir::MtlsProvider) -> Result<Self, String> {
        let bad = |what: &str| format!("provider `{}`: {what}", spec.name);
        if (spec.subject == CertificateSubject::Spiffe) == spec.trust_domains.is_empty() {
            return Err(bad("`trust_domains` belong to `subject: spiffe`, and only to it"));
        }
        if spec.identities.is_empty() {
            return Err(bad("`identities` is empty, so every certificate would be refused"));
        }
        let separators: &'static [char] = match spec.subject {
            CertificateSubject::Uri | CertificateSubject::Spiffe => &['/'],
            CertificateSubject::Dns => &['.'],
            CertificateSubject::Email => &['@'],
            CertificateSubject::DistinguishedName => &[',', '+'],
            CertificateSubject::CommonName => &[],
        };
        let mut built = Self {
            subject: spec.subject,
            trust_domains: spec.trust_domains.iter().map(|domain| domain.as_str().into()).collect(),
            exact: HashMap::new(),
            patterns: Vec::new(),
            assurance: spec.assurance.as_deref().map(Into::into),
        };
        for identity in &spec.identities {
            match Pattern::parse(&identity.name, separators).map_err(|why| bad(&why))? {
                None => {
                    if built.exact.insert(identity.name.as_str().into(), identity.machine.clone()).is_some() {
                        return Err(bad(&format!("`{}` stands twice", identity.name)));
                    }
                }
                Some(pattern) => built.patterns.push((pattern, identity.machine.clone())),
            }
        }
        Ok(built)
    }

    /// The caller that this certificate is.
    ///
    /// # Errors
    /// As [`Self::recognize`].
    pub(super) fn caller(&self, maker: &Maker, certificate: &ClientCertificate) -> Result<Principal, Refusal> {
        let found = self.recognize(certificate)?;
        let mut principal = maker.principal(AuthenticationMethod::Mtls, &found.name, &found.machine);
        if let Some(domain) = found.trust_domain {
            principal.issuer = format!("spiffe://{domain}").into();
        }
        principal.assurance = self.assurance.clone();
        principal.token_id = Some(certificate.serial.clone());
        principal.expires_ms = Some(certificate.not_after_ms);
        Ok(principal)
    }

    /// The caller of a certificate with this name, of the kind that is looked for.
    ///
    /// # Errors
    /// `client_certificate_unknown`
    pub(super) fn assume(&self, maker: &Maker, name: &str) -> Result<Principal, Refusal> {
        let spiffe = self.subject == CertificateSubject::Spiffe;
        let domain = trust_domain(name).filter(|domain| spiffe && self.trust_domains.iter().any(|own| **own == **domain));
        let machine = if spiffe && (domain.is_none() || !is_spiffe_id(name)) { None } else { self.machine(name)? };
        let machine = machine.ok_or_else(|| assumed::unknown(Reason::ClientCertificateUnknown, name))?;
        let mut principal = maker.principal(AuthenticationMethod::Mtls, name, &machine);
        if let Some(domain) = domain {
            principal.issuer = format!("spiffe://{domain}").into();
        }
        principal.assurance = self.assurance.clone();
        Ok(principal)
    }

    /// Who this certificate is. Its chain, validity, purpose and key were verified by the listener.
    ///
    /// # Errors
    /// It has not the name that is looked for, more than one that is known, or none that is.
    pub(super) fn recognize(&self, certificate: &ClientCertificate) -> Result<Recognized, Refusal> {
        let unknown = |why: &str| refuse(Reason::ClientCertificateUnknown, why);
        let mut known = Vec::new();
        match self.subject {
            CertificateSubject::CommonName => known.extend(certificate.common_name.as_deref()),
            CertificateSubject::DistinguishedName => known.extend(certificate.distinguished_name.as_deref()),
            CertificateSubject::Spiffe => known.extend(self.spiffe_id(certificate)?),
            kind => known.extend(certificate.names.iter().filter_map(|name| match (kind, name) {
                (CertificateSubject::Dns, SubjectName::Dns(text))
                | (CertificateSubject::Email, SubjectName::Email(text))
                | (CertificateSubject::Uri, SubjectName::Uri(text)) => Some(&**text),
                _ => None,
            })),
        }
        if known.is_empty() {
            return Err(unknown("the certificate has no name of the kind that is looked for"));
        }
        let mut found = None;
        for name in known {
            let Some(machine) = self.machine(name)? else { continue };
            if found.replace((name, machine)).is_some() {
                return Err(unknown("the certificate has several names that are known"));
            }
        }
        let (name, machine) = found.ok_or_else(|| unknown("no name of the certificate is known"))?;
        let trust_domain = match self.subject {
            CertificateSubject::Spiffe => trust_domain(name).map(Into::into),
            _ => None,
        };
        Ok(Recognized { name: name.into(), trust_domain, machine })
    }

    /// SPIFFE X.509-SVID section 2: exactly one URI, and it is the id.
    fn spiffe_id<'c>(&self, certificate: &'c ClientCertificate) -> Result<Option<&'c str>, Refusal> {
        let mut uris = certificate.names.iter().filter_map(|name| match name {
            SubjectName::Uri(text) => Some(&**text),
            _ => None,
        });
        let (id, more) = (uris.next(), uris.next());
        let Some(id) = id else { return Ok(None) };
        if more.is_some() || !is_spiffe_id(id) {
            return Err(refuse(Reason::ClientCertificateUnknown, "the certificate is no SVID: it has not exactly one SPIFFE id"));
        }
        let ours = trust_domain(id).is_some_and(|domain| self.trust_domains.iter().any(|own| **own == *domain));
        match ours {
            true => Ok(Some(id)),
            false => Err(refuse(Reason::ClientCertificateUnknown, "the trust domain of the certificate is not accepted")),
        }
    }

    /// An exact name goes before patterns; of several patterns that fit, none is believed.
    fn machine(&self, name: &str) -> Result<Option<Machine>, Refusal> {
        if let Some(machine) = self.exact.get(name) {
            return Ok(Some(machine.clone()));
        }
        let mut found = None;
        for (pattern, machine) in &self.patterns {
            let Some(parts) = pattern.matches(name) else { continue };
            if found.is_some() {
                return Err(refuse(Reason::ClientCertificateUnknown, "several patterns fit a name of the certificate"));
            }
            let mut machine = machine.clone();
            for (part, value) in parts {
                match part {
                    Part::Any => {}
                    Part::Client => machine.client = Some(value.into()),
                    Part::Tenant => machine.tenant = Some(value.into()),
                    Part::Partner => machine.partner = Some(value.into()),
                }
            }
            found = Some(machine);
        }
        Ok(found)
    }
}

/// The trust domain of a SPIFFE id.
fn trust_domain(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("spiffe://")?;
    Some(rest.split_once('/').map_or(rest, |(domain, _)| domain))
}

/// SPIFFE-ID section 2: characters, no empty or dot segment, no trailing slash, at most 2048 bytes.
fn is_spiffe_id(id: &str) -> bool {
    let Some(rest) = id.strip_prefix("spiffe://") else { return false };
    let mut segments = rest.split('/');
    let domain = segments.next().unwrap_or_default();
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    id.len() <= 2048
        && (1..=255).contains(&domain.len())
        && domain.bytes().all(lower)
        && segments.all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    Client,
    Tenant,
    Partner,
}

/// Literals, and between each two of them a variable part, which never reaches over a separator and is never empty.
#[derive(Debug)]
struct Pattern {
    first: Box<str>,
    rest: Vec<(Part, Box<str>)>,
    separators: &'static [char],
}

impl Pattern {
    /// Nothing where the text has no variable part.
    fn parse(text: &str, separators: &'static [char]) -> Result<Option<Self>, String> {
        let bad = || format!("`{text}` is no pattern; its parts are `*`, `{{client}}`, `{{tenant}}` and `{{partner}}`");
        let (mut literal, mut rest, mut first) = (String::new(), Vec::new(), None);
        let mut part = None;
        let mut left = text;
        while let Some(at) = left.find(['*', '{', '}']) {
            let (before, after) = left.split_at_checked(at).ok_or_else(bad)?;
            literal.push_str(before);
            let (next, after) = match after.split_once('}') {
                _ if after.starts_with('*') => (Part::Any, after.strip_prefix('*').ok_or_else(bad)?),
                Some(("{client", after)) => (Part::Client, after),
                Some(("{tenant", after)) => (Part::Tenant, after),
                Some(("{partner", after)) => (Part::Partner, after),
                _ => return Err(bad()),
            };
            match part.replace(next) {
                None => first = Some(std::mem::take(&mut literal).into()),
                Some(_) if literal.is_empty() => return Err(bad()),
                Some(before) => rest.push((before, std::mem::take(&mut literal).into())),
            }
            left = after;
        }
        literal.push_str(left);
        let (Some(first), Some(last)) = (first, part) else { return Ok(None) };
        rest.push((last, literal.into()));
        let twice = |part: Part| part != Part::Any && rest.iter().filter(|(other, _)| *other == part).count() > 1;
        if rest.len() > MAX_PARTS || [Part::Client, Part::Tenant, Part::Partner].into_iter().any(twice) {
            return Err(bad());
        }
        Ok(Some(Self { first, rest, separators }))
    }

    /// The variable parts of a name that fits, in order. A name that fits in two ways fits in none.
    fn matches<'n>(&self, name: &'n str) -> Option<Vec<(Part, &'n str)>> {
        let mut left = name.strip_prefix(&*self.first)?;
        let mut found = Vec::with_capacity(self.rest.len());
        let mut before = "";
        for (index, (part, literal)) in self.rest.iter().enumerate() {
            let last = index + 1 == self.rest.len();
            let (value, after) = match last {
                true => (left.strip_suffix(&**literal)?, ""),
                false => left.split_once(&**literal)?,
            };
            // Where a literal beside a part also stands in it, the name could be cut elsewhere.
            let elsewhere = [before, literal].into_iter().any(|beside| !beside.is_empty() && value.contains(beside));
            if value.is_empty() || elsewhere || value.contains(self.separators) {
                return None;
            }
            before = literal;
            found.push((*part, value));
            left = after;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn certificate(names: &[SubjectName]) -> ClientCertificate {
        ClientCertificate {
            names: names.to_vec(),
            subject: "CN=x".into(),
            common_name: Some("batch".into()),
            distinguished_name: Some("CN=batch,OU=jobs,O=Acme".into()),
            serial: "01".into(),
            fingerprint: "07".into(),
            not_after_ms: u64::MAX,
            trust: [0; 32],
        }
    }

    fn provider(subject: CertificateSubject, names: &[&str], domains: &[&str]) -> Result<Mtls, String> {
        Mtls::build(&ir::MtlsProvider {
            name: "mesh".into(),
            subject,
            trust_domains: domains.iter().map(|&d| d.into()).collect(),
            identities: names
                .iter()
                .map(|&name| ir::MtlsIdentity {
                    name: name.into(),
                    machine: Machine { roles: vec![name.to_owned()], ..Machine::default() },
                })
                .collect(),
            assurance: None,
        })
    }

    fn uri(text: &str) -> SubjectName {
        SubjectName::Uri(text.into())
    }

    #[test]
    fn a_spiffe_id_of_ours_is_recognized() {
        let mesh = provider(
            CertificateSubject::Spiffe,
            &["spiffe://example.org/billing", "spiffe://example.org/tenants/{tenant}/{client}"],
            &["example.org"],
        )
        .unwrap();
        let who = mesh.recognize(&certificate(&[uri("spiffe://example.org/billing")])).unwrap();
        assert_eq!((&*who.name, who.trust_domain.as_deref()), ("spiffe://example.org/billing", Some("example.org")));
        let who = mesh.recognize(&certificate(&[uri("spiffe://example.org/tenants/acme/shop")])).unwrap();
        assert_eq!((who.machine.tenant.as_deref(), who.machine.client.as_deref()), (Some("acme"), Some("shop")));
        for names in [
            &[uri("spiffe://evil.org/billing")][..],
            &[uri("spiffe://example.org.evil.org/billing")],
            &[uri("spiffe://example.org/billing"), uri("spiffe://example.org/other")],
            &[uri("spiffe://example.org/billing"), uri("https://example.org/")],
            &[uri("spiffe://example.org/billing/")],
            &[uri("spiffe://example.org/tenants/acme/a/b")],
            &[uri("spiffe://example.org/tenants//shop")],
            &[uri("spiffe://example.org/tenants/../billing")],
            &[uri("spiffe://user@example.org/billing")],
            &[uri("spiffe://example.org:443/billing")],
            &[uri("SPIFFE://example.org/billing")],
            &[SubjectName::Dns("example.org".into())],
            &[],
        ] {
            assert!(mesh.recognize(&certificate(names)).is_err(), "{names:?}");
        }
    }

    #[test]
    fn a_name_of_another_kind_is_never_taken() {
        let dns = provider(CertificateSubject::Dns, &["billing.internal"], &[]).unwrap();
        assert!(dns.recognize(&certificate(&[SubjectName::Dns("billing.internal".into())])).is_ok());
        for other in [SubjectName::Email("billing.internal".into()), uri("billing.internal")] {
            assert!(dns.recognize(&certificate(&[other])).is_err());
        }
    }

    #[test]
    fn of_several_known_names_none_is_believed() {
        let dns = provider(CertificateSubject::Dns, &["a.internal", "b.internal", "*.example.org"], &[]).unwrap();
        let names = |list: &[&str]| certificate(&list.iter().map(|&n| SubjectName::Dns(n.into())).collect::<Vec<_>>());
        assert!(dns.recognize(&names(&["a.internal", "elsewhere.net"])).is_ok());
        assert!(dns.recognize(&names(&["a.internal", "b.internal"])).is_err());
        assert!(dns.recognize(&names(&["x.example.org"])).is_ok());
        assert!(dns.recognize(&names(&["x.y.example.org"])).is_err());
        assert!(dns.recognize(&names(&[".example.org"])).is_err());
        let both = provider(CertificateSubject::Dns, &["*.internal", "a.*"], &[]).unwrap();
        assert!(both.recognize(&names(&["a.internal"])).is_err());
    }

    #[test]
    fn subjects() {
        let named = |subject, name: &str| provider(subject, &[name], &[]).unwrap().recognize(&certificate(&[]));
        assert!(named(CertificateSubject::CommonName, "batch").is_ok());
        assert!(named(CertificateSubject::CommonName, "batc").is_err());
        assert!(named(CertificateSubject::DistinguishedName, "CN=batch,OU=jobs,O=Acme").is_ok());
        assert_eq!(
            named(CertificateSubject::DistinguishedName, "CN={client},OU=jobs,O=Acme").unwrap().machine.client.as_deref(),
            Some("batch")
        );
        assert!(named(CertificateSubject::DistinguishedName, "CN={client},O=Acme").is_err());
    }

    #[test]
    fn patterns_are_cut_in_one_way_only() {
        let cut = |pattern: &str, name: &str| {
            let pattern = Pattern::parse(pattern, &['/']).unwrap().unwrap();
            pattern.matches(name).map(|parts| parts.into_iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(cut("{tenant}-{client}", "a-b"), Some(vec!["a".to_owned(), "b".to_owned()]));
        for name in ["a-b-c", "-b", "a-", "a", "a--b"] {
            assert_eq!(cut("{tenant}-{client}", name), None, "{name}");
        }
        assert_eq!(cut("x/*", "x/a/b"), None);
        assert_eq!(cut("*", ""), None);
        for bad in ["{tenant}{client}", "{other}", "{tenant", "tenant}", "*{tenant}", "{tenant}/{tenant}", "{}"] {
            assert!(Pattern::parse(bad, &[]).is_err(), "{bad}");
        }
        assert!(Pattern::parse("plain", &[]).unwrap().is_none());
    }

    #[test]
    fn what_recognizes_nobody_does_not_load() {
        assert!(provider(CertificateSubject::Spiffe, &["spiffe://example.org/a"], &[]).is_err());
        assert!(provider(CertificateSubject::Dns, &["a"], &["example.org"]).is_err());
        assert!(provider(CertificateSubject::Dns, &[], &[]).is_err());
        assert!(provider(CertificateSubject::Dns, &["a", "a"], &[]).is_err());
    }

    proptest! {
        #[test]
        fn what_fits_is_put_together_from_its_parts(tenant in "[a-z0-9-]{0,8}", client in "[a-z0-9-]{0,8}") {
            let pattern = Pattern::parse("t/{tenant}/c/{client}", &['/']).unwrap().unwrap();
            let name = format!("t/{tenant}/c/{client}");
            match pattern.matches(&name) {
                Some(parts) => prop_assert_eq!(parts, vec![(Part::Tenant, tenant.as_str()), (Part::Client, client.as_str())]),
                None => prop_assert!(tenant.is_empty() || client.is_empty()),
            }
        }
    }
}
