"""Two whole configurations."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from yett.config.base import listed
from yett.policy.diff import policy, providers
from yett.policy.diff.change import Change, at, bound, flag, moves, narrows, rest, widens
from yett.policy.diff.routes import Routes

Document = dict[str, Any]
PROFILES = {"modern": 0, "fips": 1, "intermediate": 2}
GUIDELINES = {"6.0": 0, None: 0, "5.8": 1, "5.7": 1}


def compare(old: Document, new: Document) -> list[Change]:
    """Every difference once, those that widen first."""
    order = {"widens": 0, "narrows": 1, "moves": 2}
    once = {one.id: one for one in _all(old, new)}
    return sorted(_together(once.values()), key=lambda one: (order[one.kind], one.where))


def _together(changes: Iterable[Change]) -> Iterator[Change]:
    """The same difference of several routes, as that of their group, is one."""
    groups: dict[str, list[Change]] = {}
    for one in changes:
        mark = f"route `{one.route}`: "
        same = one.route is not None and one.text.startswith(mark)
        content = [
            one.kind,
            one.where.removeprefix(f"routes.{one.route}"),
            one.text.removeprefix(mark),
            one.old,
            one.new,
        ]
        key = json.dumps(content, sort_keys=True, default=str) if same else one.id
        groups.setdefault(key, []).append(one)
    for found in groups.values():
        first = found[0]
        if len(found) == 1:
            yield first
            continue
        names = sorted(str(one.route) for one in found)
        text = first.text.removeprefix(f"route `{first.route}`: ")
        where = f"routes{first.where.removeprefix(f'routes.{first.route}')}"
        yield replace(first, where=where, text=f"routes {listed(names)}: {text}", names=tuple(names))


def _all(old: Document, new: Document) -> Iterator[Change]:
    yield from Routes(old, new).compare()
    yield from providers.compare(old, new)
    yield from _listeners(old, new)
    yield from _services(old, new)
    yield from _log(old["access_log"], new["access_log"])
    yield from _admin(old["admin"], new["admin"])
    yield from _state(old.get("state"), new.get("state"))
    yield from _dpop(old.get("dpop"), new.get("dpop"))
    events = [{one["name"]: one for one in document.get("security_events", [])} for document in (old, new)]
    for name in events[0].keys() | events[1].keys():
        before, after = events[0].get(name), events[1].get(name)
        if before != after:
            make, text = (
                (narrows, "is new")
                if before is None
                else (widens, "is gone" if after is None else "is different")
            )
            yield make(
                f"security_events.{name}",
                f"what an identity provider pushes (`{name}`) {text}",
                before,
                after,
            )
    if old.get("security_headers") != new.get("security_headers"):
        make = narrows if old.get("security_headers") is None else widens
        yield make("security_headers", "browsers are told other things in answers of no route")
    for key, value in old["process"].items():
        if value != new["process"].get(key):
            larger = key in {"buffered_bytes"} and (new["process"].get(key) or 0) > value
            make = widens if larger else moves
            yield make(
                f"process.{key}",
                f"`{key}`: {value} before, {new['process'].get(key)} now",
                value,
                new["process"].get(key),
            )
    for key in ("environment", "zone", "identity", "challenges"):
        if old.get(key) != new.get(key):
            yield moves(key, f"`{key}` is different")
    for name in old["secrets"].keys() & new["secrets"].keys():
        if not name.startswith("identity_providers.") and old["secrets"][name] != new["secrets"][name]:
            yield moves(f"secrets.{name}", f"the secret `{name}` is another one")
    known = {
        "version", "environment", "process", "admin", "access_log", "secrets", "security_headers", "listeners", "providers",
        "zone", "identity", "services", "routes", "certificates", "security_events", "dpop", "state", "challenges",
    }  # fmt: skip
    yield from rest("", "the configuration", old, new, known)


def _listeners(old: Document, new: Document) -> Iterator[Change]:
    before = {one["name"]: one for one in old["listeners"]}
    after = {one["name"]: one for one in new["listeners"]}
    for name, one in before.items():
        where = f"listeners.{name}"
        other = after.get(name)
        if other is None:
            yield narrows(where, f"listener `{name}` is gone", one["address"], None)
        else:
            yield from at(where, _listener(name, one, other))
    for name in after.keys() - before.keys():
        yield widens(
            f"listeners.{name}",
            f"listener `{name}` is new, on {after[name]['address']}",
            None,
            after[name]["address"],
        )


def _listener(name: str, old: Document, new: Document) -> Iterator[Change]:
    what = f"listener `{name}`"
    if old["address"] != new["address"]:
        hosts = [one["address"].rpartition(":")[0] for one in (old, new)]
        make = moves if hosts[0] == hosts[1] or _loopback(hosts[1]) else widens
        yield make(
            "address",
            f"{what} listens on {new['address']}, before on {old['address']}",
            old["address"],
            new["address"],
        )
    yield from at("tls", _tls(what, old["tls"], new["tls"]))
    for key in ("trusted_proxies", "proxy_protocol"):
        if old.get(key) != new.get(key):
            yield widens(
                key, f"{what} believes others about the client's address", old.get(key), new.get(key)
            )
    yield from policy.limits("address_limits", old["address_limits"], new["address_limits"])
    for key in sorted(old["limits"].keys() | new["limits"].keys()):
        yield from bound(f"limits.{key}", f"{what}: `{key}`", old["limits"].get(key), new["limits"].get(key))
    if old["timeouts"] != new["timeouts"]:
        yield moves("timeouts", f"{what} has other time limits", old["timeouts"], new["timeouts"])
    for key in ("http2", "redirect", "passthrough"):
        if old.get(key) != new.get(key):
            gone = new.get(key) is None and key != "http2"
            yield (narrows if gone else widens)(
                key, f"{what}: `{key}` is different", old.get(key), new.get(key)
            )
    known = {
        "name", "address", "tls", "trusted_proxies", "proxy_protocol", "address_limits", "limits", "timeouts", "http2",
        "redirect", "passthrough",
    }  # fmt: skip
    yield from rest("", what, old, new, known)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _tls(what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            make, text = (widens, "speaks plain HTTP") if new is None else (narrows, "speaks TLS")
            yield make("on", f"{what} {text}")
        return
    for key, order in (("profile", PROFILES), ("guideline", GUIDELINES)):
        before, after = old.get(key), new.get(key)
        if before != after:
            weaker = order.get(after, 9) > order.get(before, 9)  # type: ignore[arg-type]
            yield (widens if weaker else narrows)(
                key, f"{what}: {key} {after or 'newest'}, before {before or 'newest'}", before, after
            )
    before, after = old.get("client_certificates"), new.get("client_certificates")
    if before != after:
        yield _client_certificates(what, before, after)
    for key in ("certificates", "pending"):
        if old.get(key) != new.get(key):
            yield moves(key, f"{what} has other certificates")
    yield from rest(
        "", what, old, new, {"profile", "guideline", "client_certificates", "certificates", "pending"}
    )


def _client_certificates(what: str, old: Document | None, new: Document | None) -> Change:
    shown = [
        one and {"mode": one["mode"], "revocation lists": len(one.get("crls", []))} for one in (old, new)
    ]
    if old is None:
        return narrows("client_certificates", f"{what} asks clients for certificates", *shown)
    if new is None:
        return widens("client_certificates", f"{what} asks clients for no certificate any more", *shown)
    same = old["ca"] == new["ca"] and len(new.get("crls", [])) >= len(old.get("crls", []))
    if same and (old["mode"], new["mode"]) != ("required", "optional"):
        make = narrows if old["mode"] != new["mode"] else moves
        return make("client_certificates", f"{what}: certificates of clients are checked otherwise", *shown)
    return widens("client_certificates", f"{what}: other certificates of clients may count", *shown)


def _services(old: Document, new: Document) -> Iterator[Change]:
    before = {one["name"]: one for one in old["services"]}
    after = {one["name"]: one for one in new["services"]}
    for name, one in before.items():
        other = after.get(name)
        if other is None:
            yield moves(f"services.{name}", f"service `{name}` is gone")
        elif one != other:
            yield from at(f"services.{name}", _service(f"service `{name}`", one, other))
    for name in after.keys() - before.keys():
        yield moves(f"services.{name}", f"service `{name}` is new")


def _service(what: str, old: Document, new: Document) -> Iterator[Change]:
    plain = [any(not one["tls"] for one in service["endpoints"]) for service in (old, new)]
    yield from flag(
        "plaintext",
        f"{what} is reached over TLS only",
        f"{what} is reached over plain HTTP",
        not plain[0],
        not plain[1],
    )
    if old["endpoints"] != new["endpoints"]:
        yield moves("endpoints", f"{what} has other endpoints", old["endpoints"], new["endpoints"])
    before, after = old["tls"] or {}, new["tls"] or {}
    for key in ("ca", "server_name", "san"):
        if before.get(key) != after.get(key) and old["tls"] and new["tls"]:
            make = narrows if not before.get(key) else widens
            yield make(f"tls.{key}", f"{what}: another `{key}` proves who it is")
    yield from flag(
        "forward_credential", f"{what} sees the caller's credential no more", f"{what} sees the caller's credential",
        not old["forward_credential"], not new["forward_credential"],
    )  # fmt: skip
    for key, text in (
        ("identity_assertion", "what it is told of the caller"),
        ("token", "the token that it gets"),
    ):
        if old.get(key) != new.get(key):
            make = narrows if key == "identity_assertion" and not old.get(key) else widens
            yield make(key, f"{what}: {text} is different", old.get(key), new.get(key))
    limits = [service.get("limits") or {} for service in (old, new)]
    for key in sorted(limits[0].keys() | limits[1].keys()):
        yield from bound(f"limits.{key}", f"{what}: `{key}`", limits[0].get(key), limits[1].get(key))
    for key in (
        "balance", "host", "idle_connections", "idle_ms", "speaks", "health_check", "outlier_detection", "slow_start_ms", "dns",
        "circuit_breaker", "retry",
    ):  # fmt: skip
        if old.get(key) != new.get(key):
            yield moves(key, f"{what}: `{key}` is different", old.get(key), new.get(key))
    known = {
        "name", "endpoints", "tls", "forward_credential", "identity_assertion", "token", "limits", "balance", "host",
        "idle_connections", "idle_ms", "speaks", "health_check", "outlier_detection", "slow_start_ms", "dns", "circuit_breaker",
        "retry",
    }  # fmt: skip
    yield from rest("", what, old, new, known)


def _log(old: Any, new: Any) -> Iterator[Change]:
    if old != new:
        make = widens if new == "off" else moves
        yield make(
            "access_log",
            "the access log is off" if new == "off" else "the access log goes elsewhere",
            old,
            new,
        )


def _admin(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if new is None:
        yield narrows("admin", "there is no admin listener any more", old, new)
    elif old is None:
        yield widens("admin", f"the admin listener answers on {new['address']}", old, new)
    else:
        looser = bool(old["token"]) and not new["token"]
        host = new["address"].rpartition(":")[0]
        make = (
            moves if not looser and (host == old["address"].rpartition(":")[0] or _loopback(host)) else widens
        )
        yield make(
            "admin",
            f"the admin listener answers on {new['address']}, "
            + ("with" if new["token"] else "without")
            + " a token",
            old,
            new,
        )


def _state(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    losses = [((one or {}).get("redis") or {}).get("state_loss") for one in (old, new)]
    kinds = [sorted(one or {}) for one in (old, new)]
    if old is None:
        yield moves("state", "state outlives the process", kinds[0], kinds[1])
    elif kinds[0] != kinds[1] or (losses[1] != losses[0] and losses[1] != "refuse"):
        yield widens(
            "state",
            "what was revoked may be forgotten, or not heard of",
            kinds + losses[:1],
            kinds + losses[1:],
        )
    else:
        yield moves("state", "state is kept elsewhere or otherwise")


def _dpop(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    same = {
        key for key in (old or {}).keys() | (new or {}).keys() if (old or {}).get(key) == (new or {}).get(key)
    }
    if old and new and old.keys() == new.keys() and not (old.keys() - same - {"max_age_s", "leeway_s"}):
        for key in ("max_age_s", "leeway_s"):
            yield from bound(f"dpop.{key}", f"proofs: `{key}`", old.get(key), new.get(key))
    else:
        yield widens("dpop", "proofs of tokens are checked otherwise", old, new)
