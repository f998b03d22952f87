//! Keys and tokens for tests, made anew each time: no private key stands in the repository.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jwt::{Failure, Jwt, Unverified};
use super::verdict::Verdict;
use crate::exchange::Now;
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;

/// The moment of all tests, seconds since 1970.
pub(super) const NOW_S: u64 = 1_800_000_000;

pub(super) fn now() -> Now {
    at(NOW_S)
}

pub(super) fn at(unix_s: u64) -> Now {
    Now { monotonic_ns: 1_000_000_000, unix_ms: unix_s * 1000 }
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub(super) enum Signer {
    Rsa(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn rsa(size: KeySize) -> Self {
        Self::Rsa(RsaKeyPair::generate(size).unwrap())
    }

    pub(super) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn es384() -> Self {
        Self::Es384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// A key that is made once for all tests of a run.
    pub(super) fn shared() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(Self::es256)
    }

    pub(super) fn jwk(&self, kid: Option<&str>) -> Value {
        let mut jwk = match self {
            Self::Rsa(pair) => {
                let (n, e) = rsa_parts(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
            }
            Self::Es256(pair) => ec_jwk("P-256", pair.public_key().as_ref()),
            Self::Es384(pair) => ec_jwk("P-384", pair.public_key().as_ref()),
            Self::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())}),
        };
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut out).unwrap();
                out
            }
            Self::Es256(pair) | Self::Es384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with these parts as they are, signed properly.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw_token(header.to_string().as_bytes(), claims.to_string().as_bytes(), header["alg"].as_str().unwrap_or(""))
    }

    pub(super) fn raw_token(&self, header: &[u8], claims: &[u8], algorithm: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }
}

fn ec_jwk(curve: &str, point: &[u8]) -> Value {
    let half = point.len() / 2;
    json!({"kty": "EC", "crv": curve, "x": b64(&point[1..=half]), "y": b64(&point[half + 1..])})
}

/// n and e of a DER RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn rsa_parts(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn take(bytes: &[u8]) -> (&[u8], &[u8]) {
        let (skip, length) = match bytes[1] {
            0x82 => (4, usize::from(bytes[2]) * 256 + usize::from(bytes[3])),
            0x81 => (3, usize::from(bytes[2])),
            short => (2, usize::from(short)),
        };
        (&bytes[skip..skip + length], &bytes[skip + length..])
    }
    let (sequence, _) = take(der);
    let (n, rest) = take(sequence);
    let (e, _) = take(rest);
    let trim = |int: &[u8]| int.iter().copied().skip_while(|b| *b == 0).collect();
    (trim(n), trim(e))
}

pub(super) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

pub(super) fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "shop", "sub": "ann", "client_id": "mobile", "iat": NOW_S - 10,
        "exp": NOW_S + 300, "scope": "orders.read orders.write", "jti": "t-1",
    })
}

pub(super) fn provider(jwks: ir::Jwks) -> ir::JwtProvider {
    let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    ir::JwtProvider {
        introspection: None,
        name: "id".into(),
        issuer: "https://id.example".into(),
        audiences: vec!["shop".into()],
        clients: vec![],
        jwks,
        token_type: ir::TokenType::Any,
        max_age_s: None,
        required: [].into(),
        tenants: [].into(),
        key_issuer: false,
        opaque: None,
        algorithms: names.map(Into::into).to_vec(),
        leeway_s: 30,
        sender_constrained: None,
        claims: ir::ClaimMap {
            scopes: vec!["scope".into()],
            roles: vec!["realm".into(), "roles".into()],
            tenant: Some(vec!["tenant".into()]),
            more_roles: vec![],
            client: None,
            client_suffix: None,
            partner: None,
            assurance: None,
            kind: None,
            declared: [("assurance".to_owned(), ir::DeclaredClaim { from: vec!["acr".into()], kind: ir::ClaimType::Int })].into(),
        },
    }
}

pub(super) fn jwt_with(jwks: String) -> Result<Jwt, String> {
    build(&provider(ir::Jwks::Inline(jwks)))
}

pub(super) fn build(provider: &ir::JwtProvider) -> Result<Jwt, String> {
    let secrets = [("secret".to_owned(), b"a secret that is just long enough".to_vec().into())].into();
    Jwt::build_with(provider, &secrets, &KeyedHash::new(&[1; 32]), |_| Err("fetched".into()))
}

/// A provider that trusts [`Signer::shared`] under the `kid` `k1`.
pub(super) fn jwt() -> Arc<Jwt> {
    static JWT: OnceLock<Arc<Jwt>> = OnceLock::new();
    Arc::clone(JWT.get_or_init(|| Arc::new(jwt_with(set(&[Signer::shared().jwk(Some("k1"))])).unwrap())))
}

pub(super) fn judge(jwt: &Jwt, token: &str, now: Now) -> Result<Verdict, Reason> {
    let token = Unverified::parse(token.as_bytes()).map_err(|refusal| refusal.reason)?;
    jwt.issues(token.issuer().map_err(|refusal| refusal.reason)?).ok_or(Reason::TokenIssuerUnknown)?;
    jwt.verify(&token, now).map_err(|failure| match failure {
        Failure::Refused(refusal) | Failure::KeysNeeded(refusal) => refusal.reason,
    })
}
