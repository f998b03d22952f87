//! One request on its way through the phases, and what the phases leave for each other.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::body::{Body, FieldError};
use crate::certificate::ClientCertificate;
use crate::decide::Assumed;
use crate::decisions::{Captured, Recorded};
use crate::filters::attack_filter::Suspicion;
use crate::filters::authorize::shadow;
use crate::filters::bot_filter::{Sighting, Verdict as CrawlerVerdict};
use crate::filters::concurrency_limit::Places;
use crate::filters::external_authorization::Verdict;
use crate::filters::login_guard::Attempt;
use crate::filters::mirror::Mirrored;
use crate::filters::rate_limit::{Answered, Asked, Owing, Repeat, Reports};
use crate::filters::websocket::Place;
use crate::geo::Located;
use crate::headers::Headers;
use crate::origin::{Named, Page};
use crate::path::CanonicalPath;
pub use crate::principal::{AuthenticationMethod, ClaimValue, Confirmation, Principal, PrincipalKind};
use crate::providers::introspection::Introspected;
use crate::providers::oidc::grants::{Grant, Outcome};
use crate::providers::oidc::state::Sessions;
use crate::providers::oidc::stored::{self, Stored};
use crate::providers::signed_request::SignedRequest;
use crate::reason::Reason;
use crate::revocation::Revocation;
use crate::server::tls::ja4::Ja4;
use crate::service_tokens;
use crate::store::Key;

/// Methods that routes name; others are kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
    Other(Box<str>),
}

impl Method {
    /// As in the request line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other(name) => name,
        }
    }

    /// From a request line; `None` if it is no token. Methods are case-sensitive.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            other => {
                let token = !other.is_empty()
                    && other.len() <= 32
                    && other.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b));
                if !token {
                    return None;
                }
                Self::Other(std::str::from_utf8(other).ok()?.into())
            }
        })
    }
}

/// HTTP versions downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the version of its name")]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// How a body is framed, as the head announced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// None follows.
    Empty,
    /// Exactly so many bytes (never 0).
    Length(u64),
    /// Chunked, or HTTP/2 frames without a length.
    Chunked,
    /// Until the connection closes (answers only).
    Close,
}

impl Framing {
    /// Bytes of the body, where they are announced.
    #[must_use]
    pub fn length(self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked | Self::Close => None,
        }
    }
}

/// A request head as the codec read it. Field syntax and framing are already checked by the codec.
#[derive(Debug)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// The request-target's path and query as they came (origin form; absolute form is refused), or `*`.
    pub target: Vec<u8>,
    /// Version.
    pub version: Version,
    /// Fields as they came, then cleaned by the receive phase. After the prepare phase they are the fields to forward,
    /// all but those that the server writes itself from `framing`, the service's `host` and the connection.
    pub headers: Headers,
    /// Body framing.
    pub framing: Framing,
}

/// A response head, from a service or made by the gateway.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// Fields. After `pipeline::respond` they are the fields to send, all but those that the server writes itself from the
    /// framing and the connection. A Content-Length stays as the service sent it (a HEAD or 304 has one without a body).
    pub headers: Headers,
}

/// Whether a request asks to go on with WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// No, or with something else, which is ignored (RFC 9110 section 7.8).
    None,
    /// It does; set by receive.
    Asked,
    /// Its route takes such requests; set by route. Whatever follows the head is no further request.
    Taken,
}

/// What is known of the connection; one per connection.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// Index of the listener in the snapshot's list (by name; stable within a snapshot).
    pub listener: Arc<str>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name that the client asked for, lower case.
    pub sni: Option<Box<str>>,
    /// The certificate that the client proved to have.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What its hello says of the program that sent it, where a route asks.
    pub ja4: Option<Ja4>,
}

/// The time, given in so that decisions can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds on a clock that never goes back (since process start).
    pub monotonic_ns: u64,
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
}

/// A refusal: the reason, and what the answer needs beside it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// For people, without internals; empty when the title says it all.
    pub detail: Option<Box<str>>,
    /// Scopes to name in the challenge (RFC 6750 section 3).
    pub scope: Option<Box<str>>,
    /// Methods for `Allow`.
    pub allow: Option<Arc<str>>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// The rule or limit that refused, for the log.
    pub rule: Option<Arc<str>>,
    /// Further parameters of a challenge: which login would do (RFC 9470 section 3).
    pub assurance: Option<Arc<str>>,
    /// What the client sees in its place, where the route is hidden from it; the log has the reason.
    pub hidden: Option<Box<Refusal>>,
    /// The identity provider whose credential it was, where that is known.
    pub provider: Option<Arc<str>>,
}

