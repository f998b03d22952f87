//! Whose bucket a request is charged to, and how much.

use crate::cel::{Type, Value};
use crate::exchange::{Exchange, Method};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::{Expression, Readable};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::principal::{AuthenticationMethod, Principal};

/// An expression had no value: the request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided;

/// Whose bucket.
#[derive(Debug)]
pub enum Key {
    /// One for everyone.
    Everyone,
    /// Something that is known of the verified caller.
    Caller(ir::LimitKey),
    /// The value of a field, lower case.
    Header(Box<[u8]>),
    /// A text that an expression comes to.
    Value(Box<Expression>),
}

impl Key {
    /// Compiles one. Everything but `route` and a header needs callers: `readable` is there where there are some.
    pub fn build(key: &ir::LimitKey, readable: Option<&Readable>) -> Result<Self, String> {
        let caller = || readable.ok_or_else(|| "a limit by caller needs callers; a public route has none".to_owned());
        Ok(match key {
            ir::LimitKey::Route => Self::Everyone,
            ir::LimitKey::Header(name) => Self::Header(name.to_ascii_lowercase().into_bytes().into()),
            ir::LimitKey::Value(source) => Self::Value(Expression::build(source, caller()?, &Type::Text)?.into()),
            ir::LimitKey::Address => return Err("a limit keyed by address is an `address_limit`".to_owned()),
            known => {
                caller()?;
                Self::Caller(known.clone())
            }
        })
    }

    /// The field that it reads.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => std::str::from_utf8(name).ok(),
            _ => None,
        }
    }

    /// A keyed hash of whom the request is charged to.
    pub fn of(&self, exchange: &Exchange, ask: Option<&Ask<'_>>, hash: &KeyedHash) -> Result<u64, Undecided> {
        match self {
            Self::Everyone => Ok(0),
            Self::Caller(key) => Ok(caller(key, ask.ok_or(Undecided)?.principal, hash)),
            Self::Header(name) => {
                let values = exchange.request.headers.named(name);
                Ok(values.fold(0_u64, |seen, value| seen.rotate_left(7).wrapping_add(hash.hash(value))))
            }
            Self::Value(expression) => match expression.value(ask.ok_or(Undecided)?) {
                Ok(Value::Text(text)) => Ok(hash.hash(text.as_str().as_bytes())),
                _ => Err(Undecided),
            },
        }
    }
}

/// What of a verified caller a key names: a word for its kind, and the value.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// What a provider names is unique with that provider only.
    Own(&'static str, &'a [u8]),
    /// The same whoever names it.
    Shared(&'static str, &'a [u8]),
    /// The most precise that is known: whoever has no session, key, partner or tenant is a principal.
    Principal,
}

impl<'a> Named<'a> {
    /// Of a caller.
    pub fn of(key: &ir::LimitKey, principal: &'a Principal) -> Self {
        let own = |kind, value: &'a Option<Box<str>>| value.as_deref().map(|value| Self::Own(kind, value.as_bytes()));
        let shared = |kind, value: &'a Option<Box<str>>| value.as_deref().map(|value| Self::Shared(kind, value.as_bytes()));
        let credential = || principal.credential.as_ref().map(|digest| Self::Own("credential", digest));
        let found = match key {
            ir::LimitKey::Client => own("client", &principal.client),
            ir::LimitKey::Session => own("session", &principal.session),
            ir::LimitKey::Key if principal.method != AuthenticationMethod::ApiKey => None,
            ir::LimitKey::Key | ir::LimitKey::Token => own("token", &principal.token_id).or_else(credential),
            ir::LimitKey::Partner => shared("partner", &principal.partner),
            ir::LimitKey::Tenant => shared("tenant", &principal.tenant),
            _ => None,
        };
        found.unwrap_or(Self::Principal)
    }
}

fn caller(key: &ir::LimitKey, principal: &Principal, hash: &KeyedHash) -> u64 {
    match Named::of(key, principal) {
        Named::Own(_, value) => hash.hash(principal.provider.as_bytes()).rotate_left(17) ^ hash.hash(value),
        Named::Shared(_, value) => hash.hash(value),
        Named::Principal => principal.key,
    }
}

/// What a request costs.
#[derive(Debug)]
pub enum Cost {
    /// The same with every method.
    Fixed(u64),
    /// By method.
    Methods(u64, Box<[(Method, u64)]>),
    /// What an expression comes to.
    Value(Box<Expression>),
}

impl Cost {
    /// Compiles one. What is known beforehand has to fit into the burst.
    pub fn build(cost: Option<&ir::LimitCost>, burst: u64, readable: Option<&Readable>) -> Result<Self, String> {
        let Some(cost) = cost else { return Ok(Self::Fixed(1)) };
        if cost.after.is_some() && (cost.value.is_some() || !cost.methods.is_empty() || cost.default == 0) {
            return Err("a cost after the answer has one number beforehand, at least 1".to_owned());
        }
        if let Some(source) = &cost.value {
            let readable = readable.ok_or_else(|| "a cost in CEL needs callers; a public route has none".to_owned())?;
            return Ok(Self::Value(Expression::build(source, readable, &Type::Int)?.into()));
        }
        if cost.methods.values().chain([&cost.default]).any(|cost| *cost > burst) {
            return Err("a request costs more than the burst, so none could pass; raise the burst".to_owned());
        }
        if cost.methods.is_empty() {
            return Ok(Self::Fixed(cost.default));
        }
        let method = |(name, cost): (&String, &u64)| {
            Method::parse(name.as_bytes()).map(|method| (method, *cost)).ok_or_else(|| format!("`{name}` is no method"))
        };
        Ok(Self::Methods(cost.default, cost.methods.iter().map(method).collect::<Result<_, _>>()?))
    }

    /// In requests. What an expression finds is at least 0.
    pub fn of(&self, exchange: &Exchange, ask: Option<&Ask<'_>>) -> Result<u64, Undecided> {
        match self {
            Self::Fixed(cost) => Ok(*cost),
            Self::Methods(default, methods) => {
                let method = match &exchange.request.method {
                    Method::Head => &Method::Get,
                    other => other,
                };
                Ok(methods.iter().find(|(listed, _)| listed == method).map_or(*default, |(_, cost)| *cost))
            }
            Self::Value(expression) => match expression.value(ask.ok_or(Undecided)?) {
                Ok(Value::Int(cost)) => u64::try_from(cost).map_err(|_| Undecided),
                _ => Err(Undecided),
            },
        }
    }
}
