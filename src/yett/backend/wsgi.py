"""Middleware for WSGI: Flask, Django, Bottle, Pyramid."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from yett.backend.asgi import MAX_BODY, exempt_paths
from yett.backend.assertion import Verifier
from yett.backend.caller import Caller
from yett.backend.context import context_of, enter
from yett.backend.refused import Refused

if TYPE_CHECKING:
    from yett.backend.openapi import OpenApi

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class WsgiIdentityMiddleware:
    """Lets in what carries a valid assertion for exactly this request, and nothing else.

    The caller is `yett.backend.current()` and `environ["yett.caller"]`. A `Refused` that the application raises becomes its
    answer, if the framework lets it through. `exempt` are paths that need no assertion, such as that of health checks.
    """

    def __init__(self, app: App, verifier: Verifier, *, exempt: Collection[str] = ()) -> None:
        self.app, self.verifier = app, verifier
        self.exempt = exempt_paths(exempt)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        path = _path(environ)
        enter(None)
        if path in self.exempt:
            return self.app(environ, start_response)
        try:
            caller = self._caller(environ, path)
            if caller.body is not None or self.verifier.body:
                self._check_body(caller, environ)
            enter(context_of(caller, environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT")))
            environ["yett.caller"] = caller
            return _Answer(self.app(environ, start_response))
        except Refused as refused:
            enter(None)
            return _refuse(start_response, refused)
        except BaseException:
            enter(None)
            raise

    def _caller(self, environ: Environ, path: str) -> Caller:
        verifier = self.verifier
        parsed = verifier.parse(environ.get("HTTP_YETT_IDENTITY"))
        if verifier.keys.due(parsed.kid):
            verifier.keys.refresh()
        return verifier.check(parsed, method=environ["REQUEST_METHOD"], path=path, query=_query(environ))

    def _check_body(self, caller: Caller, environ: Environ) -> None:
        self.verifier.check_body(caller, _whole(environ, MAX_BODY))


class WsgiOpenApiMiddleware:
    """Lets in what an OpenAPI description asks for, and nothing else; `environ["yett.operation"]` says which operation it is.

    `max_body` is the longest body that is read, bytes. `exempt` are paths that are not looked at. Inside of
    `WsgiIdentityMiddleware`: whoever may not call is told nothing of what a call has to be.
    """

    def __init__(
        self, app: App, description: OpenApi, *, max_body: int = MAX_BODY, exempt: Collection[str] = ()
    ) -> None:
        self.app, self.description, self.max_body = app, description, max_body
        self.exempt = exempt_paths(exempt)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        path = _path(environ)
        if path in self.exempt:
            return self.app(environ, start_response)
        try:
            body = _whole(environ, self.max_body)
            operation = self.description.check(
                environ["REQUEST_METHOD"], path, _query(environ), _fields(environ), body
            )
        except Refused as refused:
            return _refuse(start_response, refused)
        environ["yett.operation"] = operation.name if operation else None
        return self.app(environ, start_response)


def _refuse(start_response: StartResponse, refused: Refused) -> Iterable[bytes]:
    start_response(f"{refused.status} {HTTPStatus(refused.status).phrase}", refused.headers())
    return [refused.problem()]


def _whole(environ: Environ, limit: int) -> bytes:
    """The whole body, at most so many bytes; the application reads it again."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal()) or int(length) > limit:
        raise Refused("body_too_large")
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
        # How long it is, is known where the server ends it (`wsgi.input_terminated`); else nobody may read to its end.
        if not environ.get("wsgi.input_terminated"):
            raise Refused("length_required")
        body = environ["wsgi.input"].read(limit + 1)
        if len(body) > limit:
            raise Refused("body_too_large")
    else:
        body = environ["wsgi.input"].read(int(length))
        if len(body) < int(length):
            # The client is gone: a part of a body is never taken for the whole.
            raise Refused("body_incomplete")
    environ["wsgi.input"] = io.BytesIO(body)
    return bytes(body)


def _fields(environ: Environ) -> list[tuple[str, str]]:
    """Header fields. One that stood twice comes as a list with commas."""
    found = [
        (name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")
    ]
    return found + [
        (name.replace("_", "-"), environ[name])
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        if environ.get(name)
    ]


class _Answer:
    """The application's answer; the caller is known until it is over."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """Called by the server at the end, whatever came of it (PEP 3333)."""
        try:
            close = getattr(self._parts, "close", None)
            if close is not None:
                close()
        finally:
            enter(None)


def _path(environ: Environ) -> str:
    """The decoded path as text; PEP 3333 has its bytes as latin-1."""
    raw = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return str(raw).encode("latin-1").decode("utf-8", "surrogateescape")


def _query(environ: Environ) -> bytes:
    return str(environ.get("QUERY_STRING", "")).encode("latin-1")
