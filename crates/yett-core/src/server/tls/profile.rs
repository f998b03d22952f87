//! What a profile speaks: protocol versions, cipher suites, key exchanges, from Mozilla's server-side TLS guideline.
//!
//! The guideline lets the client choose among the suites, since all are strong, and so do we.

use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};

use crate::ir::{Guideline, ListenerTls, TlsProfile};

/// The newest guideline that this build knows: what a profile without a version means.
pub const NEWEST: Guideline = Guideline::V6_0;

/// Protocol versions of a profile.
type Versions = &'static [&'static SupportedProtocolVersion];

static ONLY_13: Versions = &[&TLS13];
static FROM_12: Versions = &[&TLS13, &TLS12];

/// Cryptography and protocol versions of a listener.
///
/// # Errors
/// In words: `fips` in a build without a validated module, or with a guideline.
pub fn profile(tls: &ListenerTls) -> Result<(CryptoProvider, Versions), String> {
    let mut provider = aws_lc_rs::default_provider();
    let versions = match tls.profile {
        TlsProfile::Modern => {
            provider.cipher_suites = tls13_suites();
            ONLY_13
        }
        TlsProfile::Intermediate => {
            provider.cipher_suites = tls13_suites();
            provider.cipher_suites.extend([
                suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ]);
            FROM_12
        }
        TlsProfile::Fips => {
            if tls.guideline.is_some() {
                return Err("the profile `fips` has no guideline version; remove it".to_owned());
            }
            provider.cipher_suites.retain(rustls::SupportedCipherSuite::fips);
            provider.kx_groups.retain(|group| group.fips());
            if provider.cipher_suites.is_empty() || provider.kx_groups.is_empty() || !provider.fips() {
                return Err(NOT_FIPS.to_owned());
            }
            return Ok((provider, FROM_12));
        }
    };
    provider.kx_groups = key_exchanges(tls.guideline.unwrap_or(NEWEST));
    Ok((provider, versions))
}

/// Why `fips` does not load.
pub const NOT_FIPS: &str =
    "the cryptography of this build is no validated FIPS module; use a build with one, or the profile `intermediate`";

fn tls13_suites() -> Vec<rustls::SupportedCipherSuite> {
    vec![suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_CHACHA20_POLY1305_SHA256]
}

fn key_exchanges(guideline: Guideline) -> Vec<&'static dyn SupportedKxGroup> {
    let classical: [&dyn SupportedKxGroup; 3] = [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    match guideline {
        Guideline::V5_7 | Guideline::V5_8 => classical.to_vec(),
        Guideline::V6_0 => std::iter::once(kx_group::X25519MLKEM768).chain(classical).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    fn groups(profile_name: TlsProfile, guideline: Option<Guideline>) -> Vec<NamedGroup> {
        let tls = ListenerTls {
            profile: profile_name,
            guideline,
            certificates: vec![],
            pending: vec![],
            waiting: false,
            client_certificates: None,
        };
        profile(&tls).unwrap().0.kx_groups.iter().map(|group| group.name()).collect()
    }

    #[test]
    fn post_quantum_leads_where_the_guideline_allows() {
        let classical = [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
        for name in [TlsProfile::Modern, TlsProfile::Intermediate] {
            assert_eq!(groups(name, None)[0], NamedGroup::X25519MLKEM768);
            assert_eq!(groups(name, None), groups(name, Some(Guideline::V6_0)));
            assert_eq!(groups(name, None)[1..], classical);
            assert_eq!(groups(name, Some(Guideline::V5_7)), classical);
            assert_eq!(groups(name, Some(Guideline::V5_8)), classical);
        }
    }

    #[test]
    fn fips_needs_a_validated_module() {
        let tls = ListenerTls {
            profile: TlsProfile::Fips,
            guideline: None,
            certificates: vec![],
            pending: vec![],
            waiting: false,
            client_certificates: None,
        };
        let validated = ::aws_lc_rs::try_fips_mode().is_ok();
        assert_eq!(profile(&tls).is_ok(), validated);
    }
}
