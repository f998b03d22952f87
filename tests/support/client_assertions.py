"""A client that signs about itself (RFC 7523), with joserfc and not with the code under test."""

from __future__ import annotations

import json
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

AUDIENCE = "https://api.example.com"
_MAKE = {
    "ES256": lambda kid: ECKey.generate_key("P-256", {"kid": kid}, auto_kid=False),
    "EdDSA": lambda kid: OKPKey.generate_key("Ed25519", {"kid": kid}, auto_kid=False),
    "RS256": lambda kid: RSAKey.generate_key(2048, {"kid": kid}, auto_kid=False),
}


class AssertionSigner:
    """One client, by its name, with a key of its own."""

    def __init__(self, directory: Path, name: str = "batch", algorithm: str = "ES256") -> None:
        self.name = name
        self.algorithm = algorithm
        self.key: Key = _MAKE[algorithm](f"{name}-1")
        self._file = directory / f"{name}.jwks.json"
        self.publish(self.key)

    def publish(self, *keys: Key) -> None:
        """Puts these keys into its file; a reload is needed."""
        self._file.write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))

    def registered(self, **machine: Any) -> dict[str, Any]:
        """Its entry in a configuration."""
        return {"jwks": str(self._file), **machine}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Of a good assertion; `None` takes one away."""
        now = int(time.time())
        whole = {
            "iss": self.name, "sub": self.name, "aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4()),
            **changes,
        }  # fmt: skip
        return {name: value for name, value in whole.items() if value is not None}

    def sign(
        self, key: Key | None = None, header: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, str]:
        """The header of a request."""
        signer = key or self.key
        head = {"alg": self.algorithm, "kid": signer.kid, "typ": "JWT", **(header or {})}
        content = json.dumps(self.claims(**changes)).encode()
        with warnings.catch_warnings():
            # The older name of Ed25519 is the one that everybody signs with.
            warnings.simplefilter("ignore")
            text = jws.serialize_compact(head, content, signer, algorithms=[self.algorithm])
        return {"Authorization": f"Bearer {text}"}
