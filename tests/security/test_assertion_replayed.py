"""43: an assertion is taken from one request and used with another query, path, method or body, for another service, or again."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from tests.support import assertions, configs
from tests.support.services import Asgi, ask
from yett.backend import IdentityMiddleware, Verifier


class Victim:
    """A service that verifies; it keeps what got in, and what it was told with."""

    def __init__(self) -> None:
        self.let_in: list[tuple[str, str, bytes]] = []
        self.told: list[str] = []

    async def outer(self, scope: Any, receive: Any, send: Any) -> None:
        """What someone on the way, or in another service, gets hold of."""
        if scope["type"] == "http":
            self.told += [value.decode() for name, value in scope["headers"] if name == b"yett-identity"]
        await self.inner(scope, receive, send)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        target = f"{scope['path']}?{scope['query_string'].decode()}"
        self.let_in.append((scope["method"], target, message.get("body", b"")))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    inner: Any


@pytest.fixture
def stage(gateway, issuer, tmp_path, _cleanup: contextlib.ExitStack) -> Any:
    """`stage(**assertion)`: gateway, victim, its server, and the fields of a caller."""

    def start(**assertion: Any) -> tuple[Any, Victim, Asgi, dict[str, str]]:
        keys, vouches, victim = assertions.make_keys(tmp_path), issuer(), Victim()
        (tmp_path / "jwks.json").write_text(assertions.public_keys(keys))
        verifier = Verifier(audience="billing", issuer=assertions.ISSUER, keys=tmp_path / "jwks.json")
        victim.inner = IdentityMiddleware(victim.app, verifier)
        server = Asgi(victim.outer)
        _cleanup.callback(server.close)
        url = {"endpoints": f"http://127.0.0.1:{server.port}", "plaintext": "test"}
        gate = gateway(
            {
                "identity": assertions.identity(keys),
                "identity_providers": {"id": vouches.provider()},
                "services": {
                    "billing": {**url, "identity_assertion": assertion},
                    "orders": {**url, "identity_assertion": {}},
                },
                "routes": {
                    "billing": configs.route(service="billing", authenticate="id", access="authenticated"),
                    "orders": configs.route(
                        "/orders", service="orders", authenticate="id", access="authenticated"
                    ),
                },
            }
        )
        return gate, victim, server, vouches.bearer()

    return start


def test_of_one_request_for_another(stage: Any) -> None:
    gate, victim, server, bearer = stage()
    # Refused for what it says, so that it is not used up by the first try.
    assert gate.get("/orders", bearer).status == 401
    assert gate.get("/invoices/9001?tenant=acme", bearer).status == 200
    used = victim.told[-1]
    victim.let_in.clear()
    for method, target in (
        ("GET", "/invoices/9001?tenant=acme"),
        ("GET", "/invoices/9001?tenant=globex"),
        ("GET", "/invoices/9001?tenant=acme&all=1"),
        ("GET", "/invoices/9001"),
        ("GET", "/invoices/9002?tenant=acme"),
        ("GET", "/invoices/9001/?tenant=acme"),
        ("DELETE", "/invoices/9001?tenant=acme"),
    ):
        answer = ask(server, method, target, {"Yett-Identity": used})
        assert answer.status == 401, (method, target)
        assert answer.reason in {"assertion_replayed", "assertion_request_mismatch"}
    assert victim.let_in == []


def test_of_another_service(stage: Any) -> None:
    gate, victim, _, bearer = stage()
    refused = gate.get("/orders", bearer)
    assert (refused.status, refused.reason) == (401, "assertion_audience_mismatch")
    assert victim.let_in == []


def test_one_that_was_never_used_is_good_for_its_request_only(stage: Any) -> None:
    gate, victim, server, bearer = stage()
    caught: list[str] = []
    inner = victim.inner

    async def dropped(scope: Any, receive: Any, send: Any) -> None:
        caught.extend(value.decode() for name, value in scope["headers"] if name == b"yett-identity")
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    victim.inner = dropped
    assert gate.get("/invoices?tenant=acme", bearer).status == 500
    victim.inner = inner
    for target in ("/invoices?tenant=globex", "/invoices", "/?tenant=acme"):
        assert ask(server, "GET", target, {"Yett-Identity": caught[0]}).reason == "assertion_request_mismatch"
    assert ask(server, "POST", "/invoices?tenant=acme", {"Yett-Identity": caught[0]}).status == 401
    assert victim.let_in == []


def test_with_another_body(stage: Any) -> None:
    gate, victim, server, bearer = stage(body="digest")
    caught: list[str] = []
    inner = victim.inner

    async def dropped(scope: Any, receive: Any, send: Any) -> None:
        caught.extend(value.decode() for name, value in scope["headers"] if name == b"yett-identity")
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    victim.inner = dropped
    paid = json.dumps({"to": "acme", "amount": 1}).encode()
    assert gate.post("/payments", paid, bearer).status == 500
    victim.inner = inner
    for body in (paid.replace(b"1", b"9"), b"", paid + b" "):
        answer = ask(server, "POST", "/payments", {"Yett-Identity": caught[0]}, body)
        assert answer.status == 401, body
        assert answer.reason in {"assertion_body_mismatch", "assertion_replayed"}
    assert victim.let_in == []


def test_a_client_cannot_bring_one_along(stage: Any) -> None:
    """Taken from the inside, sent through the front door: the gateway drops it and signs its own."""
    gate, victim, _, bearer = stage()
    assert gate.get("/invoices", bearer).status == 200
    stolen = victim.told[-1]
    for name in ("Yett-Identity", "yett_identity", "YETT.IDENTITY"):
        assert gate.get("/invoices", [*bearer.items(), (name, stolen)]).status == 200
        assert victim.told[-1] != stolen
    assert len(set(victim.told)) == len(victim.told) == 4
