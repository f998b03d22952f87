//! The gateway as an OAuth client: a secret (RFC 6749 section 2.3.1), a signed assertion (RFC 7523) or a certificate
//! (RFC 8705) prove who it is.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, header};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::message::{Form, Request, encode};
use super::signing::SigningKey;
use super::transport::OwnCertificate;
use crate::ir::{self, ClientAuthentication};
use crate::snapshot::Secrets;

/// How long an assertion counts, seconds.
const ASSERTION_S: u64 = 60;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client with what it proves itself with.
pub struct OauthClient {
    id: String,
    proof: Proof,
}

enum Proof {
    Basic(Zeroizing<String>),
    Post(Zeroizing<String>),
    Assertion { key: Box<SigningKey>, kid: Option<String>, audience: Option<String> },
    Certificate,
}

impl std::fmt::Debug for OauthClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OauthClient").field("id", &self.id).finish_non_exhaustive()
    }
}

fn secret<'a>(secrets: &'a Secrets, name: &str) -> Result<&'a [u8], String> {
    secrets.get(name).map(|bytes| bytes.as_slice()).ok_or_else(|| format!("the secret `{name}` was not passed along"))
}

fn text(secrets: &Secrets, name: &str) -> Result<Zeroizing<String>, String> {
    let text = std::str::from_utf8(secret(secrets, name)?).map_err(|_| "the client's secret is not text".to_owned())?;
    if text.is_empty() {
        return Err("the client's secret is empty".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

impl OauthClient {
    /// Takes what it needs from the secrets.
    ///
    /// # Errors
    /// Secrets and keys that are missing or cannot be used.
    pub fn build(spec: &ir::OauthClient, secrets: &Secrets) -> Result<Self, String> {
        if spec.id.is_empty() || spec.id.chars().any(char::is_control) {
            return Err("the client's id is empty, or has a control character".to_owned());
        }
        let proof = match &spec.authentication {
            ClientAuthentication::ClientSecretBasic(name) => Proof::Basic(text(secrets, name)?),
            ClientAuthentication::ClientSecretPost(name) => Proof::Post(text(secrets, name)?),
            ClientAuthentication::PrivateKeyJwt(key) => Proof::Assertion {
                key: Box::new(SigningKey::from_pem(secret(secrets, &key.key)?, key.algorithm.as_deref())?),
                kid: key.kid.clone(),
                audience: key.audience.clone(),
            },
            ClientAuthentication::TlsClientAuth(_) => Proof::Certificate,
        };
        Ok(Self { id: spec.id.clone(), proof })
    }

    /// The certificate that connections have to show, for [`super::Transport::new`].
    ///
    /// # Errors
    /// A key that was not passed along.
    pub fn certificate<'a>(spec: &'a ir::OauthClient, secrets: &'a Secrets) -> Result<Option<OwnCertificate<'a>>, String> {
        match &spec.authentication {
            ClientAuthentication::TlsClientAuth(own) => {
                Ok(Some(OwnCertificate { chain: &own.certificate, key: secret(secrets, &own.key)? }))
            }
            _ => Ok(None),
        }
    }

    /// `client_id`
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The form as an authenticated POST. `audience`: the issuer, or the endpoint's URL where no issuer is known;
    /// `now_s`: seconds since 1970.
    ///
    /// # Errors
    /// [`Fault::Unsendable`] where the crypto library fails.
    pub fn post(&self, mut form: Form, audience: &str, now_s: u64) -> Result<Request, Fault> {
        let mut authorization = None;
        match &self.proof {
            Proof::Basic(secret) => authorization = Some(self.basic(secret)?),
            Proof::Post(secret) => {
                form.push("client_id", self.id.as_str());
                form.push("client_secret", secret.as_str());
            }
            Proof::Assertion { key, kid, audience: own } => {
                let audience = own.as_deref().unwrap_or(audience);
                let assertion = self.assertion(key, kid.as_deref(), audience, now_s).ok_or(Fault::Unsendable)?;
                form.push("client_id", self.id.as_str());
                form.push("client_assertion_type", ASSERTION_TYPE);
                form.push("client_assertion", assertion);
            }
            Proof::Certificate => form.push("client_id", self.id.as_str()),
        }
        let mut request = Request::post(&form);
        if let Some(value) = authorization {
            request.headers.insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Both parts are form-encoded before they are joined.
    fn basic(&self, secret: &str) -> Result<HeaderValue, Fault> {
        let mut pair = Zeroizing::new(String::new());
        encode(&self.id, &mut pair);
        pair.push(':');
        encode(secret, &mut pair);
        let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&value).map_err(|_| Fault::Unsendable)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn assertion(&self, key: &SigningKey, kid: Option<&str>, audience: &str, now_s: u64) -> Option<String> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).ok()?;
        let claims = serde_json::json!({
            "iss": self.id, "sub": self.id, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now_s, "exp": now_s.saturating_add(ASSERTION_S),
        });
        key.jwt("JWT", kid, &claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::KeyPair;

    fn client(authentication: ClientAuthentication, secret: &str) -> Result<OauthClient, String> {
        let secrets = Secrets::from([("s".to_owned(), Zeroizing::new(secret.as_bytes().to_vec()))]);
        OauthClient::build(&ir::OauthClient { id: "a gate:1".to_owned(), authentication }, &secrets)
    }

    fn body(request: &Request) -> String {
        String::from_utf8(request.body.to_vec()).unwrap()
    }

    fn form() -> Form {
        Form::default().with("token", "abc")
    }

    #[test]
    fn basic_encodes_both_parts() {
        let client = client(ClientAuthentication::ClientSecretBasic("s".to_owned()), "p%w:d+é").unwrap();
        let request = client.post(form(), "https://id.example", 1).unwrap();
        let value = request.headers.get(header::AUTHORIZATION).unwrap();
        assert_eq!(value.to_str().unwrap(), format!("Basic {}", STANDARD.encode("a+gate%3A1:p%25w%3Ad%2B%C3%A9")));
        assert_eq!(body(&request), "token=abc");
        assert!(!format!("{request:?}").contains("Basic") && !format!("{client:?}").contains("p%w"));
    }

    #[test]
    fn post_stands_in_the_form() {
        let client = client(ClientAuthentication::ClientSecretPost("s".to_owned()), "geheim").unwrap();
        let request = client.post(form(), "https://id.example", 1).unwrap();
        assert!(!request.headers.contains_key(header::AUTHORIZATION));
        assert_eq!(body(&request), "token=abc&client_id=a+gate%3A1&client_secret=geheim");
    }

    #[test]
    fn assertions_are_short_and_for_one_audience() {
        let pem = KeyPair::generate().unwrap().serialize_pem();
        let spec = |audience: Option<&str>| {
            ClientAuthentication::PrivateKeyJwt(ir::PrivateKeyJwt {
                key: "s".to_owned(),
                algorithm: Some("ES256".to_owned()),
                kid: Some("1".to_owned()),
                audience: audience.map(str::to_owned),
            })
        };
        let claims = |audience: Option<&str>| {
            let request = client(spec(audience), &pem).unwrap().post(form(), "https://id.example", 1000).unwrap();
            let body = body(&request);
            assert!(body.contains("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"));
            let token = body.split("client_assertion=").nth(1).unwrap().to_owned();
            let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&claims).unwrap()
        };
        let (first, second) = (claims(None), claims(Some("https://other.example")));
        assert_eq!(
            (&first["iss"], &first["sub"], &first["aud"]),
            (&"a gate:1".into(), &"a gate:1".into(), &"https://id.example".into())
        );
        assert_eq!((&first["iat"], &first["exp"]), (&1000.into(), &1060.into()));
        assert_eq!(second["aud"], "https://other.example");
        assert_ne!(first["jti"], second["jti"]);
        assert!(client(spec(None), "no key").is_err());
    }

    #[test]
    fn what_is_missing_does_not_load() {
        assert!(client(ClientAuthentication::ClientSecretPost("other".to_owned()), "x").unwrap_err().contains("not passed"));
        assert!(client(ClientAuthentication::ClientSecretPost("s".to_owned()), "").unwrap_err().contains("empty"));
    }
}
