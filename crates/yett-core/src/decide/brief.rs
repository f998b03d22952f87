//! What a question is answered with: all that is known, or no more than what was decided. Thousands of policy tests read of a
//! decision only the latter, and writing the rest of it takes longer than deciding.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::decision::{Decision, Outcome, outcome};
use super::{Engine, trace};
use crate::body::FieldError;
use crate::exchange::{Exchange, Step};

/// The answer to a question.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// All of it.
    Whole(Box<Decision>),
    /// To a question that is `brief`.
    Brief(Brief),
    /// None: no connection could bring such a question.
    Not {
        /// Why, in words.
        error: String,
    },
}

/// The fields of a [`Decision`] that say what was decided. Holds no credential, and nothing of the caller.
#[derive(Debug, Serialize)]
pub struct Brief {
    outcome: Outcome,
    status: Option<u16>,
    refusal: Option<Refused>,
    route: Option<Arc<str>>,
    service: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Refused {
    reason: &'static str,
    rule: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Value>,
}

impl Engine {
    pub(super) fn brief(&self, exchange: &Exchange, step: &Step) -> Brief {
        let (outcome, status, refused) = outcome(step);
        Brief {
            outcome,
            status,
            refusal: refused.map(|refused| Refused {
                reason: refused.reason.code(),
                rule: refused.rule.clone(),
                errors: exchange.errors.iter().map(FieldError::document).collect(),
            }),
            route: self.snapshot.route(exchange.route).map(|route| Arc::clone(&route.name)),
            service: self.snapshot.service(exchange.service).map(|service| service.name.clone()),
            shadow: exchange.shadow.iter().map(trace::tried).collect(),
        }
    }
}
