//! Programs that pretend to be browsers or crawlers, by head and hello: refused, or reported. Known crawlers are verified by reverse DNS.

mod agent;
mod crawlers;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipnet::IpNet;
use tokio::runtime::Handle;

pub use self::agent::{Agents, Browser, Claim, Engine, Named};
pub use self::crawlers::{Terms, Verdict, Verifier};
pub use self::shape::Signals;
pub use self::table::Signal;

use self::shape::Head;
use crate::exchange::{Exchange, Need, Now, Refusal, RouteIndex, Step};
use crate::ir::{self, BotAnswer};
use crate::reason::Reason;
use crate::shared::{Counter, Shared};

/// Scores from which an impostor may be taken for one: below, one weak signal would refuse.
const THRESHOLDS: std::ops::RangeInclusive<u8> = 4..=20;
/// Crawlers of one route, and names and domains of one crawler.
const MAX_CRAWLERS: usize = 100;
const MAX_NAMES: usize = 20;
/// Seconds after which a crawler that nobody could verify may come again: what is not known is not remembered for longer.
const AGAIN_S: u32 = 10;

/// What becomes of whom.
#[derive(Debug)]
pub struct BotFilter {
    agents: Agents,
    enforce: bool,
    threshold: u8,
    impostors: BotAnswer,
    programs: BotAnswer,
    scanners: BotAnswer,
    crawlers: Box<[Crawler]>,
    undecided_passes: bool,
    except: Box<[IpNet]>,
    verifier: Arc<Verifier>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Crawler {
    name: Arc<str>,
    addresses: Box<[IpNet]>,
    terms: Option<Arc<Terms>>,
    allowed: bool,
}

/// What a request was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A browser, as far as can be told.
    Browser,
    /// Something that says that it is a browser, and is not.
    Impostor,
    /// A program that says so, or says nothing.
    Program,
    /// A program that looks for holes, and says so.
    Scanner,
    /// A crawler of a known name.
    Crawler,
}

impl Kind {
    /// The word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Impostor => "impostor",
            Self::Program => "program",
            Self::Scanner => "scanner",
            Self::Crawler => "crawler",
        }
    }
}

/// What a request that does not simply pass is answered. A page with work to do for the browser would be one more of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// Refused for this.
    Refuse(Reason),
}

/// What is known of somebody who says that he is a crawler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// He is.
    Genuine,
    /// Nobody could say.
    Undecided,
    /// Somebody has to be asked.
    Ask,
    /// He is not, or may not come in.
    Refused(Reason),
}

impl Proof {
    const fn weight(self) -> u8 {
        match self {
            Self::Genuine => 0,
            Self::Undecided => 1,
            Self::Ask => 2,
            Self::Refused(_) => 3,
        }
    }
}

macro_rules! outcomes {
    ($($variant:ident $code:literal;)*) => {
        /// What came of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the page of the filter says what each is")]
        pub enum Outcome {
            $($variant,)*
        }

        impl Outcome {
            const CODES: &'static [&'static str] = &[$($code,)*];

            /// The word in logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

outcomes! {
    Passed "passed";
    Verified "verified";
    Reported "reported";
    Refused "refused";
    Unverified "unverified";
    Undecided "undecided";
}

/// What was seen of a request, for log and tools.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// What it was taken for.
    pub kind: Kind,
    /// What speaks against it.
    pub signals: Signals,
    /// The sum of that.
    pub score: u8,
    /// Which crawler it says that it is.
    pub crawler: Option<Arc<str>>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What the process has of all such routes.
#[derive(Debug, Default)]
pub struct Bots {
    /// Which addresses are crawlers'.
    pub verifier: Arc<Verifier>,
    routes: Mutex<BTreeMap<Arc<str>, Weak<Counts>>>,
}

/// Requests of one route by what came of them.
#[derive(Debug)]
pub struct Counts {
    /// The route.
    pub route: Arc<str>,
    counters: [Counter; Outcome::CODES.len()],
}

impl Counts {
    fn add(&self, outcome: Outcome) {
        if let Some(counter) = self.counters.get(outcome as usize) {
            counter.increment();
        }
    }

    /// Outcome and count of each.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::CODES.iter().copied().zip(self.counters.iter().map(Counter::get))
    }
}

impl Bots {
    /// The counts of a route; they outlive a reload.
    fn of(&self, route: &str) -> Arc<Counts> {
        let mut all = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(route).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, counts| counts.strong_count() > 0);
        let counts = Arc::new(Counts { route: route.into(), counters: std::array::from_fn(|_| Counter::default()) });
        all.insert(Arc::clone(&counts.route), Arc::downgrade(&counts));
        counts
    }

    /// Those in use, by route.
    #[must_use]
    pub fn counts(&self) -> Vec<Arc<Counts>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }
}

