"""Threat: one scope or role with a blank in it, which whoever reads a list as words takes for two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backend.minting import Mint
from tests.support import assertions, configs
from tests.support.authorization_server import AuthorizationServer
from tests.support.origin import Origin

Make = Callable[..., Any]


@pytest.mark.parametrize(
    "scope", [["read", "x write"], ["read write"], ["read", " "], ["x\u00a0write"], "read x\u2003write"]
)
def test_a_scope_in_a_signed_token(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, scope: list[str] | str
) -> None:
    service: Origin = origin()
    provider = issuer()
    gate = gateway(configs.protected(service, provider, tmp_path))
    assert gate.get("/a", provider.bearer(scope=scope)).reason == "token_claim_invalid"
    assert service.saw_nothing()
    assert gate.get("/a", provider.bearer(scope=["read", "write"])).status == 200


def test_a_scope_of_a_token_that_is_asked_about(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path
) -> None:
    service: Origin = origin()
    server: AuthorizationServer = authorization_server()
    gate = gateway(
        {
            "identity_providers": {"partners": server.provider(tmp_path)},
            "services": {"origin": configs.service(service)},
            "routes": {"closed": configs.route(authenticate="partners", access="authenticated")},
        }
    )
    assert gate.get("/a", server.bearer(scope=["read", "x write"])).reason == "token_claim_invalid"
    assert service.saw_nothing()


@pytest.mark.parametrize("source", ["roles", "claims.groups"])
def test_a_role_in_a_plain_header(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, source: str
) -> None:
    service: Origin = origin()
    provider = issuer()
    config = configs.protected(service, provider, tmp_path)
    del config["routes"]["open"]
    config["identity"] = assertions.identity(assertions.make_keys(tmp_path))
    config["services"]["origin"]["identity_assertion"] = {"headers": {"x-roles": source}, "claims": ["roles"]}
    config["identity_providers"]["id"]["claims"] = {"groups": {"from": "groups", "type": "string_list"}}
    gate = gateway(config)
    said = source.removeprefix("claims.")
    answer = gate.get("/a", provider.bearer(**{said: ["guest", "no admin"]}))
    assert (answer.status, answer.reason) == (500, "assertion_failed")
    assert service.saw_nothing()
    assert gate.get("/a", provider.bearer(**{said: ["guest", "admin"]})).status == 200
    assert service.only["x-roles"] == "guest admin"


def test_a_service_reads_scopes_as_the_gateway_writes_them() -> None:
    mint = Mint()
    said = mint.assertion(scope="read x\u00a0write")
    caller = mint.verifier().verify(said, method="GET", path="/")
    assert caller.scopes == {"read", "x\u00a0write"}
