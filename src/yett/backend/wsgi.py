"""Middleware for WSGI: Flask, Django, Bottle, Pyramid."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from yett.backend.asgi import MAX_BODY
from yett.backend.assertion import Verifier
from yett.backend.caller import Caller
from yett.backend.context import context_of, enter
from yett.backend.refused import Refused

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_REASONS = {401: "Unauthorized", 403: "Forbidden", 413: "Content Too Large", 503: "Service Unavailable"}


class WsgiIdentityMiddleware:
    """Lets in what carries a valid assertion for exactly this request, and nothing else.

    The caller is `yett.backend.current()` and `environ["yett.caller"]`. A `Refused` that the application raises becomes its
    answer, if the framework lets it through. `exempt` are paths that need no assertion, such as that of health checks.
    """

    def __init__(self, app: App, verifier: Verifier, *, exempt: Collection[str] = ()) -> None:
        self.app, self.verifier = app, verifier
        self.exempt = frozenset((exempt,) if isinstance(exempt, str) else exempt)

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
            start_response(f"{refused.status} {_REASONS[refused.status]}", refused.headers())
            return [refused.problem()]
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
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise Refused("body_too_large")
        body = environ["wsgi.input"].read(int(length))
        self.verifier.check_body(caller, body)
        environ["wsgi.input"] = io.BytesIO(body)


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
