//! Whether a request may come over this connection: the right certificate of ours, and of the client's where one is demanded.

use crate::exchange::{Exchange, Now, Refusal};
use crate::reason::Reason;
use crate::snapshot::{ClientCertificates, Listener};

/// What the connection was made for has to fit the host, and still hold. Before a route is looked for.
pub(super) fn fits(listener: &Listener, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
    misdirected(listener, exchange)?;
    match &listener.client_certificates {
        None => Ok(()),
        Some(demand) => holds(demand, exchange, now),
    }
}

/// A connection is made for the certificate that its name was given. A host with another one is misdirected
/// (RFC 9110 section 15.5.20), whether the client confused two hosts or wants to meet one under the other's terms.
///
/// A client that names no host in its handshake was given the first certificate, and may ask for hosts that have that one.
fn misdirected(listener: &Listener, exchange: &Exchange) -> Result<(), Refusal> {
    let Some(names) = &listener.certificates else { return Ok(()) };
    let sni = exchange.connection.sni.as_deref();
    if sni == Some(exchange.host.as_str()) || names.certificate(sni) == names.certificate(Some(&exchange.host)) {
        return Ok(());
    }
    Err(Reason::MisdirectedRequest.into())
}

/// Certificates of clients, as the listener asks for them now: a connection that was made when it asked for none, or trusted
/// others, has proved nothing. It closes anyway; this is for what was on its way meanwhile.
fn holds(demand: &ClientCertificates, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
    match exchange.connection.client_certificate.as_deref() {
        None if demand.required => {
            Err(explained(Reason::MisdirectedRequest, "client certificates are required since this connection was made"))
        }
        Some(shown) if shown.trust != demand.trust => {
            Err(explained(Reason::MisdirectedRequest, "whom the listener trusts has changed since this connection was made"))
        }
        Some(shown) if shown.not_after_ms < now.unix_ms => {
            Err(explained(Reason::ClientCertificateRequired, "the client certificate has expired since the connection was made"))
        }
        _ => Ok(()),
    }
}

/// A route that requires a client certificate; [`fits`] has looked at what was shown.
pub(super) fn certified(exchange: &Exchange) -> Result<(), Refusal> {
    match exchange.connection.client_certificate {
        Some(_) => Ok(()),
        None => Err(Reason::ClientCertificateRequired.into()),
    }
}

fn explained(reason: Reason, detail: &str) -> Refusal {
    Refusal { detail: Some(detail.into()), ..Refusal::from(reason) }
}
