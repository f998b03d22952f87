//! The question and the answer in the form of Envoy's `envoy.service.auth.v3.Authorization/Check`: the fields that are used here,
//! with the numbers of the published protocol.

use std::collections::BTreeMap;

use prost::Message;

use super::{UNREADABLE, Verdict, fields_of};
use crate::exchange::Exchange;
use crate::headers::is_value;
use crate::outbound::Fault;

/// The method that is called.
pub(super) const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Bytes of an encoded question at most; a head is smaller by far.
const QUESTION_BYTES: usize = 256 * 1024;

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<Request>,
    #[prost(btree_map = "string, string", tag = "10")]
    context_extensions: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
    #[prost(string, tag = "4")]
    principal: String,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, tag = "3")]
    port_value: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(btree_map = "string, string", tag = "3")]
    headers: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    ok: Option<Okay>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Denied {}

#[derive(Clone, PartialEq, Message)]
struct Okay {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    query_to_set: Vec<Ignored>,
    #[prost(string, repeated, tag = "8")]
    query_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Ignored {}

#[derive(Clone, PartialEq, Message)]
struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "vec", tag = "3")]
    raw_value: Vec<u8>,
}

/// What the check is told; nothing where a role would be read as two, or it is too long.
pub(super) fn question(route: &str, exchange: &Exchange, listed: &[Box<str>]) -> Option<Vec<u8>> {
    // They stand in one text, with blanks between: one that has a blank itself would be two to the check.
    let blank = |items: &[Box<str>]| items.iter().any(|item| item.contains(char::is_whitespace));
    if exchange.principal.as_ref().is_some_and(|principal| blank(&principal.roles) || blank(&principal.scopes)) {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = fields_of(exchange, listed).map(|(name, values)| (name, values.join(","))).collect();
    let mut target = text(exchange.path.raw());
    if !exchange.query().is_empty() {
        target.push('?');
        target.push_str(&text(exchange.query()));
    }
    let http = HttpRequest {
        id: text(&exchange.request_id),
        method: exchange.request.method.as_str().to_owned(),
        headers,
        path: target,
        host: exchange.host.clone(),
        scheme: if exchange.https { "https" } else { "http" }.to_owned(),
    };
    let client = SocketAddress { address: exchange.client.to_string(), port_value: 0 };
    let principal = exchange.principal.as_ref().map_or_else(String::new, |principal| principal.subject.to_string());
    let asked = CheckRequest {
        attributes: Some(Attributes {
            source: Some(Peer { address: Some(Address { socket_address: Some(client) }), principal }),
            request: Some(Request { http: Some(http) }),
            context_extensions: context(route, exchange),
        }),
    };
    (asked.encoded_len() <= QUESTION_BYTES).then(|| asked.encode_to_vec())
}

/// Route, listener and caller, under the names that the JSON document has; lists are joined with spaces.
fn context(route: &str, exchange: &Exchange) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            found.insert(name.to_owned(), value.to_owned());
        }
    };
    put("route", route);
    put("listener", &exchange.connection.listener);
    if let Some(principal) = &exchange.principal {
        put("principal.provider", &principal.provider);
        put("principal.method", principal.method.as_str());
        put("principal.kind", principal.kind.as_str());
        put("principal.issuer", &principal.issuer);
        put("principal.subject", &principal.subject);
        put("principal.client", principal.client.as_deref().unwrap_or_default());
        put("principal.tenant", principal.tenant.as_deref().unwrap_or_default());
        put("principal.scopes", &principal.scopes.join(" "));
        put("principal.roles", &principal.roles.join(" "));
    }
    found
}

/// Only a status that is there is one. An answer that wants the request changed in a way that is not done here is none: what
/// it allowed is not what would be forwarded.
pub(super) fn verdict(answer: &[u8], to_service: &[Box<str>]) -> Verdict {
    let failed = |what| Verdict::Failed(Fault::Unexpected(what));
    let Ok(CheckResponse { status, denied, ok }) = CheckResponse::decode(answer) else {
        return failed("is no CheckResponse");
    };
    let Some(status) = status else { return failed("has no `status`") };
    match (status.code, denied, ok) {
        (0, None, None) => Verdict::Allowed(Vec::new()),
        (0, None, Some(ok)) => {
            let changes = ok.headers_to_remove.len() + ok.query_to_set.len() + ok.query_to_remove.len();
            if changes > 0 {
                return failed("wants headers removed or the query changed, which is not done");
            }
            fields(&ok.headers, to_service).map_or(UNREADABLE, Verdict::Allowed)
        }
        (0, Some(_), _) => failed("allows and denies at once"),
        // PERMISSION_DENIED and UNAUTHENTICATED are verdicts; other codes are so where a denial says so.
        (7 | 16, _, None) | (_, Some(_), None) => Verdict::Denied,
        _ => failed("has a `status` that neither allows nor denies"),
    }
}

