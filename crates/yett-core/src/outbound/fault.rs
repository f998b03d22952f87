//! Why a request of the gateway's own brought nothing: a closed list, with nothing in it that the other end sent.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not all of it happened in time (milliseconds).
    Timeout(u64),
    /// Too many requests to this target are waiting already.
    Busy,
    /// The host name has no address.
    Unresolved,
    /// The host name leads to an address that is never asked.
    Forbidden(IpAddr),
    /// No connection to this address.
    Connect(SocketAddr, std::io::ErrorKind),
    /// The handshake failed: what TLS says about it.
    Tls(String),
    /// The answer is no HTTP, or broke off.
    Broken,
    /// The answer redirects.
    Redirect(u16),
    /// The answer has another status than is wanted.
    Status(u16),
    /// The answer is compressed, which nobody asked for.
    Encoded,
    /// The answer is larger than so many bytes.
    TooLarge(usize),
    /// The answer is of another type than JSON, or not one JSON object with distinct names.
    NotJson,
    /// The answer is JSON, and says something else than it has to.
    Unexpected(&'static str),
    /// The provider has not said where it is, or at an address that is not its own: why.
    Undiscovered(String),
    /// The request could not be made: a value that no field can carry, or a key that does not sign.
    Unsendable,
}

impl Fault {
    /// Every label, in the order of the variants.
    pub const CODES: [&'static str; 15] = [
        "timeout",
        "busy",
        "unresolved",
        "forbidden_address",
        "connect",
        "tls",
        "broken",
        "redirect",
        "status",
        "encoded",
        "too_large",
        "not_json",
        "unexpected",
        "undiscovered",
        "unsendable",
    ];

    /// The label in metrics and events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Busy => "busy",
            Self::Unresolved => "unresolved",
            Self::Forbidden(_) => "forbidden_address",
            Self::Connect(..) => "connect",
            Self::Tls(_) => "tls",
            Self::Broken => "broken",
            Self::Redirect(_) => "redirect",
            Self::Status(_) => "status",
            Self::Encoded => "encoded",
            Self::TooLarge(_) => "too_large",
            Self::NotJson => "not_json",
            Self::Unexpected(_) => "unexpected",
            Self::Undiscovered(_) => "undiscovered",
            Self::Unsendable => "unsendable",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(ms) if ms % 1000 == 0 => write!(f, "no answer within {} seconds", ms / 1000),
            Self::Timeout(ms) => write!(f, "no answer within {ms} milliseconds"),
            Self::Busy => f.write_str("too many requests are waiting for it already"),
            Self::Unresolved => f.write_str("the host name cannot be resolved"),
            Self::Forbidden(ip) => write!(f, "the host resolves to {ip}, which is never fetched from"),
            Self::Connect(address, kind) => write!(f, "cannot connect to {address}: {kind}"),
            Self::Tls(why) => write!(f, "the TLS handshake failed: {why}"),
            Self::Broken => f.write_str("the answer is not valid HTTP, or broke off"),
            Self::Redirect(status) => write!(f, "answered {status}; redirects are not followed"),
            Self::Status(status) => write!(f, "answered {status} instead of 200"),
            Self::Encoded => f.write_str("answered with a content encoding that was not asked for"),
            Self::TooLarge(limit) => write!(f, "answered more than {limit} bytes"),
            Self::NotJson => f.write_str("the answer is not a JSON object, or not declared as JSON"),
            Self::Unexpected(what) => write!(f, "the answer {what}"),
            Self::Undiscovered(why) => f.write_str(why),
            Self::Unsendable => f.write_str("the request could not be made"),
        }
    }
}
