//! Tenant isolation: the request names its tenant in one place, and that is the caller's.

use std::borrow::Cow;
use std::sync::Arc;

use super::body::BodyField;
use super::condition::Readable;
use crate::cel::Value;
use crate::exchange::{Exchange, Refusal};
use crate::ir;
use crate::path::query_values;
use crate::principal::Principal;
use crate::reason::Reason;

/// Where the request names its tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    source: Arc<str>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Index of the template variable.
    Path(usize),
    /// What stands before and behind the label.
    Host(Box<[(Box<str>, Box<str>)]>),
    Header(Box<str>),
    Query(Box<str>),
    Body(BodyField),
}

impl Tenant {
    /// `readable` knows the route's template variables, and the schema of its bodies.
    pub(super) fn build(spec: &ir::TenantRule, readable: &Readable) -> Result<Self, String> {
        let place = match &spec.from {
            ir::TenantSource::Path(name) => {
                let found = readable.variables.iter().position(|variable| variable == name);
                Place::Path(found.ok_or_else(|| format!("`path.{name}` names no variable of the path"))?)
            }
            ir::TenantSource::Host(templates) if templates.is_empty() => return Err("no host names a tenant".to_owned()),
            ir::TenantSource::Host(templates) => {
                let parts = |one: &ir::HostTemplate| (one.before.as_str().into(), one.after.as_str().into());
                Place::Host(templates.iter().map(parts).collect())
            }
            ir::TenantSource::Header(name) if name.is_empty() => return Err("a header needs a name".to_owned()),
            ir::TenantSource::Header(name) => Place::Header(name.to_ascii_lowercase().into()),
            ir::TenantSource::Query(name) if name.is_empty() => return Err("a parameter needs a name".to_owned()),
            ir::TenantSource::Query(name) => Place::Query(name.as_str().into()),
            ir::TenantSource::Body(path) => Place::Body(BodyField::text(readable.body.as_ref(), path).ok_or_else(|| {
                format!("the schema of the body declares no text `{path}`; name one that it does, or add `request_validation`")
            })?),
        };
        Ok(Self { source: spec.source.as_str().into(), place })
    }

    /// Where it stands.
    pub(super) fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The field that it reads, lower case.
    pub(super) fn header(&self) -> Option<&str> {
        match &self.place {
            Place::Header(name) => Some(name),
            _ => None,
        }
    }

    /// The parameter of the query that it reads.
    pub(super) fn parameter(&self) -> Option<&str> {
        match &self.place {
            Place::Query(name) => Some(name),
            _ => None,
        }
    }

    /// The field of the body that it reads.
    pub(super) fn body_field(&self) -> Option<&BodyField> {
        match &self.place {
            Place::Body(field) => Some(field),
            _ => None,
        }
    }

    /// Whether it stands in the body.
    pub(super) fn reads_body(&self) -> bool {
        matches!(self.place, Place::Body(_))
    }

    /// None on either side, two values, or two that differ: refused. An empty tenant is none.
    pub(super) fn check(&self, principal: &Principal, exchange: &Exchange) -> Result<(), Refusal> {
        let held = principal.tenant.as_deref().filter(|tenant| !tenant.is_empty());
        let reason = match (held, self.named(exchange)) {
            (_, Named::Twice) => Reason::TenantAmbiguous,
            (Some(held), Named::Once(asked)) if !asked.is_empty() => {
                // Where several providers vouch, none of them for someone of another tenant.
                let others = exchange.vouched.iter().filter_map(|other| other.tenant.as_deref());
                if same(exchange, held, &asked) && others.clone().all(|other| same(exchange, other, held)) {
                    return Ok(());
                }
                Reason::TenantMismatch
            }
            _ => Reason::TenantMissing,
        };
        let mut refusal = Refusal::from(reason);
        refusal.rule = Some(Arc::clone(&self.source));
        Err(refusal)
    }

    fn named<'a>(&'a self, exchange: &'a Exchange) -> Named<'a> {
        if let Some(recorded) = &exchange.recorded {
            self.header().into_iter().for_each(|name| recorded.header(name));
            self.parameter().into_iter().for_each(|name| recorded.parameter(name));
            self.body_field().into_iter().for_each(|field| recorded.field(field.pointer()));
        }
        match &self.place {
            Place::Path(index) => exchange.variables.get(*index).map_or(Named::Nowhere, |value| Named::Once(value.into())),
            Place::Host(templates) => {
                let labels = templates.iter().filter_map(|(before, after)| {
                    let label = exchange.host.strip_prefix(&**before)?.strip_suffix(&**after)?;
                    (!label.is_empty() && !label.contains('.')).then_some(label)
                });
                // `{tenant}.example.com` and `api-{tenant}.example.com` could both fit; then neither counts.
                Named::single(labels.map(|label| Some(label.into())))
            }
            Place::Header(name) => {
                let values = exchange.request.headers.named(name.as_bytes());
                Named::single(values.map(|value| std::str::from_utf8(value).ok().map(Cow::Borrowed)))
            }
            Place::Body(field) => match exchange.validated.as_deref().map(|body| field.value(body)) {
                Some(Ok(Some(Value::Text(text)))) => Named::Once(Cow::Owned(text.as_str().to_owned())),
                _ => Named::Nowhere,
            },
            Place::Query(name) => Named::single(query_values(exchange.query(), name).map(|value| value.map(Cow::Owned))),
        }
    }
}

/// Whether two are the same, which can also be told where a record knows one of them by its hash only.
fn same(exchange: &Exchange, one: &str, other: &str) -> bool {
    match &exchange.recorded {
        None => one == other,
        Some(recorded) => recorded.hidden.same(one, other),
    }
}

/// How often the request names a tenant.
enum Named<'a> {
    Nowhere,
    Once(Cow<'a, str>),
    Twice,
}

impl<'a> Named<'a> {
    /// A value that cannot be read is none.
    fn single(mut values: impl Iterator<Item = Option<Cow<'a, str>>>) -> Self {
        let first = values.next();
        match (first, values.next()) {
            (_, Some(_)) => Self::Twice,
            (Some(Some(value)), None) => Self::Once(value),
            _ => Self::Nowhere,
        }
    }
}
