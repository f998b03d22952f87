//! What a request looks like beside what a browser of its kind would send: its hello of TLS, which fields it has, and in which order.

use memchr::memmem;

use super::agent::{Browser, Engine, number};
use super::table::{HELLOS, Hello, Signal, since};
use crate::exchange::{Exchange, Method, Upgrade, Version};
use crate::server::tls::ja4::Ja4;

/// Signals of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals(u32);

const _: () = assert!(Signal::ALL.len() <= 32);

impl Signals {
    fn add(&mut self, signal: Signal) {
        self.0 |= 1 << signal as u8;
    }

    fn add_if(&mut self, holds: bool, signal: Signal) {
        if holds {
            self.add(signal);
        }
    }

    /// This one alone.
    pub(super) fn only(signal: Signal) -> Self {
        let mut signals = Self::default();
        signals.add(signal);
        signals
    }

    /// Those that there are.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.iter().copied().filter(move |signal| self.0 & (1 << *signal as u8) != 0)
    }

    /// The sum of their points.
    #[must_use]
    pub fn score(self) -> u8 {
        self.iter().fold(0, |sum, signal| sum.saturating_add(signal.points()))
    }
}

/// A field that stands nowhere.
const NOWHERE: u8 = u8::MAX;

/// Where a field stands, and the value of its first one.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    at: u8,
    value: &'a [u8],
}

const ABSENT: Field<'_> = Field { at: NOWHERE, value: b"" };

impl Field<'_> {
    const fn is_there(&self) -> bool {
        self.at != NOWHERE
    }
}

/// The fields of a head that say what a client is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    agent: Field<'a>,
    agents: u8,
    accept: Field<'a>,
    encoding: Field<'a>,
    language: Field<'a>,
    mode: Field<'a>,
    dest: Field<'a>,
    hints: Field<'a>,
    content: Field<'a>,
}

/// Fields that are read here. A service that folds names must not find others under theirs.
pub(super) const READ: [&str; 8] = [
    "user-agent",
    "accept",
    "accept-encoding",
    "accept-language",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-ch-ua",
    "content-type",
];

impl<'a> Head<'a> {
    /// One walk through the fields.
    pub(super) fn read(exchange: &'a Exchange) -> Self {
        let mut head = Self {
            agent: ABSENT,
            agents: 0,
            accept: ABSENT,
            encoding: ABSENT,
            language: ABSENT,
            mode: ABSENT,
            dest: ABSENT,
            hints: ABSENT,
            content: ABSENT,
        };
        for (index, (_, name, value)) in exchange.request.headers.iter().enumerate() {
            let slot = match name {
                b"user-agent" => {
                    head.agents = head.agents.saturating_add(1);
                    &mut head.agent
                }
                b"accept" => &mut head.accept,
                b"accept-encoding" => &mut head.encoding,
                b"accept-language" => &mut head.language,
                b"sec-fetch-mode" => &mut head.mode,
                b"sec-fetch-dest" => &mut head.dest,
                b"sec-ch-ua" => &mut head.hints,
                b"content-type" => &mut head.content,
                _ => continue,
            };
            if !slot.is_there() {
                *slot = Field { at: u8::try_from(index).unwrap_or(NOWHERE - 1), value };
            }
        }
        head
    }

    pub(super) fn agent(&self) -> Option<&'a [u8]> {
        self.agent.is_there().then_some(self.agent.value)
    }

    pub(super) const fn is_twice(&self) -> bool {
        self.agents > 1
    }

    /// What a browser posts by itself to say what went wrong on a page (Reporting API, CSP): it has few of the fields of other requests.
    fn is_report(&self, exchange: &Exchange) -> bool {
        let kind = matches!(self.content.value, b"application/reports+json" | b"application/csp-report");
        let dest = !self.dest.is_there() || self.dest.value == b"report";
        kind && dest && exchange.request.method == Method::Post
    }

    /// Whether client hints and `Accept` are sent with it: not with what is saved as a file, nor with programs of a page.
    fn is_told(&self) -> bool {
        match self.dest.value {
            b"empty" => self.mode.value != b"navigate",
            b"worker" | b"sharedworker" | b"serviceworker" | b"report" => false,
            _ => true,
        }
    }
}

/// Compares a request with the browser that it says it is. `behind`: a proxy of ours opened TLS and sent the fields on, so that hello,
/// version and order are its own.
pub(super) fn compare(exchange: &Exchange, head: &Head<'_>, claimed: Browser, behind: bool) -> Signals {
    let mut signals = Signals::default();
    // Whoever asks for WebSocket where there is none gets what all others get.
    let plain = exchange.upgrade != Upgrade::Taken;
    let hello = exchange.connection.ja4.as_ref().filter(|_| !behind);
    let browser = hello.map_or(claimed, |ja4| greeted(exchange, ja4, claimed, plain, &mut signals));
    if matches!(browser.engine, Engine::Old | Engine::Free) {
        return signals;
    }
    let headless = memmem::find(head.hints.value, b"HeadlessChrome").is_some();
    signals.add_if(headless, Signal::HeadlessHidden);
    // Handshakes of WebSocket have fewer fields, and each browser others.
    if plain && !head.is_report(exchange) {
        signals.add_if(!behind && exchange.request.version == Version::Http10, Signal::Http10);
        fields(exchange.https, head, browser, &mut signals);
        signals.add_if(!behind && !is_in_order(head, browser.engine), Signal::FieldOrder);
    }
    signals
}

