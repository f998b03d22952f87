//! Why TLS with a service failed: a closed list, counted for the process, told as an event now and then.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use crate::server::tls::cause::Tally;

macro_rules! causes {
    ($($variant:ident $code:literal $doc:literal;)*) => {
        /// Why TLS with a service failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum TlsCause {
            $(#[doc = $doc] $variant,)*
        }

        impl TlsCause {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label in metrics and events.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

causes! {
    UnknownCa "unknown_ca" "no authority of ours vouches for its certificate";
    Expired "expired" "its certificate, or one above it, has expired";
    NotYetValid "not_yet_valid" "the validity of its certificate has not begun";
    WrongName "wrong_name" "its certificate is for another name";
    NotPinned "not_pinned" "its certificate carries none of the names in `tls: {san: …}`";
    WrongPurpose "wrong_purpose" "its certificate is not for servers";
    Invalid "invalid" "anything else about its certificate";
    RefusedUs "refused_us" "it wants a client certificate that we have not, or does not accept ours";
    Incompatible "incompatible" "no version, cipher suite or protocol in common";
    NotTls "not_tls" "what came is no TLS";
    Closed "closed" "it closed the connection";
    Other "other" "anything else";
}

impl TlsCause {
    /// The cause of an error of the handshake.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Some(Error::AlertReceived(alert)) => Self::of_alert(*alert),
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Self::Incompatible,
            Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => Self::NotTls,
            Some(_) => Self::Other,
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Closed,
                _ => Self::Other,
            },
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownCa,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::ApplicationVerificationFailure => Self::NotPinned,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongPurpose,
            _ => Self::Invalid,
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol => Self::Incompatible,
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => Self::RefusedUs,
            _ => Self::Other,
        }
    }
}

/// Failures of the process, by cause.
#[derive(Debug)]
pub struct TlsFailures([Tally; TlsCause::ALL.len()]);

impl Default for TlsFailures {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Tally::default()))
    }
}

impl TlsFailures {
    /// Counts one; true when an event about this cause is due.
    pub fn count(&self, cause: TlsCause, now_ns: u64) -> bool {
        self.0.get(usize::from(cause as u8)).is_some_and(|tally| tally.count(now_ns))
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self, cause: TlsCause) -> u64 {
        self.0.get(usize::from(cause as u8)).map_or(0, Tally::get)
    }
}
