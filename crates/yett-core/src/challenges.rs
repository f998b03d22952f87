//! Challenges of certificate authorities (ACME, RFC 8555 section 8.3), answered on plain listeners.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::exchange::{Answer, Exchange, Method};
use crate::shared::Counter;

/// Challenges that may be open at once.
pub const MAX_CHALLENGES: usize = 1000;
/// Bytes of a token or of its answer.
const MAX_TEXT: usize = 512;
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Tokens that are open now, and what each is answered with. One for the process.
#[derive(Debug, Default)]
pub struct Challenges {
    open: RwLock<HashMap<Box<str>, Arc<[u8]>>>,
    /// How many were answered.
    pub answered: Counter,
}

impl Challenges {
    /// Replaces all of them.
    ///
    /// # Errors
    /// In words: a token or an answer that no authority gives.
    pub fn set(&self, wanted: HashMap<String, String>) -> Result<(), String> {
        if wanted.len() > MAX_CHALLENGES {
            return Err(format!("{} challenges are more than {MAX_CHALLENGES}", wanted.len()));
        }
        let plain = |text: &str, more: &[u8]| {
            (1..=MAX_TEXT).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || more.contains(&b))
        };
        if !wanted.iter().all(|(token, answer)| plain(token, b"") && plain(answer, b".")) {
            return Err("a challenge is not in base64url".to_owned());
        }
        let open = wanted.into_iter().map(|(token, answer)| (token.into(), answer.into_bytes().into())).collect();
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = open;
        Ok(())
    }

    /// The answer to a request for exactly one of them over plain HTTP; everything else is routed as ever.
    #[must_use]
    pub fn answer(&self, exchange: &Exchange) -> Option<Answer> {
        if exchange.connection.tls || !matches!(exchange.request.method, Method::Get) {
            return None;
        }
        let token = exchange.path.raw().strip_prefix(PREFIX.as_bytes())?;
        let token = std::str::from_utf8(token).ok()?;
        let body = Arc::clone(self.open.read().unwrap_or_else(PoisonError::into_inner).get(token)?);
        self.answered.increment();
        let headers =
            vec![("content-type".into(), "application/octet-stream".into()), ("cache-control".into(), "no-store".into())];
        Some(Answer { status: 200, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ConnectionInfo;

    fn asked(method: Method, path: &str, tls: bool) -> Exchange {
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection = ConnectionInfo { peer, listener: "l".into(), tls, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(std::rc::Rc::new(connection));
        exchange.request.method = method;
        let _ = exchange.path.parse_into(path.as_bytes());
        exchange
    }

    #[test]
    fn only_what_was_asked_for_and_only_in_plain() {
        let challenges = Challenges::default();
        challenges.set(HashMap::from([("tok-en_1".to_owned(), "tok-en_1.print".to_owned())])).unwrap();
        let path = "/.well-known/acme-challenge/tok-en_1";
        assert_eq!(&*challenges.answer(&asked(Method::Get, path, false)).unwrap().body, b"tok-en_1.print");
        assert!(challenges.answer(&asked(Method::Get, path, true)).is_none());
        assert!(challenges.answer(&asked(Method::Post, path, false)).is_none());
        for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/tok-en_12", "/tok-en_1", "/"] {
            assert!(challenges.answer(&asked(Method::Get, path, false)).is_none(), "{path}");
        }
        assert_eq!(challenges.answered.get(), 1);
        challenges.set(HashMap::new()).unwrap();
        assert!(challenges.answer(&asked(Method::Get, path, false)).is_none());
    }

    #[test]
    fn what_no_authority_gives_is_refused() {
        let challenges = Challenges::default();
        for (token, answer) in [("", "a"), ("a/b", "a"), ("a", "a\r\n"), ("a.b", "a"), ("a", "")] {
            assert!(challenges.set(HashMap::from([(token.to_owned(), answer.to_owned())])).is_err(), "{token:?} {answer:?}");
        }
    }
}
