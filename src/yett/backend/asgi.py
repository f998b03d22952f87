"""Middleware for ASGI: FastAPI, Starlette, Django, Litestar, Quart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import TYPE_CHECKING, Any

from yett.backend.assertion import HEADER, Verifier
from yett.backend.caller import Caller
from yett.backend.context import context_of, enter
from yett.backend.refused import Refused
from yett.backend.replays import MemoryReplays

if TYPE_CHECKING:
    from yett.backend.openapi import OpenApi

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1024 * 1024
"""Longest body that is compared with its digest; the gateway signs no longer one."""
_AT_ONCE = 64 * 1024
"""Longest body that is judged between two other tasks; longer ones are judged on a thread."""


class IdentityMiddleware:
    """Lets in what carries a valid assertion for exactly this request, and nothing else.

    The caller is `yett.backend.current()`, `scope["yett.caller"]`, and with Starlette `request.state.caller`. A `Refused`
    that the application raises becomes its answer. `exempt` are paths that need no assertion, such as that of health checks.
    """

    def __init__(self, app: App, verifier: Verifier, *, exempt: Collection[str] = ()) -> None:
        self.app, self.verifier = app, verifier
        self.exempt = exempt_paths(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, connection or lifespan."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in self.exempt):
            enter(None)
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            caller = await self._caller(scope)
            if caller.body is not None or self.verifier.body:
                receive = await self._checked_body(caller, scope, receive)
            enter(context_of(caller, _one(scope, b"x-request-id"), _one(scope, b"traceparent")))
            scope["yett.caller"] = caller
            scope["state"] = {**scope.get("state", {}), "caller": caller}
            await self.app(scope, receive, watched)
        except Refused as refused:
            if started:
                raise
            await _refuse(scope, send, refused)
        finally:
            enter(None)

    async def _caller(self, scope: Scope) -> Caller:
        verifier = self.verifier
        if scope["type"] not in {"http", "websocket"}:
            raise Refused("assertion_missing")
        parsed = verifier.parse(_one(scope, HEADER.encode()))
        if verifier.keys.due(parsed.kid):
            await asyncio.to_thread(verifier.keys.refresh)
        method, path, query = scope.get("method", "GET"), scope["path"], scope.get("query_string", b"")
        if isinstance(verifier.replays, MemoryReplays):
            return verifier.check(parsed, method=method, path=path, query=query)
        return await asyncio.to_thread(verifier.check, parsed, method=method, path=path, query=query)

    async def _checked_body(self, caller: Caller, scope: Scope, receive: Receive) -> Receive:
        if scope["type"] == "websocket":
            # What opens a connection has no body, and what comes from then on is none.
            self.verifier.check_body(caller, b"")
            return receive
        body, again = await _whole(receive, MAX_BODY)
        self.verifier.check_body(caller, body)
        return again


class OpenApiMiddleware:
    """Lets in what an OpenAPI description asks for, and nothing else; `scope["yett.operation"]` says which operation it is.

    `max_body` is the longest body that is read, bytes. `exempt` are paths that are not looked at. Inside of
    `IdentityMiddleware`: whoever may not call is told nothing of what a call has to be.
    """

    def __init__(
        self, app: App, description: OpenApi, *, max_body: int = MAX_BODY, exempt: Collection[str] = ()
    ) -> None:
        self.app, self.description, self.max_body = app, description, max_body
        self.exempt = exempt_paths(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, connection or lifespan."""
        if scope["type"] not in {"http", "websocket"} or scope["path"] in self.exempt:
            await self.app(scope, receive, send)
            return
        try:
            body = b""
            if scope["type"] == "http":
                body, receive = await _whole(receive, self.max_body)
            asked = (
                scope.get("method", "GET"),
                scope["path"],
                scope.get("query_string", b""),
                scope["headers"],
                body,
            )
            check = self.description.check
            operation = check(*asked) if len(body) <= _AT_ONCE else await asyncio.to_thread(check, *asked)
        except Refused as refused:
            await _refuse(scope, send, refused)
            return
        scope["yett.operation"] = operation.name if operation else None
        await self.app(scope, receive, send)


def exempt_paths(exempt: Collection[str]) -> frozenset[str]:
    """A path by itself is one path, and not its letters."""
    return frozenset((exempt,) if isinstance(exempt, str) else exempt)


async def _whole(receive: Receive, limit: int) -> tuple[bytes, Receive]:
    """The whole body, at most so many bytes, and what gives it to the application again."""
    parts: list[bytes] = []
    more, size = True, 0
    while more:
        message = await receive()
        if message["type"] != "http.request":
            # The client is gone: a part of a body is never taken for the whole.
            raise Refused("body_incomplete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise Refused("body_too_large")
        more = message.get("more_body", False)
    body = b"".join(parts)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def _one(scope: Scope, name: bytes) -> str | None:
    """The value of a field that stands once; two are as good as none."""
    found = [value for key, value in scope["headers"] if key == name]
    return str(found[0].decode("latin-1")) if len(found) == 1 else None


async def _refuse(scope: Scope, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        # Before it is accepted: the server answers the handshake with 403.
        await send({"type": "websocket.close", "code": 1008, "reason": refused.code})
        return
    headers = [(name.encode(), value.encode()) for name, value in refused.headers()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": refused.problem()})
