//! What a cached verdict, a signature and a rate limit cost, in nanoseconds: `cargo run --release --example credential_cost`.
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use yett_core::exchange::{ConnectionInfo, Exchange, Now, Step};
use yett_core::filters::rate_limit::{RateLimit, Tables};
use yett_core::providers::verdict::VerdictCache;
use yett_core::providers::{Accepts, Provider, authenticate};
use yett_core::shared::Shared;
use yett_core::{ir, snapshot::Secrets};

const NOW: Now = Now { monotonic_ns: 1_000_000_000, unix_ms: 1_800_000_000_000 };

/// A token of about 800 bytes, and a provider that trusts its key.
fn provider_and_token() -> Result<(ir::Provider, String), Box<dyn Error>> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let point = key.public_key().as_ref().get(1..).unwrap_or_default();
    let (x, y) = point.split_at(32);
    let jwks = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k","x":"{}","y":"{}"}}]}}"#, b64(x), b64(y));
    let claims = serde_json::json!({
        "iss": "https://id.example", "aud": "shop", "sub": "ann", "exp": 1_800_000_300, "scope": "a b", "x": "y".repeat(400),
    });
    let signed = format!("{}.{}", b64(br#"{"alg":"ES256","kid":"k"}"#), b64(claims.to_string().as_bytes()));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes())?;
    let spec = serde_json::json!({
        "type": "jwt", "name": "id", "issuer": "https://id.example", "audiences": ["shop"], "jwks": {"inline": jwks},
        "algorithms": ["ES256"], "leeway_s": 30,
        "claims": {"scopes": ["scope"], "roles": ["roles"], "tenant": null, "client": null, "declared": {}},
    });
    Ok((serde_json::from_value(spec)?, format!("{signed}.{}", b64(signature.as_ref()))))
}

fn time(label: &str, rounds: u32, mut work: impl FnMut() -> bool) {
    let passed = (0..rounds / 10).filter(|_| work()).count();
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(work());
    }
    let ns = start.elapsed().as_nanos() / u128::from(rounds);
    println!("{label:<40} {ns:>8} ns   ({passed} of {} passed while warming up)", rounds / 10);
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
    let (spec, token) = provider_and_token()?;
    let providers = [Provider::build(&spec, &Secrets::new(), &shared)?];
    let accepts = Accepts::AnyOf(vec![0]);
    let info = ConnectionInfo {
        peer: "192.0.2.1:1".parse()?,
        listener: "public".into(),
        tls: true,
        sni: None,
        client_certificate: None,
    };
    let mut exchange = Exchange::new(Rc::new(info));
    let value = format!("Bearer {token}");
    for (name, value) in [("host", "api.example"), ("accept", "*/*"), ("user-agent", "x"), ("authorization", value.as_str())] {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).map_err(|_| "a header field is not valid")?;
    }
    let mut ask = |label: &str, rounds, entries| {
        let mut verdicts = VerdictCache::new(entries);
        time(&format!("{label}, {} byte token", token.len()), rounds, || {
            matches!(authenticate(&providers, &accepts, &mut verdicts, &mut exchange, NOW), Step::Continue)
        });
    };
    ask("cached verdict", 1_000_000, 1000);
    ask("ES256 verified", 20_000, 0);

    let tables = Tables::new(100_000);
    let spec = ir::RateLimit {
        name: "per-caller".into(),
        scope: "route:a".into(),
        count: 1_000_000,
        period_ms: 1,
        burst: 100,
        key: ir::LimitKey::Principal,
    };
    let limit = RateLimit::build(&spec, &tables)?;
    let mut at = NOW.monotonic_ns;
    let mut key = 0u64;
    time("rate limit, one caller", 5_000_000, || {
        at += 50;
        limit.check(7, Now { monotonic_ns: at, ..NOW }).is_ok()
    });
    time("rate limit, 50,000 callers", 5_000_000, || {
        at += 50;
        key = (key + 1) % 50_000;
        limit.check(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), Now { monotonic_ns: at, ..NOW }).is_ok()
    });
    Ok(())
}
