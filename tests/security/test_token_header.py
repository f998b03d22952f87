"""Unknown `crit`; a header `alg` that differs from the key's `alg` or `use` (CVE-2026-32597, CVE-2025-59420)."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from tests.support.issuer import make_key


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA", "EC"), origin()
    return gateway(configs.protected(service, identity, tmp_path)), service, identity


HEADERS = {
    "unknown crit": {"crit": ["x-secret"], "x-secret": 1},
    "empty crit": {"crit": []},
    "crit that names alg": {"crit": ["alg"]},
    "crit is a string": {"crit": "exp"},
    "crit is a number": {"crit": 1},
    "crit is an object": {"crit": {}},
    "b64 false": {"crit": ["b64"], "b64": False},
    "b64 without crit": {"b64": False},
    "JWE": {"enc": "A128GCM"},
    "compressed": {"zip": "DEF"},
}


@pytest.mark.parametrize("extra", HEADERS.values(), ids=HEADERS.keys())
def test_headers_that_ask_for_more_are_refused(shop, extra):
    gate, service, identity = shop
    token = identity.sign(identity.claims(), extra)
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.reason) == (401, "token_header_refused")
    assert service.saw_nothing()


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_of_the_same_family_is_refused(shop, algorithm):
    """The set says RS256 for this key; the signature itself is right."""
    gate, service, identity = shop
    token = identity.sign(identity.claims(), {"alg": algorithm}, make_key("RSA"), algorithm)
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert answer.reason in ("token_algorithm_forbidden", "token_key_unknown")
    assert service.saw_nothing()


@pytest.mark.parametrize("change", [{"use": "enc"}, {"key_ops": ["encrypt"]}], ids=["use", "key_ops"])
def test_a_key_for_something_else_verifies_nothing(gateway, origin, issuer, tmp_path, change):
    identity, service = issuer("RSA", "EC"), origin()
    document = json.loads(identity.jwks())
    if "key_ops" in change:
        document["keys"][0].pop("use")
    document["keys"][0].update(change)
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(document))
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["jwks"] = str(path)
    gate = gateway(config)
    answer = gate.get("/closed", identity.bearer())
    assert answer.status == 401
    assert answer.reason in ("token_key_unknown", "token_algorithm_forbidden")
    assert service.saw_nothing()
    other = identity.sign(identity.claims(), key=identity.keys[1])
    assert gate.get("/closed", {"Authorization": f"Bearer {other}"}).status == 200


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "x" * 5000, "' OR 1=1 --", "\x00", "EC-0\n", 0, None, ["EC-0"], {}]
)
def test_an_odd_kid_finds_no_key(shop, kid):
    gate, service, identity = shop
    stranger = make_key("EC", 99)
    header = json.dumps({"alg": "ES256", "kid": kid}).encode()
    token = identity.sign_parts(header, json.dumps(identity.claims()).encode(), stranger, "ES256")
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert answer.reason in (
        "token_key_unknown",
        "token_signature_invalid",
        "credential_malformed",
        "token_too_large",
        "token_header_refused",
    )
    assert service.saw_nothing()
