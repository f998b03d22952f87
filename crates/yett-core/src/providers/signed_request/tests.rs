//! RFC 9421 appendix B with its own keys, and everything that is not quite it.

use std::rc::Rc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SignedRequests;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method, Now};
use crate::ir;
use crate::reason::Reason;
use crate::snapshot::Secrets;

/// Appendix B.1.2.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----
";
/// Appendix B.1.3.
const ECC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----
";
/// Appendix B.1.4.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
";
/// Appendix B.1.5.
const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

const DIGEST: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
const CREATED: u64 = 1_618_884_473;

/// Appendix B.2: label, what is signed, and the signature.
const VECTORS: [(&str, &str, &str); 6] = [
    (
        "sig-b21",
        r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
    ),
    (
        "sig-b22",
        r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
        "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
    ),
    (
        "sig-b23",
        r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
    ),
    (
        "sig-b25",
        r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
    ),
    (
        "sig-b26",
        r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    ),
    // Section 4.3, what the client signed.
    (
        "sig1",
        r#"("@method" "@authority" "@path" "content-digest" "content-type" "content-length");created=1618884475;keyid="test-key-ecc-p256""#,
        "X5spyd6CFnAG5QnDyHfqoSNICd+BUP4LYMz2Q0JXlb//4Ijpzp+kve2w4NIyqeAuM7jTDX+sNalzA8ESSaHD3A==",
    ),
];

fn key(id: &str, algorithm: &str, public: Option<&str>) -> ir::SigningKey {
    ir::SigningKey {
        id: id.into(),
        algorithm: algorithm.into(),
        public_key: public.map(Into::into),
        secret: public.is_none().then(|| "secret".into()),
        expires: None,
        machine: ir::Machine { client: Some(id.into()), ..ir::Machine::default() },
    }
}

fn spec() -> ir::SignedRequestProvider {
    ir::SignedRequestProvider {
        name: "partners".into(),
        components: vec![],
        max_age_s: 300,
        leeway_s: 30,
        nonce_required: false,
        tag: None,
        label: None,
        body_limit: 1024,
        keys: vec![
            key("test-key-rsa-pss", "rsa-pss-sha512", Some(RSA)),
            key("test-key-ecc-p256", "ecdsa-p256-sha256", Some(ECC)),
            key("test-key-ed25519", "ed25519", Some(ED25519)),
            key("test-shared-secret", "hmac-sha256", None),
        ],
    }
}

fn secrets() -> Secrets {
    Secrets::from([("secret".to_owned(), STANDARD.decode(SHARED).unwrap().into())])
}

fn build(change: impl FnOnce(&mut ir::SignedRequestProvider)) -> SignedRequests {
    let mut spec = spec();
    change(&mut spec);
    SignedRequests::build(&spec, &secrets()).unwrap()
}

/// The test request of appendix B.2.
fn request(input: &str, signature: &str) -> Exchange {
    let connection = ConnectionInfo {
        peer: "192.0.2.1:1".parse().unwrap(),
        listener: "main".into(),
        tls: true,
        sni: None,
        client_certificate: None,
        ja4: None,
    };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.method = Method::Post;
    exchange.request.target = b"/foo?param=Value&Pet=dog".to_vec();
    exchange.request.framing = Framing::Length(18);
    exchange.authority = b"example.com".to_vec();
    for (name, value) in [
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", DIGEST),
        ("Content-Length", "18"),
        ("Signature-Input", input),
        ("Signature", signature),
    ] {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    exchange
}

fn at(seconds: u64) -> Now {
    Now { monotonic_ns: 0, unix_ms: seconds * 1000 }
}

fn judged(provider: &SignedRequests, exchange: &Exchange, seconds: u64) -> Result<String, Reason> {
    provider.verify(exchange, at(seconds)).map(|signed| signed.key.into_string()).map_err(|refusal| refusal.reason)
}

fn vector(label: &str) -> Exchange {
    let (_, input, signature) = VECTORS.iter().find(|(name, ..)| *name == label).unwrap();
    request(&format!("{label}={input}"), &format!("{label}=:{signature}:"))
}

fn replaced(mut exchange: Exchange, name: &str, value: &str) -> Exchange {
    exchange.request.headers.set(name.as_bytes(), value.as_bytes()).unwrap();
    exchange
}

/// Signs by a fresh key that the provider knows as `own`.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn key(&self) -> ir::SigningKey {
        let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [&prefix, self.0.public_key().as_ref()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        key("own", "ed25519", Some(&pem))
    }

    fn provider(&self, change: impl FnOnce(&mut ir::SignedRequestProvider)) -> SignedRequests {
        build(|spec| {
            spec.keys.push(self.key());
            change(spec);
        })
    }

    /// The request with a signature of what `member` says, by the code under test itself.
    fn signed(&self, member: &str) -> Exchange {
        let exchange = request(&format!("a={member}"), "a=:AAAA:");
        let input = super::fields::inputs(format!("a={member}").as_bytes()).unwrap();
        let base = super::base::build(&exchange, &input[0]).unwrap();
        let signature = STANDARD.encode(self.0.sign(&base).as_ref());
        replaced(exchange, "Signature", &format!("a=:{signature}:"))
    }
}

