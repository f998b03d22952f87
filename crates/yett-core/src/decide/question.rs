//! What is asked, and how it becomes what a connection would have brought.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Deserialize;

use super::{AssumedSpec, Engine};
use crate::body::Body;
use crate::certificate::ClientCertificate;
use crate::exchange::{ConnectionInfo, Exchange, Framing};
use crate::http1::request::{HeadLimits, RequestParser};
use crate::ir;
use crate::reason::Reason;
use crate::server::tls::ja4;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Name of the listener.
    pub listener: String,
    /// As in the request line.
    pub method: String,
    /// Path and query, as in the request line.
    pub target: String,
    /// Fields in order, `Host` among them; each character is one byte (ISO 8859-1).
    pub headers: Vec<(String, String)>,
    /// The other end of the connection.
    pub address: IpAddr,
    /// The name that the client asked for in the handshake; only on listeners with TLS.
    #[serde(default)]
    pub server_name: Option<String>,
    /// What the client's hello says of its program (JA4); only on listeners with TLS, where nothing is known of it if it is absent.
    #[serde(default)]
    pub ja4: Option<String>,
    /// DER of a client certificate that is taken as verified by the handshake, as hexadecimal text.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Milliseconds since 1970; now where it is absent.
    #[serde(default)]
    pub time_ms: Option<u64>,
    /// The body as hexadecimal text; none where it is absent.
    #[serde(default)]
    pub body: Option<String>,
    /// Callers that are taken as verified; more than one where every one of several providers has to vouch.
    #[serde(default)]
    pub principals: Vec<AssumedSpec>,
    /// Which of the callers of a [`Batch`] ask, in the place of `principals`.
    #[serde(default)]
    pub callers: Option<usize>,
    /// How often it is asked in a row; the last answer counts. Once where it is absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// Whether the answer says what each rule comes to.
    #[serde(default)]
    pub trace: bool,
    /// Whether the answer says no more than what was decided, and of a refusal by what.
    #[serde(default)]
    pub brief: bool,
    /// What the route's external check is taken to say, which nobody asks for a question; nothing to rely on where it is absent.
    #[serde(default)]
    pub external: Option<External>,
}

/// Many questions, and the callers that several of them share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Each of them as `principals` of a question.
    #[serde(default)]
    pub callers: Vec<Vec<AssumedSpec>>,
    /// What is asked, in order.
    pub questions: Vec<Question>,
}

/// What an external check is taken to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the answer of its name")]
pub enum External {
    Allow,
    Deny,
}

impl Question {
    /// The body, where it is known: given, or none at all by the head.
    pub(super) fn body(&self, limit: u64, framing: Framing) -> Option<Result<Body, Reason>> {
        let bytes = match (&self.body, framing) {
            (Some(text), _) => unhex(text)?,
            (None, Framing::Empty) => Vec::new(),
            (None, _) => return None,
        };
        Some(if bytes.len() as u64 > limit { Err(Reason::BodyTooLarge) } else { Ok(Body::Given(bytes.into())) })
    }
}

impl Engine {
    pub(super) fn connection(&self, question: &Question, listener: &ir::Listener) -> Result<ConnectionInfo, String> {
        let certificate = question.certificate.as_ref().map(|text| {
            let der = unhex(text).ok_or("`certificate` is not hexadecimal text of DER")?;
            let trust = self.snapshot.listener(&listener.name).and_then(|listener| listener.client_certificates);
            let trust = trust.ok_or_else(|| format!("listener `{}` asks clients for no certificate", listener.name))?.trust;
            ClientCertificate::read(&der, trust).map(Arc::new).map_err(str::to_owned)
        });
        let ja4 = question.ja4.as_ref().map(|text| {
            if listener.tls.is_none() {
                return Err(format!("listener `{}` has no TLS, so there is no `ja4`", listener.name));
            }
            ja4::read(text).ok_or_else(|| "that is no JA4; write one such as `t13d1516h2_8daaf6152771_e5627efa2ab1`".to_owned())
        });
        Ok(ConnectionInfo {
            peer: SocketAddr::new(question.address, 0),
            listener: listener.name.as_str().into(),
            tls: listener.tls.is_some(),
            sni: question.server_name.as_ref().map(|name| name.to_ascii_lowercase().into()),
            client_certificate: certificate.transpose()?,
            ja4: ja4.transpose()?,
        })
    }
}

/// Reads the head with the parser of HTTP/1.1 connections, within the listener's bounds.
pub(super) fn read(question: &Question, listener: &ir::Listener, exchange: &mut Exchange) -> Result<(), Reason> {
    let mut head = Vec::new();
    let mut put = |text: &str| {
        text.chars().try_for_each(|character| {
            head.push(u8::try_from(u32::from(character)).map_err(|_| Reason::MalformedRequest)?);
            Ok(())
        })
    };
    put(&format!("{} {} HTTP/1.1\r\n", question.method, question.target))?;
    for (name, value) in &question.headers {
        put(&format!("{name}: {value}\r\n"))?;
    }
    put("\r\n")?;
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let limits = &listener.limits;
    let limits = HeadLimits { line: size(limits.request_line), bytes: size(limits.header_bytes), fields: size(limits.headers) };
    match RequestParser::default().advance(&head, &mut exchange.request, &limits)? {
        // A field with a line end in it would be another request.
        Some(complete) if complete.bytes == head.len() => {
            if let Some(text) = &question.body {
                let length = text.len() as u64 / 2;
                exchange.request.framing = if length == 0 { Framing::Empty } else { Framing::Length(length) };
            }
            Ok(())
        }
        _ => Err(Reason::MalformedRequest),
    }
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
