//! Pages of other origins (CORS): which may use a route, how, and what they may read.

use std::fmt::Write;

use crate::exchange::{Answer, Exchange, Method, Refusal};
use crate::headers::{FieldError, Headers, Known, is_lower_token};
use crate::ir;
use crate::origin::{Named, Origins, is_own};
use crate::reason::Reason;

/// Longest time for which browsers may remember a preflight, seconds.
const MAX_AGE_S: u32 = 86_400;
/// Longest origin that a refusal repeats.
const SHOWN: usize = 256;
const REQUEST_METHOD: &[u8] = b"access-control-request-method";
const REQUEST_HEADERS: &[u8] = b"access-control-request-headers";
const REQUEST_NETWORK: &[u8] = b"access-control-request-private-network";
/// What every field of this protocol begins with.
const OWN: &[u8] = b"access-control-";
/// Fields of the gateway that tell a page how to go on.
const TELLING: [&str; 6] = ["dpop-nonce", "ratelimit", "ratelimit-policy", "retry-after", "www-authenticate", "x-request-id"];

/// Compiled `cors`.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    methods: Vec<Method>,
    headers: Vec<Box<str>>,
    allow_methods: Box<str>,
    allow_headers: Box<str>,
    expose: Box<str>,
    credentials: bool,
    max_age: Box<str>,
    private_network: bool,
}

/// The method that a preflight asks for; nothing where a request is none.
#[must_use]
pub fn preflight_method(exchange: &Exchange) -> Option<Method> {
    let request = &exchange.request;
    if request.method != Method::Options || request.headers.get(Known::Origin).is_none() {
        return None;
    }
    let mut asked = request.headers.named(REQUEST_METHOD);
    let method = Method::parse(asked.next()?)?;
    asked.next().is_none().then_some(method)
}

impl Cors {
    /// Checks every part and puts the fields together.
    ///
    /// # Errors
    /// What no browser would send or take, and credentials for pages of anyone.
    pub fn build(spec: &ir::Cors) -> Result<Self, String> {
        let origins = Origins::build(&spec.origins)?;
        if spec.origins.is_empty() || spec.methods.is_empty() {
            return Err("`cors` needs an origin and a method".to_owned());
        }
        if spec.credentials && origins.is_open() {
            return Err("credentials go to named origins only, never to `any` or `null`".to_owned());
        }
        if spec.max_age_s > MAX_AGE_S {
            return Err(format!("a preflight is remembered for at most {MAX_AGE_S} seconds"));
        }
        if let Some(name) = spec.headers.iter().chain(&spec.expose).find(|name| !is_lower_token(name.as_bytes())) {
            return Err(format!("`{name}` is no name of a header field in lower case"));
        }
        let mut methods = Vec::with_capacity(spec.methods.len());
        for name in &spec.methods {
            methods.push(Method::parse(name.as_bytes()).ok_or_else(|| format!("`{name}` is no method"))?);
        }
        if methods.contains(&Method::Get) && !methods.contains(&Method::Head) {
            methods.push(Method::Head);
        }
        let named: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let mut expose: Vec<&str> = TELLING.to_vec();
        expose.extend(spec.expose.iter().map(String::as_str));
        expose.sort_unstable();
        expose.dedup();
        Ok(Self {
            origins,
            allow_methods: named.join(", ").into(),
            methods,
            headers: spec.headers.iter().map(|name| name.as_str().into()).collect(),
            allow_headers: spec.headers.join(", ").into(),
            expose: expose.join(", ").into(),
            credentials: spec.credentials,
            max_age: spec.max_age_s.to_string().into(),
            private_network: spec.private_network,
        })
    }

    /// Which entry names the page of a request, where it is a page of another origin that may use the route.
    #[must_use]
    pub fn granted(&self, exchange: &Exchange) -> Option<Named> {
        self.origins.find(exchange.request.headers.get(Known::Origin)?)
    }

    /// Whether a request may come from where it comes from. Programs, and pages of the route's own host, say nothing of an
    /// origin or name their own.
    ///
    /// # Errors
    /// `cors_refused`, with what is not allowed.
    pub fn check(&self, exchange: &Exchange) -> Result<(), Refusal> {
        let headers = &exchange.request.headers;
        let Some(origin) = headers.get(Known::Origin) else { return Ok(()) };
        if is_own(origin, exchange.https, &exchange.authority) {
            return Ok(());
        }
        if exchange.granted.is_none() {
            // A form on a page that sends no referrer says `null` to its own host.
            let same = origin == b"null" && headers.named(b"sec-fetch-site").eq([b"same-origin"]);
            return if same { Ok(()) } else { Err(foreign(origin)) };
        }
        self.takes(&exchange.request.method)
    }

