"""Tokens for the columns with the chain: one RS256 key, many subjects."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER = "https://id.example"
AUDIENCE = "shop"
ALGORITHM = "RS256"
SUBJECTS = 100


@dataclass(frozen=True)
class Tokens:
    """One a subject, and one that lacks the scope."""

    good: list[str]
    without_scope: str
    expired: str


def make(directory: Path) -> Tokens:
    """Writes `jwks.json`, `jwt.pub.pem` and `tokens.txt` (one token a line) into the directory."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = RSAKey.import_key(private_pem, {"kid": "bench"})
    public = {
        **RSAKey.import_key(public_pem).as_dict(private=False),
        "kid": "bench",
        "alg": ALGORITHM,
        "use": "sig",
    }
    (directory / "jwks.json").write_text(json.dumps({"keys": [public]}))
    (directory / "jwt.pub.pem").write_bytes(public_pem)
    now = int(time.time())

    def token(subject: str, scope: str = "orders.read orders.write", lifetime: int = 7200) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": "mobile",
            "scope": scope,
            "jti": f"token-of-{subject}",
            "iat": now - 60,
            "exp": now + lifetime,
        }
        return jwt.encode({"alg": ALGORITHM, "kid": "bench", "typ": "JWT"}, claims, key)

    good = [token(f"user-{number}") for number in range(SUBJECTS)]
    (directory / "tokens.txt").write_text("".join(f"{text}\n" for text in good))
    return Tokens(good, token("user-0", scope="orders.write"), token("user-0", lifetime=-3600))
