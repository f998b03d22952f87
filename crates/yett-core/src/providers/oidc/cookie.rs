//! Cookies of the gateway: reading, writing in pieces that browsers keep, and keeping them from services.
//!
//! All begin with [`PREFIX`]: `__Host-` makes browsers keep them to this host, to HTTPS and to the whole path, and lets no
//! other host of the domain set them. A service neither sees such a cookie nor can set one.

use smallvec::SmallVec;

use crate::headers::{Headers, Known};

/// What every cookie of the gateway begins with.
pub const PREFIX: &str = "__Host-yett-";
/// Behind the name of a session's cookie: that of its token.
const CSRF: &str = "~csrf";
/// Bytes of one cookie's value: with name and attributes below the 4096 that browsers keep (RFC 6265 section 6.1).
const PIECE: usize = 3800;
/// Pieces of a session; what is larger is refused.
pub const PIECES: usize = 4;
/// Logins that one browser may have under way, in different tabs.
pub const LOGINS: usize = 4;

/// Whether a cookie is the gateway's. Case is folded, so that nothing that a service could take for one passes.
fn is_ours(name: &[u8]) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Names and values of a Cookie field (RFC 6265 section 4.2.1).
fn pairs(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|b| *b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair)?;
        let (name, value) = pair.split_at_checked(at)?;
        Some((name.trim_ascii_end(), value.get(1..)?.trim_ascii_start()))
    })
}

/// The gateway's cookies of a request, in order.
pub fn ours(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(Known::Cookie).flat_map(pairs).filter(|(name, _)| is_ours(name))
}

/// The value of the cookie of this name; `None` also where two say different things.
fn one<'a>(headers: &'a Headers, wanted: &str) -> Option<&'a [u8]> {
    let mut found = None;
    for (_, value) in ours(headers).filter(|(name, _)| *name == wanted.as_bytes()) {
        match found {
            None => found = Some(value),
            Some(other) if other == value => {}
            Some(_) => return None,
        }
    }
    found
}

/// Whether a Cookie field may hold one of ours: cheap, for requests without a session.
#[must_use]
pub fn any_ours(headers: &Headers) -> bool {
    ours(headers).next().is_some()
}

/// The name of a provider's session cookie; its further pieces have `~1`, `~2`, … behind it: no name of a provider has a `~`.
#[must_use]
pub fn session_name(provider: &str) -> String {
    format!("{PREFIX}{provider}")
}

fn piece_name(name: &str, index: usize) -> String {
    if index == 0 { name.to_owned() } else { format!("{name}~{index}") }
}

/// A session's text, put together; `None` without one, or where a piece is missing.
#[must_use]
pub fn read_session(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let first = one(headers, name)?;
    let (count, rest) = first.split_first()?;
    let count = usize::from(count.checked_sub(b'0')?);
    if !(1..=PIECES).contains(&count) {
        return None;
    }
    let mut out = rest.strip_prefix(b".")?.to_vec();
    for index in 1..count {
        out.extend_from_slice(one(headers, &piece_name(name, index))?);
    }
    Some(out)
}

/// Whether the request brings a session cookie of this name, whatever it is worth.
#[must_use]
pub fn has_session(headers: &Headers, name: &str) -> bool {
    ours(headers).any(|(own, _)| own == name.as_bytes())
}

/// `Set-Cookie` values.
pub type Fields = SmallVec<[Box<str>; 2]>;

/// Keeps `text` under `name` for so many seconds, in as many pieces as it takes; takes away pieces of before that are
/// not needed any more. `None` where it is too large.
#[must_use]
pub fn write_session(headers: &Headers, name: &str, text: &str, seconds: u64) -> Option<Fields> {
    let count = text.len().saturating_add(2).div_ceil(PIECE);
    if count > PIECES || !text.is_ascii() {
        return None;
    }
    let whole = format!("{count}.{text}");
    let mut out = Fields::new();
    let mut rest = whole.as_str();
    for index in 0..count {
        let (piece, after) = rest.split_at_checked(PIECE.min(rest.len()))?;
        out.push(set(&piece_name(name, index), piece, seconds));
        rest = after;
    }
    out.extend(leftovers(headers, name, count));
    Some(out)
}