#[test]
fn every_vector_of_a_request_is_accepted() {
    let provider = build(|_| {});
    for (label, ..) in VECTORS {
        assert!(
            judged(&provider, &vector(label), CREATED + 2).is_ok(),
            "{label}: {:?}",
            judged(&provider, &vector(label), CREATED + 2)
        );
    }
}

#[test]
fn the_base_is_the_published_one() {
    let exchange = vector("sig-b22");
    let input = super::fields::inputs(exchange.request.headers.named(b"signature-input").next().unwrap()).unwrap();
    let base = String::from_utf8(super::base::build(&exchange, &input[0]).unwrap()).unwrap();
    let wanted = format!(
        "\"@authority\": example.com\n\"content-digest\": {DIGEST}\n\"@query-param\";name=\"Pet\": dog\n\"@signature-params\": {}",
        VECTORS[1].1
    );
    assert_eq!(base, wanted);
}

#[test]
fn whatever_is_covered_cannot_change() {
    let provider = build(|_| {});
    let judge = |exchange: &Exchange| judged(&provider, exchange, CREATED);
    for (name, value) in [
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", "application/xml"),
        ("Content-Length", "19"),
        (
            "Signature-Input",
            "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884474;keyid=\"test-key-ed25519\"",
        ),
        (
            "Signature-Input",
            "sig-b26=(\"date\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
        ),
    ] {
        assert_eq!(judge(&replaced(vector("sig-b26"), name, value)), Err(Reason::SignatureInvalid), "{name}");
    }
    let changed = |change: fn(&mut Exchange)| {
        let mut exchange = vector("sig-b26");
        change(&mut exchange);
        judge(&exchange)
    };
    assert_eq!(changed(|e| e.request.method = Method::Put), Err(Reason::SignatureInvalid));
    assert_eq!(changed(|e| e.request.target = b"/fop?param=Value&Pet=dog".to_vec()), Err(Reason::SignatureInvalid));
    assert_eq!(changed(|e| e.authority = b"example.org".to_vec()), Err(Reason::SignatureInvalid));
    assert_eq!(changed(|e| e.request.headers.push(b"date", b"x").unwrap()), Err(Reason::SignatureInvalid));
    assert!(changed(|e| e.authority = b"EXAMPLE.com:443".to_vec()).is_ok());
    assert!(changed(|e| e.request.headers.push(b"x-other", b"x").unwrap()).is_ok());
    assert!(changed(|e| e.request.target = b"/foo?other".to_vec()).is_ok());
}

#[test]
fn the_key_says_the_algorithm() {
    let signer = Signer::new();
    let member = |alg: &str| format!("(\"@method\");created={CREATED};keyid=\"own\";alg=\"{alg}\"");
    let provider = signer.provider(|_| {});
    assert!(judged(&provider, &signer.signed(&member("ed25519")), CREATED).is_ok());
    for alg in ["hmac-sha256", "rsa-v1_5-sha256", "none", "", "ED25519"] {
        let refused = judged(&provider, &signer.signed(&member(alg)), CREATED);
        assert_eq!(refused, Err(Reason::SignatureAlgorithmForbidden), "{alg}");
    }
}

