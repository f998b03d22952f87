"""The gateway as a client of an authorization server: who it is there, and how it proves that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, model_validator

from yett.config.base import Location, Model, listed, refuse
from yett.config.places import Places
from yett.config.types import PublicFile, Secret, Text
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.gateway import Gateway
    from yett.config.resolve import Material

Algorithm = Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"]
_PROOFS = ("secret", "private_key", "certificate")
_OF_PROOF = {
    "method": "secret",
    "algorithm": "private_key",
    "kid": "private_key",
    "audience": "private_key",
    "key": "certificate",
}


class OauthClient(Model):
    """The gateway as a client of an authorization server (RFC 6749 section 2): `id` and exactly one proof of it."""

    id: Text
    """`client_id`, as it was registered."""
    secret: Secret | None = None
    """A secret that both sides know (RFC 6749 section 2.3.1)."""
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    """Where the secret is sent: in `Authorization`, or in the form."""
    private_key: Secret | None = None
    """A PEM key that signs an assertion for each request (`private_key_jwt`, RFC 7523 section 2.2)."""
    algorithm: Algorithm | None = None
    """What the key signs with; without it RS256, ES256, ES384 or EdDSA, by the kind of key."""
    kid: Text | None = None
    """The key's id in the assertions' header."""
    audience: Text | None = None
    """`aud` of the assertions; without it the issuer or, where none is known, the address that is asked."""
    certificate: PublicFile | None = None
    """PEM of a certificate that connections show, leaf first (`tls_client_auth`, RFC 8705 section 2)."""
    key: Secret | None = None
    """Its key."""

    @model_validator(mode="after")
    def _one_proof(self) -> OauthClient:
        proofs = [name for name in _PROOFS if getattr(self, name) is not None]
        if len(proofs) != 1:
            found = f", not {listed(proofs)}" if proofs else ""
            raise refuse(
                "client_proof",
                f"a client proves itself with exactly one of `secret`, `private_key` and `certificate`{found}",
            )
        for name, proof in _OF_PROOF.items():
            if name in self.model_fields_set and proof != proofs[0]:
                raise refuse("client_proof", f"`{name}` belongs to `{proof}`; remove it", (name,))
        if self.certificate is not None and self.key is None:
            raise refuse("certificate_half", "`certificate` and `key` belong together; give both")
        return self

    def compiled(self, at: Location, material: Material) -> dict[str, Any]:
        """Its part of the IR; `at` is its place in the configuration."""
        from yett.config.resolve import secret_name

        if self.secret is not None:
            return {"id": self.id, "authentication": {self.method: secret_name((*at, "secret"))}}
        if self.private_key is not None:
            proof: dict[str, Any] = {"key": secret_name((*at, "private_key"))}
            proof |= {
                name: value
                for name in ("algorithm", "kid", "audience")
                if (value := getattr(self, name)) is not None
            }
            return {"id": self.id, "authentication": {"private_key_jwt": proof}}
        own = {"certificate": material.texts[(*at, "certificate")], "key": secret_name((*at, "key"))}
        return {"id": self.id, "authentication": {"tls_client_auth": own}}


def clients(gateway: Gateway) -> Iterator[tuple[Location, OauthClient]]:
    """Every client of a configuration, with its place."""
    for part in ("identity_providers", "services"):
        yield from _walk(getattr(gateway, part), (part,))


def _walk(value: Any, at: Location) -> Iterator[tuple[Location, OauthClient]]:
    if isinstance(value, OauthClient):
        yield at, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _walk(getattr(value, name), (*at, field.alias or name))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _walk(part, (*at, name))


def client_errors(gateway: Gateway, material: Material, places: Places) -> list[ConfigError]:
    """Keys that cannot be read, or that do not sign with the algorithm that is named."""
    from yett.config.resolve import secret_name

    errors: list[ConfigError] = []
    for at, client in clients(gateway):
        here = (*at, "private_key")
        pem = material.secrets.get(secret_name(here))
        if client.private_key is not None and pem is not None:
            fault = _key_fault(pem, client.algorithm)
            if fault:
                errors.append(places.error(here, "private_key_invalid", fault))
    return errors


def _key_fault(pem: bytes, algorithm: Algorithm | None) -> str | None:
    """Why a key does not sign, without anything of the key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        return "the private key is encrypted; store it without a pass phrase, readable for the gateway only"
    except Exception:
        return "the private key cannot be read; PEM is needed, such as `openssl genpkey -algorithm ed25519` writes"
    fitting: tuple[str, ...] = ()
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < 2048:
            return f"the RSA key has {key.key_size} bits; 2048 are the least"
        fitting = ("RS256", "PS256")
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        fitting = ("EdDSA",)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        curves = {"secp256r1": "ES256", "secp384r1": "ES384"}
        fitting = tuple(name for curve, name in curves.items() if curve == key.curve.name)
    if not fitting:
        return "this kind of key is not supported; use RSA, P-256, P-384 or Ed25519"
    if algorithm is not None and algorithm not in fitting:
        return f"the key does not sign with `{algorithm}`; it is one for {listed(fitting)}"
    return None
