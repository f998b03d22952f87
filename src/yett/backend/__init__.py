"""For services behind the gateway: who calls, proved by the assertion that came with the request; and what a call has to be.

Needs the standard library and `yett._core` only. docs/concepts/services-verify.md says what is checked and why.
"""

from __future__ import annotations

from yett.backend.asgi import IdentityMiddleware, OpenApiMiddleware
from yett.backend.assertion import Verifier
from yett.backend.caller import Caller
from yett.backend.context import caller, current, require_scope, require_tenant
from yett.backend.keys import KeyFile, Keys, KeyUrl
from yett.backend.log import LogFilter, audit
from yett.backend.openapi import InvalidDescription, OpenApi, RequestInvalid
from yett.backend.refused import Refused
from yett.backend.replays import MemoryReplays, Replays
from yett.backend.request import request_digest
from yett.backend.wsgi import WsgiIdentityMiddleware, WsgiOpenApiMiddleware

__all__ = [
    "Caller",
    "IdentityMiddleware",
    "InvalidDescription",
    "KeyFile",
    "KeyUrl",
    "Keys",
    "LogFilter",
    "MemoryReplays",
    "OpenApi",
    "OpenApiMiddleware",
    "Refused",
    "Replays",
    "RequestInvalid",
    "Verifier",
    "WsgiIdentityMiddleware",
    "WsgiOpenApiMiddleware",
    "audit",
    "caller",
    "current",
    "request_digest",
    "require_scope",
    "require_tenant",
]
