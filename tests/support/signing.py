"""Requests signed by an independent implementation of RFC 9421 (the package `http-message-signatures`)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import urllib.parse
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import http_sfv
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    algorithms,
)

ALGORITHMS = {
    "ed25519": algorithms.ED25519,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "hmac-sha256": algorithms.HMAC_SHA256,
}
STRICT = ("@method", "@target-uri")


class Components(HTTPSignatureComponentResolver):  # type: ignore[misc]
    """With the origin form of the request target and the query as RFC 9421 section 2.2.5 to 2.2.8 have them."""

    def get_query_param(self, *, name: str) -> str:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.url).query, keep_blank_values=True)
        return urllib.parse.quote(query[name][0], safe="*-._")

    derived_component_names = HTTPSignatureComponentResolver.derived_component_names | {"@query-param"}


@dataclass
class Message:
    """What the signer reads and writes."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class Signer(HTTPSignatureKeyResolver):  # type: ignore[misc]
    """One key of a caller."""

    def __init__(self, directory: Path, algorithm: str = "ed25519", name: str = "robot") -> None:
        self.algorithm, self.name, self.directory = algorithm, name, directory
        self.private: Any
        self.file = directory / f"{name}.pub.pem"
        if algorithm == "hmac-sha256":
            self.private = secrets.token_bytes(32)
            self.file = directory / f"{name}.secret"
            self.file.write_bytes(self.private.hex().encode())
            self.private = self.private.hex().encode()
            return
        made = {
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "ecdsa-p256-sha256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "rsa-pss-sha512": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }[algorithm]()
        self.private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.file.write_bytes(made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def resolve_private_key(self, key_id: str) -> Any:
        return self.private

    def registered(self, **machine: Any) -> dict[str, Any]:
        """Its entry under `keys`."""
        key = (
            {"shared_secret": {"file": str(self.file)}}
            if self.algorithm == "hmac-sha256"
            else {"public_key": str(self.file)}
        )
        return {"algorithm": self.algorithm, **key, **machine}

    def sign(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        covered: tuple[str, ...] = STRICT,
        nonce: str | None = "",
        age: float = 0.0,
        lasts: float | None = None,
        key_id: str | None = None,
        label: str = "sig1",
        tag: str | None = None,
        digest: bytes | None = None,
    ) -> dict[str, str]:
        """The fields of a signed request. A body is digested and covered; an empty nonce is a fresh one."""
        message = Message(method, url, dict(headers or {}))
        if body or digest is not None:
            hashed = hashlib.sha256(body).digest() if digest is None else digest
            message.headers["Content-Digest"] = str(http_sfv.Dictionary({"sha-256": hashed}))
            covered = (*covered, "content-digest")
        created = datetime.now(UTC) - timedelta(seconds=age)
        signer = HTTPMessageSigner(
            signature_algorithm=ALGORITHMS[self.algorithm],
            key_resolver=self,
            component_resolver_class=Components,
        )
        signer.sign(
            message,
            key_id=key_id or self.name,
            created=created,
            expires=None if lasts is None else created + timedelta(seconds=lasts),
            nonce=secrets.token_urlsafe(16) if nonce == "" else nonce,
            label=label,
            tag=tag,
            covered_component_ids=covered,
        )
        return message.headers


def sha256(body: bytes) -> str:
    """A `Content-Digest`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
