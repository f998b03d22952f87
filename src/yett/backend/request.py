"""The part of an assertion that binds it to one request."""

from __future__ import annotations

import base64
import hashlib


def request_digest(method: str, path: str, query: bytes | str) -> str:
    """The `req` of a request: base64url of SHA-256 over method, LF, path, LF, query.

    `path` is percent-decoded once, as ASGI's `path`; `query` is as it was sent, without `?`.
    """
    raw = query.encode("latin-1") if isinstance(query, str) else query
    data = b"\n".join((method.encode(), path.encode("utf-8", "surrogateescape"), raw))
    return encoded(hashlib.sha256(data).digest())


def body_digest(body: bytes) -> str:
    """The `body` of a request with this body."""
    return encoded(hashlib.sha256(body).digest())


def encoded(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
