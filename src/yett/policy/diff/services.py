"""Services of two configurations: how they are reached, and what they are told."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import (
    Change,
    at,
    bound,
    each,
    flag,
    moved,
    moves,
    named,
    narrows,
    quoted,
    rest,
    widens,
)

Document = dict[str, Any]
HTTP2 = {"connections": None, "streams": None, "window": None, "ping_ms": None, "ping_timeout_ms": None}
ENDPOINT = {"tls": None, "host": None, "port": None, "weight": None, "priority": None, "zone": None}
# What decides where a request goes and how long it may take, not who gets in.
OPERATION: dict[str, Any] = {
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
    known_at = {_place(one) for service in before.values() for one in service["endpoints"]}
    one_by_one = functools.partial(_service, known_at=known_at)
    yield from each("services", "service", before, after, moves, one_by_one)
    for name in after.keys() - before.keys():
        yield moves(f"services.{name}", f"service `{name}` is new", None, after[name])


def _service(what: str, old: Document, new: Document, known_at: set[tuple[str, int]]) -> Iterator[Change]:
    yield from _endpoints(what, old["endpoints"], new["endpoints"], known_at)
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
        text = "the token that it gets of the gateway is different" if after else "it gets no token any more"
        yield make("token", f"{what}: {text}", before, after)
    limits = [service.get("limits") or {} for service in (old, new)]
    for key in LIMITS:
        yield from bound(f"limits.{key}", f"{what}: `{key}`", limits[0].get(key), limits[1].get(key))
    yield from rest("limits", what, limits[0], limits[1], LIMITS)
    for key, shape in OPERATION.items():
        yield from moved(key, f"{what}: `{key}` is different", old.get(key), new.get(key), shape)
    known = {
        "name",
        "endpoints",
        "tls",
        "forward_credential",
        "identity_assertion",
        "token",
        "limits",
        *OPERATION,
    }
    yield from rest("", what, old, new, known)


def _tls(what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    """What proves who it is. Whether there is TLS at all is told of its endpoints."""
    if old is None or new is None:
        if old is not new:
            # by itself it is nothing: whether TLS is spoken stands in the endpoints
            yield moves("on", f"{what} has TLS set up otherwise", old, new)
        return
    if old.get("ca") != new.get("ca"):
        yield _authorities(what, old.get("ca"), new.get("ca"))
    if old.get("server_name") != new.get("server_name"):
        text = f"{what}: another `server_name` proves who it is"
        yield widens("server_name", text, old.get("server_name"), new.get("server_name"))
    if old.get("san", []) != new.get("san", []):
        yield _names(what, old.get("san", []), new.get("san", []))
    for key in ("certificate", "key"):
        text = f"{what} is shown another {key} of the gateway"
        yield from moved(key, text, old.get(key), new.get(key), None)
    yield from rest("", what, old, new, {"ca", "server_name", "san", "certificate", "key"})


def _authorities(what: str, old: str | None, new: str | None) -> Change:
    """Fewer of a file narrow. The system's roots are not known here: a file may hold one that is none of them."""
    before, after = (None if pem is None else _certificates(pem) for pem in (old, new))
    if before and after and after <= before:
        return narrows("ca", f"{what}: fewer authorities vouch for it", old, new)
    shown = ["the system's roots" if pem is None else "a file" for pem in (old, new)]
    source = f"{shown[1]}, before {shown[0]}" if old is None or new is None else "another file"
    text = f"{what}: other authorities vouch for it ({source}), so servers count that did not"
    return widens("ca", text, old, new)


def _certificates(pem: str) -> set[bytes]:
    """Each certificate of a file; nothing where it cannot be read."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        return {one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem.encode())}
    except ValueError:
        return set()


def _names(what: str, old: list[dict[str, str]], new: list[dict[str, str]]) -> Change:
    """Names of which a certificate carries one, beside the name of the server; a URI stands in its place."""
    fewer = bool(new) and all(one in old for one in new)
    added = not old and not any("uri" in one for one in new)
    if fewer or added:
        return narrows("san", f"{what}: its certificate carries one of fewer names", old, new)
    replaced = any("uri" in one and one not in old for one in new)
    why = "a URI proves who it is in place of its name" if replaced else "another `san` proves who it is"
    return widens("san", f"{what}: {why}", old, new)


def _endpoints(
    what: str, old: list[Document], new: list[Document], known_at: set[tuple[str, int]]
) -> Iterator[Change]:
    if old == new:
        return
    plain = [{_place(one) for one in ends if not one["tls"]} for ends in (old, new)]
    if plain[1] - plain[0]:
        places = quoted(_shown(one) for one in plain[1] - plain[0])
        yield widens("plaintext", f"{what} is reached over plain HTTP, at {places}", old, new)
    elif plain[0] and not plain[1]:
        yield narrows("plaintext", f"{what} is reached over TLS only", old, new)
    fresh = {_place(one) for one in new} - known_at
    where = f", at {quoted(map(_shown, fresh))}, where none was" if fresh else ""
    yield from moved("endpoints", f"{what} has other endpoints{where}", old, new, [ENDPOINT])


def _place(endpoint: Document) -> tuple[str, int]:
    return endpoint["host"], endpoint["port"]


def _shown(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
