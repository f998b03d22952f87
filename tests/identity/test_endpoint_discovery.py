"""Endpoints that the issuer's metadata names (RFC 8414): where tokens are asked about, and where those for services are got."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import configs
from tests.support.authorization_server import AuthorizationServer
from tests.support.certificates import make
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
    token = {name: value for name, value in token.items() if value is not None}
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


# endpoints of their own for clients that show a certificate (RFC 8705 section 5)


class Mutual:
    """An issuer that asks for no certificate, and beside it the aliases that do."""

    def __init__(
        self, start: Make, certificate: trustme.LeafCert, authority_file: str, directory: Path
    ) -> None:
        ours = make("clients", authority=True)
        leaf = make("gate", by=ours, client=True)
        plain, asking = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
        for context in (plain, asking):
            certificate.configure_cert(context)
        asking.verify_mode = ssl.CERT_REQUIRED
        asking.load_verify_locations(cadata=ours.pem)
        self.server: AuthorizationServer = start(proof="tls_client_auth", tls=plain)
        self.alias: AuthorizationServer = start(
            proof="tls_client_auth", tls=asking, tokens=self.server.tokens
        )
        self.say(self.alias.base)
        self.ca = authority_file
        (directory / "gate.pem").write_text(leaf.pem)
        key = configs.write_secret(directory, "gate.key", leaf.key_pem.encode())
        self.client = self.server.client(
            directory, certificate=str(directory / "gate.pem"), key={"file": key}
        )

    def say(self, base: str) -> None:
        paths = {"introspection_endpoint": f"{base}/introspect", "token_endpoint": f"{base}/token"}
        self.server.metadata = {"mtls_endpoint_aliases": paths}


@pytest.fixture
def mutual(
    authorization_server: Make, certificate: trustme.LeafCert, authority_file: str, tmp_path: Path
) -> Mutual:
    return Mutual(authorization_server, certificate, authority_file, tmp_path)


def test_a_client_with_a_certificate_goes_to_the_alias(
    gateway: Make, origin: Make, mutual: Mutual, tmp_path: Path
) -> None:
    service = origin()
    gate: Gateway = gateway(opaque(service, mutual.server, tmp_path, client=mutual.client, ca=mutual.ca))
    assert gate.get("/a", mutual.server.bearer()).status == 200
    other: Gateway = gateway(
        for_service(service, mutual.server, tmp_path, client=mutual.client, ca=mutual.ca, plaintext=None)
    )
    assert other.get("/a").status == 200
    assert {one.path for one in mutual.alias.asked} == {"/introspect", "/token"}
    assert all(one.certificate for one in mutual.alias.asked)
    assert mutual.server.asked == [] and not mutual.alias.refused


def test_a_client_without_one_does_not(gateway: Make, origin: Make, mutual: Mutual, tmp_path: Path) -> None:
    service, server = origin(), mutual.server
    server.proof = "client_secret_basic"
    gate: Gateway = gateway(opaque(service, server, tmp_path, ca=mutual.ca))
    assert gate.get("/a", server.bearer()).status == 200
    assert len(server.asked) == 1 and mutual.alias.asked == []


@pytest.mark.parametrize("base", ["https://elsewhere.example", "http://localhost", 7])
def test_an_alias_that_may_not_be_used_is_not_passed_over(
    gateway: Make, origin: Make, mutual: Mutual, tmp_path: Path, base: Any
) -> None:
    """The endpoint without it does not ask for the certificate, so nothing is sent there."""
    service = origin()
    mutual.say(base)
    gate: Gateway = gateway(opaque(service, mutual.server, tmp_path, client=mutual.client, ca=mutual.ca))
    answer = gate.get("/a", mutual.server.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    events = gate.events(2.0)
    assert any("mtls_endpoint_aliases.introspection_endpoint" in event for event in events), events
    assert mutual.server.asked == [] and mutual.alias.asked == [] and service.saw_nothing()
