//! Whose bucket in a store that instances share: a digest that is the same in all of them.
//!
//! The hashes of [`super::measure`] have a key of the process, so that nobody can aim at a bucket; between processes SHA-256
//! does the same. Parts have lengths, and kinds are kept apart, so no two callers are one.

use smallvec::SmallVec;

use super::measure::{Key, Named, Undecided};
use crate::cel::Value;
use crate::exchange::Exchange;
use crate::filters::authorize::Ask;
use crate::ir::LimitKey;
use crate::principal::Principal;
use crate::store::{self, Space};

type Parts<'a> = SmallVec<[&'a [u8]; 8]>;

impl Key {
    /// The bucket of a request; as [`Key::of`] picks it.
    pub fn shared(&self, exchange: &Exchange, ask: Option<&Ask<'_>>, identity: &[u8; 32]) -> Result<store::Key, Undecided> {
        if let Self::Value(expression) = self {
            let Ok(Value::Text(text)) = expression.value(ask.ok_or(Undecided)?) else { return Err(Undecided) };
            return Ok(store::Key::new(Space::Limit, &[identity, text.as_str().as_bytes()]));
        }
        let mut parts = Parts::new();
        parts.push(identity);
        match self {
            Self::Everyone | Self::Value(_) => {}
            Self::Header(name) => parts.extend(exchange.request.headers.named(name)),
            Self::Caller(key) => caller(key, ask.ok_or(Undecided)?.principal, &mut parts),
        }
        Ok(store::Key::new(Space::Limit, &parts))
    }
}

fn caller<'a>(key: &LimitKey, principal: &'a Principal, parts: &mut Parts<'a>) {
    match Named::of(key, principal) {
        Named::Own(kind, value) => parts.extend([kind.as_bytes(), principal.provider.as_bytes(), value]),
        Named::Shared(kind, value) => parts.extend([kind.as_bytes(), value]),
        Named::Principal => {
            parts.push(b"principal");
            parts.extend(principal.limit_parts());
        }
    }
}
