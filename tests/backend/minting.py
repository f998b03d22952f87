"""Assertions made by hand, to be spoilt: what the gateway signs, without a gateway."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from yett.backend import Keys, Verifier, request_digest
from yett.backend.request import encoded

ISSUER, AUDIENCE = "https://gateway.test", "billing"


class Known(Keys):
    """Keys that are there; it counts how often they were asked for."""

    def __init__(self, text: bytes) -> None:
        super().__init__(300.0, 10.0, 86_400.0)
        self.text, self.reads = text, 0

    def _read(self) -> bytes:
        self.reads += 1
        return self.text


class Mint:
    """A signing key and what is signed with it."""

    def __init__(self, algorithm: str = "EdDSA", kid: str = "one") -> None:
        self.algorithm, self.kid = algorithm, kid
        self.key: Any = (
            ed25519.Ed25519PrivateKey.generate()
            if algorithm == "EdDSA"
            else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def jwk(self) -> dict[str, str]:
        if self.algorithm == "EdDSA":
            raw = self.key.public_key().public_bytes_raw()
            return {"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": encoded(raw), "use": "sig"}
        point = self.key.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y, "use": "sig"}

    def jwks(self, *others: Mint) -> bytes:
        return json.dumps({"keys": [self.jwk, *(other.jwk for other in others)]}).encode()

    def keys(self) -> Known:
        return Known(self.jwks())

    def verifier(self, **changes: Any) -> Verifier:
        return Verifier(**{"audience": AUDIENCE, "issuer": ISSUER, "keys": self.keys(), **changes})

    def claims(
        self, method: str = "GET", path: str = "/", query: bytes = b"", **changes: Any
    ) -> dict[str, Any]:
        now = int(time.time())
        found = {
            "iss": ISSUER, "aud": AUDIENCE, "rev": "0123456789ab", "sub": "alice", "idp": "customers", "kind": "user",
            "client_id": "app", "tenant": "acme", "scope": "billing.read", "amr": ["jwt"], "request_id": "r-1",
            "jti": secrets.token_urlsafe(16), "iat": now, "exp": now + 30, "htm": method,
            "req": request_digest(method, path, query), **changes,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def sign(self, claims: dict[str, Any] | bytes, **header: Any) -> str:
        fields = {"alg": self.algorithm, "kid": self.kid, "typ": "yett-identity+jwt", **header}
        fields = {name: value for name, value in fields.items() if value is not None}
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        message = f"{encoded(json.dumps(fields).encode())}.{encoded(payload)}"
        return f"{message}.{encoded(self.signature(message.encode()))}"

    def signature(self, message: bytes) -> bytes:
        if self.algorithm == "EdDSA":
            return bytes(self.key.sign(message))
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def assertion(self, method: str = "GET", path: str = "/", query: bytes = b"", **changes: Any) -> str:
        return self.sign(self.claims(method, path, query, **changes))
