//! What operators ask of bans, as JSON in and JSON out: which there are; and one is lifted.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::bans::{BANS, network, text};
use crate::server::clock;
use crate::shared::Shared;

/// A request of an operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Who says so: `cli`.
    by: Box<str>,
    show: Option<Show>,
    lift: Option<Lift>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Show {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lift {
    address: IpAddr,
}

/// Does what the document says.
#[must_use]
pub fn serve(shared: &Shared, document: &[u8]) -> Value {
    match serde_json::from_slice(document) {
        Ok(Request { show: Some(_), lift: None, .. }) => shown(shared),
        Ok(Request { by, lift: Some(lift), show: None }) => lifted(shared, &by, &lift),
        Ok(_) => problem("say exactly one of `show` and `lift`"),
        Err(error) => problem(&format!("the request cannot be read: {error}")),
    }
}

fn shown(shared: &Shared) -> Value {
    let logins = &shared.logins;
    let now = clock::now();
    let now_ms = now.monotonic_ns / 1_000_000;
    let rows: Vec<Value> = logins
        .bans
        .all(now_ms)
        .iter()
        .map(|ban| {
            json!({
                "address": text(ban.address),
                "route": &*ban.route,
                "why": ban.why,
                "began_s": now.unix_ms.saturating_sub(now_ms.saturating_sub(ban.since_ms)) / 1000,
                "ends_s": now.unix_ms.saturating_add(ban.until_ms.saturating_sub(now_ms)) / 1000,
                "refused": ban.refused,
            })
        })
        .collect();
    json!({"rows": rows, "room": BANS, "without_room": logins.bans.without_room.get()})
}

fn lifted(shared: &Shared, by: &str, lift: &Lift) -> Value {
    let address = text(network(lift.address));
    let Some(ban) = shared.logins.bans.lift(lift.address) else {
        return problem(&format!("`{address}` is not banned; `yett bans show` shows who is"));
    };
    // Or the next attempt would have it banned again.
    shared.logins.book.remove(ban.counted);
    let refused = ban.refused.to_string();
    shared.events.push("warning", "login_ban_lifted", &[("by", by), ("address", &address), ("refused", &refused)]);
    json!({"lifted": true, "address": address, "refused": ban.refused})
}

fn problem(text: &str) -> Value {
    json!({"lifted": false, "problem": text})
}
