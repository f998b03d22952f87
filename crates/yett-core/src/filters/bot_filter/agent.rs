//! What a client says of itself: one search through `User-Agent` for everything that is known.

use aho_corasick::{AhoCorasick, Span};

use super::table::{MARKS, Mark};
use crate::ir;

/// Versions from which on there is no such browser.
const NO_VERSION: u16 = 1000;

/// What a browser is built on, as far as its requests are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Chrome, Edge, Opera, Brave, Samsung Internet.
    Chromium,
    /// Firefox, Tor Browser.
    Firefox,
    /// Safari, and every browser on iOS.
    WebKit,
    /// What is not made any more: nothing is expected of it but that it is no program.
    Old,
    /// Any other: it may be written with what programs are written with, too.
    Free,
}

/// A browser, as it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Browser {
    /// Its engine.
    pub engine: Engine,
    /// The first number of its version; 0 where it says none.
    pub version: u16,
    /// Whether it stands in an app.
    pub app: bool,
}

/// What a client says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// All of these crawlers at once.
    Crawlers(Named),
    /// A program that looks for holes.
    Scanner,
    /// A program; or nothing that is known here, or nothing at all.
    Program,
    /// A browser.
    Browser(Browser),
}

/// Crawlers that are named, by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Named(u128);

impl Named {
    /// Indices that it can hold.
    const MOST: u16 = 128;

    const fn add(&mut self, index: u16) {
        if index < Self::MOST {
            self.0 |= 1 << index;
        }
    }

    /// Their indices, upwards.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..Self::MOST).filter(move |index| self.0 & (1 << index) != 0)
    }

    /// Whether there is more than one.
    #[must_use]
    pub const fn are_several(self) -> bool {
        self.0.count_ones() > 1
    }
}

#[derive(Debug, Clone, Copy)]
enum Tag {
    Crawler(u16),
    Mark(Mark),
}

/// Everything that is looked for.
#[derive(Debug)]
pub struct Agents {
    search: AhoCorasick,
    tags: Box<[Tag]>,
}

impl Agents {
    /// Compiles it, with the names of these crawlers.
    ///
    /// # Errors
    /// There are too many of them.
    pub fn build(crawlers: &[ir::Crawler]) -> Result<Self, String> {
        let (mut words, mut tags) = (Vec::new(), Vec::new());
        for (index, crawler) in crawlers.iter().enumerate() {
            let index = u16::try_from(index).ok().filter(|index| *index < Named::MOST);
            let index = index.ok_or("there are too many crawlers")?;
            for agent in &crawler.agents {
                words.push(agent.as_str());
                tags.push(Tag::Crawler(index));
            }
        }
        for (mark, these) in MARKS {
            words.extend_from_slice(these);
            tags.extend(these.iter().map(|_| Tag::Mark(*mark)));
        }
        let search = AhoCorasick::builder().ascii_case_insensitive(true).build(&words).map_err(|error| error.to_string())?;
        Ok(Self { search, tags: tags.into() })
    }

    /// What the value of `User-Agent` says. A crawler's name counts before all others, for it is what is to be proved.
    #[must_use]
    pub fn read(&self, agent: &[u8]) -> Claim {
        let mut seen = Seen::default();
        for found in self.search.find_overlapping_iter(agent) {
            match self.tags.get(found.pattern().as_usize()) {
                Some(Tag::Crawler(index)) => seen.crawlers.add(*index),
                Some(Tag::Mark(mark)) if mark.is_anywhere() || is_word(agent, found.span()) => {
                    seen.mark(*mark, agent.get(found.end()..).unwrap_or_default())
                }
                Some(Tag::Mark(_)) | None => {}
            }
        }
        seen.claim()
    }
}

#[derive(Default)]
struct Seen {
    crawlers: Named,
    marks: u16,
    chrome: u16,
    firefox: u16,
    version: u16,
    system: u16,
}

impl Seen {
    fn mark(&mut self, mark: Mark, rest: &[u8]) {
        self.marks |= 1 << mark as u16;
        let slot = match mark {
            Mark::Chrome => &mut self.chrome,
            Mark::Firefox => &mut self.firefox,
            Mark::Version => &mut self.version,
            Mark::AppleOs => &mut self.system,
            _ => return,
        };
        *slot = (*slot).max(number(rest));
    }

    fn has(&self, mark: Mark) -> bool {
        self.marks & (1 << mark as u16) != 0
    }

    fn claim(&self) -> Claim {
        if self.crawlers != Named::default() {
            return Claim::Crawlers(self.crawlers);
        }
        let app = self.has(Mark::App);
        let browser = |engine, version| Claim::Browser(Browser { engine, version, app });
        // A version that no release has is no old browser's.
        let is_real = |version: &u16| (1..NO_VERSION).contains(version);
        let released = |engine, version: u16| if is_real(&version) { browser(engine, version) } else { Claim::Program };
        if self.has(Mark::Scanner) {
            Claim::Scanner
        } else if self.has(Mark::Program) || (self.has(Mark::Robot) && !self.has(Mark::Telephone)) {
            Claim::Program
        } else if self.has(Mark::Free) {
            browser(Engine::Free, 0)
        } else if self.has(Mark::Old) {
            browser(Engine::Old, 0)
        } else if self.has(Mark::Chrome) {
            released(Engine::Chromium, self.chrome)
        } else if self.has(Mark::Firefox) {
            released(Engine::Firefox, self.firefox)
        } else if self.has(Mark::WebKit) && self.has(Mark::Apple) {
            // A view in an app on iOS has the version of the system only.
            match [self.version, self.system].into_iter().find(is_real) {
                Some(version) => browser(Engine::WebKit, version),
                None if self.has(Mark::Version) || self.has(Mark::AppleOs) => Claim::Program,
                None => browser(Engine::WebKit, 0),
            }
        } else if self.has(Mark::WebKit) {
            browser(Engine::Free, 0)
        } else {
            Claim::Program
        }
    }
}

/// Whether what was found is no part of a longer word.
fn is_word(text: &[u8], found: Span) -> bool {
    let inside = text.get(found.range()).unwrap_or_default();
    let before = found.start.checked_sub(1).and_then(|at| text.get(at));
    let joined = |one: Option<&u8>, other: Option<&u8>| {
        one.zip(other).is_some_and(|(one, other)| one.is_ascii_alphanumeric() && other.is_ascii_alphanumeric())
    };
    !joined(before, inside.first()) && !joined(inside.last(), text.get(found.end))
}

/// The number at the beginning; 0 where there is none.
pub(super) fn number(text: &[u8]) -> u16 {
    let digits = text.iter().take(5).take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_u32, |number, digit| number.saturating_mul(10).saturating_add(u32::from(digit & 15)));
    u16::try_from(number).unwrap_or(0)
}
