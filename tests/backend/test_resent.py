"""A request that is sent again carries an assertion of its own: a service that refuses replays takes the second try."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import h2.errors
import pytest

from tests.support import assertions, configs
from tests.support.http2_peer import Http2Service, Stream
from tests.support.origin import Stage
from yett.backend import IdentityMiddleware, Verifier


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["yett.caller"].subject.encode()})


class Guarded:
    """The real middleware before an application, asked once for each try. `seen` are the assertions, `said` what it answered."""

    def __init__(self, verifier: Verifier) -> None:
        self.middleware = IdentityMiddleware(application, verifier)
        self.seen: list[str] = []
        self.said: list[tuple[int, bytes]] = []

    def ask(self, method: str, target: str, fields: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        self.seen += [value for name, value in fields if name.lower() == "yett-identity"]
        path, _, query = target.partition("?")
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.middleware(scope, receive, send))
        answer = (sent[0]["status"], sent[1]["body"])
        self.said.append(answer)
        return answer


@pytest.fixture
def guarded(tmp_path: Any) -> Any:
    """`guarded(service)`: the configuration of a service that is told, and what verifies there."""
    keys = assertions.make_keys(tmp_path)
    (tmp_path / "jwks.json").write_text(assertions.public_keys(keys))
    verifier = Verifier(audience="origin", issuer=assertions.ISSUER, keys=tmp_path / "jwks.json")

    def start(service: Any, issuer: Any, **changes: Any) -> tuple[dict[str, Any], Guarded]:
        config = configs.protected(service, issuer, tmp_path)
        del config["routes"]["open"]
        config["identity"] = assertions.identity(keys)
        config["services"]["origin"] = {
            **configs.service(service),
            **changes,
            "identity_assertion": changes.get("identity_assertion", {}),
        }
        return config, Guarded(verifier)

    return start


@pytest.fixture
def http2_service() -> Iterator[Http2Service]:
    started = Http2Service()
    yield started
    started.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("digest", [False, True])
def test_after_refused_stream(
    gateway: Any, issuer: Any, http2_service: Http2Service, guarded: Any, method: str, digest: bool
) -> None:
    """The service looked at the request, and then says that it did not: its assertion is used up."""
    vouches = issuer()
    told = {"body": "digest"} if digest else {}
    config, guard = guarded(http2_service, vouches, protocol="http2", identity_assertion=told)
    body = b"a=1" if method == "POST" else b""

    def behave(stream: Stream) -> None:
        sent = stream.read()
        fields = [(name, value) for name, value in stream.head if not name.startswith(":")]
        status, text = guard.ask(stream[":method"], stream[":path"], fields, sent)
        if len(guard.said) == 1:
            return stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)
        stream.headers([(":status", str(status)), ("content-length", str(len(text)))])
        return stream.data(text, end=True)

    http2_service.behaviour = behave
    answer = gateway(config).request(method, "/invoices?tenant=acme", vouches.bearer(), body)
    assert (answer.status, answer.body) == (200, b"alice")
    assert guard.said == [(200, b"alice")] * 2
    assert len(set(guard.seen)) == 2, "each try has one of its own"


@pytest.mark.parametrize("fails", ["503", "reset"])
def test_a_retry(gateway: Any, origin: Any, issuer: Any, guarded: Any, fails: str) -> None:
    service, vouches = origin(), issuer()
    retry = {"retries": 2, "budget": "100%", "on": ["connect", "reset", 503]}
    config, guard = guarded(service, vouches, retry=retry)

    def behave(stage: Stage) -> None:
        request = stage.request
        status, text = guard.ask(request.method, request.target, request.headers, stage.read_body())
        if len(guard.said) < 3:
            if fails == "reset":
                stage.reset()
            status, text = 503, b"busy"
        stage.send(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)

    service.behaviour = behave
    answer = gateway(config).get("/invoices?tenant=acme", vouches.bearer())
    assert (answer.status, answer.body) == (200, b"alice")
    assert guard.said == [(200, b"alice")] * 3
    assert len(set(guard.seen)) == 3


def test_a_kept_connection_that_was_closed(gateway: Any, origin: Any, issuer: Any, guarded: Any) -> None:
    """The service reads the request, and closes without a byte: it is sent again on a new connection."""
    service, vouches = origin(), issuer()
    config, guard = guarded(service, vouches)

    def behave(stage: Stage) -> None:
        request = stage.request
        status, text = guard.ask(request.method, request.target, request.headers, stage.read_body())
        if len(guard.said) == 2:
            stage.close()
        stage.send(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)

    service.behaviour = behave
    gate, bearer = gateway(config), vouches.bearer()
    assert gate.get("/invoices", bearer).status == 200
    assert gate.get("/invoices", bearer).status == 200
    assert guard.said == [(200, b"alice")] * 3 and len(set(guard.seen)) == 3


def test_the_same_one_twice_is_refused_there(gateway: Any, origin: Any, issuer: Any, guarded: Any) -> None:
    """The comparison above would see it: `reuse` drops what makes an assertion count once."""
    service, vouches = origin(), issuer()
    config, guard = guarded(service, vouches)
    service.behaviour = lambda stage: stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert gateway(config).get("/invoices", vouches.bearer()).status == 200
    seen = service.only
    assert guard.ask(seen.method, seen.target, seen.headers, b"")[0] == 200
    status, body = guard.ask(seen.method, seen.target, seen.headers, b"")
    assert status == 401 and b"assertion_replayed" in body
