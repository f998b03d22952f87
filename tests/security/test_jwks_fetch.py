"""The key set comes from where the configuration says, over https, capped, and at a bounded rate."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"jwks": "http://id.example/jwks.json", "issuer": "https://id.example"}, "plaintext"),
        ({"jwks": "https://elsewhere.example/jwks.json", "issuer": "https://id.example"}, "jwks_hosts"),
        ({"jwks": "ftp://id.example/jwks.json", "issuer": "https://id.example"}, "jwks"),
        ({"jwks": "https://user:secret@id.example/jwks.json", "issuer": "https://id.example"}, "password"),
        ({"jwks": "https://169.254.169.254/latest", "issuer": "https://169.254.169.254"}, "169.254"),
        ({"jwks": "https://[fe80::1]/jwks", "issuer": "https://[fe80::1]"}, "link-local"),
    ],
    ids=[
        "plain http",
        "another host",
        "ftp",
        "credentials in the url",
        "metadata address",
        "link-local address",
    ],
)
def test_unsafe_addresses_of_key_sets_do_not_load(gateway, origin, issuer, changes, word):
    changes = dict(changes)
    config = configs.protected(origin(), issuer())
    config["identity_providers"]["id"].pop("plaintext")
    url = changes.pop("jwks")
    config["identity_providers"]["id"].update(changes, jwks={"url": url})
    with pytest.raises(Exception) as caught:
        gateway(config)
    assert word.lower() in str(caught.value).lower() + repr(caught.value).lower()


def test_redirects_are_not_followed(gateway, origin, issuer):
    identity, service, attacker = issuer(), origin(), issuer("EC")
    identity.mode, identity.redirect_to = "redirect", attacker.jwks_url
    gate = gateway(configs.protected(service, identity))
    answer = gate.get("/closed", identity.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert attacker.fetches == 0
    assert service.saw_nothing()


@pytest.mark.parametrize("mode", ["fail", "garbage", "huge", "hangup"])
def test_a_provider_that_fails_refuses_with_503(gateway, origin, issuer, mode):
    identity, service = issuer(), origin()
    identity.mode = mode
    gate = gateway(configs.protected(service, identity))
    answer = gate.get("/closed", identity.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert "retry-after" in answer
    assert gate.log_line(status=503)["fault"] == "provider"
    assert service.saw_nothing()
    assert gate.get("/open/a").status == 200, "a route that needs no provider is not touched"


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1]}',
        b'{"keys": []}',
        b"\xff\xfe",
        b'{"keys": [{"kty": "RSA"}]}',
        b"null",
    ],
)
def test_a_broken_set_is_no_set(gateway, origin, issuer, document):
    identity, service = issuer(), origin()
    identity.override = document
    gate = gateway(configs.protected(service, identity))
    answer = gate.get("/closed", identity.bearer())
    assert answer.status in (401, 503)
    assert answer.reason in ("identity_provider_unavailable", "token_key_unknown")
    assert service.saw_nothing()


def test_unknown_kids_refetch_at_a_bounded_rate(gateway, origin, issuer, workers):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity), workers=workers)
    assert gate.get("/closed", identity.bearer()).status == 200
    before = identity.fetches
    for number in range(100):
        token = identity.sign(identity.claims(), {"kid": f"unknown-{number}"})
        assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).reason == "token_key_unknown"
    assert identity.fetches - before <= 2, "each unknown kid asks the provider"
    assert service.saw_no_more_than(1)


def test_an_https_provider_is_verified(gateway, origin, issuer, server_tls, authority_file):
    identity, service = issuer(tls=server_tls), origin()
    config = configs.protected(service, identity)
    gate = gateway(config)
    answer = gate.get("/closed", identity.bearer())
    assert answer.reason == "identity_provider_unavailable", (
        "a certificate of an unknown authority was accepted"
    )
    assert identity.fetches == 0
    assert service.saw_nothing()
    config["identity_providers"]["id"] = identity.provider({"ca": authority_file})
    trusted = gateway(config)
    assert trusted.get("/closed", identity.bearer()).status == 200


def test_one_provider_down_does_not_touch_the_other(gateway, origin, issuer):
    dead, alive, service = issuer(), issuer("RSA"), origin()
    dead.go_down()
    config = configs.protected(service, dead)
    config["identity_providers"]["other"] = alive.provider()
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "other"]}
    gate = gateway(config)
    assert gate.get("/closed", alive.bearer()).status == 200
    assert gate.get("/closed", dead.bearer()).reason == "identity_provider_unavailable"
    assert service.saw_no_more_than(1)


def test_stalled_provider_does_not_hold_up_other_requests(gateway, origin, issuer):
    identity, service = issuer(), origin()
    identity.mode = "stall"
    gate = gateway(configs.protected(service, identity))
    with gate.connect(timeout=30) as waiting:
        from tests.support.wire import head

        waiting.send(head("GET", "/closed", identity.bearer()))
        eventually(lambda: identity.fetches, what="the fetch under way")
        for _ in range(5):
            assert gate.get("/open/a").status == 200
        assert waiting.reply().reason == "identity_provider_unavailable"
    assert all(seen.target == "/open/a" for seen in service.requests)


def test_private_parts_in_a_set_are_not_needed(gateway, origin, issuer, tmp_path):
    """Some providers publish odd sets; unknown key types and uses are skipped, not fatal."""
    identity, service = issuer(), origin()
    document = json.loads(identity.jwks())
    document["keys"].insert(0, {"kty": "AKP", "kid": "pq", "alg": "ML-DSA-65", "pub": "x"})
    identity.override = json.dumps(document).encode()
    gate = gateway(configs.protected(service, identity))
    assert gate.get("/closed", identity.bearer()).status == 200
