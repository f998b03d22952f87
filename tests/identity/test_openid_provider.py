"""jwt against a real OpenID provider (oidc-provider): tokens that clients get for themselves, keys that it publishes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import configs
from tests.support.openid_provider import OpenIdProvider

SHOP = "https://shop.example"
SECRET = "not secret, only for tests, and long enough"


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    batch = {
        "client_id": "batch",
        "client_secret": SECRET,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
    }
    started = OpenIdProvider(
        clients=[batch],
        resources={
            SHOP: {"scope": "orders.read orders.write"},
            "https://other.example": {"scope": "orders.read"},
        },
    )
    yield started
    started.close()


def config(service, provider, jwks=None, **route):
    identity = {
        "type": "jwt", "issuer": provider.issuer, "audience": SHOP, "plaintext": "test",
        "jwks": {"url": f"{provider.issuer}/jwks", **(jwks or {})},
    }  # fmt: skip
    return {
        "identity_providers": {"id": identity},
        "services": {"origin": configs.service(service)},
        "routes": {"orders": configs.route("/orders", authenticate="id", authorize={"scopes": "orders.read"}, **route)},
    }  # fmt: skip


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_client_calls_for_itself(gateway, origin, provider):
    service = origin()
    gate = gateway(config(service, provider))
    assert gate.get("/orders", bearer(provider.token("batch", SECRET, SHOP, "orders.read"))).status == 200
    line = gate.log_line(status=200)
    assert "batch" in str(line)
    assert service.saw_no_more_than(1)


def test_a_token_for_another_resource_or_scope_is_refused(gateway, origin, provider):
    service = origin()
    gate = gateway(config(service, provider))
    other = provider.token("batch", SECRET, "https://other.example", "orders.read")
    assert gate.get("/orders", bearer(other)).reason == "token_audience_mismatch"
    short = provider.token("batch", SECRET, SHOP, "orders.write")
    assert gate.get("/orders", bearer(short)).reason == "scope_missing"
    assert service.saw_nothing()
