//! What operators ask of quotas, as JSON in and JSON out: who has used how much; and a key gets its whole quota again.

use serde::Deserialize;
use serde_json::{Value, json};

use super::entry::{Entry, Id, Names};
use super::known::Known;
use super::period::{Periods, Span};
use crate::server::clock;
use crate::shared::Shared;
use crate::store::limits::{UseKeys, UsedBy, use_name};

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
        Ok(Request { show: Some(show), reset: None, .. }) => shown(shared, &show),
        Ok(Request { by, reset: Some(reset), show: None }) => give_again(shared, &by, &reset),
        Ok(_) => problem("say exactly one of `show` and `reset`"),
        Err(error) => problem(&format!("the request cannot be read: {error}")),
    }
}

/// Use of one key, wherever it is counted.
struct Found {
    names: Names,
    /// 32 hexadecimal digits, or `others`.
    id: String,
    by: Box<str>,
    whose: Box<str>,
    span: Span,
    used: u64,
    known: Known,
    /// Where instances share it.
    keys: Option<UseKeys>,
}

/// What is used in this period of the quotas that fit, and those of which Redis does not say.
fn find(shared: &Shared, fits: impl Fn(&Names) -> bool) -> (Vec<Found>, Vec<Names>) {
    let (book, now) = (&shared.quotas, clock::now());
    let mut found = Vec::new();
    for (id, entry) in book.entries(now.unix_ms / 1000).into_iter().filter(|(_, entry)| fits(&entry.names)) {
        // A quota that the configuration has no more counts for nobody; neither does use in periods of another length.
        let Some(known) = book.known(&entry.names).filter(|known| !known.shared && is_period(known, entry.span)) else {
            continue;
        };
        let Entry { names, by, whose, span, used, .. } = entry;
        found.push(Found { names, id: use_name(id), by, whose, span, used, known, keys: None });
    }
    let mut unknown = Vec::new();
    for (names, known) in book.shared().into_iter().filter(|(names, _)| fits(names)) {
        let Ok(periods) = Periods::build(known.period, &known.zone) else { continue };
        let span = periods.at(now.unix_ms);
        let parts = [names.scope.as_bytes(), names.name.as_bytes(), known.period.as_str().as_bytes(), known.zone.as_bytes()];
        let keys = UseKeys::new(&parts, span.start_s);
        let Ok(all) = shared.service_runtime.block_on(shared.stores.main().used(keys)) else {
            unknown.push(names);
            continue;
        };
        for UsedBy { id, used, text } in all {
            let (by, whose) = text.split_once('\n').unwrap_or(("", &id));
            let (by, whose) = (by.into(), whose.into());
            found.push(Found { names: names.clone(), id, by, whose, span, used, known: known.clone(), keys: Some(keys) });
        }
    }
    (found, unknown)
}

fn is_period(known: &Known, span: Span) -> bool {
    Periods::build(known.period, &known.zone).is_ok_and(|periods| periods.at(span.start_s.saturating_mul(1000)) == span)
}

