"""What keeps a failing service from failing its callers, and busy callers from failing a service."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.types import one_or_list
from yett.config.units import Duration, Share, Size

_FAILURES = ("connect", "reset", 502, 503, 504)
MAX_BODY = 1 << 20
"""Bytes of a request body that may be held."""


def _failures(value: Any) -> Any:
    items = one_or_list(value)
    for index, item in enumerate(items):
        at = (index,) if isinstance(value, list | tuple) else ()
        if isinstance(item, bool) or item not in _FAILURES:
            raise refuse(
                "retry_on_unknown",
                f"`{item}` is no failure that can be retried; write any of `connect`, `reset`, `502`, `503` and `504`",
                at,
            )
        if item in items[:index]:
            raise refuse("listed_twice", f"`{item}` is listed twice; remove one", at)
    return items


_FAILURE: dict[str, Any] = {"enum": list(_FAILURES)}
Failures = Annotated[
    tuple[str | int, ...],
    BeforeValidator(_failures),
    WithJsonSchema({"anyOf": [_FAILURE, {"type": "array", "items": _FAILURE, "minItems": 1}]}),
]
"""One failure or a list of them."""


def _body(value: Any) -> Any:
    if isinstance(value, str) and units.size_bytes(value) > MAX_BODY:
        raise refuse(
            "retry_body_large", f"`{value}` is more than may be held for each request; write at most `1MiB`"
        )
    return value


class Retry(Model):
    """What is tried again; at another endpoint where there is one, and never after a byte of an answer was passed on."""

    retries: Annotated[int, Field(ge=1, le=10)] = 1
    """Further tries of one request."""
    on: Failures = ("connect", "reset", 502, 503)
    """After which failures: `connect` (no endpoint could be reached), `reset` (the service closed or reset the connection),
    `502`, `503`, `504` (the service answered so). All but `connect` only for idempotent methods."""
    budget: Share = "20%"
    """Retries among the requests to the service of the last ten seconds, for the process; 3 a second are always there."""
    body: Annotated[Size, BeforeValidator(_body)] = "64KiB"
    """Request bodies of announced length up to this are held, to be sent again; requests with others are not."""

    @model_validator(mode="after")
    def _used(self) -> Retry:
        if "body" in self.model_fields_set and set(self.on) == {"connect"}:
            raise refuse(
                "retry_body_unused",
                "nothing is sent before `connect` fails, so no body is held; leave `body` out, or add to `on`",
                ("body",),
            )
        return self


class CircuitBreaker(Model):
    """When an endpoint that fails is left alone, for the process; other endpoints go on."""

    failures: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Failures in a row that open the circuit: unreachable, reset, too late, not valid HTTP, or 502, 503, 504."""
    open: Duration = "10s"
    """How long it stays open."""
    probes: Annotated[int, Field(ge=1, le=1000)] = 1
    """Requests at once that try the endpoint after that; a success closes the circuit, a failure opens it again."""


class ServiceLimits(Model):
    """Requests under way at a service at once, for the process."""

    concurrency: Annotated[int, Field(ge=1, le=1_000_000)]
    """Under way: from connecting to the last byte of the answer."""
    pending: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Requests that wait, in order, until one of them ends; others are refused."""
    wait: Duration = "1s"
    """How long one waits at most; `timeouts.total` of its route ends it earlier."""

    @model_validator(mode="after")
    def _used(self) -> ServiceLimits:
        if "wait" in self.model_fields_set and not self.pending:
            raise refuse(
                "wait_unused",
                "nothing waits without `pending`; say how many may, or leave `wait` out",
                ("wait",),
            )
        return self


def compiled(
    limits: ServiceLimits | None, breaker: CircuitBreaker | None, retry: Retry | None
) -> dict[str, Any]:
    """Their parts of a service's document; nothing where nothing is said."""
    document: dict[str, Any] = {}
    if limits:
        wait = units.milliseconds(limits.wait)
        document["limits"] = {"concurrency": limits.concurrency, "pending": limits.pending, "wait_ms": wait}
    if breaker:
        opened = units.milliseconds(breaker.open)
        document["circuit_breaker"] = {
            "failures": breaker.failures,
            "open_ms": opened,
            "probes": breaker.probes,
        }
    if retry:
        document["retry"] = {
            "retries": retry.retries, "on": [str(item) for item in retry.on], "budget": units.share(retry.budget),
            "body": units.size_bytes(retry.body),
        }  # fmt: skip
    return document