#[test]
fn a_signature_has_its_time() {
    let signer = Signer::new();
    let provider = signer.provider(|_| {});
    let plain = signer.signed(&format!("(\"@method\");created={CREATED};keyid=\"own\""));
    let judge = |exchange: &Exchange, seconds| judged(&provider, exchange, seconds).map(drop);
    assert_eq!(judge(&plain, CREATED - 30), Ok(()));
    assert_eq!(judge(&plain, CREATED - 31), Err(Reason::SignatureNotYetValid));
    assert_eq!(judge(&plain, CREATED + 299), Ok(()));
    assert_eq!(judge(&plain, CREATED + 300), Err(Reason::SignatureExpired));
    let short = signer.signed(&format!("(\"@method\");created={CREATED};keyid=\"own\";expires={}", CREATED + 5));
    assert_eq!(judge(&short, CREATED + 4), Ok(()));
    assert_eq!(judge(&short, CREATED + 5), Err(Reason::SignatureExpired));
    for odd in [CREATED, CREATED - 1, 0] {
        let never = signer.signed(&format!("(\"@method\");created={CREATED};keyid=\"own\";expires={odd}"));
        assert_eq!(judge(&never, CREATED), Err(Reason::SignatureExpired));
    }
    for created in ["-1", "0", "-999999999999999", "999999999999999"] {
        let odd = signer.signed(&format!("(\"@method\");created={created};keyid=\"own\""));
        assert!(judge(&odd, CREATED).is_err(), "{created}");
    }
    let without = signer.signed("(\"@method\");keyid=\"own\"");
    assert_eq!(judge(&without, CREATED), Err(Reason::SignatureIncomplete));
}

