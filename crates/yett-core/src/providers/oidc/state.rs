//! What logins and sessions leave on a request's way.

use super::cookie::Fields;
use super::grants::{Grant, Outcome};
use super::session::Session;

/// Empty for most requests.
#[derive(Debug, Default)]
pub struct Sessions {
    /// `Set-Cookie` of the answer, whatever it is.
    pub cookies: Fields,
    /// A session that the browser has to be given anew, and the index of its provider.
    pub renewed: Option<(u32, Box<Session>)>,
    /// What a token endpoint answered: the provider's index, to what.
    pub tokens: Option<(u32, Grant, Outcome)>,
}