impl Refusal {
    /// For `Retry-After`, which says no more than 136 years.
    #[must_use]
    pub fn pause(seconds: u64) -> u32 {
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    /// The status that the client sees.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.hidden.as_ref().map_or(self.reason.status(), |shown| shown.reason.status())
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            scope: None,
            allow: None,
            retry_after_s: None,
            rule: None,
            assurance: None,
            hidden: None,
            provider: None,
        }
    }
}

/// State of one limit after a request, for `RateLimit` fields.
#[derive(Debug, Clone)]
pub struct LimitReport {
    /// `"per-caller";q=50;w=1`
    pub policy: Arc<str>,
    /// Name of the limit.
    pub name: Arc<str>,
    /// Requests left now.
    pub remaining: u64,
    /// Seconds until the whole burst is there again.
    pub reset_s: u64,
}

/// Index into a snapshot's routes.
pub type RouteIndex = u32;

/// A request id: 36 bytes of a UUID version 7, or the one of a trusted proxy.
pub type RequestId = SmallVec<[u8; 40]>;

/// Values of a template's variables, decoded, in the template's order: one arena, reused from request to request.
///
/// The value of `{rest...}` is its segments joined by `/`.
#[derive(Debug, Default, Clone)]
pub struct Variables {
    text: String,
    ends: SmallVec<[u32; 8]>,
}

