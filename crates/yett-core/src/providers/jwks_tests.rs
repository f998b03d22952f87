//! Key sets that change, go away and come back, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::jwk::Algorithm;
use super::jwks::{KeySource, Registry, Settings};
use super::jwt::{Failure, Jwt, Unverified};
use super::kept::Sink;
use super::testing::*;
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;

type Events = Arc<Mutex<Vec<String>>>;

/// An identity provider that gives the same answer until told otherwise.
struct Idp {
    runtime: Runtime,
    registry: Registry,
    events: Events,
    answer: Arc<Mutex<Vec<u8>>>,
    hits: Arc<AtomicUsize>,
    port: u16,
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T, answer: Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

impl Idp {
    fn start(answer: Vec<u8>) -> Self {
        Self::start_with(answer, None)
    }

    fn start_with(answer: Vec<u8>, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        let hits = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (Arc::clone(&answer), Arc::clone(&hits));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, tls) = (shared.lock().unwrap().clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { runtime, registry: Registry::default(), events: Events::default(), answer, hits, port }
    }

    fn says(&self, answer: Vec<u8>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn url(&self) -> ir::JwksUrl {
        ir::JwksUrl {
            url: format!("http://127.0.0.1:{}/jwks?secret=1", self.port),
            plaintext: true,
            ca: None,
            refresh_ms: 3_600_000,
            stale_ms: 3_600_000,
            min_interval_ms: 3_600_000,
        }
    }

    fn source(&self, spec: &ir::JwksUrl, issuer: &str) -> Result<Arc<KeySource>, String> {
        self.start_source(Settings::new(spec, issuer, &[Algorithm::Es256])?)
    }

    fn start_source(&self, settings: Settings) -> Result<Arc<KeySource>, String> {
        let events = Arc::clone(&self.events);
        let sink: Sink = Box::new(move |level, event, fields: &[(&'static str, &str)]| {
            events.lock().unwrap().push(format!("{level} {event} {fields:?}"));
        });
        self.registry.keys(settings, None, self.runtime.handle(), sink)
    }

    fn jwt(&self, spec: ir::JwksUrl) -> Jwt {
        let provider = provider(ir::Jwks::Url(spec));
        Jwt::build_with(&provider, &crate::snapshot::Secrets::new(), &KeyedHash::new(&[1; 32]), |settings| {
            self.start_source(settings)
        })
        .unwrap()
    }

    fn wait(&self, source: &KeySource) {
        self.runtime.block_on(source.refreshed());
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn has_event(&self, part: &str) -> bool {
        self.events.lock().unwrap().iter().any(|event| event.contains(part))
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn keys(names: &[&str]) -> Vec<u8> {
    ok(&set(&names.iter().map(|kid| Signer::shared().jwk(Some(kid))).collect::<Vec<_>>()))
}

fn judged(jwt: &Jwt, kid: &str) -> Result<(), (Reason, bool)> {
    let text = Signer::shared().token(&json!({"alg": "ES256", "kid": kid}), &claims());
    let token = Unverified::parse(text.as_bytes()).unwrap();
    jwt.verify(&token, now()).map(drop).map_err(|failure| match failure {
        Failure::Refused(refusal) => (refusal.reason, false),
        Failure::KeysNeeded(refusal) => (refusal.reason, true),
    })
}

#[test]
fn the_first_fetch_starts_at_once_and_waiters_share_it() {
    let idp = Idp::start(keys(&["a"]));
    let source = idp.source(&idp.url(), "https://id.example").unwrap();
    idp.runtime.block_on(async {
        let waits: Vec<_> = (0..50).map(|_| tokio::spawn(source.refreshed())).collect();
        for wait in waits {
            wait.await.unwrap();
        }
    });
    assert_eq!(source.trust().set.map(|set| set.len()), Some(1));
    assert_eq!(idp.hits(), 1);
    assert!(!source.may_refetch());
    assert!(Arc::ptr_eq(&source, &idp.source(&idp.url(), "https://id.example").unwrap()));
    assert!(idp.has_event("jwks_changed") && !idp.has_event("secret"));
}

#[test]
fn an_unknown_key_is_asked_for_once_per_interval() {
    let idp = Idp::start(keys(&["a"]));
    let mut spec = idp.url();
    spec.min_interval_ms = 300;
    let jwt = idp.jwt(spec);
    let super::jwt::Keys::Fetched(source) = &jwt.keys else { unreachable!() };
    until("first set", || source.trust().set.is_some());
    until("first attempt over", || judged(&jwt, "b") == Err((Reason::TokenKeyUnknown, false)));
    assert_eq!(judged(&jwt, "a"), Ok(()));
    idp.wait(source);
    assert_eq!(idp.hits(), 1);
    idp.says(keys(&["a", "b"]));
    let before = source.revision();
    until("allowed again", || judged(&jwt, "b") == Err((Reason::TokenKeyUnknown, true)));
    idp.wait(source);
    assert_eq!((judged(&jwt, "b"), idp.hits()), (Ok(()), 2));
    assert!(source.revision() > before);
}

#[test]
fn the_revision_moves_with_the_keys_and_only_with_them() {
    let idp = Idp::start(keys(&["a"]));
    let mut spec = idp.url();
    spec.min_interval_ms = 0;
    let source = idp.source(&spec, "https://id.example").unwrap();
    until("first set", || source.trust().set.is_some());
    let first = source.revision();
    let hits = idp.hits();
    idp.wait(&source);
    until("fetched again", || idp.hits() > hits);
    idp.wait(&source);
    assert_eq!(source.revision(), first);
    idp.says(keys(&["b"]));
    until("key withdrawn", || {
        idp.wait(&source);
        source.revision() > first
    });
    let second = source.revision();
    idp.says(keys(&["a"]));
    until("key back under a new revision", || {
        idp.wait(&source);
        source.revision() > second
    });
    assert_eq!(source.trust().revision, source.revision());
}

#[test]
fn an_outage_is_bridged_and_then_said() {
    let idp = Idp::start(keys(&["a"]));
    let mut spec = idp.url();
    (spec.refresh_ms, spec.stale_ms) = (100, 700);
    let jwt = idp.jwt(spec);
    until("first set", || judged(&jwt, "a") == Ok(()));
    idp.says(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec());
    until("a failure", || idp.has_event("jwks_fetch_failed"));
    assert!(idp.has_event("answered 500"));
    assert_eq!(judged(&jwt, "a"), Ok(()));
    until("given up", || matches!(judged(&jwt, "a"), Err((Reason::IdentityProviderUnavailable, _))));
    assert!(idp.has_event("jwks_expired"));
    idp.says(keys(&["a"]));
    until("back", || judged(&jwt, "a") == Ok(()));
}

#[test]
fn without_a_set_a_request_waits_once_and_then_hears_that_the_provider_is_down() {
    let idp = Idp::start(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec());
    let jwt = idp.jwt(idp.url());
    let super::jwt::Keys::Fetched(source) = &jwt.keys else { unreachable!() };
    idp.wait(source);
    until("refused", || judged(&jwt, "a") == Err((Reason::IdentityProviderUnavailable, false)));
    idp.says(keys(&["a"]));
    until("retried by itself", || judged(&jwt, "a") == Ok(()));
}

#[test]
fn answers_that_are_not_a_small_key_set_change_nothing() {
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "a".repeat(300_000));
    let target = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let elsewhere =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", target.local_addr().unwrap());
    for (answer, says) in [
        (ok(&huge), "262144"),
        (elsewhere.into_bytes(), "redirects are not followed"),
        (ok("<html>"), "not a JSON object"),
        (ok(r#"{"keys":[]}"#), "no public key"),
        (b"nonsense\r\n\r\n".to_vec(), "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_vec(), "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}".to_vec(), "encoding"),
    ] {
        let idp = Idp::start(answer);
        let source = idp.source(&idp.url(), "https://id.example").unwrap();
        until("a failure", || idp.has_event("jwks_fetch_failed"));
        assert!(idp.has_event(says), "{says}: {:?}", idp.events.lock().unwrap());
        assert!(source.trust().set.is_none());
    }
    assert!(target.accept().is_err(), "the redirect was followed");
}

#[test]
fn loopback_is_fetched_from_only_where_the_issuer_is_there_or_a_reason_was_given() {
    let idp = Idp::start(keys(&["a"]));
    let mut spec = idp.url();
    spec.plaintext = false;
    spec.url = format!("https://127.0.0.1:{}/", idp.port);
    spec.ca = Some(CertificateParams::new(vec![]).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap().pem());
    let _source = idp.source(&spec, "https://id.example").unwrap();
    until("refused", || idp.has_event("never fetched from"));
    assert_eq!(idp.hits(), 0);
    let _own = idp.source(&spec, "https://localhost/realm").unwrap();
    until("tried", || idp.hits() > 0);
}

#[test]
fn https_is_verified_against_the_given_authority_alone() {
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, &ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    let idp = Idp::start_with(keys(&["a"]), Some(Arc::new(config).into()));
    let mut spec = idp.url();
    spec.plaintext = false;
    spec.url = format!("https://localhost:{}/", idp.port);
    spec.ca = Some(CertificateParams::new(vec![]).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap().pem());
    let stranger = idp.source(&spec, "https://localhost").unwrap();
    until("refused", || idp.has_event("handshake failed"));
    assert!(stranger.trust().set.is_none());
    spec.ca = Some(ca_certificate.pem());
    let trusted = idp.source(&spec, "https://localhost").unwrap();
    until("fetched", || trusted.trust().set.is_some());
}

#[test]
fn a_source_that_nobody_uses_ends_its_task() {
    let idp = Idp::start(keys(&["a"]));
    let source = idp.source(&idp.url(), "https://id.example").unwrap();
    until("first set", || source.trust().set.is_some());
    let first = source.revision();
    until("attempt over", || !source.may_refetch());
    let alive = idp.runtime.metrics().num_alive_tasks();
    drop(source);
    until("task gone", || idp.runtime.metrics().num_alive_tasks() < alive);
    let again = idp.source(&idp.url(), "https://id.example").unwrap();
    assert!(again.revision() > first, "a revision came again");
}