fn fields(given: &[HeaderOption], to_service: &[Box<str>]) -> Option<Vec<(Box<str>, Box<str>)>> {
    let mut found: Vec<(Box<str>, Box<str>)> = Vec::new();
    for header in given.iter().filter_map(|option| option.header.as_ref()) {
        let Some(name) = to_service.iter().find(|name| name.eq_ignore_ascii_case(&header.key)) else { continue };
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        let twice = found.iter().any(|(other, _)| other == name);
        if twice || !is_value(value) {
            return None;
        }
        found.push((name.clone(), std::str::from_utf8(value).ok()?.into()));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: Option<i32>, denied: bool, ok: Option<Okay>) -> Verdict {
        let message = CheckResponse { status: code.map(|code| Status { code }), denied: denied.then_some(Denied {}), ok };
        verdict(&message.encode_to_vec(), &["x-level".into()])
    }

    fn failed(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Failed(Fault::Unexpected(_)))
    }

    #[test]
    fn a_role_that_would_be_read_as_two_is_not_told() {
        use crate::exchange::{AuthenticationMethod, ConnectionInfo, Principal};
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection = ConnectionInfo { peer, listener: "l".into(), tls: true, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(std::rc::Rc::new(connection));
        let mut told = |roles: &[&str], scopes: &[&str]| {
            let texts = |list: &[&str]| list.iter().map(|text| (*text).into()).collect();
            let blank = Principal::blank("id".into(), AuthenticationMethod::Jwt);
            exchange.principal = Some(std::rc::Rc::new(Principal { roles: texts(roles), scopes: texts(scopes), ..blank }));
            question("r", &exchange, &[]).is_some()
        };
        assert!(told(&["guest", "admin"], &["a", "b"]));
        assert!(!told(&["no admin"], &[]) && !told(&[], &["a b"]));
    }

    fn header(key: &str, value: &[u8]) -> HeaderOption {
        HeaderOption { header: Some(Header { key: key.into(), value: String::new(), raw_value: value.into() }) }
    }

    #[test]
    fn only_a_clear_answer_is_one() {
        let ok = |headers: &[HeaderOption]| Some(Okay { headers: headers.to_vec(), ..Okay::default() });
        assert_eq!(answer(Some(0), false, None), Verdict::Allowed(Vec::new()));
        let fields = Verdict::Allowed(vec![("x-level".into(), "3".into())]);
        assert_eq!(answer(Some(0), false, ok(&[header("X-Level", b"3"), header("x-other", b"1")])), fields);
        assert_eq!(answer(Some(7), true, None), Verdict::Denied);
        assert_eq!(answer(Some(16), false, None), Verdict::Denied);
        assert_eq!(answer(Some(13), true, None), Verdict::Denied);
        assert!(failed(&answer(Some(13), false, None)));
        assert!(failed(&answer(None, false, None)));
        assert!(failed(&answer(None, false, ok(&[]))));
        assert!(failed(&answer(Some(0), true, None)));
        assert!(failed(&answer(Some(7), false, ok(&[]))));
        assert!(failed(&answer(Some(0), false, ok(&[header("x-level", b"a\r\nb")]))));
        assert!(failed(&answer(Some(0), false, ok(&[header("x-level", b"1"), header("X-LEVEL", b"2")]))));
        let changes = Okay { headers_to_remove: vec!["x-a".into()], ..Okay::default() };
        assert!(failed(&answer(Some(0), false, Some(changes))));
        let changes = Okay { query_to_set: vec![Ignored {}], ..Okay::default() };
        assert!(failed(&answer(Some(0), false, Some(changes))));
        for bad in [&b""[..], b"\xff", b"\x0a\x05\x08"] {
            assert!(failed(&verdict(bad, &[])), "{bad:?}");
        }
    }
}