fn shown(shared: &Shared, show: &Show) -> Value {
    let (found, unknown) = find(shared, |names| show.quota.as_ref().is_none_or(|name| **name == *names.name));
    let mut rows: Vec<(u64, Value)> = Vec::new();
    for one in found.iter().filter(|one| show.key.as_ref().is_none_or(|key| *key == one.whose)) {
        let share = u128::from(one.used).saturating_mul(1000) / u128::from(one.known.amount.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        if show.above.is_some_and(|above| share < u64::from(above) * 10) {
            continue;
        }
        let passed = one.known.warn.iter().filter(|percent| share >= u64::from(**percent) * 10).max();
        let row = json!({
            "quota": &*one.names.name,
            "scope": &*one.names.scope,
            "by": one.by,
            "key": one.whose,
            "id": one.id,
            "shared": one.known.shared,
            "used": one.used,
            "amount": one.known.amount,
            "share_permille": share,
            "threshold_percent": passed,
            "period": one.known.period.as_str(),
            "zone": one.known.zone,
            "period_began_s": one.span.start_s,
            "period_ends_s": one.span.end_s,
        });
        rows.push((share, row));
    }
    let text = |row: &Value| ["quota", "scope", "by", "key"].map(|name| row.get(name).map(Value::to_string));
    rows.sort_by(|(share, row), (other_share, other)| other_share.cmp(share).then_with(|| text(row).cmp(&text(other))));
    let most = show.top.unwrap_or(ROWS).min(ROWS);
    let more = rows.len().saturating_sub(most);
    let book = &shared.quotas;
    let (held, room) = book.size();
    json!({
        "rows": rows.into_iter().take(most).map(|(_, row)| row).collect::<Vec<_>>(),
        "more": more,
        "unknown": unknown.iter().map(|names| &*names.name).collect::<Vec<_>>(),
        "held": held,
        "room": room,
        "overflowed": book.overflowed.get(),
        "unwritten_ms": book.unwritten_for_ms(clock::now().monotonic_ns),
    })
}

/// One key, by its text or its id: texts are cut, and two may read alike.
fn give_again(shared: &Shared, by: &str, reset: &Reset) -> Value {
    let fits = |names: &Names| *names.name == *reset.quota && reset.scope.as_ref().is_none_or(|scope| **scope == *names.scope);
    let (all, unknown) = find(shared, fits);
    if !unknown.is_empty() {
        return problem("Redis does not say what is used, so nothing was reset; try again");
    }
    let found: Vec<&Found> = all.iter().filter(|one| one.whose == reset.key || one.id == *reset.key).collect();
    let one = match found.as_slice() {
        [] => {
            return problem(&format!(
                "`{}` has used nothing of a quota `{}`; `yett quota` shows who has used what",
                reset.key, reset.quota
            ));
        }
        [one] => one,
        [first, rest @ ..] if rest.iter().any(|one| one.names != first.names) => {
            let mut scopes: Vec<&str> = found.iter().map(|one| &*one.names.scope).collect();
            scopes.sort_unstable();
            scopes.dedup();
            return problem(&format!(
                "there are several quotas `{}`; say which with --scope: {}",
                reset.quota,
                scopes.join(", ")
            ));
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).take(10).collect();
            return problem(&format!(
                "{} keys of `{}` are shown as `{}`; say which by its id: {}",
                several.len(),
                reset.quota,
                reset.key,
                ids.join(", ")
            ));
        }
    };
    let used = match forget(shared, one) {
        Ok(used) => used,
        Err(message) => return problem(&message),
    };
    let Names { scope, name } = &one.names;
    let fields: [(&'static str, &str); 6] =
        [("by", by), ("quota", name), ("scope", scope), ("key", &one.whose), ("id", &one.id), ("used_before", &used.to_string())];
    shared.events.push("warning", "quota_reset", &fields);
    json!({"reset": true, "quota": &**name, "scope": &**scope, "key": one.whose, "id": one.id, "used_before": used})
}

/// Where it is counted; what was used before.
fn forget(shared: &Shared, one: &Found) -> Result<u64, String> {
    if let Some(keys) = one.keys {
        let reset = shared.service_runtime.block_on(shared.stores.main().reset_used(keys, one.id.clone()));
        return reset.map(|used| used.unwrap_or(0)).map_err(|_| "Redis did not answer; look at `yett quota` again".to_owned());
    }
    let id = match one.id.as_str() {
        id if id.len() == 32 => Id::from_str_radix(id, 16).map_err(|error| error.to_string())?,
        other => return Err(format!("`{other}` is no id of a key")),
    };
    match shared.quotas.disk() {
        Some(disk) => disk.reset(id, one.span)?,
        None => shared.quotas.reset(id, one.span),
    }
    Ok(one.used)
}

fn problem(text: &str) -> Value {
    json!({"reset": false, "problem": text})
}
