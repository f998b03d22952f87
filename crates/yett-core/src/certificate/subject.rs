//! The subject of a certificate as a name that can be compared: nothing where two subjects could look alike.

use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

/// Bytes of a subject that is compared, at most; a longer one is no name.
const MAX_BYTES: usize = 1024;

/// The common name, where there is exactly one, of visible characters.
pub(super) fn common_name(subject: &X509Name<'_>) -> Option<Box<str>> {
    let mut names = subject.iter_common_name();
    let only = names.next().filter(|_| names.next().is_none())?;
    text(only).map(Into::into)
}

/// The whole subject in the form of RFC 4514: the most specific part first, no blanks, special characters escaped.
pub(super) fn distinguished_name(subject: &X509Name<'_>) -> Option<Box<str>> {
    let mut out = String::new();
    let parts: Vec<_> = subject.iter().collect();
    for part in parts.iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            out.push_str(short(&attribute.attr_type().to_id_string())?);
            out.push('=');
            escaped(&mut out, text(attribute)?);
        }
        if out.len() > MAX_BYTES {
            return None;
        }
    }
    (!out.is_empty()).then(|| out.into())
}

fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Option<&'a str> {
    let text = attribute.as_str().ok()?;
    (!text.is_empty() && text.len() <= MAX_BYTES && !text.chars().any(char::is_control)).then_some(text)
}

/// RFC 4514 section 3, and the two that tools write beside them.
fn short(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514 section 2.4.
fn escaped(out: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let edge = (index == 0 && matches!(character, ' ' | '#')) || (index == last && character == ' ');
        if special || edge {
            out.push('\\');
        }
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn read(parts: &[(DnType, &str)]) -> (Option<Box<str>>, Option<Box<str>>) {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in parts {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        (common_name(certificate.subject()), distinguished_name(certificate.subject()))
    }

    #[test]
    fn a_subject_is_written_in_one_way() {
        let (name, whole) =
            read(&[(DnType::CountryName, "NO"), (DnType::OrganizationName, "Acme, Inc."), (DnType::CommonName, "batch")]);
        assert_eq!((name.as_deref(), whole.as_deref()), (Some("batch"), Some("CN=batch,O=Acme\\, Inc.,C=NO")));
    }

    #[test]
    fn a_value_cannot_pretend_to_be_two() {
        let (_, two) = read(&[(DnType::OrganizationName, "Acme"), (DnType::CommonName, "x")]);
        let (_, one) = read(&[(DnType::CommonName, "x,O=Acme")]);
        assert_eq!(two.as_deref(), Some("CN=x,O=Acme"));
        assert_eq!(one.as_deref(), Some("CN=x\\,O=Acme"));
        let (_, edges) = read(&[(DnType::CommonName, " #a+b ")]);
        assert_eq!(edges.as_deref(), Some("CN=\\ #a\\+b\\ "));
    }

    #[test]
    fn what_cannot_be_told_apart_is_no_name() {
        let (name, whole) = read(&[(DnType::CommonName, "a\nb")]);
        assert_eq!((name, whole), (None, None));
        assert_eq!(read(&[]), (None, None));
        let (_, other) = read(&[(DnType::CustomDnType(vec![1, 2, 3, 4]), "x")]);
        assert_eq!(other, None);
        let (_, long) = read(&[(DnType::CommonName, &"x".repeat(MAX_BYTES))]);
        assert_eq!(long, None);
    }
}
