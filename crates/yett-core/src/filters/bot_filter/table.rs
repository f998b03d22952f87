//! What is known of browsers and programs: the rules of `bot_filter`, all of them. The page of the filter says the same in words.

use super::agent::Engine;

macro_rules! signals {
    ($($(#[doc = $text:literal])* $variant:ident $code:literal $points:literal;)*) => {
        /// Something of a request that browsers do not do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Signal {
            $($(#[doc = $text])* $variant,)*
        }

        impl Signal {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in logs.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it adds to a score.
            #[must_use]
            pub const fn points(self) -> u8 {
                match self { $(Self::$variant => $points,)* }
            }
        }
    };
}

// The default threshold is 6. What a proxy that opens TLS can do to a browser's hello comes to 5, what an extension or an
// unusual browser does to its fields to 5: each by itself refuses nobody.
signals! {
    /// The ciphers of its hello are those of a library for programs.
    HelloOfProgram "hello_of_program" 6;
    /// They are those of no browser that is known.
    HelloUnknown "hello_unknown" 1;
    /// It does not offer HTTP/2 before all others, and the browser does.
    HelloWithoutHttp2 "hello_without_http2" 2;
    /// It does not offer TLS 1.3, and the browser does.
    HelloTooOld "hello_too_old" 1;
    /// It offers TLS 1.3, which the browser is too old for.
    HelloTooNew "hello_too_new" 2;
    /// It names no host.
    HelloWithoutName "hello_without_name" 1;
    /// Its hello is that of another browser.
    AgentChanged "agent_changed" 2;
    /// `User-Agent` stands more than once.
    AgentTwice "agent_twice" 6;
    /// HTTP/1.0.
    Http10 "http_1_0" 2;
    /// No `Sec-Fetch-Mode` and `Sec-Fetch-Dest`, over HTTPS.
    FetchMetadataMissing "fetch_metadata_missing" 3;
    /// No `Sec-CH-UA`, over HTTPS.
    ClientHintsMissing "client_hints_missing" 2;
    /// `Sec-CH-UA`, which this browser does not send.
    ClientHintsForeign "client_hints_foreign" 2;
    /// `Sec-CH-UA` is of another version than `User-Agent`.
    ClientHintsDiffer "client_hints_differ" 2;
    /// `Sec-CH-UA` says that nobody sits before it, and `User-Agent` does not.
    HeadlessHidden "headless_hidden" 6;
    /// No `Accept-Language`.
    LanguageMissing "language_missing" 2;
    /// No `Accept-Encoding`.
    EncodingMissing "encoding_missing" 2;
    /// `Accept-Encoding` without Brotli, over HTTPS.
    EncodingWithoutBrotli "encoding_without_brotli" 1;
    /// No `Accept`.
    AcceptMissing "accept_missing" 1;
    /// It opens a page, and takes no HTML.
    AcceptUnlike "accept_unlike" 2;
    /// Its fields stand in another order than this browser's.
    FieldOrder "field_order" 3;
}

/// Ciphers of a hello, as the middle part of its JA4, and who offers exactly these.
pub(super) enum Hello {
    /// One of these browsers.
    Browser(&'static [Engine]),
    /// A library for programs.
    Program,
    /// One that also small browsers are written with.
    Library,
}

/// By ciphers only: which extensions a hello has changes with every second release of a browser, and from one connection to the next.
/// `python -m bench.bots --hellos` prints those of the programs that are there.
pub(super) const HELLOS: [(&[u8; 12], Hello); 14] = [
    // Chrome and what is made of it, since 83; also okhttp on Android.
    (b"8daaf6152771", Hello::Browser(&[Engine::Chromium])),
    // Firefox since 94; the same as Safari's without 3DES.
    (b"5b57614c22b0", Hello::Browser(&[Engine::Firefox, Engine::WebKit])),
    (b"e8a523a41297", Hello::Browser(&[Engine::Firefox])),
    // Safari since 15, and before.
    (b"a09f3c656075", Hello::Browser(&[Engine::WebKit])),
    (b"2802a3db6c62", Hello::Browser(&[Engine::WebKit])),
    // Go since 1.22, and before.
    (b"f57a46bbacb6", Hello::Program),
    (b"9dc949149365", Hello::Program),
    // rustls, with and without the mark of renegotiation.
    (b"61a7ad8aa9b6", Hello::Program),
    (b"f91f431d341e", Hello::Program),
    // Python's ssl.
    (b"85036bcba153", Hello::Program),
    // OpenSSL as it is, which curl and many others take.
    (b"e8f1e7e78f70", Hello::Library),
    // GnuTLS, as wget takes it.
    (b"723694b0fccc", Hello::Library),
    // Node 20, and the HTTP client of Java 17.
    (b"a33745022dd6", Hello::Program),
    (b"1d947a95fc68", Hello::Program),
];

/// From which version on a browser does something.
pub(super) struct Since {
    /// Fetch metadata.
    pub(super) fetch_metadata: u16,
    /// Client hints.
    pub(super) client_hints: u16,
    /// Brotli.
    pub(super) brotli: u16,
    /// HTTP/2.
    pub(super) http2: u16,
    /// TLS 1.3, surely.
    pub(super) tls13: u16,
    /// Not before this one.
    pub(super) no_tls13_before: u16,
    /// The ciphers that are known.
    pub(super) ciphers: u16,
}

const NEVER: u16 = u16::MAX;

/// Later than the release that began with it where builds differ.
pub(super) const fn since(engine: Engine) -> Since {
    match engine {
        Engine::Chromium => {
            Since { fetch_metadata: 80, client_hints: 90, brotli: 51, http2: 50, tls13: 75, no_tls13_before: 65, ciphers: 90 }
        }
        Engine::Firefox => {
            Since { fetch_metadata: 90, client_hints: NEVER, brotli: 44, http2: 40, tls13: 65, no_tls13_before: 59, ciphers: 100 }
        }
        // Fetch metadata came with 16.4, brotli with the system.
        Engine::WebKit => {
            Since { fetch_metadata: 17, client_hints: NEVER, brotli: 12, http2: 10, tls13: 14, no_tls13_before: 12, ciphers: 15 }
        }
        Engine::Old | Engine::Free => Since {
            fetch_metadata: NEVER,
            client_hints: NEVER,
            brotli: NEVER,
            http2: NEVER,
            tls13: NEVER,
            no_tls13_before: NEVER,
            ciphers: NEVER,
        },
    }
}

/// What stands in `User-Agent`, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It looks for holes.
    Scanner,
    /// It is a program, and says so.
    Program,
    /// The same, as the end of its name.
    Robot,
    /// A browser of which nothing is expected: no engine that is known here, or none of its own fields.
    Free,
    /// Internet Explorer, Edge before Chromium, Opera before Chromium.
    Old,
    /// `Chrome/N`.
    Chrome,
    /// `Firefox/N`.
    Firefox,
    /// WebKit's `Version/N`.
    Version,
    /// An operating system of Apple's with its version: `iPhone OS 17_2`.
    AppleOs,
    /// Only Apple's own WebKit has its hello.
    Apple,
    /// WebKit.
    WebKit,
    /// A telephone whose name ends as those of robots do.
    Telephone,
    /// A view in an app, or an app: sends no client hints in many versions.
    App,
}

impl Mark {
    /// Whether it counts within a word, too: `SomeBot/1.0` is a robot, and a nucleic acid nobody's scanner.
    pub(super) const fn is_anywhere(self) -> bool {
        !matches!(self, Self::Scanner | Self::Program)
    }
}

pub(super) const MARKS: &[(Mark, &[&str])] = &[
    (
        Mark::Scanner,
        &[
            "sqlmap",
            "nikto",
            "nuclei",
            "wpscan",
            "masscan",
            "zgrab",
            "nmap scripting engine",
            "dirbuster",
            "gobuster",
            "ffuf",
            "fuzz faster",
            "feroxbuster",
            "acunetix",
            "nessus",
            "openvas",
            "arachni",
            "w3af",
            "whatweb",
            "wfuzz",
            "dirsearch",
            "projectdiscovery",
            "netsparker",
            "zmeu",
            "jorgee",
            "commix",
            "havij",
            "l9explore",
            "leakix",
            "xsser",
            "joomscan",
        ],
    ),
    (
        Mark::Program,
        &[
            "curl/",
            "wget/",
            "python-requests/",
            "python-urllib",
            "python-httpx/",
            "python/",
            "aiohttp/",
            "urllib3/",
            "httpie/",
            "go-http-client/",
            "okhttp/",
            "dalvik/",
            "cfnetwork/",
            "java/",
            "java-http-client/",
            "apache-httpclient/",
            "axios/",
            "node-fetch",
            "undici",
            "postmanruntime/",
            "insomnia/",
            "guzzlehttp/",
            "php/",
            "ruby/",
            "faraday",
            "restsharp/",
            "dart/",
            "reqwest/",
            "hyper/",
            "libwww-perl/",
            "lwp::",
            "scrapy/",
            "headlesschrome/",
            "phantomjs/",
            "selenium",
            "puppeteer",
            "playwright",
            "jsdom/",
            "htmlunit",
            "aria2/",
            "powershell/",
            "feedfetcher",
            "+http://",
            "+https://",
        ],
    ),
    (Mark::Robot, &["bot/", "crawler", "spider"]),
    // A telephone, and no robot.
    (Mark::Telephone, &["cubot/"]),
    (
        Mark::Free,
        &[
            "lynx/",
            "links (",
            "elinks/",
            "w3m/",
            "netsurf/",
            "dillo/",
            "konqueror",
            "epiphany/",
            "goanna/",
            "applecoremedia/",
            "emacs",
            "browsh",
            "ladybird",
            "servo/",
        ],
    ),
    (Mark::Old, &["msie ", "trident/", "edge/1", "presto/", "opera mini/"]),
    (Mark::Chrome, &["chrome/", "chromium/"]),
    (Mark::Firefox, &["firefox/"]),
    (Mark::Version, &["version/"]),
    (Mark::AppleOs, &["iphone os ", "cpu os "]),
    (Mark::Apple, &["macintosh;", "iphone;", "ipad;", "ipod"]),
    (Mark::WebKit, &["applewebkit/"]),
    (Mark::App, &["; wv)", "electron/", "qtwebengine/", "cobalt/", "smart-tv", "smarttv", "web0s", "tizen", "crkey/"]),
];
