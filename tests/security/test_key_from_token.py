"""A key in the token's own header is never used, and nothing is fetched for it (CVE-2026-27962, CVE-2026-32301)."""

from __future__ import annotations

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.support import configs
from tests.support.issuer import make_key


def certificate(key) -> str:
    private = serialization.load_pem_private_key(key.as_pem(private=True), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "id.test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .sign(private, hashes.SHA256())
    )
    return base64.b64encode(built.public_bytes(serialization.Encoding.DER)).decode()


@pytest.mark.parametrize("kid", ["EC-0", "EC-5", None], ids=["known kid", "own kid", "no kid"])
@pytest.mark.parametrize("field", ["jwk", "x5c", "jku", "x5u", "x5t", "all"])
def test_a_key_from_the_token_is_not_used(gateway, origin, issuer, tmp_path, field, kid):
    identity, service, attacker = issuer(), origin(), issuer(keys=[make_key("EC", 5)])
    gate = gateway(configs.protected(service, identity, tmp_path))
    key = attacker.signer
    offers = {
        "jwk": key.as_dict(private=False),
        "x5c": [certificate(key)],
        "jku": attacker.jwks_url,
        "x5u": f"{attacker.base}/certificate.pem",
        "x5t": "abc",
    }
    extra = offers if field == "all" else {field: offers[field]}
    token = identity.sign(identity.claims(), {**extra, "kid": kid}, key)
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert answer.reason in (
        "token_header_refused",
        "token_key_unknown",
        "token_signature_invalid",
        "token_too_large",
    )
    assert attacker.fetches == 0 and identity.fetches == 0
    assert service.saw_nothing()


def test_an_unknown_kid_refetches_the_configured_set_only(gateway, origin, issuer):
    identity, service, attacker = issuer(), origin(), issuer(keys=[make_key("EC", 5)])
    gate = gateway(configs.protected(service, identity))
    token = identity.sign(identity.claims(), {"jku": attacker.jwks_url}, attacker.signer)
    assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).status == 401
    assert attacker.fetches == 0
    assert set(identity.paths) <= {"/jwks.json"}
    assert service.saw_nothing()
