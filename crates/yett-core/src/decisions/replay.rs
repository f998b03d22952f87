//! Decision records against another configuration, judged by the code that decides live requests.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use super::callers::Callers;
use super::hidden::{Hasher, Hidden, MARK, NOWHERE, Recorded};
use super::record::{Credential, Decided, Line, Str, milliseconds};
use super::tally::Tally;
use super::terms::{Terms, texts};
use crate::certificate::{ClientCertificate, SubjectName};
use crate::decide::Engine;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method, Now};
use crate::pipeline::recorded::{self, Vouched as Given};
use crate::providers::Accepts;
use crate::reason::Reason;
use crate::server::tls::ja4;
use crate::snapshot::{Access, LoadError, Route, Secrets, Snapshot};

/// Longest line.
const MAX_LINE: usize = 1 << 20;

/// A configuration that records are judged against.
#[derive(Debug)]
pub struct Replay {
    pub(super) engine: Engine,
    pub(super) terms: Terms,
    pub(super) hidden: Arc<Hidden>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The beginning of a line whose end did not come yet.
    rest: Vec<u8>,
    /// Whether the line is too long, and passed over until its end.
    over: bool,
    tally: Tally,
}

/// What a record came to.
pub(super) enum Outcome {
    Allow,
    Deny { reason: Reason, rule: Option<Arc<str>> },
    Undecidable(String),
    Damaged(String),
}

impl Replay {
    /// `key` is what the records were hashed with; the one of the configuration's own decision log where it is absent.
    ///
    /// # Errors
    /// As `Gateway.apply`.
    pub fn build(ir: &[u8], secrets: &Secrets, key: Option<&[u8]>) -> Result<Self, Vec<LoadError>> {
        let engine = Engine::build(ir, secrets, true)?;
        let document: Value =
            serde_json::from_slice(ir).map_err(|error| vec![LoadError { pointer: String::new(), message: error.to_string() }])?;
        let own = || engine.snapshot().ir.decision_log.as_ref().and_then(|log| secrets.get(&log.key)).map(|key| key.as_slice());
        let hasher = key.or_else(own).map(Hasher::new);
        let mut all = Vec::new();
        for part in ["routes", "providers"] {
            document.get(part).into_iter().for_each(|part| texts(part, &mut |text| all.push(text)));
        }
        let hidden = Arc::new(Hidden::new(hasher, all));
        Ok(Self { terms: Terms::of(&document), engine, hidden, state: Mutex::default() })
    }

    /// Judges these lines; what comes after the last line end waits for more.
    pub fn feed(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut desk = Desk::new(self);
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            state.take(&mut desk, line);
        }
        if state.rest.len().saturating_add(rest.len()) > MAX_LINE {
            state.over = true;
            state.rest.clear();
        } else if !state.over {
            state.rest.extend_from_slice(rest);
        }
    }

    /// Judges the last line and says what came of all: JSON, as documented in docs/replay.md.
    #[must_use]
    pub fn finish(&self) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.rest.is_empty() || state.over {
            state.take(&mut Desk::new(self), b"");
        }
        state.tally.document(self.engine.revision()).to_string()
    }
}

impl State {
    fn take(&mut self, desk: &mut Desk<'_>, end: &[u8]) {
        self.tally.lines += 1;
        if std::mem::take(&mut self.over) || end.len() > MAX_LINE {
            self.rest.clear();
            return self.tally.damaged(format!("it is longer than {} MiB", MAX_LINE >> 20));
        }
        if self.rest.is_empty() {
            return desk.judge(end, &mut self.tally);
        }
        let mut whole = std::mem::take(&mut self.rest);
        whole.extend_from_slice(end);
        desk.judge(&whole, &mut self.tally);
        whole.clear();
        self.rest = whole;
    }
}

/// What is used again from line to line.
struct Desk<'r> {
    replay: &'r Replay,
    exchange: Exchange,
    /// By their text; no more than a part of a file has room for.
    callers: HashMap<Box<str>, Rc<Callers>>,
}

