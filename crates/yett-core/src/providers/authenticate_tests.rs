//! One credential: which one counts, and when none does.

use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde_json::json;
use tokio::runtime::Runtime;

use super::api_key::checksum;
use super::testing::*;
use super::verdict::VerdictCache;
use super::{Accepts, Provider, authenticate};
use crate::exchange::{ConnectionInfo, Exchange, Need, Now, Step};
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::{Challenge, Secrets};

struct Gate {
    providers: Vec<Provider>,
    verdicts: VerdictCache,
    _runtime: Runtime,
}

const ID: u32 = 0;
const PARTNERS: u32 = 1;
const STAFF: u32 = 2;
const OTHER_ID: u32 = 3;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn key(id: &str) -> String {
    let body = format!("yett_{id}_{}", "s".repeat(43));
    format!("{body}{}", std::str::from_utf8(&checksum(body.as_bytes())).unwrap())
}

fn store(name: &str, header: &str, id: &str, expires: Option<u64>) -> ir::Provider {
    let hash = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), key(id).as_bytes());
    let stored = ir::ApiKey {
        id: id.into(),
        name: "acme".into(),
        hash: hex(hash.as_ref()),
        expires,
        scopes: vec![],
        roles: vec![],
        tenant: None,
        kind: ir::MachineKind::Service,
        partner: None,
        allowed_addresses: vec![],
    };
    ir::Provider::ApiKey(ir::ApiKeyProvider {
        name: name.into(),
        header: header.into(),
        salt: hex(&[7; 32]),
        pepper: None,
        keys: vec![stored],
    })
}

impl Gate {
    fn new() -> Self {
        let mut other = provider(ir::Jwks::Inline(set(&[Signer::shared().jwk(Some("k1"))])));
        other.name = "other".into();
        other.issuer = "https://other.example".into();
        Self::with(vec![
            ir::Provider::Jwt(provider(ir::Jwks::Inline(set(&[Signer::shared().jwk(Some("k1"))])))),
            store("partners", "x-api-key", "partner00001", None),
            store("staff", "x-staff-key", "staff0000001", Some(NOW_S + 10)),
            ir::Provider::Jwt(other),
        ])
    }

    fn with(specs: Vec<ir::Provider>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
        let build = |spec: &ir::Provider| Provider::build(spec, &Secrets::new(), &shared).unwrap();
        Self { providers: specs.iter().map(build).collect(), verdicts: VerdictCache::new(100), _runtime: runtime }
    }

    fn step(&mut self, exchange: &mut Exchange, accepted: &[u32], now: Now) -> Step {
        authenticate(&self.providers, &Accepts::AnyOf(accepted.to_vec()), &mut self.verdicts, exchange, now)
    }

