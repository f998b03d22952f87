"""The request that is being answered: who calls, and what it is known by."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass

from yett.backend.caller import Caller
from yett.backend.refused import Refused

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Context:
    """What the middleware knows of a request."""

    caller: Caller
    request_id: str | None
    trace_id: str | None


_CURRENT: ContextVar[Context | None] = ContextVar("yett_request", default=None)


def context_of(caller: Caller, request_id: str | None, traceparent: str | None) -> Context:
    """The signed id of the request, or that of `X-Request-Id` where none is signed; the trace id of W3C trace context."""
    trace = _TRACEPARENT.fullmatch(traceparent or "")
    plain = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else None
    return Context(caller, caller.request_id or plain, trace[1] if trace else None)


def enter(context: Context | None) -> None:
    """Sets the request that is being answered."""
    _CURRENT.set(context)


def request_context() -> Context | None:
    """The request that is being answered."""
    return _CURRENT.get()


def current() -> Caller | None:
    """Who calls; nothing outside of a request, and for paths without an assertion."""
    context = _CURRENT.get()
    return context.caller if context else None


def caller() -> Caller:
    """Who calls. Raises `Refused` where nobody is known, also for callers of public routes."""
    found = current()
    if found is None or found.is_anonymous:
        raise Refused("caller_missing")
    return found


def require_scope(*scopes: str) -> Caller:
    """Who calls, with all of these scopes. Raises `Refused`."""
    found = caller()
    if not scopes or not found.scopes.issuperset(scopes):
        raise Refused("scope_missing")
    return found


def require_tenant(tenant: str | None) -> Caller:
    """Who calls, and belongs to this tenant: the one that the data belongs to. Raises `Refused`."""
    found = caller()
    if not found.tenant or not tenant:
        raise Refused("tenant_missing")
    if found.tenant != tenant:
        raise Refused("tenant_mismatch")
    return found
