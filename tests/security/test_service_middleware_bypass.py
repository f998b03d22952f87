"""Threat: a request gets past the middleware of a service: a body that broke off, a method in other letters."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.backend.minting import Mint
from tests.support.services import Asgi
from yett.backend import IdentityMiddleware, OpenApi, OpenApiMiddleware, RequestInvalid, WsgiOpenApiMiddleware

DESCRIPTION = """
openapi: 3.1.0
info: {title: notes, version: "1"}
paths:
  /notes:
    post:
      operationId: addNote
      requestBody: {required: true, content: {text/plain: {schema: {type: string}}}}
      responses: {"200": {description: done}}
"""


@pytest.fixture
def asgi(_cleanup: contextlib.ExitStack) -> Callable[[Any], Asgi]:
    def start(app: Any) -> Asgi:
        started = Asgi(app)
        _cleanup.callback(started.close)
        return started

    return start


def described(directory: Path, **changes: Any) -> OpenApi:
    file = directory / "notes.yaml"
    file.write_text(DESCRIPTION)
    return OpenApi(file, **changes)


def test_a_part_of_a_body_is_not_the_whole_of_it_in_asgi(tmp_path: Path) -> None:
    seen: list[bytes] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["body"])

    async def exchange(*messages: dict[str, Any]) -> None:
        left = list(messages)

        async def receive() -> Any:
            return left.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/notes", "query_string": b"",
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"9")],
        }  # fmt: skip
        await OpenApiMiddleware(app, described(tmp_path))(scope, receive, send)

    half = {"type": "http.request", "body": b"pay 1", "more_body": True}
    asyncio.run(exchange(half, {"type": "http.disconnect"}))
    assert not seen and sent[0]["status"] == 400
    asyncio.run(exchange(half, {"type": "http.request", "body": b"0000", "more_body": False}))
    assert seen == [b"pay 10000"]


def test_a_part_of_a_body_is_not_the_whole_of_it_in_wsgi(tmp_path: Path) -> None:
    seen: list[bytes] = []
    told: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ["wsgi.input"].read())
        return []

    def exchange(body: bytes) -> None:
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/notes", "QUERY_STRING": "", "CONTENT_TYPE": "text/plain",
            "CONTENT_LENGTH": "9", "wsgi.input": io.BytesIO(body),
        }  # fmt: skip
        list(WsgiOpenApiMiddleware(app, described(tmp_path))(environ, lambda status, _: told.append(status)))

    exchange(b"pay 1")
    assert not seen and told == ["400 Bad Request"]
    exchange(b"pay 10000")
    assert seen == [b"pay 10000"]


def test_a_method_in_other_letters_is_judged_as_frameworks_read_it(tmp_path: Path) -> None:
    """Flask and Django take `post` for POST."""
    described_only = described(tmp_path, outside="allow")
    for method in ("POST", "post", "Post"):
        with pytest.raises(RequestInvalid) as caught:
            described_only.check(method, "/notes", headers=[("content-type", "application/json")], body=b"{}")
        assert caught.value.code == "content_type_unsupported"
    assert described_only.check("GET", "/notes") is None


def test_a_connection_is_opened_without_a_body_and_goes_on_as_it_is(asgi: Any) -> None:
    """With `body: digest` what comes over a WebSocket is not taken for a body."""
    mint = Mint()

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        await send({"type": "websocket.close"})

    server: Asgi = asgi(IdentityMiddleware(echo, mint.verifier(body=True)))
    nothing = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    told = {"Yett-Identity": mint.assertion("GET", "/ws", body=nothing)}
    with connect(f"ws://127.0.0.1:{server.port}/ws", additional_headers=told, proxy=None) as connection:
        connection.send("hello")
        assert connection.recv() == "hello"