impl<'r> Desk<'r> {
    fn new(replay: &'r Replay) -> Self {
        let nobody = ConnectionInfo {
            peer: SocketAddr::new(NOWHERE, 0),
            listener: Arc::from(""),
            tls: false,
            sni: None,
            client_certificate: None,
            ja4: None,
        };
        Self { replay, exchange: Exchange::new(Rc::new(nobody)), callers: HashMap::new() }
    }

    fn judge(&mut self, bytes: &[u8], tally: &mut Tally) {
        match Line::read(bytes).and_then(|line| self.callers(&line).map(|callers| (line, callers))) {
            Err(what) => tally.damaged(what),
            Ok((line, callers)) => {
                let outcome = self.outcome(&line, &callers);
                let route = self.replay.engine.snapshot().route(self.exchange.route).map(|route| &*route.name);
                tally.count(&line, outcome, route, &callers);
            }
        }
    }

    fn callers(&mut self, line: &Line<'_>) -> Result<Rc<Callers>, String> {
        let known = self.callers.get(line.principals.0).cloned();
        let callers = match known {
            Some(callers) => callers,
            None => {
                let new = Rc::new(self.replay.callers(&line.callers()?));
                self.callers.insert(line.principals.0.into(), Rc::clone(&new));
                new
            }
        };
        if (line.credential == Credential::Verified) == (callers.count == 0) {
            return Err("`credential` and `principals` contradict each other".to_owned());
        }
        Ok(callers)
    }

    fn outcome(&mut self, line: &Line<'_>, callers: &Callers) -> Outcome {
        let _ = self.replay.hidden.take();
        let now = match self.prepare(line, callers) {
            Ok(now) => now,
            Err(outcome) => return outcome,
        };
        let Self { replay, exchange, .. } = self;
        let found = recorded::decide(
            replay.engine.snapshot(),
            exchange,
            now,
            |index, route| replay.vouched(line, callers, index, route),
            |index| replay.external(line, index),
        );
        match (replay.hidden.take(), found) {
            (Some(missing), _) => Outcome::Undecidable(missing),
            (None, Err(why)) => Outcome::Undecidable(why),
            (None, Ok(Ok(()))) => Outcome::Allow,
            (None, Ok(Err(refusal))) => Outcome::Deny { reason: refusal.reason, rule: refusal.rule },
        }
    }

    /// The request as it was when its access was decided.
    fn prepare(&mut self, line: &Line<'_>, callers: &Callers) -> Result<Now, Outcome> {
        let damaged = |what: &str| Outcome::Damaged(what.to_owned());
        let (replay, exchange) = (self.replay, &mut self.exchange);
        let unix_ms = milliseconds(&line.time).ok_or_else(|| damaged("its `time` is none"))?;
        let method = Method::parse(line.method.as_bytes()).ok_or_else(|| damaged("its `method` is none"))?;
        let hashed = line.client.starts_with('#');
        let client: IpAddr =
            if hashed { NOWHERE } else { line.client.parse().map_err(|_| damaged("its `client` is no address"))? };
        let listener = replay.engine.snapshot().listener(&line.listener);
        let ja4 = line.ja4.as_deref().map(ja4::read).map(|read| read.ok_or_else(|| damaged("its `ja4` is none"))).transpose()?;
        if !is_of(&exchange.connection, line, client) {
            exchange.connection = Rc::new(ConnectionInfo {
                peer: SocketAddr::new(client, 0),
                listener: listener.map_or_else(|| Arc::from(&*line.listener), |listener| Arc::clone(&listener.name)),
                tls: line.tls,
                sni: line.server_name.as_deref().map(Into::into),
                client_certificate: line.certificate.as_ref().map(|shown| Arc::new(replay.certificate(shown))),
                ja4,
            });
        }
        exchange.reset();
        exchange.https = line.https;
        exchange.host.push_str(&line.host);
        exchange.request.method = method;
        exchange.request.framing = match line.size {
            Some(0) => Framing::Empty,
            Some(size) => Framing::Length(size),
            None => Framing::Chunked,
        };
        let Some(path) = &line.path else {
            return Err(Outcome::Undecidable("the path, which held something like a credential".to_owned()));
        };
        exchange.path.parse_into(path.as_bytes()).map_err(|_| damaged("its `path` is not canonical"))?;
        let personal = !(callers.count == 0 && line.headers.is_empty() && line.query.is_empty() && line.body.is_empty());
        if personal && replay.hidden.key() != Some(&*line.key) {
            return Err(Outcome::Undecidable(match replay.hidden.key() {
                Some(_) => "the key that it was hashed with".to_owned(),
                None => "the key that it was hashed with; give it with `--key`".to_owned(),
            }));
        }
        if line.certificate.as_ref().is_some_and(|shown| shown.trust.as_deref() != replay.terms.certificates(&line.listener)) {
            return Err(Outcome::Undecidable(format!("whether `{}` would verify the client certificate", &*line.listener)));
        }
        let origin = line.origin.as_deref();
        let client = !hashed && (listener.is_none() || replay.terms.origin(&line.listener) == origin);
        let recorded = replay.fields(line, callers, exchange, client).ok_or_else(|| damaged("a value of it is no hash"))?;
        exchange.recorded = Some(Box::new(recorded));
        Ok(Now { monotonic_ns: 0, unix_ms })
    }
}

