//! Which certificate of a listener belongs to a name: exact, then `*.` of the parent, then the first.

use std::collections::HashMap;

use rustls::pki_types::CertificateDer;

/// Names to certificates, by their place in the configuration; the first is the default.
#[derive(Debug, Default, Clone)]
pub struct Names {
    exact: HashMap<Box<str>, u32>,
    wildcard: HashMap<Box<str>, u32>,
}

impl Names {
    /// Takes the DNS names of a leaf. Where two certificates carry one name, the earlier one serves it.
    pub fn add(&mut self, index: u32, leaf: &CertificateDer<'_>) {
        let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else { return };
        for name in leaf.valid_dns_names() {
            let name = name.to_ascii_lowercase();
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            map.entry(name.into()).or_insert(index);
        }
    }

    /// The certificate of a lower-case name; of none, and of a name that no certificate carries, the first.
    #[must_use]
    pub fn certificate(&self, name: Option<&str>) -> u32 {
        name.and_then(|name| self.own_certificate(name)).unwrap_or(0)
    }

    /// The certificate that carries a lower-case name.
    #[must_use]
    pub fn own_certificate(&self, name: &str) -> Option<u32> {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(name).or_else(|| self.wildcard.get(parent?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_beats_wildcard_beats_first() {
        let mut names = Names::default();
        for (index, list) in [&["first.test"][..], &["*.shop.test"], &["API.shop.test", "first.test"]].iter().enumerate() {
            let made = rcgen::generate_simple_self_signed(list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
            names.add(u32::try_from(index).unwrap(), made.cert.der());
        }
        for (name, index) in
            [("first.test", 0), ("a.shop.test", 1), ("api.shop.test", 2), ("a.b.shop.test", 0), ("shop.test", 0), ("unknown", 0)]
        {
            assert_eq!(names.certificate(Some(name)), index, "{name}");
        }
        assert_eq!(names.certificate(None), 0);
    }
}
