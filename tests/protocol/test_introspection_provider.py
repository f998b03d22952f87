"""Opaque tokens, live checks and tokens for services with a real authorization server, oidc-provider."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request

import pytest
from joserfc.jwk import ECKey

from tests.support import configs
from tests.support.openid_provider import OpenIdProvider
from tests.support.waiting import eventually

SECRET = "a secret of the batch job, 0123456789"
GATE_SECRET = "a secret of the gate, 0123456789"


@pytest.fixture(scope="module")
def key():
    return ECKey.generate_key("P-256", {"kid": "gate-1", "use": "sig", "alg": "ES256"})


@pytest.fixture(scope="module")
def provider(key):
    batch = {"client_id": "batch", "client_secret": SECRET, "grant_types": ["client_credentials"]}
    gate = {"client_id": "gate", "client_secret": GATE_SECRET, "grant_types": ["client_credentials"]}
    signer = {
        "client_id": "signer", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
    }  # fmt: skip
    common = {"redirect_uris": [], "response_types": []}
    started = OpenIdProvider(
        clients=[{**client, **common} for client in (batch, gate, signer)],
        resources={
            "https://shop.test": {"scope": "read write", "audience": "shop", "format": "opaque"},
            "https://signed.test": {"scope": "read", "audience": "shop", "format": "jwt"},
            "https://billing.test": {"scope": "pay", "audience": "billing", "format": "opaque"},
        },
    )
    yield started
    started.close()


def opaque(provider, directory, **changes):
    secret = {"file": configs.write_secret(directory, "gate.secret", GATE_SECRET.encode())}
    return {
        "type": "introspection", "endpoint": f"{provider.issuer}/token/introspection", "issuer": provider.issuer,
        "audience": "shop", "plaintext": "test", "client": {"id": "gate", "secret": secret}, **changes,
    }  # fmt: skip


def revoke(provider, token):
    basic = base64.b64encode(f"batch:{urllib.parse.quote_plus(SECRET)}".encode()).decode()
    request = urllib.request.Request(
        f"{provider.issuer}/token/revocation",
        urllib.parse.urlencode({"token": token}).encode(),
        {"Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def batch_token(provider, resource, scope="read"):
    return provider.token("batch", urllib.parse.quote_plus(SECRET), resource, scope)


def test_an_opaque_token_until_it_is_revoked(gateway, origin, provider, tmp_path, workers):
    service = origin()
    gate = gateway(
        {
            "identity_providers": {"id": opaque(provider, tmp_path, cache={"max_age": "0s"})},
            "services": {"origin": configs.service(service)},
            "routes": {
                "read": configs.route("/read", authenticate="id", authorize={"scopes": "read"}),
                "write": configs.route("/write", authenticate="id", authorize={"scopes": "write"}),
            },
        },
        workers=workers,
    )
    token = batch_token(provider, "https://shop.test")
    assert token.count(".") == 0
    assert gate.get("/read", bearer(token)).status == 200
    assert gate.wait_log()[0]["client_id"] == "batch"
    assert gate.get("/write", bearer(token)).reason == "scope_missing"
    # made for another service
    other = batch_token(provider, "https://billing.test", "pay")
    assert gate.get("/read", bearer(other)).reason == "token_audience_mismatch"
    revoke(provider, token)
    assert gate.get("/read", bearer(token)).reason == "token_inactive"
    assert gate.get("/read", bearer("invented")).reason == "token_inactive"
    assert service.saw_no_more_than(1)


def test_the_gate_proves_itself_with_a_key(gateway, origin, provider, key, tmp_path):
    service = origin()
    file = configs.write_secret(tmp_path, "signer.key", key.as_pem(private=True))
    client = {"id": "signer", "private_key": {"file": file}, "algorithm": "ES256", "kid": "gate-1"}
    gate = gateway(
        {
            "identity_providers": {"id": opaque(provider, tmp_path, client=client, cache={"max_age": "0s"})},
            "services": {"origin": configs.service(service)},
            "routes": {"read": configs.route("/read", authenticate="id", access="authenticated")},
        }
    )
    token = batch_token(provider, "https://shop.test")
    for _ in range(3):
        assert gate.get("/read", bearer(token)).status == 200, "each assertion is a new one"


def test_an_outage_refuses_and_ends_by_itself(gateway, origin, provider, tmp_path):
    service = origin()
    gate = gateway(
        {
            "identity_providers": {
                "id": opaque(provider, tmp_path, cache={"max_age": "0s"}, timeout="500ms")
            },
            "services": {"origin": configs.service(service)},
            "routes": {"read": configs.route("/read", authenticate="id", access="authenticated")},
        }
    )
    token = batch_token(provider, "https://shop.test")
    assert gate.get("/read", bearer(token)).status == 200
    provider.pause()
    try:
        answer = gate.get("/read", bearer(token))
        assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    finally:
        provider.resume()
    eventually(lambda: gate.get("/read", bearer(token)).status == 200, what="the recovery")


def test_a_service_gets_a_token_of_the_gate(gateway, origin, provider, tmp_path):
    service = origin()
    secret = {"file": configs.write_secret(tmp_path, "gate.secret", GATE_SECRET.encode())}
    config = configs.public(service)
    config["services"]["origin"]["token"] = {
        "type": "client_credentials", "endpoint": f"{provider.issuer}/token", "plaintext": "test",
        "client": {"id": "gate", "secret": secret}, "resource": "https://billing.test", "scope": "pay",
    }  # fmt: skip
    gate = gateway(config)
    assert gate.get("/a").status == 200 and gate.get("/b").status == 200
    (token,) = {seen["authorization"].removeprefix("Bearer ") for seen in service.requests}
    basic = base64.b64encode(f"gate:{urllib.parse.quote_plus(GATE_SECRET)}".encode()).decode()
    request = urllib.request.Request(
        f"{provider.issuer}/token/introspection",
        urllib.parse.urlencode({"token": token}).encode(),
        {"Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        said = json.loads(answer.read())
    assert (said["active"], said["client_id"], said["aud"], said["scope"]) == (True, "gate", "billing", "pay")