/// Whether a connection without a certificate is the one that the line says.
fn is_of(connection: &ConnectionInfo, line: &Line<'_>, client: IpAddr) -> bool {
    connection.peer.ip() == client
        && *connection.listener == *line.listener
        && connection.tls == line.tls
        && connection.sni.as_deref() == line.server_name.as_deref()
        && connection.ja4.as_ref().map(<[u8; 36]>::as_slice) == line.ja4.as_deref().map(str::as_bytes)
        && connection.client_certificate.is_none()
        && line.certificate.is_none()
}

/// The text of a value: `#` begins a hash, `=` a plain text.
pub(super) fn text(hidden: &Hidden, value: &str) -> Option<Box<str>> {
    match value.split_at_checked(1)? {
        ("#", digest) => Some(hidden.reveal(digest.trim_end_matches(','))),
        ("=", plain) if !plain.starts_with(MARK) => Some(plain.into()),
        _ => None,
    }
}

fn encode(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(byte);
        } else {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

impl Replay {
    fn certificate(&self, shown: &super::record::Certificate<'_>) -> ClientCertificate {
        let hidden = |value: &Str<'_>| text(&self.hidden, value).unwrap_or_default();
        ClientCertificate {
            names: shown.spiffe.iter().map(|uri| SubjectName::Uri((&**uri).into())).collect(),
            subject: hidden(&shown.subject),
            common_name: None,
            distinguished_name: None,
            serial: hidden(&shown.serial),
            fingerprint: hidden(&shown.fingerprint),
            not_after_ms: shown.expires_ms,
            trust: [0; 32],
        }
    }

    /// Puts header fields, parameters and the body where rules read them. Nothing where a value is none.
    fn fields(&self, line: &Line<'_>, callers: &Callers, exchange: &mut Exchange, client: bool) -> Option<Recorded> {
        let mut lists = Vec::new();
        for (name, values) in &line.headers {
            for value in values {
                let text = value.as_ref().map(|value| text(&self.hidden, value)).map_or(Some(None), |found| found.map(Some))?;
                if value.as_ref().is_some_and(|value| value.ends_with(','))
                    && text.as_ref().is_some_and(|text| text.starts_with(MARK))
                {
                    lists.push((&**name).into());
                }
                let bytes = text.as_ref().map_or(&b"\xff"[..], |text| text.as_bytes());
                exchange.request.headers.push(name.as_bytes(), bytes).ok()?;
            }
        }
        let target = &mut exchange.request.target;
        target.extend_from_slice(exchange.path.raw());
        let mut mark = b'?';
        for (name, values) in &line.query {
            for value in values {
                target.push(std::mem::replace(&mut mark, b'&'));
                encode(target, name);
                target.push(b'=');
                match value {
                    Some(value) => encode(target, &text(&self.hidden, value)?),
                    None => target.extend_from_slice(b"%ff"),
                }
            }
        }
        if !line.body.is_empty() {
            let mut body = Value::Object(Map::new());
            for (pointer, value) in &line.body {
                put(&mut body, pointer, self.revealed(value)?);
            }
            exchange.validated = Some(Box::new(body));
        }
        let names = |all: &mut dyn Iterator<Item = &Str<'_>>| all.map(|name| (&**name).into()).collect();
        Some(Recorded {
            hidden: Arc::clone(&self.hidden),
            headers: names(&mut line.headers.keys()),
            lists,
            query: names(&mut line.query.keys()),
            claims: Arc::clone(&callers.claims),
            body: names(&mut line.body.keys()),
            client,
            websocket: line.websocket,
        })
    }

    fn revealed(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(own) => Value::String(text(&self.hidden, own)?.into()),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.revealed(item)).collect::<Option<_>>()?),
            Value::Object(_) => return None,
            other => other.clone(),
        })
    }

    /// What became of the credential, as far as the same would become of it here.
    fn vouched(&self, line: &Line<'_>, callers: &Callers, index: u32, route: &Route) -> Given {
        let Some(terms) = self.terms.route(index) else { return Given::Refused(Reason::Internal) };
        let same = terms.accepts.as_deref() == line.accepts.as_deref();
        match line.credential {
            Credential::None => Given::Refused(Reason::CredentialMissing),
            Credential::Refused if same => {
                let reason = line.reason.as_deref();
                let known = Reason::ALL.iter().find(|one| Some(one.code()) == reason);
                Given::Refused(known.copied().unwrap_or(Reason::CredentialMissing))
            }
            Credential::Refused => Given::Unknown("a credential that was refused, where others are accepted".to_owned()),
            Credential::Ignored => Given::Unknown("a credential that nobody looked at".to_owned()),
            Credential::Verified if same => given(callers),
            Credential::Verified if terms.all_of || callers.count > 1 => {
                Given::Unknown("a caller of whom several providers have to vouch for others".to_owned())
            }
            Credential::Verified if line.places != Str(self.terms.places.as_ref().into()) => {
                Given::Unknown("where credentials are looked for".to_owned())
            }
            Credential::Verified => self.elsewhere(line, callers, terms, route),
        }
    }

    /// A verified caller on a route that accepts others than before.
    fn elsewhere(&self, line: &Line<'_>, callers: &Callers, terms: &super::terms::RouteTerms, route: &Route) -> Given {
        let Access::Authenticated { providers: Accepts::AnyOf(list), .. } = &route.access else {
            return Given::Refused(Reason::Internal);
        };
        let snapshot: &Snapshot = self.engine.snapshot();
        let accepted = || list.iter().filter_map(|at| snapshot.providers.get(usize::try_from(*at).ok()?));
        if accepted().any(|provider| **provider.name() == *callers.first) {
            return match &terms.binding {
                Some(binding) if line.binding.as_deref() != Some(&**binding) => {
                    Given::Unknown("whether the credential is confirmed, or bound to a key".to_owned())
                }
                _ => given(callers),
            };
        }
        if accepted().any(|provider| provider.is_ambient()) {
            return Given::Unknown("another credential of the connection or the browser".to_owned());
        }
        Given::Refused(Reason::ProviderNotAccepted)
    }

    /// What was said outside, where the same is asked here.
    fn external(&self, line: &Line<'_>, index: u32) -> Result<Option<Reason>, String> {
        let here = self.terms.route(index).and_then(|route| route.external.as_deref());
        if here.is_none() || here != line.external.as_deref() {
            return Err("what the external check would say".to_owned());
        }
        let denied = line.decision == Decided::Deny && line.reason.as_deref() == Some(Reason::ExternalDenied.code());
        Ok(denied.then_some(Reason::ExternalDenied))
    }
}

fn given(callers: &Callers) -> Given {
    match &callers.verified {
        Ok(all) => Given::Callers(all.iter().cloned().collect()),
        Err(why) => Given::Unknown(why.clone()),
    }
}

/// Sets what stands at a pointer (RFC 6901), with the objects around it.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut here = body;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Some(fields) = here.as_object_mut() else { return };
        here = fields.entry(name).or_insert(Value::Null);
    }
    if !value.is_null() || here.is_null() {
        *here = value;
    }
}