/// Takes a session away, with all its pieces and the token of it that pages have.
#[must_use]
pub fn clear_session(headers: &Headers, name: &str) -> Fields {
    let mut out = Fields::from_iter([clear(name)]);
    out.extend(leftovers(headers, name, 1));
    let token = format!("{name}{CSRF}");
    out.extend(has_session(headers, &token).then(|| clear(&token)));
    out
}

/// Pieces from `first` on that the request brought.
fn leftovers(headers: &Headers, name: &str, first: usize) -> Fields {
    let names = (first.max(1)..PIECES).map(|index| piece_name(name, index));
    names.filter(|name| has_session(headers, name)).map(|name| clear(&name)).collect()
}

/// A cookie that pages cannot read, that goes over HTTPS only, and not with what foreign pages send or load. `Lax` and
/// not `Strict`: the way back from the provider begins on a foreign page.
#[must_use]
pub fn set(name: &str, value: &str, seconds: u64) -> Box<str> {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}").into()
}

/// Takes a cookie away.
#[must_use]
pub fn clear(name: &str) -> Box<str> {
    set(name, "", 0)
}

/// The name of the cookie of a login under way; `id` is the first part of its `state`.
#[must_use]
pub fn login_name(provider: &str, id: &str) -> String {
    format!("{PREFIX}{provider}~login-{id}")
}

/// The name of the cookie with a session's token against foreign pages; the only one that pages read.
#[must_use]
pub fn csrf_name(provider: &str) -> String {
    format!("{PREFIX}{provider}{CSRF}")
}

/// The value of the cookie of this name.
#[must_use]
pub fn read(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    one(headers, name).map(<[u8]>::to_vec)
}

/// The cookies of this provider's logins under way: their ids and values.
pub fn logins<'a>(headers: &'a Headers, provider: &str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let start = login_name(provider, "");
    ours(headers).filter_map(move |(name, value)| {
        let id = name.strip_prefix(start.as_bytes())?;
        Some((std::str::from_utf8(id).ok()?, value))
    })
}

/// Takes the gateway's cookies out of what a service will see.
pub fn strip(headers: &mut Headers) {
    if !any_ours(headers) {
        return;
    }
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for field in headers.get_all(Known::Cookie) {
        let mut left: Vec<u8> = Vec::new();
        // What has no `=` stays as well: only ours go.
        for pair in field.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
            let name = pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
            if is_ours(name) {
                continue;
            }
            if !left.is_empty() {
                left.extend_from_slice(b"; ");
            }
            left.extend_from_slice(pair);
        }
        if !left.is_empty() {
            kept.push(left);
        }
    }
    headers.remove(Known::Cookie);
    for field in kept {
        // Parts of a field that was valid.
        let _ = headers.push(b"cookie", &field);
    }
}

/// Drops `Set-Cookie` of a service with a name of ours: it could put one caller into another's session.
pub fn strip_set(headers: &mut Headers) {
    headers.retain(|known, _, value| known != Known::SetCookie || !sets_ours(value));
}

