//! Validate: whether the body is the one that was signed, and whether the request is what the service expects.

use serde_json::Value;

use crate::exchange::{Exchange, Need, Refusal, Step};
use crate::filters::request_validation::{Rejected, Verdict, refuse};
use crate::reason::Reason;
use crate::snapshot::{Access, Route, Snapshot};

pub(super) fn validate(snapshot: &Snapshot, exchange: &mut Exchange) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    // By its announced size already, whatever it is: nobody looks at the type of what is too large.
    let announced = exchange.request.framing.length();
    if route.request_validation.is_some() && exchange.body.is_none() && announced.is_some_and(|length| length > route.body_limit)
    {
        return Step::Refuse(Reason::BodyTooLarge.into());
    }
    let judged = match &route.request_validation {
        Some(validation) => match validation.head(exchange) {
            Ok(verdict) => verdict,
            Err(rejected) => return reject(exchange, *rejected),
        },
        None => Verdict::Passes,
    };
    let looked_at = route.attack_filter.as_ref().is_some_and(|filter| filter.reads_body(exchange));
    let signed = exchange.signed.as_ref().and_then(|signed| signed.body.as_ref()).map(|body| body.limit);
    if signed.is_none() && judged == Verdict::Passes && !looked_at {
        return attacks(route, exchange);
    }
    let limit = signed.map_or(route.body_limit, |limit| limit.min(route.body_limit));
    match &exchange.body {
        None => exchange.ask(Need::Body { limit, within_ms: 0 }).unwrap_or_else(|| Step::Refuse(Reason::BodyMalformed.into())),
        Some(Err(Reason::BodyTooLarge)) if limit < route.body_limit => {
            let detail = format!("the body of a signed request has at most {limit} bytes here");
            Step::Refuse(Refusal { detail: Some(detail.into()), ..Reason::BodyTooLarge.into() })
        }
        Some(Err(reason)) => Step::Refuse((*reason).into()),
        Some(Ok(_)) => match body(route, exchange, judged) {
            Ok(validated) => {
                exchange.validated = validated;
                attacks(route, exchange)
            }
            Err(rejected) => reject(exchange, *rejected),
        },
    }
}

/// Last: what is not what it has to be is refused for that.
fn attacks(route: &Route, exchange: &mut Exchange) -> Step {
    match &route.attack_filter {
        Some(filter) => match filter.judge(exchange) {
            Ok(()) => Step::Continue,
            Err(rejected) => reject(exchange, *rejected),
        },
        None => Step::Continue,
    }
}

fn reject(exchange: &mut Exchange, rejected: Rejected) -> Step {
    exchange.errors = rejected.errors;
    Step::Refuse(rejected.refusal)
}

/// The digest first: what nobody signed is not looked at.
fn body(route: &Route, exchange: &Exchange, judged: Verdict) -> Result<Option<Box<Value>>, Box<Rejected>> {
    let data = exchange.held().ok_or_else(|| refuse(Reason::Internal))?;
    if let Some(signed) = exchange.signed.as_ref().and_then(|signed| signed.body.as_ref())
        && !signed.digest.fits_bytes(data)
    {
        return Err(refuse(Reason::ContentDigestMismatch));
    }
    match (&route.request_validation, judged) {
        (Some(validation), Verdict::Body(index)) => {
            let read = matches!(&route.access, Access::Authenticated { policy, .. } if policy.reads_body())
                || route.shadow.as_ref().is_some_and(|shadow| shadow.reads_body());
            validation.body(index, exchange, read)
        }
        _ => Ok(None),
    }
}
