//! What a cached verdict, a cold one beside the bare signature, and a rate limit cost: nanoseconds of this thread's CPU.
//! `cargo run --release --example credential_cost`
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use yett_core::exchange::{ConnectionInfo, Exchange, Now, Step};
use yett_core::filters::authorize::Ask;
use yett_core::filters::authorize::condition::{Readable, RouteFacts};
use yett_core::filters::rate_limit::{RateLimit, RateLimits, Reports, Tables};
use yett_core::principal::{AuthenticationMethod, Principal};
use yett_core::providers::verdict::VerdictCache;
use yett_core::providers::{Accepts, Provider, authenticate};
use yett_core::shared::Shared;
use yett_core::{ir, snapshot::Secrets};

const NOW: Now = Now { monotonic_ns: 1_000_000_000, unix_ms: 1_800_000_000_000 };

/// A token of about 800 bytes, a provider that trusts its key, and what there is to verify.
struct Case {
    algorithm: &'static str,
    spec: ir::Provider,
    token: String,
    signed: Vec<u8>,
    signature: Vec<u8>,
    key: ParsedPublicKey,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn case(algorithm: &'static str) -> Result<Case, Box<dyn Error>> {
    let claims = serde_json::json!({
        "iss": "https://id.example", "aud": "shop", "sub": "ann", "exp": 1_800_000_300, "iat": 1_800_000_000, "client_id": "mobile",
        "scope": "a b", "jti": "t-1", "x": "y".repeat(400),
    });
    let header = format!(r#"{{"alg":"{algorithm}","kid":"k"}}"#);
    let signed = format!("{}.{}", b64(header.as_bytes()), b64(claims.to_string().as_bytes())).into_bytes();
    let random = SystemRandom::new();
    let (jwk, signature, key) = match algorithm {
        "ES256" => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            let point = pair.public_key().as_ref();
            let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
            let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(x), "y": b64(y)});
            (jwk, pair.sign(&random, &signed)?.as_ref().to_vec(), ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)?)
        }
        "EdDSA" => {
            let pair = Ed25519KeyPair::generate()?;
            let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(pair.public_key().as_ref())});
            (jwk, pair.sign(&signed).as_ref().to_vec(), ParsedPublicKey::new(&ED25519, pair.public_key().as_ref())?)
        }
        _ => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, &signed, &mut signature)?;
            let public = pair.public_key();
            // DER of 2048 bits: behind nine bytes of lengths stands the modulus, at the end the exponent 65537.
            let n = public.as_ref().get(9..265).ok_or("the RSA key has another form")?;
            let e = [1, 0, 1].as_slice();
            let jwk = serde_json::json!({"kty": "RSA", "kid": "k", "n": b64(n), "e": b64(e)});
            (jwk, signature, ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref())?)
        }
    };
    let spec = serde_json::json!({
        "type": "jwt", "name": "id", "issuer": "https://id.example", "audiences": ["shop"],
        "jwks": {"inline": serde_json::json!({"keys": [jwk]}).to_string()}, "algorithms": [algorithm], "leeway_s": 30,
        "claims": {"scopes": ["scope"], "roles": ["roles"], "tenant": null, "client": null, "declared": {}},
    });
    let token = format!("{}.{}", String::from_utf8(signed.clone())?, b64(&signature));
    Ok(Case { algorithm, spec: serde_json::from_value(spec)?, token, signed, signature, key })
}

/// Nanoseconds of CPU that this thread has had (Linux).
fn cpu_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

fn time(label: &str, rounds: u32, mut work: impl FnMut() -> bool) -> u128 {
    let passed = (0..rounds / 10).filter(|_| work()).count();
    let start = cpu_ns();
    for _ in 0..rounds {
        std::hint::black_box(work());
    }
    let ns = (cpu_ns() - start) / u128::from(rounds);
    println!("{label:<40} {ns:>8} ns   ({passed} of {} passed while warming up)", rounds / 10);
    ns
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        verdicts(&shared, &case(algorithm)?)?;
    }
    limits()
}

fn verdicts(shared: &Arc<Shared>, case: &Case) -> Result<(), Box<dyn Error>> {
    let providers = [Provider::build(&case.spec, &Secrets::new(), shared)?];
    let accepts = Accepts::AnyOf(vec![0]);
    let info = ConnectionInfo {
        peer: "192.0.2.1:1".parse()?,
        listener: "public".into(),
        tls: true,
        sni: None,
        client_certificate: None,
        ja4: None,
    };
    let mut exchange = Exchange::new(Rc::new(info));
    let value = format!("Bearer {}", case.token);
    for (name, value) in [("host", "api.example"), ("accept", "*/*"), ("user-agent", "x"), ("authorization", value.as_str())] {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).map_err(|_| "a header field is not valid")?;
    }
    let mut ask = |label: &str, rounds, entries| {
        let mut verdicts = VerdictCache::new(entries);
        time(&format!("{} {label}, {} bytes", case.algorithm, case.token.len()), rounds, || {
            matches!(authenticate(&providers, &accepts, &mut verdicts, &mut exchange, NOW), Step::Continue)
        })
    };
    ask("cached verdict", 200_000, 1000);
    let cold = ask("cold verdict", 10_000, 0);
    let bare = time(&format!("{} bare signature", case.algorithm), 10_000, || {
        case.key.verify_sig(&case.signed, &case.signature).is_ok()
    });
    println!("{:<40} {:>8} ns", format!("{} cold, beyond the signature", case.algorithm), cold.saturating_sub(bare));
    Ok(())
}

fn limits() -> Result<(), Box<dyn Error>> {
    let tables = Tables::new(100_000);
    let spec = ir::RateLimit {
        name: "per-caller".into(),
        scope: "route:a".into(),
        count: 1_000_000,
        period_ms: 1,
        burst: 100,
        ..ir::RateLimit::default()
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
    together(&tables, &spec)
}

/// Two windows of one limit, looked at and charged together.
fn together(tables: &Tables, spec: &ir::RateLimit) -> Result<(), Box<dyn Error>> {
    let windows = ["second", "day"].map(|name| ir::RateLimit { name: name.into(), ..spec.clone() });
    let limits =
        RateLimits::build(&windows, &[], tables, &[7; 32], Some(&Readable::default())).map_err(|errors| errors.join("; "))?;
    let peer = "10.1.2.3:4000".parse()?;
    let connection = ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let exchange = Exchange::new(Rc::new(connection));
    let caller = |key| Principal { key, ..Principal::blank("id".into(), AuthenticationMethod::Jwt) };
    let (facts, mut principal, mut reports) = (RouteFacts::default(), caller(7), Reports::new());
    let mut at = NOW.monotonic_ns;
    for callers in [1, 50_000] {
        time(&format!("two windows, {callers} callers"), 5_000_000, || {
            at += 50;
            principal.key = (principal.key + 1) % callers;
            let now = Now { monotonic_ns: at, ..NOW };
            reports.clear();
            limits
                .charge(
                    &exchange,
                    Some(&Ask { principal: &principal, exchange: &exchange, route: &facts, now }),
                    now,
                    &mut reports,
                )
                .is_ok()
        });
    }
    Ok(())
}