fn crawler(spec: &ir::Crawler, resolvers: &[std::net::SocketAddr]) -> Result<Crawler, String> {
    let name = &spec.name;
    if spec.agents.is_empty() || spec.agents.iter().any(|agent| agent.trim().len() < 3) {
        return Err(format!("the crawler `{name}` needs a name in User-Agent of three characters or more"));
    }
    if spec.domains.is_empty() && spec.addresses.is_empty() {
        return Err(format!("nothing proves that somebody is the crawler `{name}`; name its domains or addresses"));
    }
    if spec.domains.len().max(spec.agents.len()) > MAX_NAMES {
        return Err(format!("the crawler `{name}` has more than {MAX_NAMES} names or domains"));
    }
    let is_lower =
        |domain: &String| !matches!(domain.as_bytes(), [] | [b'.' | b'*', ..]) && *domain == domain.to_ascii_lowercase();
    if !spec.domains.iter().all(is_lower) {
        return Err(format!("domains of the crawler `{name}` are written in lower case, without a dot in front"));
    }
    let terms = (!spec.domains.is_empty()).then(|| Arc::new(Terms::new(&spec.domains, resolvers)));
    Ok(Crawler { name: name.as_str().into(), addresses: spec.addresses.clone().into(), terms, allowed: spec.allowed })
}

impl BotFilter {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(spec: &ir::BotFilter, route: &str, shared: &Shared) -> Result<Self, String> {
        if !THRESHOLDS.contains(&spec.threshold) {
            return Err(format!("`threshold` has to be between {} and {}", THRESHOLDS.start(), THRESHOLDS.end()));
        }
        if spec.crawlers.len() > MAX_CRAWLERS {
            return Err(format!("there may be at most {MAX_CRAWLERS} crawlers"));
        }
        let crawlers = spec.crawlers.iter().map(|one| crawler(one, &spec.resolvers)).collect::<Result<_, _>>()?;
        Ok(Self {
            agents: Agents::build(&spec.crawlers)?,
            enforce: spec.enforce,
            threshold: spec.threshold,
            impostors: spec.impostors,
            programs: spec.programs,
            scanners: spec.scanners,
            crawlers,
            undecided_passes: spec.undecided_passes,
            except: spec.except.clone().into(),
            verifier: Arc::clone(&shared.bots.verifier),
            counts: shared.bots.of(route),
        })
    }

    /// Judges a request by its head and its connection. `behind`: a trusted proxy sent it on, so that hello, version and order are the
    /// proxy's. `hidden`: nobody is asked about it, for the time that takes would show that there is something.
    pub fn judge(&self, exchange: &mut Exchange, route: RouteIndex, behind: bool, hidden: bool, now: Now) -> Step {
        if self.except.iter().any(|network| network.contains(&exchange.client)) {
            return Step::Continue;
        }
        let head = Head::read(exchange);
        // Which of two a service reads is not known, and no browser sends two.
        let claim = match head.agent() {
            _ if head.is_twice() => None,
            Some(agent) => Some(self.agents.read(agent)),
            None => Some(Claim::Program),
        };
        let mut signals = Signals::default();
        let (mut named, mut genuine) = (None, false);
        let (kind, means) = match claim {
            None => {
                signals = Signals::only(Signal::AgentTwice);
                (Kind::Impostor, Some(Means::Refuse(Reason::BotRefused)))
            }
            Some(Claim::Crawlers(all)) => {
                let (index, proof) = self.prove(all, exchange, hidden, now);
                named = self.crawlers.get(usize::from(index)).map(|one| Arc::clone(&one.name));
                let means = match proof {
                    Proof::Ask => match exchange.ask(Need::Crawler { route, index }) {
                        Some(step) => return step,
                        None => self.undecided(),
                    },
                    Proof::Undecided => self.undecided(),
                    Proof::Refused(reason) => Some(Means::Refuse(reason)),
                    Proof::Genuine => {
                        genuine = true;
                        None
                    }
                };
                (Kind::Crawler, means)
            }
            Some(Claim::Scanner) => (Kind::Scanner, means(self.scanners)),
            Some(Claim::Program) => (Kind::Program, means(self.programs)),
            Some(Claim::Browser(browser)) => {
                signals = shape::compare(exchange, &head, browser, behind);
                match signals.score() >= self.threshold {
                    true => (Kind::Impostor, means(self.impostors)),
                    false => (Kind::Browser, None),
                }
            }
        };
        let outcome = match means {
            None if genuine => Outcome::Verified,
            None => Outcome::Passed,
            Some(Means::Refuse(Reason::CrawlerUnknown)) => Outcome::Undecided,
            Some(_) if !self.enforce => Outcome::Reported,
            Some(Means::Refuse(Reason::CrawlerUnverified)) => Outcome::Unverified,
            Some(Means::Refuse(_)) => Outcome::Refused,
        };
        self.counts.add(outcome);
        exchange.bot = Some(Sighting { kind, signals, score: signals.score(), crawler: named, outcome });
        match means.filter(|_| self.enforce) {
            Some(Means::Refuse(reason)) => Step::Refuse(refusal(reason, kind)),
            None => Step::Continue,
        }
    }

