"""401: one challenge for each accepted provider, one reason each, counted; and a document that says what protects a host."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.issuer import compact, make_key, oct_key
from tests.support.waiting import eventually

PLACE = "/.well-known/oauth-protected-resource"


def challenges(answer: Any) -> list[str]:
    return [value for name, value in answer.headers if name.lower() == "www-authenticate"]


def parameters(challenge: str) -> dict[str, str]:
    return dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', challenge))


def written(directory: Any) -> KeyFile:
    keys = KeyFile(directory)
    keys.add("partner")
    return keys


def failures(gate: Any) -> dict[str, float]:
    return {key: value for key, value in gate.metrics().items() if "authentication_failures" in key}


def several(origin, issuer, tmp_path):
    """Two providers of tokens and one of keys, on two hosts."""
    first, second, service = issuer(), issuer("RSA"), origin()
    keys = written(tmp_path)
    config = configs.protected(service, first, tmp_path, hosts="a.test", authorize={"scopes": "orders.read"})
    config["identity_providers"]["other"] = second.inline(tmp_path)
    config["identity_providers"]["partners"] = {"type": "api_key", "keys": str(keys.path)}
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "partners"]}
    config["routes"]["secret"] = configs.route(
        "/secret", hosts="b.test", authenticate="other", authorize={"scopes": {"all_of": ["x", "y"]}}
    )
    return first, second, service, config


def test_one_challenge_for_each_accepted_provider(gateway, origin, issuer, tmp_path):
    first, _, service, config = several(origin, issuer, tmp_path)
    gate = gateway(config)
    missing = challenges(gate.get("/closed", host="a.test"))
    assert [challenge.split(" ")[0] for challenge in missing] == ["Bearer", "ApiKey"]
    found = parameters(missing[0])
    assert found == {
        "realm": "id",
        "scope": "orders.read",
        "resource_metadata": f"http://a.test{PLACE}",
    }, "RFC 6750 section 3.1: no error where nothing was sent"
    expired = parameters(challenges(gate.get("/closed", first.bearer(exp=1), host="a.test"))[0])
    assert (expired["error"], expired["error_description"]) == ("invalid_token", "the token has expired")
    forbidden = gate.get("/closed", first.bearer(scope="other"), host="a.test")
    assert (forbidden.status, parameters(challenges(forbidden)[0])["error"]) == (403, "insufficient_scope")
    assert service.saw_nothing()


def test_the_document_names_what_its_host_accepts_and_nothing_else(gateway, origin, issuer, tmp_path):
    first, second, service, config = several(origin, issuer, tmp_path)
    gate = gateway(config)
    answer = gate.get(PLACE, host="a.test:8443")
    assert (answer.status, answer["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == {
        "resource": "http://a.test:8443",
        "authorization_servers": [first.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["orders.read"],
    }
    other = json.loads(gate.get(PLACE, host="b.test").body)
    assert (other["authorization_servers"], other["scopes_supported"]) == ([second.issuer], ["x", "y"])
    assert (
        json.loads(gate.get(f"{PLACE}/orders/1", host="a.test").body)["resource"] == "http://a.test/orders/1"
    )
    assert gate.get(PLACE, host="c.test").status == 404
    assert gate.post(PLACE, host="a.test").status in (401, 404, 405)
    assert service.saw_nothing()


def test_the_document_is_the_same_whatever_is_there(gateway, origin, issuer, tmp_path):
    """Asking below its place says nothing about which paths exist."""
    _, _, _, config = several(origin, issuer, tmp_path)
    gate = gateway(config)

    def rest(path: str) -> Any:
        document = json.loads(gate.get(f"{PLACE}{path}", host="b.test").body)
        return {**document, "resource": None}

    assert rest("/secret") == rest("/nothing/here") == rest("")


def test_routes_that_are_hidden_are_named_nowhere(gateway, origin, issuer, tmp_path):
    """Other listeners, groups that are sensitive, and public routes add nothing."""
    _, second, service, config = several(origin, issuer, tmp_path)
    config["listeners"] = {
        "main": {"address": "127.0.0.1:0", "plaintext": "test"},
        "inside": {"address": "127.0.0.1:0", "plaintext": "test"},
    }
    for name, route in config["routes"].items():
        route["listeners"] = "inside" if name == "secret" else "main"
    config["groups"] = {"vault": {"sensitive": "vault", "hosts": "a.test", "listeners": "main"}}
    config["routes"]["vault"] = {
        "group": "vault",
        "match": {"path": "/vault", "methods": "GET"},
        "authenticate": "other",
        "authorize": {"scopes": "vault.open", "roles": "keeper"},
        "rate_limit": {"few": {"rate": "1/s", "burst": 1, "key": "principal"}},
        "service": "origin",
    }
    gate = gateway(config)
    assert gate.get(PLACE, host="b.test").status == 404
    inside = gate.get(PLACE, host="b.test", listener="inside")
    assert json.loads(inside.body)["authorization_servers"] == [second.issuer]
    assert "vault" not in str(gate.get(PLACE, host="a.test").body)
    hidden = gate.get("/vault", host="a.test")
    assert hidden.status == 401 and "vault.open" in str(challenges(hidden))


def test_a_route_that_takes_every_path_does_not_take_its_place(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    gate = gateway(config)
    assert gate.get(PLACE).status == 200
    assert service.saw_nothing()
    config["routes"]["own"] = configs.route(f"{PLACE}", hosts="any")
    assert gateway(config).get(PLACE).status == 200
    assert service.saw_no_more_than(1) and service.requests, "a route of that place is the user's own"


def test_no_tokens_no_document(gateway, origin, tmp_path):
    service = origin()
    gate = gateway(configs.with_keys(service, written(tmp_path)))
    assert gate.get(PLACE).status == 401
    assert "resource_metadata" not in str(challenges(gate.get("/closed")))
    assert gateway(configs.public(service, template="/open")).get(PLACE).status == 404


# reasons, each counted


def wrong(identity: Any) -> dict[str, str | None]:
    now = int(time.time())
    header, payload, _ = identity.token().split(".")
    return {
        "credential_missing": None,
        "credential_malformed": "no-token",
        "token_expired": identity.token(exp=now - 100),
        "token_not_yet_valid": identity.token(nbf=now + 900),
        "token_issuer_unknown": identity.token(iss="https://other.example"),
        "token_audience_mismatch": identity.token(aud="other"),
        "token_key_unknown": identity.sign(identity.claims(), {"kid": "other"}),
        "token_signature_invalid": identity.sign(identity.claims(), {"kid": "EC-0"}, make_key("EC", 5)),
        "token_algorithm_forbidden": identity.sign(
            identity.claims(), {"alg": "HS256", "kid": "EC-0"}, oct_key(b"x" * 32, "EC-0"), "HS256"
        ),
        "token_header_refused": compact({"alg": "ES256", "crit": ["x"]}, identity.claims(), b"x" * 64),
        "token_claim_invalid": identity.token(exp="soon"),
        "token_too_large": f"{header}.{payload}." + "a" * 9000,
    }


REASONS = [
    "credential_missing", "credential_malformed", "token_expired", "token_not_yet_valid", "token_issuer_unknown",
    "token_audience_mismatch", "token_key_unknown", "token_signature_invalid", "token_algorithm_forbidden",
    "token_header_refused", "token_claim_invalid", "token_too_large",
]  # fmt: skip


def test_one_reason_each_and_each_is_counted(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path), workers=workers)
    tokens = wrong(identity)
    assert list(tokens) == REASONS
    for reason, token in tokens.items():
        answer = gate.get("/closed", {"Authorization": f"Bearer {token}"} if token else ())
        assert (answer.status, answer.reason) == (401, reason)
        if token:
            assert token not in str(answer.body) and token not in str(answer.headers)
    wanted = {
        f'yett_authentication_failures_total{{provider="id",reason="{reason}"}}': 1 for reason in REASONS
    }
    eventually(lambda: failures(gate) == wanted, what=f"each counted once: {failures(gate)}")
    assert service.saw_nothing()


def test_failures_are_counted_for_the_provider_that_they_are_of(gateway, origin, issuer, tmp_path):
    first, second, service = issuer(), issuer("RSA"), origin()
    config = configs.protected(service, first, tmp_path)
    config["identity_providers"]["other"] = second.inline(tmp_path)
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "other"]}
    gate = gateway(config)
    for _ in range(3):
        gate.get("/closed", second.bearer(exp=1))
    gate.get("/closed", first.bearer(iss="https://attacker.example/" + "x" * 50))
    gate.get("/closed")
    prefix = "yett_authentication_failures_total"
    wanted = {
        f'{prefix}{{provider="other",reason="token_expired"}}': 3,
        f'{prefix}{{provider="",reason="token_issuer_unknown"}}': 1,
        f'{prefix}{{provider="",reason="credential_missing"}}': 1,
    }
    eventually(lambda: failures(gate) == wanted, what=f"labels of the configuration alone: {failures(gate)}")


@pytest.mark.parametrize("name", ["access_token", "Access_Token", "api_key", "x-api-key", "%61ccess_token"])
def test_credentials_in_the_url_are_refused_not_logged_and_counted(gateway, origin, issuer, tmp_path, name):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["partners"] = {"type": "api_key", "keys": str(written(tmp_path).path)}
    gate = gateway(config)
    token = identity.token()
    answer = gate.get(f"/closed?a=b&{name}={token}", identity.bearer())
    assert (answer.status, answer.reason) == (400, "credential_in_url")
    assert token not in gate.log_text().decode()
    eventually(lambda: any("credential_in_url" in key for key in failures(gate)), what="its count")
    assert service.saw_nothing()


def test_credentials_in_the_path_are_not_logged(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    token, key = identity.token(), "yett_abcdefghijkl_" + "x" * 43 + "yyyyyy"
    for secret in (token, key):
        gate.get(f"/open/{secret}/x")
    lines = gate.wait_log(2)
    assert [line["path"] for line in lines] == ["/open/[redacted]/x"] * 2
    assert token not in gate.log_text().decode() and key not in gate.log_text().decode()
