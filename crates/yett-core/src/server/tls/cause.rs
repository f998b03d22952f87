//! Why a handshake failed: a closed list, counted for the process, told as an event now and then.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::{CertificateError, Error, PeerIncompatible};

use crate::shared::Counter;

macro_rules! causes {
    ($($variant:ident $code:literal $doc:literal;)*) => {
        /// Why a handshake failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Cause {
            $(#[doc = $doc] $variant,)*
        }

        impl Cause {
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
    Timeout "timeout" "the client was not done within `timeouts.handshake`";
    Busy "busy" "`limits.handshakes` were under way for all of that time";
    NotTls "not_tls" "what came is no TLS";
    HelloTooLong "hello_too_long" "the client hello is longer than 16 KiB";
    PeerClosed "peer_closed" "the client closed the connection";
    PeerRefused "peer_refused" "the client refused ours: it does not trust the certificate, or wants something else";
    NoSharedVersion "no_shared_version" "no protocol version in common";
    NoSharedCipher "no_shared_cipher" "no cipher suite, key exchange or signature in common";
    NoSharedProtocol "no_shared_protocol" "no application protocol (ALPN) in common";
    NoCertificate "no_certificate" "we have no certificate for that name yet: it is ordered (ACME)";
    NoClientCertificate "no_client_certificate" "a certificate is required, and the client has none";
    ClientCertificateExpired "client_certificate_expired" "the client's certificate, or one above it, has expired";
    ClientCertificateNotYetValid "client_certificate_not_yet_valid" "its validity has not begun";
    ClientCertificateRevoked "client_certificate_revoked" "a revocation list names it";
    ClientCertificateUnknownCa "client_certificate_unknown_ca" "none of the listener's authorities vouches for it";
    ClientCertificatePurpose "client_certificate_purpose" "it is not for clients (extended key usage `clientAuth`)";
    ClientCertificateUnlisted "client_certificate_unlisted" "no revocation list covers it";
    RevocationListExpired "revocation_list_expired" "the revocation list is out of date";
    RevocationListInvalid "revocation_list_invalid" "the revocation list is not signed by its issuer, or cannot be used";
    ClientCertificateInvalid "client_certificate_invalid" "anything else about it";
    Other "other" "anything else: the client broke the protocol";
}

impl Cause {
    /// The cause of an error of the handshake.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::of_tls(error),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::PeerClosed,
                _ => Self::Other,
            },
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoClientCertificate,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::InvalidCertRevocationList(_) => Self::RevocationListInvalid,
            Error::AlertReceived(_) => Self::PeerRefused,
            Error::NoApplicationProtocol => Self::NoSharedProtocol,
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::PeerSentOversizedRecord => Self::NotTls,
            Error::PeerIncompatible(error) => match error {
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled => Self::NoSharedVersion,
                _ => Self::NoSharedCipher,
            },
            _ => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::ClientCertificateExpired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::ClientCertificateNotYetValid,
            CertificateError::Revoked => Self::ClientCertificateRevoked,
            CertificateError::UnknownIssuer => Self::ClientCertificateUnknownCa,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::ClientCertificatePurpose,
            CertificateError::UnknownRevocationStatus => Self::ClientCertificateUnlisted,
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
                Self::RevocationListExpired
            }
            _ => Self::ClientCertificateInvalid,
        }
    }
}

/// Shortest pause between two events about one cause, nanoseconds.
const TELL_EVERY_NS: u64 = 10_000_000_000;

/// Counts, and says now and then that it is time to tell.
#[derive(Debug, Default)]
pub struct Tally {
    count: Counter,
    /// When the next event may be told, on the monotonic clock.
    next_ns: AtomicU64,
}

impl Tally {
    /// Counts one; true when an event is due (the first, then at most one in ten seconds).
    pub fn count(&self, now_ns: u64) -> bool {
        self.count.increment();
        let next = self.next_ns.load(Ordering::Relaxed);
        let later = now_ns.saturating_add(TELL_EVERY_NS);
        next <= now_ns && self.next_ns.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.count.get()
    }
}

/// Failed handshakes of the process, by cause.
#[derive(Debug)]
pub struct Failures([Tally; Cause::ALL.len()]);

impl Default for Failures {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Tally::default()))
    }
}

impl Failures {
    /// Counts one; true when an event about this cause is due (the first, then at most one in ten seconds).
    pub fn count(&self, cause: Cause, now_ns: u64) -> bool {
        self.0.get(usize::from(cause as u8)).is_some_and(|tally| tally.count(now_ns))
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self, cause: Cause) -> u64 {
        self.0.get(usize::from(cause as u8)).map_or(0, Tally::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_in_ten_seconds_and_every_failure_counted() {
        let failures = Failures::default();
        assert!(failures.count(Cause::Timeout, 5));
        assert!(!failures.count(Cause::Timeout, 6));
        assert!(failures.count(Cause::NotTls, 6), "another cause has its own");
        assert!(failures.count(Cause::Timeout, 5 + TELL_EVERY_NS));
        assert_eq!(failures.get(Cause::Timeout), 3);
        assert_eq!(failures.get(Cause::Other), 0);
    }

    #[test]
    fn codes_are_unique() {
        let codes: std::collections::HashSet<_> = Cause::ALL.iter().map(|cause| cause.code()).collect();
        assert_eq!(codes.len(), Cause::ALL.len());
    }
}