    const fn undecided(&self) -> Option<Means> {
        if self.undecided_passes { None } else { Some(Means::Refuse(Reason::CrawlerUnknown)) }
    }

    /// Whether somebody is every crawler that he names, and which of them decides it: what is false comes before what has to be asked, and
    /// that before what nobody knows.
    fn prove(&self, named: Named, exchange: &Exchange, hidden: bool, now: Now) -> (u16, Proof) {
        let mut least = (0, Proof::Genuine);
        for index in named.iter() {
            let proof = match self.crawlers.get(usize::from(index)) {
                Some(one) if one.allowed => self.proof(index, one, exchange, hidden, now),
                // He is one that may come in, and one that may not: he cannot be both.
                _ if named.are_several() => Proof::Refused(Reason::CrawlerUnverified),
                _ => Proof::Refused(Reason::BotRefused),
            };
            if least.1 == Proof::Genuine || proof.weight() > least.1.weight() {
                least = (index, proof);
            }
        }
        least
    }

    fn proof(&self, index: u16, crawler: &Crawler, exchange: &Exchange, hidden: bool, now: Now) -> Proof {
        if crawler.addresses.iter().any(|network| network.contains(&exchange.client)) {
            return Proof::Genuine;
        }
        let Some(terms) = crawler.terms.as_ref().filter(|_| !hidden) else { return Proof::Refused(Reason::CrawlerUnverified) };
        let told = exchange.crawler.filter(|(asked, _)| *asked == index).map(|(_, verdict)| verdict);
        match told.or_else(|| self.verifier.known(exchange.client, terms, now.monotonic_ns)) {
            None => Proof::Ask,
            Some(Verdict::Genuine) => Proof::Genuine,
            Some(Verdict::False) => Proof::Refused(Reason::CrawlerUnverified),
            // Whoever has the address also says what the resolver is told: that is no reason to let him in.
            Some(Verdict::Failed) if self.undecided_passes => Proof::Refused(Reason::CrawlerUnverified),
            Some(Verdict::Failed | Verdict::Unknown) => Proof::Undecided,
        }
    }

    /// Whether a request waits for what is asked about it: not where it passes anyway.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.enforce
    }

    /// Begins to ask, for the requests that come later.
    pub fn begin(&self, index: u16, address: IpAddr, runtime: &Handle) {
        if let Some(terms) = self.crawlers.get(usize::from(index)).and_then(|crawler| crawler.terms.as_ref()) {
            self.verifier.begin(address, terms, runtime);
        }
    }

    /// Asks whether an address is that crawler's. Ends by itself.
    pub fn verify(&self, index: u16, address: IpAddr, runtime: &Handle) -> impl Future<Output = Verdict> + use<> {
        let terms = self.crawlers.get(usize::from(index)).and_then(|crawler| crawler.terms.clone());
        let (verifier, runtime) = (Arc::clone(&self.verifier), runtime.clone());
        async move {
            match terms {
                Some(terms) => verifier.ask(address, terms, runtime).await,
                None => Verdict::False,
            }
        }
    }
}

/// Fields that it reads, and that nobody may write otherwise past it.
pub const READ: [&str; 8] = shape::READ;

const fn means(answer: BotAnswer) -> Option<Means> {
    match answer {
        BotAnswer::Allow => None,
        BotAnswer::Refuse => Some(Means::Refuse(Reason::BotRefused)),
    }
}

/// What to do next, and never what gave it away: that is for the log.
fn refusal(reason: Reason, kind: Kind) -> Refusal {
    let detail = match (reason, kind) {
        (Reason::CrawlerUnverified, _) => {
            "the address is none of this crawler's; let the program name itself in User-Agent as what it is"
        }
        (Reason::CrawlerUnknown, _) => "it could not be found out whether the address is this crawler's; try again later",
        (_, Kind::Program) => "programs may not use this; use a browser, or ask its owner for another way",
        (_, Kind::Crawler) => "this crawler may not come in here",
        (_, Kind::Scanner) => "programs of this kind may not come in here",
        _ => {
            "the request does not fit the browser that User-Agent names; use a browser as it is, without what changes its requests, \
             or let the program name itself as what it is"
        }
    };
    let again = (reason == Reason::CrawlerUnknown).then_some(AGAIN_S);
    Refusal { detail: Some(detail.into()), rule: Some(kind.as_str().into()), retry_after_s: again, ..reason.into() }
}