/// What the hello says, and which browser it really is where it is another one's: people change what theirs says of itself.
fn greeted(exchange: &Exchange, ja4: &Ja4, claimed: Browser, plain: bool, signals: &mut Signals) -> Browser {
    let ciphers = ja4.get(11..23).unwrap_or_default();
    let known = HELLOS.iter().find(|(hash, _)| hash.as_slice() == ciphers).map(|(_, hello)| hello);
    let mut browser = claimed;
    let since_claimed = since(claimed.engine);
    match known {
        Some(Hello::Program) => signals.add(Signal::HelloOfProgram),
        Some(Hello::Library) => signals.add_if(claimed.engine != Engine::Free, Signal::HelloOfProgram),
        _ if claimed.engine == Engine::Free => return claimed,
        Some(Hello::Browser(engines)) if !engines.contains(&claimed.engine) => {
            signals.add(Signal::AgentChanged);
            if let Some(engine) = engines.first() {
                // The oldest with these ciphers.
                browser = Browser { engine: *engine, version: since(*engine).ciphers, app: claimed.app };
            }
        }
        Some(Hello::Browser(_)) => {}
        None => signals.add_if(claimed.version >= since_claimed.ciphers, Signal::HelloUnknown),
    }
    let since = since(browser.engine);
    let new = ja4.get(1..3) == Some(b"13");
    // A connection for WebSocket offers HTTP/1.1 alone.
    signals.add_if(plain && browser.version >= since.http2 && ja4.get(8..10) != Some(b"h2"), Signal::HelloWithoutHttp2);
    signals.add_if(!new && browser.version >= since.tls13, Signal::HelloTooOld);
    let old = browser.version > 0 && browser.version < since.no_tls13_before && browser.engine != Engine::Old;
    signals.add_if(new && old, Signal::HelloTooNew);
    let named = exchange.host.bytes().any(|byte| byte.is_ascii_alphabetic()) && !exchange.host.starts_with('[');
    signals.add_if(named && ja4.get(3) == Some(&b'i'), Signal::HelloWithoutName);
    browser
}

fn fields(https: bool, head: &Head<'_>, browser: Browser, signals: &mut Signals) {
    let since = since(browser.engine);
    let from = |version: u16| browser.version >= version;
    // Sent to trustworthy places only (W3C, Fetch Metadata section 3), as client hints are, and Brotli is taken from.
    if https {
        signals
            .add_if(from(since.fetch_metadata) && !(head.mode.is_there() && head.dest.is_there()), Signal::FetchMetadataMissing);
        signals.add_if(
            from(since.client_hints) && !browser.app && head.is_told() && !head.hints.is_there(),
            Signal::ClientHintsMissing,
        );
        let partial = memmem::find(head.encoding.value, b"identity").is_some();
        let less = head.encoding.is_there() && !partial && memmem::find(head.encoding.value, b"br").is_none();
        signals.add_if(from(since.brotli) && less, Signal::EncodingWithoutBrotli);
    }
    match browser.engine {
        Engine::Chromium => signals.add_if(differs(head.hints.value, head.agent.value), Signal::ClientHintsDiffer),
        _ => signals.add_if(head.hints.is_there(), Signal::ClientHintsForeign),
    }
    signals.add_if(!head.language.is_there(), Signal::LanguageMissing);
    signals.add_if(!head.encoding.is_there(), Signal::EncodingMissing);
    signals.add_if(head.is_told() && !head.accept.is_there(), Signal::AcceptMissing);
    let opens = head.mode.value == b"navigate" && matches!(head.dest.value, b"document" | b"iframe");
    signals.add_if(opens && memmem::find(head.accept.value, b"text/html").is_none(), Signal::AcceptUnlike);
}

/// Whether `"Chromium";v="131"` and `Chrome/131` are of different versions; not where one of them says none.
fn differs(hints: &[u8], agent: &[u8]) -> bool {
    let version = |text: &[u8], before: &[u8]| {
        let at = memmem::find(text, before)?.checked_add(before.len())?;
        text.get(at..).map(number).filter(|version| *version > 0)
    };
    match (version(hints, b"\"Chromium\";v=\""), version(agent, b"Chrome/")) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

/// Whether what stands there stands as this browser sends it. Only what no release of it ever changed.
fn is_in_order(head: &Head<'_>, engine: Engine) -> bool {
    // A part of a file is asked for with another Accept-Encoding, which comes earlier.
    let partial = memmem::find(head.encoding.value, b"identity").is_some();
    let before = |one: &Field<'_>, other: &Field<'_>| !one.is_there() || !other.is_there() || one.at < other.at;
    // The script of a page may set its own Accept-Language, which comes where it likes.
    let language = if head.mode.value == b"navigate" { head.language } else { ABSENT };
    let head = &Head { language, ..*head };
    match engine {
        // The network adds Accept-Encoding and then Accept-Language to what the page sends.
        Engine::Chromium => {
            let added = [&head.agent, &head.accept, &head.mode, &head.hints].iter().all(|field| before(field, &head.encoding));
            before(&head.agent, &head.language) && (partial || (added && before(&head.encoding, &head.language)))
        }
        Engine::Firefox => {
            let begins = before(&head.agent, &head.accept) && before(&head.accept, &head.language);
            begins && (partial || (before(&head.language, &head.encoding) && before(&head.encoding, &head.mode)))
        }
        Engine::WebKit | Engine::Old | Engine::Free => true,
    }
}
