"""authenticate: {all_of: …}: several credentials in one request."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    """A route for which a token and a key have to vouch; `read` is asked of the token, and the key has it."""
    service, identity, keys = origin(), issuer(), KeyFile(tmp_path)
    key = keys.add("acme", scopes=["read"])
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["keys"] = {"type": "api_key", "keys": str(keys.path)}
    config["routes"]["closed"] = configs.route(
        authenticate={"all_of": ["id", "keys"]}, authorize={"scopes": "read"}
    )
    return gateway(config), service, identity, {"x-api-key": key}


def test_every_provider_vouches_and_the_first_names_the_caller(shop):
    gate, service, identity, key = shop
    reply = gate.get("/a", {**identity.bearer(scope="read"), **key})
    assert reply.status == 200
    assert "authorization" not in service.only and "x-api-key" not in service.only
    line = gate.wait_log()[0]
    assert (line["provider"], line["authentication"], line["kind"]) == ("id", "jwt", "user")


@pytest.mark.parametrize("presented", ["token", "key", "nothing"])
def test_one_alone_is_not_enough(shop, presented):
    gate, service, identity, key = shop
    headers = {"token": identity.bearer(scope="read"), "key": key, "nothing": {}}[presented]
    reply = gate.get("/a", headers)
    assert (reply.status, reply.reason) == (401, "credential_missing")
    assert service.saw_nothing()


def test_a_key_that_was_never_handed_out_is_not_passed_over(shop):
    gate, service, identity, _ = shop
    stranger = KeyFile.assemble("a" * 12, "b" * 43)
    reply = gate.get("/a", {**identity.bearer(scope="read"), "x-api-key": stranger})
    assert (reply.status, reply.reason) == (401, "api_key_unknown")
    assert service.saw_nothing()


def test_scopes_are_those_of_the_first(shop):
    gate, service, identity, key = shop
    reply = gate.get("/a", {**identity.bearer(scope="write"), **key})
    assert (reply.status, reply.reason) == (403, "scope_missing")
    assert service.saw_nothing()
