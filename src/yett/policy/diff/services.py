"""Services of two configurations: how they are reached, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import Change, at, bound, each, flag, moved, moves, named, narrows, rest, widens

Document = dict[str, Any]
HTTP2 = {"connections": None, "streams": None, "window": None, "ping_ms": None, "ping_timeout_ms": None}
# What decides where a request goes and how long it may take, not who gets in.
OPERATION: dict[str, Any] = {
    "endpoints": [{"tls": None, "host": None, "port": None, "weight": None, "priority": None, "zone": None}],
    "host": {"literal": None},
    "balance": {"consistent_hash": {"header": None, "cookie": None}},
    "idle_connections": None,
    "idle_ms": None,
    "speaks": {"http2": HTTP2, "auto": HTTP2},
    "slow_start_ms": None,
    "dns": {"refresh_ms": None, "stale_ms": None},
    "health_check": {
        "protocol": None, "path": None, "status": None, "host": None, "service": None, "interval_ms": None, "timeout_ms": None,
        "healthy": None, "unhealthy": None,
    },
    "outlier_detection": {"consecutive_errors": None, "success_rate": None, "eject_ms": None, "max_ejected": None},
    "circuit_breaker": {"failures": None, "open_ms": None, "probes": None},
    "retry": {"retries": None, "on": None, "budget": None, "body": None},
}  # fmt: skip
LIMITS = ("concurrency", "pending", "wait_ms")


def compare(old: Document, new: Document) -> Iterator[Change]:
    """Every difference of services. One that is new is told where a route forwards to it."""
    before, after = named(old["services"]), named(new["services"])
    yield from each("services", "service", before, after, moves, _service)
    for name in after.keys() - before.keys():
        yield moves(f"services.{name}", f"service `{name}` is new", None, after[name])


def _service(what: str, old: Document, new: Document) -> Iterator[Change]:
    secure = [all(one["tls"] for one in service["endpoints"]) for service in (old, new)]
    loose = f"{what} is reached over plain HTTP"
    yield from flag("plaintext", f"{what} is reached over TLS only", loose, *secure)
    yield from at("tls", _tls(what, old["tls"], new["tls"]))
    hidden = [not service["forward_credential"] for service in (old, new)]
    loose = f"{what} sees the caller's credential"
    yield from flag("forward_credential", f"{what} sees the caller's credential no more", loose, *hidden)
    before, after = old.get("identity_assertion"), new.get("identity_assertion")
    if before != after:
        make = narrows if not before else widens
        text = f"{what}: what it is told of the caller, and how surely, is different"
        yield make("identity_assertion", text, before, after)
    before, after = old.get("token"), new.get("token")
    if before != after:
        make = narrows if not after else widens
        text = f"{what}: the token that it gets of the gateway is different" if after else "no token any more"
        yield make("token", text, before, after)
    limits = [service.get("limits") or {} for service in (old, new)]
    for key in LIMITS:
        yield from bound(f"limits.{key}", f"{what}: `{key}`", limits[0].get(key), limits[1].get(key))
    yield from rest("limits", what, limits[0], limits[1], LIMITS)
    for key, shape in OPERATION.items():
        text = f"{what} has other endpoints" if key == "endpoints" else f"{what}: `{key}` is different"
        yield from moved(key, text, old.get(key), new.get(key), shape)
    known = {"name", "tls", "forward_credential", "identity_assertion", "token", "limits", *OPERATION}
    yield from rest("", what, old, new, known)


def _tls(what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    """What proves who it is. Whether there is TLS at all is told of its endpoints."""
    if old is None or new is None:
        if old is not new:
            # by itself it is nothing: whether TLS is spoken stands in the endpoints
            yield moves("on", f"{what} has TLS set up otherwise", old, new)
        return
    for key in ("ca", "server_name", "san"):
        before, after = old.get(key), new.get(key)
        if before != after:
            # a name or authority where any of the system's counted
            make = narrows if not before and key != "server_name" else widens
            yield make(key, f"{what}: another `{key}` proves who it is", before, after)
    for key in ("certificate", "key"):
        text = f"{what} is shown another {key} of the gateway"
        yield from moved(key, text, old.get(key), new.get(key), None)
    yield from rest("", what, old, new, {"ca", "server_name", "san", "certificate", "key"})
