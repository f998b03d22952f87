//! What an assertion of identity costs beside its bare signature: `cargo run --release --example assertion_cost`.
//!
//! With a word (`fresh`, `reused`, `signature`) only that is done, 20,000 times, for `valgrind --tool=callgrind`.
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yett_core::filters::identity_assertion::{Call, IdentityAssertion, Minter, Ring};
use yett_core::ir;
use yett_core::principal::{AuthenticationMethod, Principal};
use yett_core::snapshot::Secrets;

const NOW_MS: u64 = 1_800_000_000_000;
const ROUNDS: u32 = 20_000;

fn assertion(algorithm: &str, der: &[u8], reuse_ms: Option<u64>) -> Result<IdentityAssertion, Box<dyn Error>> {
    let key = serde_json::json!({"id": "k".repeat(43), "algorithm": algorithm, "secret": "s", "index": 0, "from_s": 0});
    let spec: ir::Identity = serde_json::from_value(serde_json::json!({"issuer": "https://gateway.example.com", "keys": [key]}))?;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    let ring = Arc::new(Ring::build(&spec, &Secrets::from([("s".to_owned(), pem.into_bytes().into())]))?);
    let spec = serde_json::json!({"audience": "billing", "lifetime_s": 30, "reuse_ms": reuse_ms});
    Ok(IdentityAssertion::build(&serde_json::from_value(spec)?, "https://gateway.example.com", &ring, &"0".repeat(64))?)
}

/// Nanoseconds a round; the least of five runs.
fn time(mut work: impl FnMut() -> bool) -> u128 {
    let run = |_| {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            assert!(std::hint::black_box(work()));
        }
        start.elapsed().as_nanos() / u128::from(ROUNDS)
    };
    (0..5).map(run).min().unwrap_or(0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let only = std::env::args().nth(1);
    let principal = Rc::new(Principal {
        subject: "8f14e45f-ceea-467f-a8c3-1d2b9a0c5e77".into(),
        client: Some("mobile".into()),
        tenant: Some("acme".into()),
        scopes: ["billing.read", "billing.write", "orders.read"].map(Into::into).into(),
        ..Principal::blank("customers".into(), AuthenticationMethod::Jwt)
    });
    let call = Call {
        principal: Some(&principal),
        method: "GET",
        target: b"/tenants/acme/invoices/9001?page=2&sort=date",
        request_id: b"01990000-0000-7000-8000-000000000000",
        body: None,
    };
    let rng = SystemRandom::new();
    let (ed, p256) =
        (Ed25519KeyPair::generate_pkcs8(&rng)?, EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng)?);
    let (ed_pair, p256_pair) =
        (Ed25519KeyPair::from_pkcs8(ed.as_ref())?, EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref())?);
    let (mut minter, mut out) = (Minter::default(), Vec::new());
    let eddsa = assertion("EdDSA", ed.as_ref(), None)?;
    let es256 = assertion("ES256", p256.as_ref(), None)?;
    let reused = assertion("EdDSA", ed.as_ref(), Some(5000))?;
    eddsa.mint(&call, NOW_MS, &mut minter, &mut out).map_err(|_| "nothing was minted")?;
    // What is signed: the same bytes as in an assertion.
    let message = out.get(..out.iter().rposition(|byte| *byte == b'.').unwrap_or(0)).unwrap_or_default().to_vec();
    let length = out.len();
    let mut mint = |assertion: &IdentityAssertion| assertion.mint(&call, NOW_MS, &mut minter, &mut out).is_ok();
    if let Some(only) = only {
        for _ in 0..ROUNDS {
            std::hint::black_box(match only.as_str() {
                "fresh" => mint(&eddsa),
                "reused" => mint(&reused),
                _ => !ed_pair.sign(&message).as_ref().is_empty(),
            });
        }
        return Ok(());
    }
    let bare_ed = time(|| !ed_pair.sign(&message).as_ref().is_empty());
    let fresh_ed = time(|| mint(&eddsa));
    let bare_p256 = time(|| p256_pair.sign(&rng, &message).is_ok());
    let fresh_p256 = time(|| mint(&es256));
    let again = time(|| mint(&reused));
    println!("an assertion of {length} bytes");
    println!(
        "EdDSA   bare signature {bare_ed:>7} ns   fresh assertion {fresh_ed:>7} ns   beside it {:>6} ns",
        fresh_ed.saturating_sub(bare_ed)
    );
    println!(
        "ES256   bare signature {bare_p256:>7} ns   fresh assertion {fresh_p256:>7} ns   beside it {:>6} ns",
        fresh_p256.saturating_sub(bare_p256)
    );
    println!("reused  {again} ns");
    Ok(())
}
