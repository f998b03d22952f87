//! The signature base (RFC 9421 section 2.5): what is signed, made from what the gateway itself read of the request.

use crate::exchange::Exchange;
use crate::headers::Known;

use super::fields::{Component, Input};

/// Bytes of a signature base at most.
pub const BASE_BYTES: usize = 64 * 1024;

/// Writes the signature base of `input` for this request.
///
/// # Errors
/// A component that the request has not, or that is not supported; in words for the client.
pub fn build(exchange: &Exchange, input: &Input) -> Result<Vec<u8>, Box<str>> {
    let mut base = Vec::with_capacity(512);
    for (index, component) in input.components.iter().enumerate() {
        if input.components.iter().take(index).any(|before| before == component) {
            return Err("the signature covers a component twice".into());
        }
        identifier(&mut base, component);
        base.extend_from_slice(b": ");
        match component.name.strip_prefix('@') {
            Some(derived) => self::derived(&mut base, exchange, derived, component.parameter.as_deref())?,
            None => field(&mut base, exchange, &component.name)?,
        }
        base.push(b'\n');
        if base.len() > BASE_BYTES {
            return Err("what the signature covers is too long".into());
        }
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.parameters.as_bytes());
    Ok(base)
}

fn identifier(base: &mut Vec<u8>, component: &Component) {
    base.push(b'"');
    base.extend_from_slice(component.name.as_bytes());
    base.push(b'"');
    if let Some(name) = &component.parameter {
        base.extend_from_slice(b";name=\"");
        for byte in name.bytes() {
            if matches!(byte, b'"' | b'\\') {
                base.push(b'\\');
            }
            base.push(byte);
        }
        base.push(b'"');
    }
}

/// Section 2.2, for requests.
fn derived(base: &mut Vec<u8>, exchange: &Exchange, name: &str, parameter: Option<&str>) -> Result<(), Box<str>> {
    let scheme: &[u8] = if exchange.https { b"https" } else { b"http" };
    let target = &exchange.request.target;
    match name {
        "method" => base.extend_from_slice(exchange.request.method.as_str().as_bytes()),
        "scheme" => base.extend_from_slice(scheme),
        "authority" => authority(base, exchange),
        "target-uri" => {
            base.extend_from_slice(scheme);
            base.extend_from_slice(b"://");
            authority(base, exchange);
            base.extend_from_slice(target);
        }
        "request-target" => base.extend_from_slice(target),
        "path" => base.extend_from_slice(memchr::memchr(b'?', target).and_then(|at| target.get(..at)).unwrap_or(target)),
        "query" => {
            base.push(b'?');
            base.extend_from_slice(exchange.query());
        }
        "query-param" => {
            let name = parameter.ok_or("the component `@query-param` has no `name`")?;
            query_parameter(base, exchange.query(), name)?;
        }
        other => return Err(format!("the component `@{other}` does not exist in requests, or is not supported").into()),
    }
    Ok(())
}

/// Lower case, without the scheme's own port (section 2.2.3).
fn authority(base: &mut Vec<u8>, exchange: &Exchange) {
    let port: &[u8] = if exchange.https { b":443" } else { b":80" };
    let host = exchange.authority.strip_suffix(port).unwrap_or(&exchange.authority);
    base.extend(host.iter().map(u8::to_ascii_lowercase));
}

/// Section 2.2.8: the one parameter of that name, decoded as a form and encoded anew.
fn query_parameter(base: &mut Vec<u8>, query: &[u8], name: &str) -> Result<(), Box<str>> {
    let mut found = None;
    for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (key, value) = pair.split_at_checked(at).unwrap_or((pair, b""));
        if form_encoded(key)? == name.as_bytes() && found.replace(value.get(1..).unwrap_or_default()).is_some() {
            return Err("a covered parameter of the query stands twice".into());
        }
    }
    base.extend_from_slice(&form_encoded(found.ok_or("a covered parameter of the query is missing")?)?);
    Ok(())
}

fn form_encoded(text: &[u8]) -> Result<Vec<u8>, Box<str>> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let decoded = form_decoded(text).ok_or("the query is not encoded as a form")?;
    let mut out = Vec::with_capacity(text.len());
    for byte in decoded {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].iter().filter_map(|nibble| DIGITS.get(usize::from(*nibble))));
        }
    }
    Ok(out)
}

fn form_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                (digit()? << 4) | digit()?
            }
            other => other,
        });
    }
    std::str::from_utf8(&out).is_ok().then_some(out)
}

/// Section 2.1: all values of a field in order, joined.
fn field(base: &mut Vec<u8>, exchange: &Exchange, name: &str) -> Result<(), Box<str>> {
    if Known::of(name.as_bytes()) == Known::Host {
        base.extend_from_slice(&exchange.authority);
        return Ok(());
    }
    let mut some = false;
    for value in exchange.request.headers.named(name.as_bytes()) {
        if std::mem::replace(&mut some, true) {
            base.extend_from_slice(b", ");
        }
        // A name of ASCII and a value of anything else: two readers could disagree about its bytes.
        if !value.is_ascii() {
            return Err(format!("the covered field `{name}` has bytes beyond ASCII").into());
        }
        base.extend_from_slice(value);
    }
    if some { Ok(()) } else { Err(format!("the covered field `{name}` is not there, or is one that the gateway drops").into()) }
}
