//! What logins and sessions leave on a request's way.

use super::cookie::Fields;
use super::grants::{Grant, Outcome};
use super::session::Session;
use super::stored::{Handle, Stored};
use crate::filters::login_guard::page::Written;
use crate::store::Key;

/// Empty for most requests.
#[derive(Debug, Default)]
pub struct Sessions {
    /// `Set-Cookie` of the answer, whatever it is.
    pub cookies: Fields,
    /// What a browser calculates before it may log in at a service.
    pub page: Option<Written>,
    /// A session that the browser has to be given anew, and the index of its provider.
    pub renewed: Option<(u32, Box<Session>)>,
    /// What a token endpoint answered: the provider's index, to what.
    pub tokens: Option<(u32, Grant, Outcome)>,
    /// What the store said of sessions, last.
    pub stored: Vec<(Key, Stored)>,
    /// Whether what other instances revoked is known as it was when this request asked.
    pub caught_up: Option<bool>,
    /// How often this request wrote a session.
    pub writes: u8,
    /// The session that a login ended in, on its way to the store, and its handle.
    pub begun: Option<Box<(Session, Handle)>>,
    /// The session that a logout is about; nothing where there was none.
    pub ending: Option<Option<Box<Session>>>,
}