#[test]
fn what_has_to_be_covered_is() {
    let signer = Signer::new();
    let strict = |spec: &mut ir::SignedRequestProvider| {
        spec.components = ["@method", "@target-uri", "content-digest"].map(Into::into).to_vec();
    };
    let provider = signer.provider(strict);
    let judge =
        |list: &str| judged(&provider, &signer.signed(&format!("({list});created={CREATED};keyid=\"own\"")), CREATED).map(drop);
    assert_eq!(judge(r#""@method" "@target-uri" "content-digest""#), Ok(()));
    assert_eq!(judge(r#""@method" "@authority" "@path" "@query" "content-digest""#), Ok(()));
    for list in [
        "",
        r#""@method" "@target-uri""#,
        r#""@target-uri" "content-digest""#,
        r#""@method" "@path" "@query" "content-digest""#,
        r#""@method" "@authority" "@path" "content-digest""#,
        r#""@method" "@authority" "@path" "@query-param";name="Pet" "content-digest""#,
        r#""@method" "@request-target" "content-digest""#,
    ] {
        assert_eq!(judge(list), Err(Reason::SignatureIncomplete), "{list}");
    }
}

#[test]
fn a_component_that_is_not_there_is_not_covered() {
    let signer = Signer::new();
    let provider = signer.provider(|_| {});
    for list in [
        r#""x-missing""#,
        r#""@status""#,
        r#""@unheard-of""#,
        r#""@query-param""#,
        r#""@query-param";name="absent""#,
        r#""date" "date""#,
        r#""connection""#,
    ] {
        let input = format!("a=({list});created={CREATED};keyid=\"own\"");
        let refused = judged(&provider, &request(&input, "a=:AAAA:"), CREATED);
        assert_eq!(refused, Err(Reason::SignatureIncomplete), "{list}");
    }
    let twice = r#""@query-param";name="a""#;
    let mut exchange = request(&format!("a=({twice});created={CREATED};keyid=\"own\""), "a=:AAAA:");
    exchange.request.target = b"/foo?a=1&%61=2".to_vec();
    assert_eq!(judged(&provider, &exchange, CREATED), Err(Reason::SignatureIncomplete));
}

#[test]
fn of_two_signatures_for_us_none_counts() {
    let two = |first: &str, second: &str| {
        let of = |label: &str| VECTORS.iter().find(|(name, ..)| *name == label).unwrap();
        let (one, other) = (of(first), of(second));
        request(
            &format!("{}={}, {}={}", one.0, one.1, other.0, other.1),
            &format!("{}=:{}:, {}=:{}:", one.0, one.2, other.0, other.2),
        )
    };
    let provider = build(|_| {});
    assert_eq!(judged(&provider, &two("sig-b22", "sig-b26"), CREATED), Err(Reason::CredentialAmbiguous));
    let tagged = build(|spec| spec.tag = Some("header-example".into()));
    assert_eq!(judged(&tagged, &two("sig-b22", "sig-b26"), CREATED), Ok("test-key-rsa-pss".into()));
    assert_eq!(judged(&tagged, &vector("sig-b26"), CREATED), Err(Reason::SignatureKeyUnknown));
    let labelled = build(|spec| spec.label = Some("sig-b26".into()));
    assert_eq!(judged(&labelled, &two("sig-b22", "sig-b26"), CREATED), Ok("test-key-ed25519".into()));
    // A proxy's signature beside the one by a key of ours.
    let alone = build(|spec| spec.keys.retain(|key| key.id == "test-key-ed25519"));
    assert_eq!(judged(&alone, &two("sig-b22", "sig-b26"), CREATED), Ok("test-key-ed25519".into()));
}

#[test]
fn labels_have_to_agree() {
    let provider = build(|_| {});
    let (_, input, signature) = VECTORS[4];
    assert!(judged(&provider, &request(&format!("a={input}"), &format!("a=:{signature}:")), CREATED).is_ok());
    let other = judged(&provider, &request(&format!("a={input}"), &format!("b=:{signature}:")), CREATED);
    assert_eq!(other, Err(Reason::CredentialMalformed));
}

#[test]
fn keys_have_to_be_known_and_not_ended() {
    let unknown = request(&format!("a=(\"@method\");created={CREATED};keyid=\"nobody\""), "a=:AAAA:");
    assert_eq!(judged(&build(|_| {}), &unknown, CREATED), Err(Reason::SignatureKeyUnknown));
    let ended = build(|spec| spec.keys.iter_mut().for_each(|key| key.expires = Some(CREATED + 1)));
    assert!(judged(&ended, &vector("sig-b26"), CREATED).is_ok());
    assert_eq!(judged(&ended, &vector("sig-b26"), CREATED + 1), Err(Reason::SignatureExpired));
}

#[test]
fn a_nonce_is_required_where_it_is_said() {
    let provider = build(|spec| spec.nonce_required = true);
    assert_eq!(judged(&provider, &vector("sig-b26"), CREATED), Err(Reason::SignatureIncomplete));
    let signed = vector("sig-b21");
    let found = provider.verify(&signed, at(CREATED)).unwrap();
    assert_eq!(found.nonce.as_deref(), Some("b3k2pp5k7z-50gnwp.yemd"));
    assert_eq!(found.until_ms, (CREATED + 300) * 1000);
}

#[test]
fn the_body_has_to_be_the_signed_one() {
    let provider = build(|_| {});
    let held = |exchange: &Exchange| provider.verify(exchange, at(CREATED)).map(|signed| signed.body).map_err(|r| r.reason);
    let body = held(&vector("sig-b22")).unwrap().unwrap();
    assert!(body.digest.fits_bytes(b"{\"hello\": \"world\"}") && !body.digest.fits_bytes(b"{\"hello\": \"World\"}"));
    assert_eq!(held(&vector("sig-b26")), Ok(None), "a digest that nobody signed says nothing");
    let mut none = vector("sig-b22");
    none.request.framing = Framing::Empty;
    assert_eq!(held(&none), Err(Reason::ContentDigestMismatch));
    let mut large = vector("sig-b22");
    large.request.framing = Framing::Length(1025);
    assert_eq!(held(&large), Err(Reason::BodyTooLarge));
}

#[test]
fn keys_of_another_kind_do_not_load() {
    let refused = |change: fn(&mut ir::SigningKey)| {
        let mut spec = spec();
        spec.keys.truncate(3);
        change(spec.keys.last_mut().unwrap());
        SignedRequests::build(&spec, &secrets()).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|key| key.public_key = Some(RSA.into())));
    assert!(refused(|key| key.public_key = Some(ECC.into())));
    assert!(refused(|key| key.public_key = Some(format!("{ED25519}{ED25519}"))));
    assert!(refused(|key| key.public_key = Some("x".into())));
    assert!(refused(|key| key.public_key = None));
    assert!(refused(|key| key.algorithm = "hmac-sha256".into()));
    assert!(refused(|key| key.algorithm = "rsa-v1_5-sha256".into()));
    assert!(refused(|key| key.id = "test-key-rsa-pss".into()));
    assert!(refused(|key| key.secret = Some("secret".into())));
    let short = Secrets::from([("secret".to_owned(), vec![1; 31].into())]);
    assert!(SignedRequests::build(&spec(), &short).is_err() && SignedRequests::build(&spec(), &Secrets::new()).is_err());
}
