"""What the gateway signs assertions with, and where services find its public keys."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from yett.config import template
from yett.config.base import Location, Model, refuse
from yett.config.places import dotted
from yett.config.types import Name, Secret, Text, one_or_list
from yett.config.units import Duration, milliseconds
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.places import Places

MAX_KEYS = 16
MAX_PUBLISH_MS = 7 * 86_400_000
ROUTE = "identity:jwks"
"""The route of the key set; no name in a configuration can have a colon."""

Algorithm = Literal["EdDSA", "ES256"]
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_NOTE = re.compile(r"^(Created|Signs-From): *(\S+) *$", re.MULTILINE)


def _path(value: Any) -> Any:
    found = template.read(value) if isinstance(value, str) else "write a path, such as `/identity/jwks.json`"
    if isinstance(found, str):
        raise refuse("path_invalid", found)
    if found.variables:
        raise refuse("path_invalid", f"`{value}` has a variable, and a key set has one path; write it out")
    return value


def _publish(value: Any) -> Any:
    if isinstance(value, str) and not 1000 <= milliseconds(value) <= MAX_PUBLISH_MS:
        raise refuse("out_of_range", f"`{value}` is out of range; write 1s to 7d")
    return value


def _issuer(value: Any) -> Any:
    if isinstance(value, str) and (len(value) > 255 or not value.isascii() or " " in value):
        raise refuse("issuer_invalid", "the issuer is ASCII without blanks, at most 255 characters")
    return value


class PublishedKeys(Model):
    """Where services fetch the public keys."""

    listener: Name
    """A listener that services reach."""
    path: Annotated[str, BeforeValidator(_path), WithJsonSchema({"type": "string"})] = "/identity/jwks.json"
    """The path of the key set there, on any host."""


class Identity(Model):
    """What the gateway signs assertions of identity with."""

    issuer: Annotated[Text, BeforeValidator(_issuer)]
    """The `iss` of assertions: the name of this gateway, the same for all its instances."""
    keys: Annotated[tuple[Secret, ...], BeforeValidator(one_or_list)]
    """Private keys in PEM (PKCS #8; Ed25519 or P-256), the same for all instances; `yett keys assertion` makes and rotates them."""
    publish: Annotated[Duration, BeforeValidator(_publish)] = "1h"
    """How long services may keep the key set; a new key stands in it that long before it signs."""
    jwks: PublishedKeys | None = None
    """Where services fetch the key set; without it, `yett identity jwks` writes it to a file."""


@dataclass(frozen=True)
class SigningKey:
    """One key of the ring, without what is secret of it."""

    id: str
    """Thumbprint (RFC 7638)."""
    algorithm: Algorithm
    jwk: dict[str, str]
    """The public part (RFC 7517)."""
    created: datetime | None
    signs_from: datetime | None
    secret: str
    """The name of the secret that holds it."""
    index: int
    """Which of the private keys in that secret."""

    def document(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        from_s = max(0, int(self.signs_from.timestamp())) if self.signs_from else 0
        return {"id": self.id, "algorithm": self.algorithm, "secret": self.secret, "index": self.index, "from_s": from_s}  # fmt: skip


class RingError(ValueError):
    """Why private keys cannot be used, in words."""


def read_keys(text: bytes, secret: str = "") -> list[SigningKey]:
    """The private keys of a PEM text in order; `Created:` and `Signs-From:` lines stand before their key.

    Raises:
        RingError: something in it is no key that can sign.
    """
    try:
        found = text.decode("ascii")
    except UnicodeDecodeError:
        raise RingError("is not text; keys in PEM are needed") from None
    keys: list[SigningKey] = []
    at = 0
    for block in _PEM.finditer(found):
        if block[1] != "PRIVATE KEY":
            raise RingError(
                f"holds `{block[1]}`, and PKCS #8 is needed; convert it with `openssl pkcs8 -topk8 -nocrypt`"
            )
        notes = dict(_NOTE.findall(found[at : block.start()]))
        algorithm, jwk = _public(block[0])
        moments = {name: _moment(notes.get(name)) for name in ("Created", "Signs-From")}
        keys.append(
            SigningKey(
                jwk["kid"], algorithm, jwk, moments["Created"], moments["Signs-From"], secret, len(keys)
            )
        )
        at = block.end()
    if not keys:
        raise RingError("holds no private key in PEM; make one with `yett keys assertion create`")
    return keys


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RingError(f"has a time that cannot be read, `{text}`; write `2027-01-31T12:00:00Z`") from None
    if found.tzinfo is None:
        raise RingError(f"has a time without a zone, `{text}`; write `{text}Z`")
    return found.astimezone(UTC)


def _public(pem: str) -> tuple[Algorithm, dict[str, str]]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        raise RingError("holds a private key that cannot be read") from None
    algorithm: Algorithm
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes_raw()
        algorithm, members = "EdDSA", {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        point = key.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
        algorithm, members = "ES256", {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    else:
        raise RingError("holds a key of another kind; Ed25519 and P-256 can sign assertions")
    # RFC 7638: members in order, no blanks
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return algorithm, {**members, "kid": b64(thumbprint), "alg": algorithm, "use": "sig"}


def b64(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def ring(identity: Identity, secrets: dict[str, bytes]) -> list[SigningKey]:
    """Every key, the one that signs last first.

    Raises:
        RingError: a key cannot be used.
    """
    keys: list[SigningKey] = []
    for index in range(len(identity.keys)):
        name = dotted(("identity", "keys", index))
        if name in secrets:
            keys += read_keys(secrets[name], name)
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(keys, key=lambda key: key.signs_from or oldest, reverse=True)


def key_set(keys: list[SigningKey]) -> str:
    """The public keys as a JWK set (RFC 7517 section 5)."""
    listed = [key.jwk for key in sorted(keys, key=lambda key: key.id)]
    return json.dumps({"keys": listed}, sort_keys=True, separators=(",", ":"))


def ring_errors(identity: Identity | None, secrets: dict[str, bytes], places: Places) -> list[ConfigError]:
    """What is wrong with the keys; a secret that is missing has been said."""
    if identity is None:
        return []
    at: Location = ("identity", "keys")
    for index, item in enumerate(identity.keys):
        name = dotted((*at, index))
        try:
            if name in secrets:
                read_keys(secrets[name], name)
        except RingError as error:
            shown = f"`{item.file}`" if item.file else f"the environment variable `{item.env}`"
            return [places.error((*at, index), "signing_key_invalid", f"{shown} {error}")]
    message = ring_fault(ring(identity, secrets), milliseconds(identity.publish), identity.publish)
    return [places.error(at, "signing_keys_invalid", message)] if message else []


def ring_fault(keys: list[SigningKey], publish_ms: int, publish: str) -> str | None:
    """Why these keys do not go together, or nothing."""
    if len(keys) > MAX_KEYS:
        return f"{len(keys)} keys are more than {MAX_KEYS}; remove those that no longer sign"
    if len({key.id for key in keys}) < len(keys):
        return "a key stands twice; remove one"
    if len({key.signs_from for key in keys}) < len(keys):
        return "two keys sign from the same moment, so it is not clear which; write `Signs-From:` before the newer one"
    for key in keys[:-1]:
        if key.created is None or key.signs_from is None:
            return f"the key `{key.id[:8]}…` has no `Created:` and `Signs-From:` lines; add keys with `yett keys assertion rotate`"
        if (key.signs_from - key.created).total_seconds() * 1000 < publish_ms:
            return (
                f"the key `{key.id[:8]}…` would sign before services that keep the key set for `{publish}` know it; "
                f"let `Signs-From:` be that much after `Created:`, or make `publish` shorter"
            )
    return None
