//! What a client says of itself: one search through `User-Agent` for everything that is known.

use aho_corasick::AhoCorasick;

use super::table::{MARKS, Mark};
use crate::ir;

/// Bytes of `User-Agent` that are looked at.
const LOOKED_AT: usize = 1024;

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
    /// The crawler of this index.
    Crawler(u16),
    /// A program that looks for holes.
    Scanner,
    /// A program; or nothing that is known here, or nothing at all.
    Program,
    /// A browser.
    Browser(Browser),
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
            let index = u16::try_from(index).map_err(|_| "there are too many crawlers".to_owned())?;
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
        let agent = agent.get(..LOOKED_AT).unwrap_or(agent);
        let mut seen = Seen::default();
        for found in self.search.find_overlapping_iter(agent) {
            match self.tags.get(found.pattern().as_usize()) {
                Some(Tag::Crawler(index)) => seen.crawler = Some(seen.crawler.map_or(*index, |known: u16| known.min(*index))),
                Some(Tag::Mark(mark)) => seen.mark(*mark, agent.get(found.end()..).unwrap_or_default()),
                None => {}
            }
        }
        seen.claim()
    }
}

#[derive(Default)]
struct Seen {
    crawler: Option<u16>,
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
        if let Some(index) = self.crawler {
            return Claim::Crawler(index);
        }
        let app = self.has(Mark::App);
        let browser = |engine, version| Claim::Browser(Browser { engine, version, app });
        if self.has(Mark::Scanner) {
            Claim::Scanner
        } else if self.has(Mark::Program) {
            Claim::Program
        } else if self.has(Mark::Free) {
            browser(Engine::Free, 0)
        } else if self.has(Mark::Old) {
            browser(Engine::Old, 0)
        } else if self.has(Mark::Chrome) {
            browser(Engine::Chromium, self.chrome)
        } else if self.has(Mark::Firefox) {
            browser(Engine::Firefox, self.firefox)
        } else if self.has(Mark::WebKit) && self.has(Mark::Apple) {
            // A view in an app on iOS has the version of the system only.
            browser(Engine::WebKit, if self.version > 0 { self.version } else { self.system })
        } else if self.has(Mark::WebKit) {
            browser(Engine::Free, 0)
        } else {
            Claim::Program
        }
    }
}

/// The number at the beginning; 0 where there is none.
pub(super) fn number(text: &[u8]) -> u16 {
    let digits = text.iter().take(5).take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_u32, |number, digit| number.saturating_mul(10).saturating_add(u32::from(digit & 15)));
    u16::try_from(number).unwrap_or(0)
}
