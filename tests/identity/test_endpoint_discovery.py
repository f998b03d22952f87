"""Endpoints that the issuer's metadata names (RFC 8414): where tokens are asked about, and where those for services are got."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.authorization_server import AuthorizationServer
from tests.support.gateway import Config, Gateway
from tests.support.origin import Origin
from tests.support.waiting import eventually

Make = Callable[..., Any]


def opaque(service: Origin, server: AuthorizationServer, directory: Path, **changes: Any) -> Config:
    return {
        "identity_providers": {
            "id": server.provider(directory, endpoint=None, issuer=server.base, **changes)
        },
        "services": {"origin": configs.service(service)},
        "routes": {
            "closed": configs.route(authenticate="id", access="authenticated"),
            "open": configs.route("/open"),
        },
    }


def for_service(service: Origin, server: AuthorizationServer, directory: Path, **changes: Any) -> Config:
    token = {
        "type": "client_credentials", "issuer": server.base, "plaintext": "test", "audience": "billing",
        "client": server.client(directory), **changes,
    }  # fmt: skip
    return {
        "services": {"origin": configs.service(service, token=token)},
        "routes": {"open": configs.route()},
    }


def test_tokens_are_asked_about_where_the_issuer_says(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path, workers: int
) -> None:
    service, server = origin(), authorization_server()
    gate: Gateway = gateway(opaque(service, server, tmp_path), workers=workers)
    assert gate.get("/a", server.bearer()).status == 200
    assert gate.get("/a", {"Authorization": "Bearer invented"}).reason == "token_inactive"
    assert {one.path for one in server.asked} == {"/introspect"}
    document = gate.get("/.well-known/oauth-protected-resource", host="a.test").json()
    assert document["authorization_servers"] == [server.base]


def test_tokens_for_services_are_got_where_the_issuer_says(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path
) -> None:
    service, server = origin(), authorization_server()
    gate: Gateway = gateway(for_service(service, server, tmp_path))
    assert gate.get("/a").status == 200
    token = service.only["authorization"].removeprefix("Bearer ")
    assert server.tokens[token]["aud"] == "billing"
    assert {one.path for one in server.asked} == {"/token"}


def test_a_live_check_asks_where_the_issuer_says(
    gateway: Make, origin: Make, issuer: Make, authorization_server: Make, tmp_path: Path
) -> None:
    service, server = origin(), authorization_server()
    identity = issuer(issuer=server.base)
    provider = {**identity.inline(tmp_path), "introspection": {"client": server.client(tmp_path)}}
    gate: Gateway = gateway({
        "identity_providers": {"id": {**provider, "plaintext": "test"}},
        "services": {"origin": configs.service(service)},
        "routes": {"live": configs.route(authenticate="id", access="authenticated", live_check={"max_age": "0s"})},
    })  # fmt: skip
    token = identity.token()
    server.issue(token, jti="token-1")
    fields = {"Authorization": f"Bearer {token}"}
    assert gate.get("/a", fields).status == 200
    server.revoke(token)
    assert gate.get("/a", fields).reason == "token_inactive"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"introspection_endpoint": None, "token_endpoint": None},
        {
            "introspection_endpoint": "http://evil.example/introspect",
            "token_endpoint": "http://evil.example/token",
        },
        {"introspection_endpoint": 7, "token_endpoint": ["x"]},
    ],
    ids=["another issuer", "no endpoint", "another host", "no text"],
)
def test_metadata_that_does_not_fit_leads_nowhere(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path, metadata: dict[str, Any]
) -> None:
    service, server = origin(), authorization_server(metadata=metadata)
    gate: Gateway = gateway(opaque(service, server, tmp_path))
    answer = gate.get("/a", server.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    other: Gateway = gateway(for_service(service, server, tmp_path))
    answer = other.get("/a")
    assert (answer.status, answer.reason) == (503, "service_token_unavailable")
    assert server.asked == [] and service.saw_nothing()


def test_an_issuer_that_is_not_there_yet_closes_its_routes_alone_and_comes_by_itself(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path
) -> None:
    service, server = origin(), authorization_server(metadata=None)
    gate: Gateway = gateway(opaque(service, server, tmp_path))
    token = server.bearer()
    assert gate.get("/a", token).status == 503
    assert gate.get("/open").status == 200
    server.metadata = {}
    eventually(lambda: gate.get("/a", token).status == 200, 40, "the metadata")
