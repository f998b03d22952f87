"""Listeners of two configurations: where the gateway can be reached, with which TLS, and whose word it takes."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator
from typing import Any

from yett.policy.diff import addresses, places, shadow
from yett.policy.diff.change import (
    Change,
    at,
    bound,
    each,
    moved,
    moves,
    named,
    narrows,
    quoted,
    rest,
    subset,
    switched,
    unknown,
    widens,
)
from yett.policy.diff.limits import limits

Document = dict[str, Any]
# From strict to weak. A change from or to `fips` is none of degree.
PROFILES = ("modern", "intermediate")
GUIDELINES = ("6.0", "5.8", "5.7")
# What the data plane takes where nothing is said (`crates/yett-core/src/ir/listeners.rs`).
HANDSHAKES = 1000
LIMITS = ("connections", "connections_per_address", "request_line", "header_bytes", "headers")
TIMEOUTS = {"handshake_ms": None, "head_ms": None, "body_ms": None, "keep_alive_ms": None}
PAIR = {"chain": None, "key": None}


def compare(old: Document, new: Document) -> Iterator[Change]:
    """Every difference of listeners."""
    before, after = named(old["listeners"]), named(new["listeners"])
    taken = {name: one["address"] for name, one in before.items()}
    yield from each(
        "listeners", "listener", before, after, narrows, functools.partial(_listener, taken=taken)
    )
    for name in after.keys() - before.keys():
        text = f"listener `{name}` is new, on {after[name]['address']}"
        yield widens(f"listeners.{name}", text, None, after[name])


def _listener(what: str, old: Document, new: Document, taken: dict[str, str]) -> Iterator[Change]:
    others = [
        name
        for name, one in taken.items()
        if name != old["name"] and _meet(one, new["address"]) and not _meet(one, old["address"])
    ]
    if others and old["address"] != new["address"]:
        text = f"{what} listens on {new['address']}, where {quoted(others)} did: other routes stand there now"
        yield widens("address", text, old["address"], new["address"])
    else:
        yield from address("address", f"{what} listens", old["address"], new["address"])
    yield from at("tls", _tls(what, old["tls"], new["tls"]))
    for key in ("trusted_proxies", "proxy_protocol"):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield widens(key, f"{what} believes others about the client's address", before, after)
    found = addresses.filters(old.get("address_filters", []), new.get("address_filters", []))
    yield from at("address_filters", found)
    found = places.filters(old.get("geo_filters", []), new.get("geo_filters", []))
    yield from at("geo_filters", found)
    yield from limits("address_limits", old["address_limits"], new["address_limits"])
    yield from shadow.limits(old.get("shadow_limits", []), new.get("shadow_limits", []))
    for key in LIMITS:
        yield from bound(f"limits.{key}", f"{what}: `{key}`", old["limits"].get(key), new["limits"].get(key))
    handshakes = [one["limits"].get("handshakes", HANDSHAKES) for one in (old, new)]
    yield from bound("limits.handshakes", f"{what}: `handshakes`", *handshakes)
    if handshakes[0] == handshakes[1]:
        said = [one["limits"].get("handshakes") for one in (old, new)]
        yield from moved("limits.handshakes", f"{what}: `handshakes` is the default", said[0], said[1], None)
    yield from rest("limits", what, old["limits"], new["limits"], {*LIMITS, "handshakes"})
    text = f"{what} has other time limits"
    yield from moved("timeouts", text, old["timeouts"], new["timeouts"], TIMEOUTS)
    for key in ("http2", "redirect", "passthrough"):
        before, after = old.get(key), new.get(key)
        if before != after:
            gone = after is None and key != "http2"
            yield (narrows if gone else widens)(key, f"{what}: `{key}` is different", before, after)
    known = {
        "name", "address", "tls", "trusted_proxies", "proxy_protocol", "address_filters", "geo_filters", "address_limits", "shadow_limits", "limits", "timeouts", "http2",
        "redirect", "passthrough",
    }  # fmt: skip
    yield from rest("", what, old, new, known)


def address(where: str, what: str, old: str, new: str) -> Iterator[Change]:
    """An address and port that is listened on: another network reaches another one."""
    if old == new:
        return
    hosts = [one.rpartition(":")[0] for one in (old, new)]
    make = moves if hosts[0] == hosts[1] or _loopback(hosts[1]) else widens
    yield make(where, f"{what} on {new}, before on {old}", old, new)


def _meet(one: str, other: str) -> bool:
    """Whether a client of one address and port may have come to the other one; port 0 is any that is free."""
    (host, _, port), (others, _, theirs) = one.rpartition(":"), other.rpartition(":")
    hosts = [_host(name) for name in (host, others)]
    anywhere = any(name is not None and name.is_unspecified for name in hosts)
    return port == theirs != "0" and (host == others or anywhere)


def _loopback(host: str) -> bool:
    found = _host(host)
    return found is not None and found.is_loopback


def _host(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None


def _tls(what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    if old is None or new is None:
        yield from switched("on", f"{what} speaks TLS", f"{what} speaks plain HTTP", old, new)
        return
    yield from _weaker("profile", what, PROFILES, old["profile"], new["profile"])
    guidelines = [one.get("guideline") or GUIDELINES[0] for one in (old, new)]
    yield from _weaker("guideline", what, GUIDELINES, *guidelines)
    before, after = old.get("client_certificates"), new.get("client_certificates")
    if before != after:
        yield from _client_certificates(what, before, after)
    text = f"{what} has other certificates"
    yield from moved("certificates", text, old["certificates"], new["certificates"], [PAIR])
    yield from moved("pending", f"{what} waits for other certificates", old.get("pending"), new.get("pending"), None)  # fmt: skip
    known = {"profile", "guideline", "client_certificates", "certificates", "pending"}
    yield from rest("", what, old, new, known)


def _weaker(key: str, what: str, order: tuple[str, ...], old: str, new: str) -> Iterator[Change]:
    if old == new:
        return
    stricter = {old, new} <= set(order) and order.index(new) < order.index(old)
    yield (narrows if stricter else widens)(key, f"{what}: {key} {new}, before {old}", old, new)


def _client_certificates(what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    if old is None:
        yield narrows("client_certificates", f"{what} asks clients for certificates", old, new)
        return
    if new is None:
        text = f"{what} asks clients for no certificate any more"
        yield widens("client_certificates", text, old, new)
        return
    modes = [{"required": ["required"], "optional": ["required", "none"]}.get(one["mode"], [one["mode"]]) for one in (old, new)]  # fmt: skip
    yield from subset(
        "client_certificates.mode", f"{what}: connections with certificates", modes[0], modes[1]
    )
    if old["ca"] != new["ca"]:
        text = f"{what}: other authorities vouch for certificates of clients"
        yield widens("client_certificates.ca", text, old["ca"], new["ca"])
    if old.get("crls") != new.get("crls"):
        yield _revoked(what, old.get("crls", []), new.get("crls", []))
    yield from rest("client_certificates", what, old, new, {"mode", "ca", "crls"})


def _revoked(what: str, old: list[str], new: list[str]) -> Change:
    """Lists that revoke all that was revoked, of all authorities, are as strict."""
    before, after = _serials(old), _serials(new)
    if before is None or after is None:
        return unknown("client_certificates.crls", f"{what}: what its revocation lists say", old, new)
    if not before <= after:
        text = f"{what}: certificates that were revoked count again"
        return widens("client_certificates.crls", text, old, new)
    return narrows("client_certificates.crls", f"{what}: newer revocation lists", old, new)


def _serials(crls: list[str]) -> set[tuple[str, int]] | None:
    """Each revoked certificate by issuer and serial number; each issuer that has a list with 0."""
    from cryptography import x509

    found: set[tuple[str, int]] = set()
    for text in crls:
        try:
            one = x509.load_pem_x509_crl(text.encode())
            issuer = one.issuer.rfc4514_string()
            found |= {(issuer, 0), *((issuer, revoked.serial_number) for revoked in one)}
        except ValueError:
            return None
    return found