impl Variables {
    /// The value at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let start = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)? as usize,
            None => 0,
        };
        self.text.get(start..*self.ends.get(index)? as usize)
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.get(index))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a value that is made of these pieces joined by `/`.
    pub fn push<'a>(&mut self, pieces: impl IntoIterator<Item = &'a str>) {
        for (index, piece) in pieces.into_iter().enumerate() {
            if index > 0 {
                self.text.push('/');
            }
            self.text.push_str(piece);
        }
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// Empties, keeping the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

/// One request on its way.
#[derive(Debug)]
pub struct Exchange {
    /// The connection.
    pub connection: Rc<ConnectionInfo>,
    /// Head; after the receive phase without what must not reach a service.
    pub request: RequestHead,
    /// Set by receive.
    pub path: CanonicalPath,
    /// Host without port, lower case, no trailing dot; set by receive.
    pub host: String,
    /// The Host field as it came (name and port), for `host: preserve` and X-Forwarded-Host.
    pub authority: Vec<u8>,
    /// The client, after trusted proxies; set by receive.
    pub client: IpAddr,
    /// What databases say of its address, where there are any; set by screen.
    pub geo: Option<Located>,
    /// Whether where it comes from lets in some callers only; set by screen and route.
    pub geo_waits: bool,
    /// Scheme that the client used, after trusted proxies.
    pub https: bool,
    /// Set by receive.
    pub request_id: RequestId,
    /// `traceparent` to forward (RFC: W3C trace context); set by receive.
    pub traceparent: [u8; 55],
    /// Set by route.
    pub route: Option<RouteIndex>,
    /// Values of the template's variables, decoded, in the template's order; set by route.
    pub variables: Variables,
    /// Set by receive and route.
    pub upgrade: Upgrade,
    /// Which entry of the route's `cors` names the page of another origin that sent it; set by route.
    pub granted: Option<Named>,
    /// Whose page sent it, where its route says whose may write; set by route.
    pub page: Option<Page>,
    /// Whether a check had to wait for something.
    pub waited: bool,
    /// Whether a form has to have the token of its session, and was not read yet.
    pub unproven: bool,
    /// Its place among the WebSocket connections of the route; set by limit.
    pub place: Option<Place>,
    /// Its places among the requests under way, until it ends; set by limit.
    pub under_way: Places,
    /// The caller; set by authenticate.
    pub principal: Option<Rc<Principal>>,
    /// Whom the further providers of `all_of` vouched for; set by authenticate.
    pub vouched: SmallVec<[Rc<Principal>; 1]>,
    /// What was signed of it, where its signature counts; set by authenticate.
    pub signed: Option<Box<SignedRequest>>,
    /// What was said of its token; set by the server where authenticate asked.
    pub introspected: Option<Introspected>,
    /// What logins and sessions leave; set by route and authenticate.
    pub sessions: Option<Box<Sessions>>,
    /// Set by limit.
    pub limits: Reports,
    /// What it costs once its answer has ended; set by limit.
    pub owing: Owing,
    /// Its attempt to log in, where that is guarded; set by guard.
    pub attempt: Option<Box<Attempt>>,
    /// What it was taken for, where that is looked at; set by bots.
    pub bot: Option<Sighting>,
    /// Whether it is the crawler of this index; left by the server where bots asked.
    pub crawler: Option<(u16, CrawlerVerdict)>,
    /// What the shared store said of its limits; left by the server where a phase asked.
    pub limits_answered: Option<Box<Answered>>,
    /// Whether it repeats another; decided by limit, once, and only where it has an Idempotency-Key that counts.
    pub repeat: Option<Box<Repeat>>,
    /// The path and query to forward; set by forward preparation.
    pub forward_target: Vec<u8>,
    /// Index of the chosen service; set by forward preparation.
    pub service: Option<u32>,
    /// The token that its service gets; set by forward preparation, or by the server where that asked.
    pub service_token: Option<service_tokens::Outcome>,
    /// Its copy for a second service, where it was drawn; set by forward preparation.
    pub mirror: Option<Box<Mirrored>>,
    /// SHA-256 of the body, where the service is told; set by forward.
    pub body_digest: Option<[u8; 32]>,
    /// Where `run` goes on after a `Need`.
    pub phase: Phase,
    /// What was asked of the store, whether it was used before.
    pub uses: SmallVec<[(Key, Use); 1]>,
    /// The request's body, where it was asked for, or why it could not be had; what is forwarded is what stands here.
    pub body: Option<Result<Body, Reason>>,
    /// Which parts of the request are wrong, and how, where it is refused for that; never with their values.
    pub errors: Vec<FieldError>,
    /// What it says, once it has been validated, where rules read it; set by validate, and gone when it is forwarded.
    pub validated: Option<Box<serde_json::Value>>,
    /// Whether revocations that were asked for are acknowledged.
    pub revoked: Option<bool>,
    /// A nonce for the client's next proof (RFC 9449 section 8.2), where it needs one.
    pub dpop_nonce: Option<Box<str>>,
    /// What an external check said; left by the server.
    pub external: Option<Verdict>,
    /// What rules in shadow would have done; set by authorize, and decides nothing.
    pub shadow: SmallVec<[shadow::Verdict; 1]>,
    /// What was asked for already: each at most once, then the phase refuses.
    pub asked: SmallVec<[Need; 2]>,
    /// What in it looked like an attack; set by validate.
    pub attack: Option<Box<Suspicion>>,
    /// When its rules were asked, milliseconds since 1970; set by authorize.
    pub judged_ms: u64,
    /// What its record needs, where decisions are recorded; left before it is made ready to be forwarded.
    pub captured: Option<Box<Captured>>,
    /// What is known of a recorded request; nothing for a live one.
    pub recorded: Option<Box<Recorded>>,
    /// Whether a policy tool asks without saying by which program, so that this is not judged; never for a live request.
    pub unnamed: bool,
    /// Callers that a policy tool takes as verified; nobody but [`crate::decide`] can make one.
    pub assumed: Box<[Assumed]>,
}

// An idle connection keeps one.
const _: () = assert!(size_of::<Exchange>() <= 1536);

impl Exchange {
    /// An exchange without a request, for a connection that reuses it from request to request.
    #[must_use]
    pub fn new(connection: Rc<ConnectionInfo>) -> Self {
        let client = connection.peer.ip().to_canonical();
        let https = connection.tls;
        Self {
            connection,
            request: RequestHead {
                method: Method::Get,
                target: Vec::new(),
                version: Version::Http11,
                headers: Headers::default(),
                framing: Framing::Empty,
            },
            path: CanonicalPath::default(),
            host: String::new(),
            authority: Vec::new(),
            client,
            https,
            geo: None,
            geo_waits: false,
            request_id: RequestId::new(),
            traceparent: [0; 55],
            route: None,
            variables: Variables::default(),
            upgrade: Upgrade::None,
            granted: None,
            page: None,
            unproven: false,
            waited: false,
            place: None,
            under_way: Places::new(),
            principal: None,
            vouched: SmallVec::new(),
            signed: None,
            introspected: None,
            sessions: None,
            limits: SmallVec::new(),
            owing: Owing::new(),
            attempt: None,
            bot: None,
            crawler: None,
            limits_answered: None,
            repeat: None,
            forward_target: Vec::new(),
            service: None,
            service_token: None,
            mirror: None,
            body_digest: None,
            phase: Phase::Receive,
            uses: SmallVec::new(),
            body: None,
            errors: Vec::new(),
            validated: None,
            revoked: None,
            dpop_nonce: None,
            external: None,
            shadow: SmallVec::new(),
            asked: SmallVec::new(),
            attack: None,
            judged_ms: 0,
            captured: None,
            recorded: None,
            unnamed: false,
            assumed: Box::default(),
        }
    }

    /// Forgets everything about the previous request, keeping the memory.
    pub fn reset(&mut self) {
        self.request.target.clear();
        self.request.headers.clear();
        self.request.framing = Framing::Empty;
        self.path.clear();
        self.host.clear();
        self.authority.clear();
        self.client = self.connection.peer.ip().to_canonical();
        self.https = self.connection.tls;
        self.geo = None;
        self.geo_waits = false;
        self.request_id.clear();
        self.traceparent = [0; 55];
        self.route = None;
        self.variables.clear();
        self.upgrade = Upgrade::None;
        self.granted = None;
        self.unproven = false;
        self.waited = false;
        self.page = None;
        self.place = None;
        self.under_way.clear();
        self.principal = None;
        self.vouched.clear();
        self.signed = None;
        self.introspected = None;
        self.sessions = None;
        self.limits.clear();
        self.owing.clear();
        self.attempt = None;
        self.bot = None;
        self.crawler = None;
        self.limits_answered = None;
        self.repeat = None;
        self.forward_target.clear();
        self.service = None;
        self.service_token = None;
        self.mirror = None;
        self.body_digest = None;
        self.phase = Phase::Receive;
        self.uses.clear();
        self.body = None;
        self.errors.clear();
        self.validated = None;
        self.revoked = None;
        self.dpop_nonce = None;
        self.external = None;
        self.shadow.clear();
        self.asked.clear();
        self.attack = None;
        self.judged_ms = 0;
        self.captured = None;
        self.recorded = None;
        self.unnamed = false;
        self.assumed = Box::default();
    }
}

impl Exchange {
    /// The query of the request as it came, without `?`.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        self.request.query()
    }

    /// Asks the server for a fact; `None` if it was asked for before, and so did not come.
    pub fn ask(&mut self, need: Need) -> Option<Step> {
        if self.asked.contains(&need) {
            return None;
        }
        self.asked.push(need.clone());
        Some(Step::Need(need))
    }

    /// What the store said of a key, if it was asked with [`Need::Unused`].
    #[must_use]
    pub fn use_of(&self, key: &Key) -> Option<Use> {
        self.uses.iter().find(|(asked, _)| asked == key).map(|(_, answer)| *answer)
    }

    /// Whether this fact was asked for already.
    #[must_use]
    pub fn was_asked(&self, need: &Need) -> bool {
        self.asked.contains(need)
    }

    /// What logins and sessions leave.
    pub fn sessions_mut(&mut self) -> &mut Sessions {
        self.sessions.get_or_insert_default()
    }

    /// `Set-Cookie` of the answer.
    #[must_use]
    pub fn cookies(&self) -> &[Box<str>] {
        self.sessions.as_ref().map(|sessions| sessions.cookies.as_slice()).unwrap_or_default()
    }

    /// What the token endpoint of this provider answered to this, if it was asked and answered.
    #[must_use]
    pub fn tokens(&self, provider: u32, grant: &Grant) -> Option<&Outcome> {
        let (who, asked, outcome) = self.sessions.as_ref()?.tokens.as_ref()?;
        (*who == provider && asked == grant).then_some(outcome)
    }

    /// What the store said of the session of this key, last.
    #[must_use]
    pub fn stored(&self, key: &Key) -> Option<&Stored> {
        self.sessions.as_ref()?.stored.iter().find(|(asked, _)| asked == key).map(|(_, answer)| answer)
    }

    /// Whether what other instances revoked is known, if this request asked.
    #[must_use]
    pub fn caught_up(&self) -> Option<bool> {
        self.sessions.as_ref()?.caught_up
    }

    /// Leaves what the store said, in place of what it said before.
    pub fn set_stored(&mut self, key: Key, answer: Stored) {
        let all = &mut self.sessions_mut().stored;
        all.retain(|(asked, _)| *asked != key);
        all.push((key, answer));
    }

    /// The request's body, where it was asked for and came whole.
    #[must_use]
    pub fn held(&self) -> Option<&[u8]> {
        self.body.as_ref()?.as_ref().ok().map(Body::data)
    }

    /// Everyone who was vouched for: the caller, then those of the further providers of `all_of`.
    pub fn principals(&self) -> impl Iterator<Item = &Rc<Principal>> {
        self.principal.iter().chain(&self.vouched)
    }
}

