//! What a replayed decision costs: `cargo run --release --example replay_cost`.
//!
//! Records of 1,000 callers on 200 routes, each with a tenant, scopes and a condition on a hashed claim and a header field.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::fmt::Write;
use std::time::Instant;

use serde_json::{Value, json};
use yett_core::decisions::hidden::Hasher;
use yett_core::decisions::replay::Replay;
use yett_core::decisions::terms::Terms;
use yett_core::snapshot::Secrets;

const ROUTES: usize = 200;
const LINES: usize = 100_000;
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
/// The public key of RFC 7517, appendix A.1.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn route(number: usize) -> Value {
    let rule = json!({
        "source": "route", "scopes": {"any_of": ["orders.read"]},
        "when": "principal.claims.plan == 'gold' || request.headers['x-region'] == 'eu' || principal.claims.level >= 2",
        "headers": ["x-region"],
    });
    let edits = json!({"remove": [], "set": {}, "add": {}});
    json!({
        "name": format!("route-{number:03}"), "group": null, "listeners": ["main"],
        "match": {
            "hosts": null, "path": format!("/tenants/{{tenant}}/area-{number}/orders/{{order}}"), "methods": ["GET"],
            "headers": {}, "query": {},
        },
        "path_allow": [], "access": {"authenticated": {"providers": ["id"], "rules": [rule]}},
        "tenants": [{"source": "route", "from": {"path": "tenant"}}],
        "address_limits": [], "rate_limits": [], "action": {"respond": {"status": 200, "body": "", "content_type": "text/plain"}},
        "rewrite": null, "request_headers": edits, "response_headers": edits,
        "body_limit": 0, "timeouts": {"connect_ms": 1, "first_byte_ms": 1, "idle_ms": 1, "total_ms": 1},
    })
}

fn document() -> Value {
    json!({
        "version": 1, "environment": null,
        "process": {"buffered_bytes": 1_048_576, "verdict_cache": 10, "limit_keys": 10, "drain_ms": 1000},
        "admin": null, "access_log": "off", "secrets": {}, "services": [],
        "listeners": [{
            "name": "main", "address": "127.0.0.1:0", "tls": null, "trusted_proxies": null, "address_limits": [],
            "limits": {"connections": 100, "request_line": 8192, "header_bytes": 32768, "headers": 100},
            "timeouts": {"handshake_ms": 1000, "head_ms": 5000, "body_ms": 5000, "keep_alive_ms": 60000},
        }],
        "providers": [{
            "type": "jwt", "name": "id", "issuer": "https://id.example.com", "audiences": ["shop"], "jwks": {"inline": JWKS},
            "algorithms": ["ES256"], "leeway_s": 30,
            "claims": {
                "scopes": ["scope"], "roles": ["roles"], "tenant": ["tenant"], "client": ["client_id"],
                "declared": {"plan": {"from": ["plan"], "type": "string"}, "level": {"from": ["level"], "type": "int"}},
            },
        }],
        "routes": (0..ROUTES).map(route).collect::<Vec<_>>(),
    })
}

fn records(document: &Value) -> Result<String, Box<dyn Error>> {
    let (terms, hasher) = (Terms::of(document), Hasher::new(KEY));
    let hashed = |text: &str| format!("#{}", String::from_utf8_lossy(&hasher.digest(text.as_bytes())));
    let how = |claim: &str| terms.declared("id", claim).unwrap_or_default().to_owned();
    let mut out = String::new();
    for number in 0..LINES {
        let (caller, route) = (number % 1000, number % ROUTES);
        let tenant = format!("tenant-{}", caller % 50);
        let line = json!({
            "v": 1, "time": "2026-11-28T12:00:00.000Z", "revision": "000000000000", "key": hasher.id(),
            "request_id": "01990000-0000-7000-8000-000000000000", "listener": "main", "origin": terms.origin("main"),
            "client": "192.0.2.1", "tls": false, "https": false, "method": "GET", "host": "api.example.com",
            "path": format!("/tenants/{tenant}/area-{route}/orders/{number}"), "size": 0, "route": format!("route-{route:03}"),
            "decision": "allow", "credential": "verified", "places": &*terms.places,
            "accepts": terms.route(u32::try_from(route)?).and_then(|route| route.accepts.as_deref()),
            "principals": [{
                "provider": "id", "trust": terms.trust("id", ""), "entry": "", "method": "jwt", "kind": "user",
                "issuer": "https://id.example.com", "subject": hashed(&format!("user-{caller}")), "client": hashed("mobile"),
                "tenant": hashed(&tenant), "partner": null, "scopes": ["orders.read", "orders.write"], "roles": ["customer"],
                "assurance": null, "authenticated_s": null, "issued_ms": 1_795_867_000_000_u64, "expires_ms": 1_795_868_000_000_u64,
                "claims": {"plan": [how("plan"), hashed("silver")], "level": [how("level"), 3]},
            }],
            "headers": {"x-region": [hashed("us")]},
        });
        writeln!(out, "{line}")?;
    }
    Ok(out)
}

fn main() -> Result<(), Box<dyn Error>> {
    let document = document();
    let records = records(&document)?;
    let bytes = document.to_string();
    let replay = || Replay::build(bytes.as_bytes(), &Secrets::new(), Some(KEY)).map_err(|errors| format!("{errors:?}"));
    let mut best = f64::MAX;
    for _ in 0..5 {
        let replay = replay()?;
        let begin = Instant::now();
        replay.feed(records.as_bytes());
        let found = replay.finish();
        best = best.min(begin.elapsed().as_secs_f64());
        let found: Value = serde_json::from_str(&found)?;
        if found.pointer("/same/allow") != Some(&json!(LINES)) {
            return Err(format!("something was decided otherwise: {found}").into());
        }
    }
    let (lines, size) = (u32::try_from(LINES)?, u32::try_from(records.len() / LINES)?);
    println!("{:.0} decisions a second on one core ({size} bytes each)", f64::from(lines) / best);
    Ok(())
}
