//! Tokens against foreign pages: HMAC of the session's id under the keys of the ring, in a cookie that the host's own pages read.

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac::Tag;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Oidc, cookie};
use crate::headers::Headers;
use crate::principal::{PageToken, Principal};

/// The id of a session, 22 characters, new at every login; and its token.
#[derive(Debug, Clone, Copy)]
pub struct SessionId {
    id: [u8; 32],
    length: usize,
    token: Option<PageToken>,
}

impl SessionId {
    /// Of a caller whom a session vouched for.
    #[must_use]
    pub fn of(principal: &Principal) -> Option<Self> {
        let text = principal.token_id.as_deref().filter(|id| !id.is_empty())?.as_bytes();
        let mut id = [0; 32];
        id.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { id, length: text.len(), token: principal.page_token })
    }

    fn bytes(&self) -> &[u8] {
        self.id.get(..self.length).unwrap_or_default()
    }
}

fn text(tag: &Tag) -> Option<PageToken> {
    let mut text = [0; PageToken::LENGTH];
    let length = URL_SAFE_NO_PAD.encode_slice(tag, &mut text).ok()?;
    (length == PageToken::LENGTH).then_some(PageToken::new(text))
}

impl Oidc {
    /// What the tokens of a session are made of.
    fn with_parts<T>(&self, session: &[u8], make: impl FnOnce(&[&[u8]]) -> T) -> T {
        let name = self.name.as_bytes();
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes();
        make(&[b"yett csrf token\0", &length, name, session])
    }

    /// The token of a session under the first key: the one that pages get.
    pub(super) fn page_token(&self, session: &str) -> Option<PageToken> {
        self.with_parts(session.as_bytes(), |parts| text(&self.ring.tag(parts)))
    }

    /// The token that pages of the session get.
    #[must_use]
    pub fn csrf_token(&self, session: SessionId) -> Option<String> {
        Some(std::str::from_utf8(session.token?.as_bytes()).ok()?.to_owned())
    }

    /// Whether this is a token of the session, under the first key or an older one; compared in constant time.
    #[must_use]
    pub fn csrf_holds(&self, session: SessionId, token: &[u8]) -> bool {
        let same = |own: PageToken| constant_time::verify_slices_are_equal(own.as_bytes(), token).is_ok();
        session.token.is_some_and(same)
            || self.with_parts(session.bytes(), |parts| self.ring.older_tags(parts).filter_map(|tag| text(&tag)).any(same))
    }

    /// `Set-Cookie` with the token of the session, where the browser does not have it yet. It ends with the browser; another
    /// session has another one.
    #[must_use]
    pub fn csrf_cookie(&self, headers: &Headers, session: SessionId) -> Option<Box<str>> {
        let name = cookie::csrf_name(&self.name);
        let token = session.token?;
        if cookie::read(headers, &name).is_some_and(|own| own == token.as_bytes()) {
            return None;
        }
        let token = self.csrf_token(session)?;
        Some(format!("{name}={token}; Path=/; Secure; SameSite=Strict").into())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use crate::exchange::{ConnectionInfo, Exchange, Method, Phase, Principal, Step};
    use crate::pipeline::{self, PipelineState};
    use crate::providers::oidc::seal::TAGS;
    use crate::providers::oidc::session::{Session, Who};
    use crate::server::clock;
    use crate::shared::Shared;
    use crate::snapshot::{Secrets, Snapshot};

    /// What a page of the session sends to the route `inner`, from where its caller is known.
    fn asked(snapshot: &Snapshot, caller: &Rc<Principal>, token: Option<&str>) -> (Exchange, Step) {
        let (peer, listener) = ("192.0.2.1:1".parse().unwrap(), "main".into());
        let connection = ConnectionInfo { peer, listener, tls: true, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(Rc::new(connection));
        exchange.request.method = Method::Post;
        exchange.request.target = "/a".into();
        exchange.https = true;
        exchange.authority = b"app.example.com".to_vec();
        exchange.request_id.extend_from_slice(b"id");
        exchange.traceparent.copy_from_slice(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        exchange.request.headers.push(b"sec-fetch-site", b"same-origin").unwrap();
        if let Some(token) = token {
            exchange.request.headers.push(b"x-csrf-token", token.as_bytes()).unwrap();
        }
        exchange.route = Some(snapshot.ir.routes.iter().position(|route| route.name == "inner").unwrap().try_into().unwrap());
        exchange.principal = Some(Rc::clone(caller));
        exchange.phase = Phase::Authorize;
        let step = pipeline::run(snapshot, &mut PipelineState::new(2), &mut exchange, clock::now());
        (exchange, step)
    }

    #[test]
    fn a_session_derives_its_token_once() {
        let document = include_bytes!("../../../../../tests/config/cases/good/csrf_token.ir.json");
        let secrets: Secrets = [
            ("identity_providers.staff.client.secret", "secret".to_owned()),
            ("identity_providers.staff.session.keys.0", "ab".repeat(32)),
        ]
        .map(|(name, text)| (name.to_owned(), text.into_bytes().into()))
        .into();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let snapshot = Snapshot::build(document, &secrets, &Arc::new(Shared::new(runtime.handle().clone(), [3; 32]))).unwrap();
        let oidc = snapshot.providers.first().unwrap().oidc().unwrap();
        let who = Who { subject: "ann".into(), ..Who::default() };
        let id = "0123456789abcdefghijkl".to_owned();
        let now_s = clock::now().unix_ms / 1000;
        let session = Session { id, created_s: now_s, seen_s: now_s, who, ..Session::default() };
        let caller = oidc.principal(&session).unwrap();
        let (exchange, step) = asked(&snapshot, &caller, None);
        assert!(matches!(step, Step::Refuse(_)) && exchange.cookies().is_empty());
        let token = String::from_utf8(caller.page_token.unwrap().as_bytes().to_vec()).unwrap();
        for _ in 0..2 {
            let (exchange, step) = asked(&snapshot, &caller, Some(&token));
            assert!(matches!(step, Step::Continue), "{step:?}");
            assert!(exchange.cookies().iter().any(|cookie| cookie.contains(&token)), "the page gets it");
            let told: Vec<_> = exchange.request.headers.named(b"x-csrf-token").collect();
            assert_eq!(told, [token.as_bytes()], "and the service");
        }
        assert_eq!(TAGS.get(), 1, "for cookie, service and comparison, of all its requests");
        assert!(!format!("{caller:?}").contains(&token));
        let (_, step) = asked(&snapshot, &caller, Some(&token.to_lowercase()));
        assert!(matches!(step, Step::Refuse(_)));
    }
}
