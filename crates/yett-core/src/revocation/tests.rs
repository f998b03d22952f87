use std::sync::Arc;

use super::table::{Record, Table, hex};
use super::{Ask, NotAcknowledged, Revocation, Revocations, What, credential_digest};
use crate::principal::{AuthenticationMethod, Principal};
use crate::server::clock;

const NOW: u64 = 1_800_000_000_000;

fn ann() -> Principal {
    Principal {
        issuer: "https://id.test".into(),
        subject: "ann".into(),
        client: Some("app".into()),
        token_id: Some("j1".into()),
        session: Some("s1".into()),
        issued_ms: Some(NOW - 1000),
        ..Principal::blank("id".into(), AuthenticationMethod::Jwt)
    }
}

fn ask(json: &str) -> Result<Revocation, &'static str> {
    serde_json::from_str::<Ask>(json).map_err(|_| "unreadable")?.into_revocation("test", NOW)
}

fn table(json: &str) -> Table {
    let mut table = Table::new(10);
    assert!(table.take(Record::Revoke(ask(json).unwrap()), NOW));
    table
}

#[test]
fn what_is_named_is_meant_and_nothing_else() {
    for (json, meant) in [
        (r#"{"token_id": "j1"}"#, true),
        (r#"{"token_id": "j1", "issuer": "https://id.test"}"#, true),
        (r#"{"token_id": "j1", "issuer": "https://other.test"}"#, false),
        (r#"{"token_id": "j2"}"#, false),
        (r#"{"subject": "ann"}"#, true),
        (r#"{"subject": "an"}"#, false),
        (r#"{"subject": "ann", "issuer": "https://other.test"}"#, false),
        (r#"{"session": "s1"}"#, true),
        (r#"{"session": "ann"}"#, false),
        (r#"{"client": "app"}"#, true),
        // the id of a token is no id of a key
        (r#"{"key": "j1"}"#, false),
        (r#"{"issuer": "https://id.test"}"#, true),
        (r#"{"issuer": "https://id.test", "before_ms": 1}"#, false),
        (r#"{"provider": "id"}"#, true),
        (r#"{"provider": "other"}"#, false),
    ] {
        assert_eq!(table(json).revokes(&ann(), NOW), meant, "{json}");
    }
}

#[test]
fn what_is_issued_later_counts_unless_all_is_meant() {
    let later = Principal { issued_ms: Some(NOW + 1000), ..ann() };
    let silent = Principal { issued_ms: None, ..ann() };
    assert!(!table(r#"{"subject": "ann"}"#).revokes(&later, NOW));
    assert!(table(r#"{"subject": "ann"}"#).revokes(&silent, NOW), "what does not say when may be older");
    assert!(table(r#"{"subject": "ann", "all": true}"#).revokes(&later, NOW));
    assert!(table(r#"{"token_id": "j1"}"#).revokes(&later, NOW));
}

#[test]
fn a_key_is_revoked_for_good_and_at_its_provider() {
    let key = Principal { token_id: Some("k1".into()), ..Principal::blank("partners".into(), AuthenticationMethod::ApiKey) };
    assert!(table(r#"{"key": "k1"}"#).revokes(&key, NOW * 4));
    assert!(table(r#"{"key": "k1", "provider": "partners"}"#).revokes(&key, NOW));
    assert!(!table(r#"{"key": "k1", "provider": "others"}"#).revokes(&key, NOW));
}

#[test]
fn they_end_and_make_room() {
    let mut table = Table::new(1);
    let one = ask(r#"{"subject": "ann", "for_ms": 5000}"#).unwrap();
    assert!(table.take(Record::Revoke(one), NOW));
    assert!(table.revokes(&ann(), NOW + 4999) && !table.revokes(&ann(), NOW + 5000));
    // nothing is forgotten before its end: what another instance has beyond is missing, and known to be
    assert!(!table.take(Record::Revoke(ask(r#"{"subject": "bob", "for_ms": 9000}"#).unwrap()), NOW + 1));
    assert!(table.revokes(&ann(), NOW + 1) && table.is_incomplete(NOW + 1) && !table.is_incomplete(NOW + 9000));
    table.expire(NOW + 5000);
    assert_eq!(table.len(), 0);
}

#[test]
fn an_undone_one_stays_undone_in_whatever_order_it_is_heard() {
    let one = ask(r#"{"subject": "ann"}"#).unwrap();
    let (revoke, undo) = (Record::Revoke(one.clone()), Record::Undo { id: one.id.clone(), until_ms: one.until_ms });
    for order in [[&revoke, &undo, &revoke], [&undo, &revoke, &undo]] {
        let mut table = Table::new(10);
        for record in order {
            let _ = table.take(record.clone(), NOW);
        }
        assert!(!table.revokes(&ann(), NOW) && table.list(NOW).is_empty());
    }
}

#[test]
fn a_token_is_revoked_by_its_id_or_by_what_is_signed() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let of = |claims: &str, signature: &str| format!("{}.{}.{signature}", encode("{}"), encode(claims));
    let named = |token: &str| ask(&format!(r#"{{"token": "{token}"}}"#)).unwrap();
    let with_id = named(&of(r#"{"iss":"https://id.test","jti":"j1","exp":1800003600}"#, "AAAA"));
    assert_eq!(with_id.what, What::Token { issuer: Some("https://id.test".into()), id: "j1".into() });
    assert_eq!(with_id.until_ms, 1_800_003_600_000 + 900_000, "until it has ended by itself");
    let (one, other) = (of(r#"{"sub":"ann"}"#, "AAAA"), of(r#"{"sub":"ann"}"#, "BBBB"));
    let What::TokenDigest { sha256 } = named(&one).what else { panic!() };
    // another signature of the same content is the same token
    assert_eq!(*sha256, hex(&credential_digest(other.as_bytes())));
    assert_ne!(credential_digest(b"opaque"), credential_digest(b"opaqu.e"));
    assert_ne!(credential_digest(b"a.b"), credential_digest(b"a.c"));
}

#[test]
fn requests_that_are_none_say_why() {
    for (json, words) in [
        ("{}", "name what to revoke"),
        (r#"{"subject": "a", "client": "b"}"#, "name one thing"),
        (r#"{"subject": ""}"#, "empty"),
        (r#"{"subject": "a", "for_ms": 0}"#, "count for some time"),
        (r#"{"subject": "a", "provider": "id"}"#, "stands alone"),
        (r#"{"token": "a b"}"#, "no token"),
        (r#"{"subjects": "a"}"#, "unreadable"),
    ] {
        assert!(ask(json).unwrap_err().contains(words), "{json}");
    }
}

#[test]
fn nothing_has_to_be_looked_at_before_something_is_revoked() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let known = Arc::new(Revocations::default());
    known.configure(2, None);
    let now = || clock::now();
    assert!(known.check_one(&ann(), now()).is_ok());
    let mut changes = known.changes();
    let revocation = |json: &str| serde_json::from_str::<Ask>(json).unwrap().into_revocation("test", now().unix_ms).unwrap();
    let one = revocation(r#"{"subject": "ann", "all": true}"#);
    let id = one.id.clone();
    runtime.block_on(known.revoke(one)).unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!(known.check_one(&ann(), now()), Err(crate::reason::Reason::TokenRevoked));
    runtime.block_on(known.revoke(revocation(r#"{"subject": "bob"}"#))).unwrap();
    // full: refused, and what counts stays
    assert_eq!(runtime.block_on(known.revoke(revocation(r#"{"subject": "eve"}"#))), Err(NotAcknowledged::Full));
    assert_eq!(known.check_one(&ann(), now()), Err(crate::reason::Reason::TokenRevoked));
    assert_eq!(runtime.block_on(known.undo(&id)), Ok(true));
    assert!(known.check_one(&ann(), now()).is_ok());
    assert_eq!(runtime.block_on(known.undo(&id)), Ok(false));
}