impl RequestHead {
    /// The query as it came, without `?`.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        let target = &self.target;
        memchr::memchr(b'?', target).and_then(|at| target.get(at.saturating_add(1)..)).unwrap_or_default()
    }
}

/// Phases, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is documented in ARCHITECTURE.md")]
pub enum Phase {
    Receive,
    Screen,
    Route,
    Bots,
    Authenticate,
    Confirm,
    Authorize,
    Limit,
    Validate,
    AuthorizeBody,
    Guard,
    Prepare,
    Done,
}

/// What a phase says.
#[derive(Debug)]
pub enum Step {
    /// On to the next phase.
    Continue,
    /// No.
    Refuse(Refusal),
    /// Answered by the gateway itself.
    Answer(Answer),
    /// Something has to be fetched first; run again afterwards.
    Need(Need),
}

/// A fact that the server fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A fresh JWK set of this provider (index in the snapshot): wait on the process-wide single flight, then resume.
    Keys {
        /// Index of the provider.
        provider: u32,
    },
    /// What this provider says of itself.
    Metadata {
        /// Index of the provider.
        provider: u32,
    },
    /// Tokens of this provider.
    Tokens {
        /// Index of the provider.
        provider: u32,
        /// What they are asked for with.
        grant: Box<Grant>,
    },
    /// What the store has of a session, or does with it; in `exchange.sessions`.
    Session(Box<stored::Ask>),
    /// All that other instances revoked until now; whether it is known is in `exchange.sessions`.
    Revocations,
    /// The verdict of the external check of this route.
    External {
        /// Index of the route.
        route: RouteIndex,
    },
    /// Whether the client is the crawler that it says; in `exchange.crawler`.
    Crawler {
        /// Index of the route.
        route: RouteIndex,
        /// Index of the crawler.
        index: u16,
    },
    /// Whether the nonce of `exchange.signed` is new.
    SignatureNonce,
    /// What instances share of these limits: charged, all of it or none. Answered in `exchange.limits_answered`.
    Limits(Box<Asked>),
    /// A token for this service, in the caller's name where its service wants that.
    ServiceToken {
        /// Index of the service.
        service: u32,
    },
    /// What the introspection endpoint of this provider says of the request's token, asked at most so long ago.
    Introspection {
        /// Index of the provider.
        provider: u32,
        /// Milliseconds; 0 is from now on.
        max_age_ms: u64,
    },
    /// Whether something that counts once was used before: it is from now on. Answered in `exchange.uses`.
    Unused(Box<Once>),
    /// The whole body of the request; in `exchange.body`, and from then on it is a body of known length.
    Body {
        /// Bytes at most.
        limit: u64,
        /// Milliseconds at most from the head of the request on; 0 leaves it to the route's `total` and to pauses.
        within_ms: u64,
    },
    /// Some time, as long as the client stays.
    Pause {
        /// Milliseconds.
        ms: u64,
    },
    /// These revocations: whether they were acknowledged is in `exchange.revoked`.
    Revoke(Box<[Revocation]>),
}

/// Something that counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What it is.
    pub key: Key,
    /// So long it could be used again, milliseconds since 1970.
    pub until_ms: u64,
}

/// Whether something that counts once was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// This is the first time.
    New,
    /// It was.
    Again,
    /// The store did not say: refuse with `state_unavailable`.
    Unknown,
}

/// An answer that the gateway makes itself.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Fields beside Content-Length, Date and the common ones.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Body.
    pub body: Arc<[u8]>,
}
