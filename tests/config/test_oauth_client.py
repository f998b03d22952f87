"""The gateway as an OAuth client: exactly one proof, what belongs to it, and a key that signs what it says."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import ValidationError

from yett.config.oauth_client import Algorithm, OauthClient, _key_fault
from yett.config.resolve import Material

SECRET = {"file": "client.secret"}


def client(**fields: Any) -> OauthClient:
    return OauthClient.model_validate({"id": "gate", **fields})


def pem(key: Any, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "exactly one of"),
        ({"secret": SECRET, "private_key": SECRET}, "not `secret` and `private_key`"),
        ({"secret": SECRET, "kid": "1"}, "`kid` belongs to `private_key`"),
        ({"secret": SECRET, "key": SECRET}, "`key` belongs to `certificate`"),
        ({"private_key": SECRET, "method": "client_secret_post"}, "`method` belongs to `secret`"),
        ({"certificate": "gate.pem"}, "belong together"),
        ({"secret": "open"}, "does not stand in the configuration"),
        ({"secret": SECRET, "method": "none"}, "client_secret_basic"),
    ],
)
def test_exactly_one_proof_and_what_belongs_to_it(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        client(**fields)


def test_the_document_names_secrets_and_holds_none() -> None:
    at = ("identity_providers", "id", "client")
    material = Material(texts={(*at, "certificate"): "PEM"}, secrets={})
    assert client(secret=SECRET).compiled(at, material) == {
        "id": "gate",
        "authentication": {"client_secret_basic": "identity_providers.id.client.secret"},
    }
    assert client(private_key=SECRET, algorithm="ES256", kid="1").compiled(at, material)[
        "authentication"
    ] == {
        "private_key_jwt": {
            "key": "identity_providers.id.client.private_key",
            "algorithm": "ES256",
            "kid": "1",
        }
    }
    assert client(certificate="gate.pem", key=SECRET).compiled(at, material)["authentication"] == {
        "tls_client_auth": {"certificate": "PEM", "key": "identity_providers.id.client.key"}
    }


def test_a_key_signs_what_it_is_for() -> None:
    keys: dict[str, tuple[Any, tuple[Algorithm, ...]]] = {
        "rsa": (rsa.generate_private_key(65537, 2048), ("RS256", "PS256")),
        "p256": (ec.generate_private_key(ec.SECP256R1()), ("ES256",)),
        "p384": (ec.generate_private_key(ec.SECP384R1()), ("ES384",)),
        "ed25519": (ed25519.Ed25519PrivateKey.generate(), ("EdDSA",)),
    }
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
    for key, fitting in keys.values():
        assert _key_fault(pem(key), None) is None
        for algorithm in algorithms:
            fault = _key_fault(pem(key), algorithm)
            assert (fault is None) == (algorithm in fitting), (algorithm, fault)


def test_keys_that_cannot_sign_say_why() -> None:
    assert "1024 bits" in (_key_fault(pem(rsa.generate_private_key(65537, 1024)), None) or "")
    assert "not supported" in (_key_fault(pem(ec.generate_private_key(ec.SECP521R1())), None) or "")
    encrypted = pem(ed25519.Ed25519PrivateKey.generate(), b"a pass phrase")
    assert "pass phrase" in (_key_fault(encrypted, None) or "")
    assert "cannot be read" in (_key_fault(b"-----BEGIN PRIVATE KEY-----", None) or "")
