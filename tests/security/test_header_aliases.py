"""Aliases that fold onto a trusted name at a CGI-style service (CVE-2025-64484, CVE-2026-39858, CVE-2026-52845)."""

from __future__ import annotations

import re

import pytest

from tests.support import configs


def folded(name: str) -> str:
    """As WSGI, CGI and PHP name it."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())


TRUSTED = [
    "X-Request-Id",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "Forwarded",
    "X-Real-Ip",
    "Traceparent",
]
FOLDINGS = [
    str.lower,
    str.upper,
    lambda n: n.replace("-", "_"),
    lambda n: n.replace("-", "."),
    lambda n: n.replace("-", "_", 1),
    lambda n: n.replace("-", "-_"),
]


@pytest.mark.parametrize("name", TRUSTED)
def test_aliases_of_what_the_gateway_sets_are_dropped(gateway, origin, name):
    service = origin()
    gate = gateway(configs.public(service))
    for fold in FOLDINGS[:5]:
        answer = gate.get("/a", {fold(name): "6.6.6.6"})
        assert answer.status in (200, 400)
    assert service.requests
    for seen in service.requests:
        values = [value for key, value in seen.headers if folded(key) == folded(name)]
        assert "6.6.6.6" not in values, seen.headers
        assert len(values) <= 1, seen.headers


@pytest.mark.parametrize(
    "fold", [str.lower, str.upper, lambda n: n.replace("-", "_"), lambda n: n.replace("-", ".")]
)
def test_aliases_of_a_configured_header_are_dropped(gateway, origin, fold):
    service = origin()
    config = configs.public(
        service, request_headers={"set": {"X-User-Id": "from-gateway"}, "remove": "X-Internal-Key"}
    )
    gate = gateway(config)
    assert gate.get("/a", {fold("X-User-Id"): "root", fold("X-Internal-Key"): "1"}).status == 200
    seen = service.only
    assert [value for key, value in seen.headers if folded(key) == "x_user_id"] == ["from-gateway"]
    assert not [key for key, _ in seen.headers if folded(key) == "x_internal_key"]


@pytest.mark.parametrize("alias", ["x_api_key", "X.Api.Key", "X-Api_Key", "x-api-key"])
def test_an_alias_of_the_credential_is_not_forwarded(gateway, origin, tmp_path, alias):
    from tests.support.api_keys import KeyFile

    keys, service = KeyFile(tmp_path), origin()
    key = keys.add("partner")
    gate = gateway(configs.with_keys(service, keys))
    answer = gate.get("/closed", [("X-Api-Key", key), (alias, key + "x")])
    assert answer.status in (200, 401)
    assert not any(folded(name) == "x_api_key" for seen in service.requests for name, _ in seen.headers)
    assert not any(key.encode() in bytes(data) for data in service.received)


def test_an_alias_does_not_authenticate(gateway, origin, issuer, tmp_path):
    from tests.support.api_keys import KeyFile

    keys, service = KeyFile(tmp_path), origin()
    key = keys.add("partner")
    gate = gateway(configs.with_keys(service, keys))
    for alias in ("X_Api_Key", "X.Api.Key", "XApiKey"):
        assert gate.get("/closed", {alias: key}).reason == "credential_missing"
    assert service.saw_nothing()


def test_an_alias_does_not_match_a_route(gateway, origin):
    """A route that asks for a header is not taken by its alias, and the alias does not come along."""
    service = origin()
    config = configs.public(service)
    config["routes"]["beta"] = configs.route("/b/{rest...}")
    config["routes"]["beta"]["match"]["headers"] = {"X-Beta": "yes"}
    del config["routes"]["open"]
    gate = gateway(config)
    for alias in ("X_Beta", "X.Beta"):
        assert gate.get("/b/a", {alias: "yes"}).reason == "route_not_found"
    assert service.saw_nothing()
    assert gate.get("/b/a", [("X-Beta", "yes"), ("X_Beta", "no")]).status == 200
    assert [value for key, value in service.only.headers if folded(key) == "x_beta"] == ["yes"]


def test_aliases_of_authorization_are_dropped(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    token = identity.token()
    answer = gate.get("/closed", [("Authorization", f"Bearer {token}"), ("Proxy_Authorization", "Basic x")])
    assert answer.status == 200
    assert "authorization" not in {folded(name) for name in service.only.names}
    assert token not in str(service.only.headers)
