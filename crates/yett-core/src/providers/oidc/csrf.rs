//! Tokens against foreign pages: HMAC of the session's id under the keys of the ring, in a cookie that the host's own pages read.

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smallvec::SmallVec;

use super::{Oidc, cookie};
use crate::headers::Headers;
use crate::principal::Principal;

/// The id of a session: 22 characters, new at every login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 32], usize);

impl SessionId {
    /// Of a caller whom a session vouched for.
    #[must_use]
    pub fn of(principal: &Principal) -> Option<Self> {
        let id = principal.token_id.as_deref().filter(|id| !id.is_empty())?.as_bytes();
        let mut own = [0; 32];
        own.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self(own, id.len()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

impl Oidc {
    /// The tokens of a session: that of the first key, which pages get, and those of older keys, which count as well.
    fn csrf_tokens(&self, session: SessionId) -> SmallVec<[String; 2]> {
        let name = self.name.as_bytes();
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes();
        let parts: [&[u8]; 4] = [b"yett csrf token\0", &length, name, session.bytes()];
        self.ring.tags(&parts).map(|tag| URL_SAFE_NO_PAD.encode(tag)).collect()
    }

    /// The token that pages of the session get.
    #[must_use]
    pub fn csrf_token(&self, session: SessionId) -> Option<String> {
        self.csrf_tokens(session).into_iter().next()
    }

    /// Whether this is a token of the session; compared in constant time.
    #[must_use]
    pub fn csrf_holds(&self, session: SessionId, token: &[u8]) -> bool {
        let same = |own: &String| constant_time::verify_slices_are_equal(own.as_bytes(), token).is_ok();
        self.csrf_tokens(session).iter().fold(false, |found, own| found | same(own))
    }

    /// `Set-Cookie` with the token of the session, where the browser does not have it yet. It ends with the browser; another
    /// session has another one.
    #[must_use]
    pub fn csrf_cookie(&self, headers: &Headers, session: SessionId) -> Option<Box<str>> {
        let name = cookie::csrf_name(&self.name);
        let token = self.csrf_token(session)?;
        let there = cookie::read(headers, &name).is_some_and(|own| own == token.as_bytes());
        (!there).then(|| format!("{name}={token}; Path=/; Secure; SameSite=Strict").into())
    }
}
