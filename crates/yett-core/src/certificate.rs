//! What a certificate says, once the handshake has verified it: typed names, so that none is taken for another kind.

mod subject;

use std::fmt::Write;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names that are kept of one certificate; a certificate with more is refused.
const MAX_NAMES: usize = 128;
/// Characters of a subject that are kept, for logs.
const MAX_SUBJECT: usize = 256;

/// A name of a certificate, with its kind: a DNS name never equals a URI of the same letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// `dNSName`, lower case.
    Dns(Box<str>),
    /// `uniformResourceIdentifier`, as it stands.
    Uri(Box<str>),
    /// `rfc822Name`, as it stands.
    Email(Box<str>),
    /// `iPAddress`.
    Ip(IpAddr),
}

/// A client's certificate that was verified: chain, validity, purpose, revocation, and proof of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Subject alternative names (RFC 5280 section 4.2.1.6). The subject's common name is no name.
    pub names: Vec<SubjectName>,
    /// The subject as text, for logs only; at most 256 characters.
    pub subject: Box<str>,
    /// The common name, where the subject has exactly one, of visible characters.
    pub common_name: Option<Box<str>>,
    /// The whole subject (RFC 4514), where all of it can be written so that no two subjects look alike.
    pub distinguished_name: Option<Box<str>>,
    /// Serial number, lower-case hexadecimal.
    pub serial: Box<str>,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: Box<str>,
    /// End of its validity, milliseconds since 1970.
    pub not_after_ms: u64,
    /// The listener's trust (authorities, revocation lists, policy) under which it was verified.
    pub trust: [u8; 32],
}

impl ClientCertificate {
    /// Reads a certificate that the handshake verified under `trust`.
    ///
    /// # Errors
    /// What cannot be read, in words; such a certificate is not accepted.
    pub fn read(der: &[u8], trust: [u8; 32]) -> Result<Self, &'static str> {
        let certificate = parse(der)?;
        let names = names_of(&certificate)?;
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Self {
            names,
            subject: certificate.subject().to_string().chars().take(MAX_SUBJECT).collect(),
            common_name: subject::common_name(certificate.subject()),
            distinguished_name: subject::distinguished_name(certificate.subject()),
            serial: hex(certificate.raw_serial()),
            fingerprint: hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref()),
            not_after_ms: not_after.saturating_mul(1000).saturating_add(999),
            trust,
        })
    }
}

/// The subject alternative names of a certificate, with their kinds.
///
/// # Errors
/// What cannot be read, in words; such a certificate is not accepted.
pub fn names(der: &[u8]) -> Result<Vec<SubjectName>, &'static str> {
    names_of(&parse(der)?)
}

fn names_of(certificate: &X509Certificate<'_>) -> Result<Vec<SubjectName>, &'static str> {
    let mut names = Vec::new();
    let extension = certificate.subject_alternative_name().map_err(|_| "its alternative names cannot be read")?;
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        names.extend(typed(name));
        if names.len() > MAX_NAMES {
            return Err("it carries too many names");
        }
    }
    Ok(names)
}

/// Whether a certificate names the purpose `clientAuth` (RFC 5280 section 4.2.1.12). One without any purpose does not.
#[must_use]
pub fn is_for_clients(der: &[u8]) -> bool {
    let purposes = |certificate: &X509Certificate<'_>| {
        certificate.extended_key_usage().ok().flatten().is_some_and(|purposes| purposes.value.client_auth)
    };
    parse(der).is_ok_and(|certificate| purposes(&certificate))
}

/// Whether a certificate may vouch for others (RFC 5280 section 4.2.1.9).
///
/// # Errors
/// What cannot be read, in words.
pub fn is_authority(der: &[u8]) -> Result<bool, &'static str> {
    let certificate = parse(der)?;
    let constraints = certificate.basic_constraints().map_err(|_| "its basic constraints cannot be read")?;
    let usage = certificate.key_usage().map_err(|_| "its key usage cannot be read")?;
    Ok(constraints.is_some_and(|found| found.value.ca) && usage.is_none_or(|found| found.value.key_cert_sign()))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, &'static str> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err("it is no readable X.509 certificate"),
    }
}

/// The name in its kind; nothing for kinds that nobody asks for, and for values that no such name can have.
fn typed(name: &GeneralName<'_>) -> Option<SubjectName> {
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match name {
        GeneralName::DNSName(text) => {
            let label = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
            (!text.is_empty() && text.bytes().all(label)).then(|| SubjectName::Dns(text.to_ascii_lowercase().into()))
        }
        GeneralName::URI(text) => (visible(text) && text.contains(':')).then(|| SubjectName::Uri((*text).into())),
        GeneralName::RFC822Name(text) => (visible(text) && text.contains('@')).then(|| SubjectName::Email((*text).into())),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(SubjectName::Ip(IpAddr::from([a, b, c, d]))),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| SubjectName::Ip(IpAddr::from(bytes))),
        },
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> Box<str> {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_keep_their_kind() {
        let der = made(|params| {
            params.subject_alt_names = vec![
                SanType::DnsName("API.example.com".try_into().unwrap()),
                SanType::URI("spiffe://example.com/api".try_into().unwrap()),
                SanType::Rfc822Name("api@example.com".try_into().unwrap()),
                SanType::IpAddress("192.0.2.1".parse().unwrap()),
                SanType::IpAddress("2001:db8::1".parse().unwrap()),
                // a name of one kind in the clothes of another
                SanType::DnsName("spiffe://example.com/admin".try_into().unwrap()),
                SanType::URI("api.example.com".try_into().unwrap()),
            ];
        });
        let read = ClientCertificate::read(&der, [7; 32]).unwrap();
        assert_eq!(
            read.names,
            [
                SubjectName::Dns("api.example.com".into()),
                SubjectName::Uri("spiffe://example.com/api".into()),
                SubjectName::Email("api@example.com".into()),
                SubjectName::Ip("192.0.2.1".parse().unwrap()),
                SubjectName::Ip("2001:db8::1".parse().unwrap()),
            ]
        );
        assert_eq!(read.fingerprint.len(), 64);
        assert_eq!(read.trust, [7; 32]);
        assert!(read.not_after_ms > 1_700_000_000_000);
    }

    #[test]
    fn a_common_name_is_no_name() {
        let der = made(|params| params.distinguished_name.push(rcgen::DnType::CommonName, "admin.example.com"));
        let read = ClientCertificate::read(&der, [0; 32]).unwrap();
        assert!(read.names.is_empty());
        assert!(read.subject.contains("admin.example.com"), "{}", read.subject);
    }

    #[test]
    fn too_many_names_are_refused() {
        let many = (0..=MAX_NAMES).map(|n| SanType::DnsName(format!("n{n}.test").try_into().unwrap())).collect();
        assert!(ClientCertificate::read(&made(|params| params.subject_alt_names = many), [0; 32]).is_err());
    }

    #[test]
    fn purposes_are_named_and_not_assumed() {
        assert!(!is_for_clients(&made(|_| {})));
        assert!(!is_for_clients(&made(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])));
        assert!(is_for_clients(&made(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])));
        assert!(!is_for_clients(b"junk"));
    }

    #[test]
    fn authorities() {
        let unconstrained = IsCa::Ca(BasicConstraints::Unconstrained);
        assert_eq!(is_authority(&made(|_| {})), Ok(false));
        assert_eq!(is_authority(&made(|params| params.is_ca = unconstrained)), Ok(true));
        let no_signing = made(|params| {
            params.is_ca = unconstrained;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        });
        assert_eq!(is_authority(&no_signing), Ok(false));
        assert!(is_authority(b"junk").is_err());
    }
}
