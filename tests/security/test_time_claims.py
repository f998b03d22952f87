"""`exp` and `nbf` as string, huge, negative or null are refused, never taken as absent (CVE-2026-25537)."""

from __future__ import annotations

import json
import time

import pytest

from tests.support import configs


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    return gateway(configs.protected(service, identity, tmp_path)), service, identity


ODD = {
    "string": f'"{int(time.time()) + 300}"',
    "null": "null",
    "true": "true",
    "list": "[4102444800]",
    "object": "{}",
    "negative": "-1",
    "huge": "1e300",
    "past 64 bits": "99999999999999999999999999",
    "infinite": "1e999",
    "empty string": '""',
}


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ODD.values(), ids=ODD.keys())
def test_odd_times_are_refused(shop, claim, value):
    gate, service, identity = shop
    claims = identity.claims()
    claims.setdefault("nbf", int(time.time()) - 10)
    text = json.dumps(claims).replace(f'"{claim}": {claims[claim]}', f'"{claim}": {value}')
    assert json.dumps(claims) != text
    token = identity.sign(text.encode())
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    if claim in ("nbf", "iat") and value == "-1":
        assert answer.status in (200, 401)  # long ago: true, and harmless
        return
    assert answer.status == 401, value
    assert answer.reason in (
        "token_claim_invalid",
        "token_expired",
        "token_not_yet_valid",
        "credential_malformed",
    )
    assert service.saw_nothing()


def test_missing_exp_is_refused(shop):
    gate, service, identity = shop
    assert gate.get("/closed", identity.bearer(exp=None)).reason == "token_claim_invalid"
    assert service.saw_nothing()


@pytest.mark.parametrize("age", [61, 3600, 10**9])
def test_expired_is_refused(shop, age):
    gate, service, identity = shop
    answer = gate.get("/closed", identity.bearer(exp=int(time.time()) - age))
    assert (answer.status, answer.reason) == (401, "token_expired")
    assert service.saw_nothing()


def test_not_yet_valid_is_refused(shop):
    gate, service, identity = shop
    answer = gate.get("/closed", identity.bearer(nbf=int(time.time()) + 3600))
    assert (answer.status, answer.reason) == (401, "token_not_yet_valid")
    assert service.saw_nothing()


def test_leeway_is_what_the_configuration_says(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["leeway"] = "0s"
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer(exp=int(time.time()) - 2)).reason == "token_expired"
    assert service.saw_nothing()
    config["identity_providers"]["id"]["leeway"] = "60s"
    gate.reload(config)
    assert gate.get("/closed", identity.bearer(exp=int(time.time()) - 2)).status == 200
