//! What operators say, as JSON in and JSON out: for the control socket and the admin listener.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, NotAcknowledged, Revocation, Revocations};
use crate::server::clock;

/// A request of an operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Who says so: `cli`, `admin`.
    by: Box<str>,
    /// All that count.
    list: Option<Empty>,
    /// A new one.
    revoke: Option<Ask>,
    /// The id of one that shall end.
    undo: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// What became of it, with an HTTP status for the admin listener.
#[derive(Debug)]
pub struct Outcome {
    /// 200, 201, 400, 404, 503 or 507.
    pub status: u16,
    /// The document.
    pub body: Value,
}

impl Revocations {
    /// Does what the document says.
    pub async fn serve(self: &Arc<Self>, document: &[u8]) -> Outcome {
        let request: Request = match serde_json::from_slice(document) {
            Ok(request) => request,
            Err(error) => return problem(400, &format!("the request cannot be read: {error}")),
        };
        match request {
            Request { list: Some(_), revoke: None, undo: None, .. } => Outcome { status: 200, body: self.shown() },
            Request { by, revoke: Some(ask), list: None, undo: None } => match ask.into_revocation(&by, clock::now().unix_ms) {
                Err(fault) => problem(400, fault),
                Ok(revocation) => self.make(revocation).await,
            },
            Request { undo: Some(id), list: None, revoke: None, .. } => match self.undo(&id).await {
                Ok(true) => Outcome { status: 200, body: json!({"acknowledged": true, "id": id, "kept": self.kept()}) },
                Ok(false) => problem(404, "nothing is revoked under this id; `yett revoke --list` shows all"),
                Err(why) => failed(why),
            },
            _ => problem(400, "say exactly one of `list`, `revoke` and `undo`"),
        }
    }

    /// Revokes, and says what became of it.
    pub async fn make(&self, revocation: Revocation) -> Outcome {
        let (id, shown) = (revocation.id.clone(), json!(revocation));
        match self.revoke(revocation).await {
            Ok(()) => {
                Outcome { status: 201, body: json!({"acknowledged": true, "id": id, "kept": self.kept(), "revocation": shown}) }
            }
            Err(why) => failed(why),
        }
    }

    fn shown(&self) -> Value {
        let (held, room) = self.size();
        json!({"revocations": self.list(), "held": held, "room": room})
    }
}

fn failed(why: NotAcknowledged) -> Outcome {
    match why {
        NotAcknowledged::Full => problem(
            507,
            "there is no room for another revocation, and none is forgotten before its end: raise `process.revocations`, or revoke the issuer",
        ),
        NotAcknowledged::Disk => {
            problem(503, "it counts on this instance, and is not on disk: it would not survive a restart; try again")
        }
        NotAcknowledged::Shared => problem(
            503,
            "it counts on this instance, and Redis has not taken it: other instances are told when it is back; try again to be sure",
        ),
    }
}

fn problem(status: u16, text: &str) -> Outcome {
    Outcome { status, body: json!({"acknowledged": false, "problem": text}) }
}