    fn ask_all(&mut self, accepted: &[u32], headers: &[(&str, &str)]) -> Result<Vec<String>, Reason> {
        let mut exchange = exchange("/a", headers);
        match authenticate(&self.providers, &Accepts::AllOf(accepted.to_vec()), &mut self.verdicts, &mut exchange, now()) {
            Step::Continue => Ok(exchange.principals().map(|caller| caller.provider.to_string()).collect()),
            Step::Refuse(refusal) => {
                assert!(exchange.principals().next().is_none());
                Err(refusal.reason)
            }
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, accepted: &[u32], headers: &[(&str, &str)]) -> Result<String, Reason> {
        self.ask_at(accepted, headers, now())
    }

    fn ask_at(&mut self, accepted: &[u32], headers: &[(&str, &str)], now: Now) -> Result<String, Reason> {
        let mut exchange = exchange("/a?x=1", headers);
        match self.step(&mut exchange, accepted, now) {
            Step::Continue => {
                let caller = exchange.principal.expect("a principal");
                Ok(format!("{}/{}", caller.provider, caller.subject))
            }
            Step::Refuse(refusal) => {
                assert!(exchange.principal.is_none());
                Err(refusal.reason)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn exchange(target: &str, headers: &[(&str, &str)]) -> Exchange {
    let peer = "192.0.2.1:1".parse().unwrap();
    let mut exchange = Exchange::new(Rc::new(ConnectionInfo {
        peer,
        listener: "public".into(),
        tls: true,
        sni: None,
        client_certificate: None,
        ja4: None,
    }));
    exchange.request.target = target.as_bytes().to_vec();
    for (name, value) in headers {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    exchange
}

fn bearer() -> String {
    format!("Bearer {}", Signer::shared().token(&json!({"alg": "ES256", "kid": "k1"}), &claims()))
}

fn bearer_of(issuer: &str) -> String {
    let mut claims = claims();
    claims["iss"] = issuer.into();
    format!("Bearer {}", Signer::shared().token(&json!({"alg": "ES256", "kid": "k1"}), &claims))
}

#[test]
fn the_provider_follows_from_the_kind_of_the_credential() {
    let mut gate = Gate::new();
    let all = [ID, PARTNERS, STAFF, OTHER_ID];
    for _ in 0..2 {
        assert_eq!(gate.ask(&all, &[("authorization", &bearer())]), Ok("id/ann".into()));
        assert_eq!(gate.ask(&all, &[("Authorization", &bearer_of("https://other.example"))]), Ok("other/ann".into()));
        assert_eq!(gate.ask(&all, &[("X-Api-Key", &key("partner00001"))]), Ok("partners/acme".into()));
        assert_eq!(gate.ask(&all, &[("x-staff-key", &key("staff0000001"))]), Ok("staff/acme".into()));
    }
    assert!(gate.ask(&all, &[("authorization", &bearer().replace("Bearer", "bEARER"))]).is_ok());
}

#[test]
fn none_is_missing_and_a_form_that_is_not_bearer_is_malformed() {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(&[ID, PARTNERS], &[("x-other", "1"), ("cookie", "session=1")]), Err(Reason::CredentialMissing));
    for bad in ["Basic YTpi", "Bearer", "Bearer  abc", "Bearer a b", "Bearer a,b", "", "Token abc", "BearerX abc", "Bearer \tabc"]
    {
        assert_eq!(gate.ask(&[ID], &[("authorization", bad)]), Err(Reason::CredentialMalformed), "{bad:?}");
    }
    assert_eq!(gate.ask(&[ID], &[("authorization", "Bearer junk")]), Err(Reason::CredentialMalformed));
    assert_eq!(gate.ask(&[ID], &[("authorization", &format!("Bearer {}", "a".repeat(9_000)))]), Err(Reason::TokenTooLarge));
    for bad in ["", "yett_", "secret", key("partner00001").trim_start_matches('y')] {
        assert_eq!(gate.ask(&[PARTNERS], &[("x-api-key", bad)]), Err(Reason::CredentialMalformed), "{bad:?}");
    }
}

#[test]
fn two_credentials_are_ambiguous_whichever_they_are() {
    let mut gate = Gate::new();
    let (token, partner, staff) = (bearer(), key("partner00001"), key("staff0000001"));
    for pair in [
        [("authorization", token.as_str()), ("authorization", token.as_str())],
        [("authorization", token.as_str()), ("Authorization", "Basic x")],
        [("authorization", token.as_str()), ("x-api-key", partner.as_str())],
        [("x-api-key", partner.as_str()), ("X-API-KEY", partner.as_str())],
        [("x-api-key", partner.as_str()), ("x-staff-key", staff.as_str())],
        [("x-api-key", "junk"), ("authorization", token.as_str())],
    ] {
        for accepted in [&[ID, PARTNERS, STAFF][..], &[ID], &[PARTNERS]] {
            assert_eq!(gate.ask(accepted, &pair), Err(Reason::CredentialAmbiguous), "{pair:?}");
        }
    }
}

#[test]
fn a_credential_that_the_route_does_not_accept_refuses() {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(&[PARTNERS], &[("authorization", &bearer())]), Err(Reason::ProviderNotAccepted));
    assert_eq!(gate.ask(&[ID], &[("x-api-key", &key("partner00001"))]), Err(Reason::ProviderNotAccepted));
    assert_eq!(gate.ask(&[STAFF], &[("x-api-key", &key("partner00001"))]), Err(Reason::ProviderNotAccepted));
    assert_eq!(gate.ask(&[ID], &[("authorization", &bearer())]), Ok("id/ann".into()));
    assert_eq!(gate.ask(&[OTHER_ID], &[("authorization", &bearer())]), Err(Reason::TokenIssuerUnknown));
    for issuer in ["https://id.example/", "https://ID.example", "", "https://evil.example"] {
        assert_eq!(gate.ask(&[ID], &[("authorization", &bearer_of(issuer))]), Err(Reason::TokenIssuerUnknown), "{issuer}");
    }
    assert_eq!(gate.ask(&[], &[("authorization", &bearer())]), Err(Reason::ProviderNotAccepted));
    assert_eq!(gate.ask(&[99], &[("authorization", &bearer())]), Err(Reason::ProviderNotAccepted));
}

#[test]
fn stores_that_share_a_header_are_told_apart_by_the_id() {
    let mut gate =
        Gate::with(vec![store("one", "x-api-key", "one000000001", None), store("two", "x-api-key", "two000000001", None)]);
    assert_eq!(gate.ask(&[0, 1], &[("x-api-key", &key("two000000001"))]), Ok("two/acme".into()));
    assert_eq!(gate.ask(&[0], &[("x-api-key", &key("two000000001"))]), Err(Reason::ApiKeyUnknown));
    assert_eq!(gate.ask(&[0, 1], &[("x-api-key", &key("nobody000001"))]), Err(Reason::ApiKeyUnknown));
}

#[test]
fn remembered_verdicts_end_with_the_credential() {
    let mut gate = Gate::new();
    let (token, staff) = (bearer(), key("staff0000001"));
    assert!(gate.ask_at(&[ID], &[("authorization", &token)], at(NOW_S)).is_ok());
    assert!(gate.ask_at(&[ID], &[("authorization", &token)], at(NOW_S + 329)).is_ok());
    assert_eq!(gate.ask_at(&[ID], &[("authorization", &token)], at(NOW_S + 330)), Err(Reason::TokenExpired));
    assert_eq!(gate.ask_at(&[ID], &[("authorization", &token)], at(NOW_S - 41)), Err(Reason::TokenNotYetValid));
    assert!(gate.ask_at(&[STAFF], &[("x-staff-key", &staff)], at(NOW_S)).is_ok());
    assert_eq!(gate.ask_at(&[STAFF], &[("x-staff-key", &staff)], at(NOW_S + 10)), Err(Reason::ApiKeyExpired));
}

#[test]
fn a_verdict_does_not_outlive_a_change_of_its_provider() {
    let mut gate = Gate::new();
    assert!(gate.ask(&[ID], &[("authorization", &bearer())]).is_ok());
    let mut stricter = provider(ir::Jwks::Inline(set(&[Signer::shared().jwk(Some("k1"))])));
    stricter.audiences = vec!["billing".into()];
    let mut reloaded = Gate::with(vec![ir::Provider::Jwt(stricter)]);
    reloaded.verdicts = std::mem::replace(&mut gate.verdicts, VerdictCache::new(0));
    assert_eq!(reloaded.ask(&[ID], &[("authorization", &bearer())]), Err(Reason::TokenAudienceMismatch));
    let other_keys = provider(ir::Jwks::Inline(set(&[Signer::es256().jwk(Some("k1"))])));
    let mut rotated = Gate::with(vec![ir::Provider::Jwt(other_keys)]);
    rotated.verdicts = reloaded.verdicts;
    assert_eq!(rotated.ask(&[ID], &[("authorization", &bearer())]), Err(Reason::TokenSignatureInvalid));
}

#[test]
fn a_request_asks_for_keys_once_and_others_are_not_touched_by_an_outage() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let down = provider(ir::Jwks::Url(ir::JwksUrl {
        url,
        plaintext: true,
        ca: None,
        refresh_ms: 60_000,
        stale_ms: 60_000,
        min_interval_ms: 0,
    }));
    let mut gate = Gate::with(vec![ir::Provider::Jwt(down), store("partners", "x-api-key", "partner00001", None)]);
    let mut asking = exchange("/a", &[("authorization", &bearer())]);
    assert!(matches!(gate.step(&mut asking, &[0, 1], now()), Step::Need(Need::Keys { provider: 0 })));
    gate._runtime.block_on(gate.providers[0].refresh_keys());
    let Step::Refuse(refusal) = gate.step(&mut asking, &[0, 1], now()) else { panic!("asked twice") };
    assert_eq!(refusal.reason, Reason::IdentityProviderUnavailable);
    assert_eq!(gate.ask(&[0, 1], &[("x-api-key", &key("partner00001"))]), Ok("partners/acme".into()));
}

#[test]
fn challenges_and_headers_name_the_provider() {
    let gate = Gate::new();
    assert_eq!(gate.providers[0].challenge(), Challenge::Bearer("id".into()));
    assert_eq!(gate.providers[1].challenge(), Challenge::ApiKey("partners".into(), "x-api-key".into()));
    assert_eq!(gate.providers[0].credential_headers(), [Arc::<str>::from("authorization")]);
    assert_eq!(gate.providers[2].credential_headers(), [Arc::<str>::from("x-staff-key")]);
    assert_eq!(&**gate.providers[2].name(), "staff");
}

#[test]
fn token68_is_what_the_rfc_lists() {
    for byte in 0..=u8::MAX {
        let listed = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        assert_eq!(super::authenticate::is_token68(&[b'a', byte, b'Z']), listed, "{byte}");
    }
}

#[test]
fn where_all_have_to_vouch_each_judges_its_own_and_nothing_is_left_over() {
    let mut gate = Gate::new();
    let token = bearer();
    let (partner, staff) = (key("partner00001"), key("staff0000001"));
    let both = [("authorization", &*token), ("x-api-key", &*partner)];
    for _ in 0..2 {
        assert_eq!(gate.ask_all(&[ID, PARTNERS], &both), Ok(vec!["id".into(), "partners".into()]));
        assert_eq!(gate.ask_all(&[PARTNERS, ID], &both), Ok(vec!["partners".into(), "id".into()]), "the first one is the caller");
    }
    for missing in [&both[..1], &both[1..], &[]] {
        assert_eq!(gate.ask_all(&[ID, PARTNERS], missing), Err(Reason::CredentialMissing));
    }
    assert_eq!(
        gate.ask_all(&[ID, PARTNERS], &[("authorization", &token), ("x-api-key", &key("unknown00001"))]),
        Err(Reason::ApiKeyUnknown)
    );
    assert_eq!(
        gate.ask_all(&[ID, PARTNERS], &[("authorization", &bearer_of("https://other.example")), ("x-api-key", &partner)]),
        Err(Reason::TokenIssuerUnknown)
    );
    let three = [both[0], both[1], ("x-staff-key", &*staff)];
    assert_eq!(gate.ask_all(&[ID, PARTNERS], &three), Err(Reason::CredentialAmbiguous), "one that nobody judged");
    assert!(Accepts::AllOf(vec![ID, OTHER_ID]).check(&gate.providers).is_err(), "both read Authorization");
    assert!(Accepts::AllOf(vec![ID, PARTNERS, STAFF]).check(&gate.providers).is_ok());
    assert!(Accepts::AnyOf(vec![ID, OTHER_ID]).check(&gate.providers).is_ok());
}
