"""A client with a key of its own: proofs with each request (RFC 9449), signed with joserfc."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key

from tests.support.issuer import Issuer, b64

_numbers = itertools.count()


class Client:
    """Its key, the token that is bound to it, and the address that it calls the gateway by."""

    def __init__(self, issuer: Issuer, base: str, key: Key | None = None, **claims: Any) -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.base = base
        self.nonce: str | None = None
        self.token = issuer.token(cnf={"jkt": self.key.thumbprint()}, jti=f"t{next(_numbers)}", **claims)

    def proof(
        self,
        method: str,
        target: str,
        header: dict[str, Any] | None = None,
        algorithm: str = "ES256",
        **claims: Any,
    ) -> str:
        """A proof that holds, but for the changes; None takes something away."""
        body = {
            "jti": f"p{next(_numbers)}", "htm": method, "htu": f"{self.base}{target}", "iat": int(time.time()),
            "ath": b64(hashlib.sha256(self.token.encode()).digest()), "nonce": self.nonce, **claims,
        }  # fmt: skip
        fields = {
            "typ": "dpop+jwt",
            "alg": algorithm,
            "jwk": self.key.as_dict(private=False),
            **(header or {}),
        }
        parts = [
            {name: value for name, value in part.items() if value is not None} for part in (fields, body)
        ]
        signing = ".".join(b64(json.dumps(part).encode()) for part in parts)
        signature = jws.default_registry.algorithms[algorithm].sign(signing.encode(), self.key)
        return f"{signing}.{b64(signature)}"

    def headers(self, method: str = "GET", target: str = "/a", **changes: Any) -> dict[str, str]:
        """What a request carries."""
        return {"Authorization": f"DPoP {self.token}", "DPoP": self.proof(method, target, **changes)}
