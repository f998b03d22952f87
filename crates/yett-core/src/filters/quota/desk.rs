//! What operators ask of quotas, as JSON in and JSON out: who has used how much; and a key gets its whole quota again.

use serde::Deserialize;
use serde_json::{Value, json};

use super::book::{Book, Entry, Id};
use crate::server::clock;
use crate::shared::Shared;

/// Rows of one answer.
const ROWS: usize = 10_000;

/// A request of an operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Who says so: `cli`.
    by: Box<str>,
    show: Option<Show>,
    reset: Option<Reset>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Show {
    /// Only of the quota of this name.
    quota: Option<Box<str>>,
    /// Only those whose text this is.
    key: Option<Box<str>>,
    /// Only those that have used so many percent.
    above: Option<u8>,
    /// At most so many, those with the largest share first.
    top: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    quota: Box<str>,
    scope: Option<Box<str>>,
    key: Box<str>,
}

/// Does what the document says.
#[must_use]
pub fn serve(shared: &Shared, document: &[u8]) -> Value {
    match serde_json::from_slice(document) {
        Ok(Request { show: Some(show), reset: None, .. }) => shown(&shared.quotas, &show),
        Ok(Request { by, reset: Some(reset), show: None }) => give_again(shared, &by, &reset),
        Ok(_) => problem("say exactly one of `show` and `reset`"),
        Err(error) => problem(&format!("the request cannot be read: {error}")),
    }
}

fn shown(book: &Book, show: &Show) -> Value {
    let now = clock::now();
    let fits = |(_, entry): &(Id, Entry)| {
        show.quota.as_ref().is_none_or(|name| **name == *entry.names.name)
            && show.key.as_ref().is_none_or(|key| *key == entry.whose)
    };
    let mut rows: Vec<(u64, Value)> = Vec::new();
    for (_, entry) in book.entries(now.unix_ms / 1000).into_iter().filter(fits) {
        // A quota that the configuration has no more counts for nobody.
        let Some(known) = book.known(&entry.names) else { continue };
        let share = u128::from(entry.used).saturating_mul(1000) / u128::from(known.amount.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        if show.above.is_some_and(|above| share < u64::from(above) * 10) {
            continue;
        }
        let passed = known.warn.iter().filter(|percent| share >= u64::from(**percent) * 10).max();
        let row = json!({
            "quota": &*entry.names.name,
            "scope": &*entry.names.scope,
            "by": entry.by,
            "key": entry.whose,
            "used": entry.used,
            "amount": known.amount,
            "share_permille": share,
            "threshold_percent": passed,
            "period": known.period.as_str(),
            "zone": known.zone,
            "period_began_s": entry.span.start_s,
            "period_ends_s": entry.span.end_s,
        });
        rows.push((share, row));
    }
    let text = |row: &Value| ["quota", "scope", "by", "key"].map(|name| row.get(name).map(Value::to_string));
    rows.sort_by(|(share, row), (other_share, other)| other_share.cmp(share).then_with(|| text(row).cmp(&text(other))));
    let most = show.top.unwrap_or(ROWS).min(ROWS);
    let more = rows.len().saturating_sub(most);
    let (held, room) = book.size();
    json!({
        "rows": rows.into_iter().take(most).map(|(_, row)| row).collect::<Vec<_>>(),
        "more": more,
        "held": held,
        "room": room,
        "overflowed": book.overflowed.get(),
        "unwritten_ms": book.unwritten_for_ms(now.monotonic_ns),
    })
}

fn give_again(shared: &Shared, by: &str, reset: &Reset) -> Value {
    let book = &shared.quotas;
    let fits = |(_, entry): &(Id, Entry)| {
        *entry.names.name == *reset.quota
            && entry.whose == reset.key
            && reset.scope.as_ref().is_none_or(|scope| **scope == *entry.names.scope)
    };
    let found: Vec<_> = book.entries(clock::now().unix_ms / 1000).into_iter().filter(fits).collect();
    let Some((_, first)) = found.first() else {
        return problem(&format!(
            "`{}` has used nothing of a quota `{}`; `yett quota` shows who has used what",
            reset.key, reset.quota
        ));
    };
    if found.iter().any(|(_, entry)| entry.names != first.names) {
        let mut scopes: Vec<&str> = found.iter().map(|(_, entry)| &*entry.names.scope).collect();
        scopes.sort_unstable();
        scopes.dedup();
        return problem(&format!("there are several quotas `{}`; say which with --scope: {}", reset.quota, scopes.join(", ")));
    }
    let ids: Vec<Id> = found.iter().map(|(id, _)| *id).collect();
    match book.disk() {
        Some(disk) => {
            if let Err(message) = disk.reset(ids) {
                return problem(&message);
            }
        }
        None => ids.iter().for_each(|id| book.reset(*id)),
    }
    let used: u64 = found.iter().map(|(_, entry)| entry.used).sum();
    let names = &first.names;
    let fields: [(&'static str, &str); 5] =
        [("by", by), ("quota", &names.name), ("scope", &names.scope), ("key", &reset.key), ("used_before", &used.to_string())];
    shared.events.push("warning", "quota_reset", &fields);
    json!({"reset": true, "quota": &*names.name, "scope": &*names.scope, "key": reset.key, "used_before": used})
}

fn problem(text: &str) -> Value {
    json!({"reset": false, "problem": text})
}