/// A cookie without a name is sent as its value alone, which may look like a name and a value: `=name=value` (RFC 6265bis
/// section 5.7 has browsers refuse that for `__Host-`, and not all do).
fn sets_ours(value: &[u8]) -> bool {
    let start = value.iter().position(|b| !matches!(b, b'=' | b' ' | b'\t')).unwrap_or(value.len());
    is_ours(value.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(fields: &[&str]) -> Headers {
        let mut headers = Headers::default();
        for field in fields {
            headers.push(b"cookie", field.as_bytes()).unwrap();
        }
        headers
    }

    /// What a browser sends back after these `Set-Cookie`.
    fn browser(before: &[(String, String)], fields: &[Box<str>]) -> Vec<(String, String)> {
        let mut jar = before.to_vec();
        for field in fields {
            assert!(field.len() <= 4096, "{}", field.len());
            let (pair, attributes) = field.split_once("; ").unwrap();
            assert!(attributes.starts_with("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="), "{attributes}");
            let (name, value) = pair.split_once('=').unwrap();
            jar.retain(|(other, _)| other != name);
            if !attributes.ends_with("Max-Age=0") {
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
        jar
    }

    fn sent(jar: &[(String, String)]) -> Headers {
        let text: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        headers(&[&text.join("; ")])
    }

    #[test]
    fn a_session_shrinks_and_goes_without_a_trace() {
        let name = session_name("staff");
        let large = "x".repeat(9000);
        let jar = browser(&[], &write_session(&Headers::default(), &name, &large, 60).unwrap());
        assert_eq!(jar.len(), 3);
        assert_eq!(read_session(&sent(&jar), &name).unwrap(), large.as_bytes());
        let jar = browser(&jar, &write_session(&sent(&jar), &name, "small", 60).unwrap());
        assert_eq!(jar.len(), 1);
        assert_eq!(read_session(&sent(&jar), &name).unwrap(), b"small");
        assert!(browser(&jar, &clear_session(&sent(&jar), &name)).is_empty());
        assert!(write_session(&Headers::default(), &name, &"x".repeat(PIECE * PIECES), 60).is_none());
    }

    #[test]
    fn a_piece_that_is_missing_or_twice_is_no_session() {
        let name = session_name("staff");
        for bad in [
            "__Host-yett-staff=2.abc",
            "__Host-yett-staff=0.abc",
            "__Host-yett-staff=9.abc",
            "__Host-yett-staff=abc",
            "__Host-yett-staff=",
            "__Host-yett-staff",
            "__Host-yett-staff=1.a; __Host-yett-staff=1.b",
            "__host-yett-staff=1.a",
            "__Host-yett-staff2=1.a",
            "other=1",
        ] {
            assert_eq!(read_session(&headers(&[bad]), &name), None, "{bad}");
        }
        let found = read_session(&headers(&["a=1;__Host-yett-staff=2.abc", "__Host-yett-staff~1=def;b=2"]), &name);
        assert_eq!(found.unwrap(), b"abcdef");
    }

    #[test]
    fn services_see_the_others_only() {
        let mut fields =
            headers(&["a=1; __Host-yett-staff=1.x;b=2", "__HOST-YETT-x=1", "__Host-yett-staff~login-ab=y; c; d=e=f"]);
        strip(&mut fields);
        assert_eq!(fields.get_all(Known::Cookie).collect::<Vec<_>>(), [&b"a=1; b=2"[..], b"c; d=e=f"]);
        let mut untouched = headers(&["a=1;b=2"]);
        strip(&mut untouched);
        assert_eq!(untouched.get(Known::Cookie), Some(&b"a=1;b=2"[..]));
        let mut answer = Headers::default();
        answer.push(b"set-cookie", b"__Host-yett-staff=1.evil; Path=/").unwrap();
        answer.push(b"set-cookie", b"=__Host-yett-staff=1.evil; Path=/; Secure").unwrap();
        answer.push(b"set-cookie", b"= =__HOST-yett-staff=1.evil").unwrap();
        answer.push(b"set-cookie", b"__Host-yett-staff").unwrap();
        answer.push(b"set-cookie", b" a=1".trim_ascii()).unwrap();
        strip_set(&mut answer);
        assert_eq!(answer.get_all(Known::SetCookie).collect::<Vec<_>>(), [b"a=1"]);
    }

    #[test]
    fn logins_under_way_are_told_apart() {
        let fields = headers(&["__Host-yett-staff~login-ab=1; __Host-yett-other~login-cd=2; __Host-yett-staff~login-ef=3"]);
        let found: Vec<_> = logins(&fields, "staff").collect();
        assert_eq!(found, [("ab", &b"1"[..]), ("ef", b"3")]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(length in 0usize..PIECE * PIECES - 2, before in 0usize..PIECE * PIECES - 2) {
            let name = session_name("p");
            let jar = browser(&[], &write_session(&Headers::default(), &name, &"y".repeat(before), 1).unwrap());
            let text: String = (0..length).map(|i| char::from(b'a' + u8::try_from(i % 26).unwrap())).collect();
            let jar = browser(&jar, &write_session(&sent(&jar), &name, &text, 1).unwrap());
            prop_assert_eq!(read_session(&sent(&jar), &name).unwrap(), text.into_bytes());
        }

        #[test]
        fn nothing_of_ours_is_left(field in "(__Host-yett-)?[a-z=; ]{0,30}(__HOST-yett-)?[a-z=;]{0,20}") {
            let mut fields = headers(&[field.trim()]);
            strip(&mut fields);
            prop_assert!(!any_ours(&fields));
        }
    }
}