    fn takes(&self, method: &Method) -> Result<(), Refusal> {
        if self.methods.contains(method) {
            return Ok(());
        }
        Err(refused(format!("`{}` is not among the methods that pages of other origins may use", method.as_str())))
    }

    /// What a preflight is told beside what every answer says.
    ///
    /// # Errors
    /// `cors_refused`, with what is not allowed.
    pub fn preflight(&self, exchange: &Exchange, method: &Method) -> Result<Answer, Refusal> {
        let headers = &exchange.request.headers;
        if exchange.granted.is_none() {
            return Err(foreign(headers.get(Known::Origin).unwrap_or_default()));
        }
        self.takes(method)?;
        let names = headers.named(REQUEST_HEADERS).flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        for name in names.filter(|name| !name.is_empty()) {
            if !self.headers.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name)) {
                let name = String::from_utf8_lossy(name.get(..SHOWN).unwrap_or(name)).into_owned();
                return Err(refused(format!("`{name}` is not among the header fields that pages of other origins may send")));
            }
        }
        let network = headers.named(REQUEST_NETWORK).next().is_some();
        if network && !self.private_network {
            return Err(refused("pages of public networks may not reach this private one".to_owned()));
        }
        let mut fields: Vec<(Box<str>, Box<str>)> = vec![("access-control-allow-methods".into(), self.allow_methods.clone())];
        if !self.allow_headers.is_empty() {
            fields.push(("access-control-allow-headers".into(), self.allow_headers.clone()));
        }
        if network {
            fields.push(("access-control-allow-private-network".into(), "true".into()));
        }
        fields.push(("access-control-max-age".into(), self.max_age.clone()));
        let vary = "access-control-request-method, access-control-request-headers, access-control-request-private-network";
        fields.push(("vary".into(), vary.into()));
        Ok(Answer { status: 204, headers: fields, body: [].into() })
    }

    /// What an answer to a page that may read it says.
    fn fields<'a>(&'a self, granted: Option<&'a Named>) -> impl Iterator<Item = (&'static str, &'a str)> {
        let credentials = self.credentials.then_some(("access-control-allow-credentials", "true"));
        granted.into_iter().flat_map(move |named| {
            [("access-control-allow-origin", self.origins.text(named)), ("access-control-expose-headers", &self.expose)]
                .into_iter()
                .chain(credentials)
        })
    }

    /// Changes a service's answer: what it says of this itself goes. `Vary` is there also where no page asked, so that
    /// no cache gives the answer to one page to another.
    ///
    /// # Errors
    /// Never for values that were built; the caller refuses all the same.
    pub fn apply(&self, granted: Option<&Named>, headers: &mut Headers) -> Result<(), FieldError> {
        headers.retain(|known, name, _| known != Known::Other || !name.starts_with(OWN));
        for (name, value) in self.fields(granted) {
            headers.push(name.as_bytes(), value.as_bytes())?;
        }
        if !headers.named(b"vary").any(varies) {
            headers.push(b"vary", b"Origin")?;
        }
        Ok(())
    }

    /// Changes an answer of the gateway itself, as [`Self::apply`] does.
    pub fn finish(&self, granted: Option<&Named>, answer: &mut Answer) {
        for (name, value) in self.fields(granted) {
            answer.headers.push((name.into(), value.into()));
        }
        let vary = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
        if !vary.map(|(_, value)| value.as_bytes()).any(varies) {
            answer.headers.push(("vary".into(), "Origin".into()));
        }
    }
}

/// Whether a `Vary` names the origin, or everything.
fn varies(value: &[u8]) -> bool {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

fn foreign(origin: &[u8]) -> Refusal {
    let mut detail = String::new();
    match std::str::from_utf8(origin).ok().filter(|text| text.len() <= SHOWN && text.bytes().all(|b| b.is_ascii_graphic())) {
        Some("null") => detail.push_str("pages without an origin of their own (`null`) are not among those that may use this"),
        Some(text) => {
            let _ = write!(detail, "`{text}` is not among the origins whose pages may use this");
        }
        None => detail.push_str("this origin is not among those whose pages may use this"),
    }
    refused(detail)
}

fn refused(detail: String) -> Refusal {
    Refusal { detail: Some(detail.into()), ..Reason::CorsRefused.into() }
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
