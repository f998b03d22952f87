"""The merged policy of a route: what its group and it come to, and where each part stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from yett.config.base import Location, listed, nearest
from yett.config.filters import bot_filter, login_guard
from yett.config.filters.attack_filter import CLASSES
from yett.config.rates.text import at_once_text, pace_text, quota_text, shadow_text
from yett.control import source
from yett.errors import ConfigurationError
from yett.policy import needed
from yett.policy.engine import Unanswerable, shown

# The key of a configuration from which each part of a merged route comes.
KEYS = {
    "listeners": ("listeners",),
    "hosts": ("hosts", "match.hosts"),
    "path": ("match.path",),
    "methods": ("methods", "match.methods"),
    "client_certificate": ("client_certificate",),
    "sender_constrained": ("sender_constrained",),
    "authenticate": ("authenticate",),
    "access": ("access",),
    "live_check": ("live_check",),
    "assurance": ("assurance",),
    "tenants": ("tenant", "tenants"),
    "deny": ("deny",),
    "authorize": ("authorize",),
    "shadow": ("authorize", "deny", "address_limit", "rate_limit", "concurrency_limit"),
    "external_authorization": ("external_authorization",),
    "address_filters": ("address_filter",),
    "geo_filters": ("geo_filter",),
    "address_limits": ("address_limit",),
    "bot_filter": ("bot_filter",),
    "rate_limits": ("rate_limit",),
    "concurrency_limits": ("concurrency_limit",),
    "quotas": ("quota",),
    "priority": ("priority",),
    "hidden": ("hidden",),
    "rewrite": ("rewrite",),
    "request_headers": ("request_headers",),
    "response_headers": ("response_headers",),
    "security_headers": ("security_headers",),
    "websocket": ("websocket",),
    "cors": ("cors",),
    "csrf": ("csrf",),
    "login_guard": ("login_guard",),
    "mirror": ("mirror",),
    "attack_filter": ("attack_filter",),
    "service": ("service", "split", "redirect", "respond"),
    "body": ("limits.body",),
    "timeouts": ("timeouts",),
}


def read(file: Path, name: str) -> dict[str, Any]:
    """The merged policy of a route: `parts` are `{part, value, from: [places]}`.

    Raises:
        yett.control.source.Refused: the configuration does not load. Unanswerable: it has no such route.
    """
    import json

    from yett.config import compile_file

    try:
        compiled = compile_file(file)
    except ConfigurationError as error:
        raise source.Refused([source.problem(one) for one in error.errors]) from None
    routes = {route["name"]: route for route in json.loads(compiled.ir)["routes"]}
    if name not in routes:
        name = shown(name)
        if name.startswith("/"):
            text = "is a path; give the whole URL, with the scheme and the host that clients use"
            raise Unanswerable(f"`{name}` {text}: `https://api.example.com{name}`")
        hint = nearest(name, routes) or f"; known here: {listed(sorted(routes))}"
        raise Unanswerable(f"`{name}` is neither a URL nor a route{hint}")
    route = routes[name]
    origins: list[tuple[Location, Any]] = [(("routes", name), compiled.gateway.routes.get(name))]
    if route["group"]:
        origins.insert(0, (("groups", route["group"]), compiled.gateway.groups[route["group"]]))
    parts = []
    for part, value in _parts(route):
        places = [
            f"{str(at[0])[:-1]} {at[1]} ({_short(compiled.places.error((*at, *key.split('.')), '', '', key=True))})"
            for at, model in origins
            for key in KEYS[part]
            if _has(model, key) and _of(part, key, value, f"{str(at[0])[:-1]} {at[1]}")
        ]
        parts.append({"part": part, "value": value, "from": places or ["default"]})
    return {"route": name, "group": route["group"], "parts": parts}


def _of(part: str, key: str, value: str, origin: str) -> bool:
    """Rules say themselves where they stand."""
    if part == "shadow" and key != next(
        (one for one in KEYS[part] if value.startswith(f"{origin}: {one}.")), "authorize"
    ):
        return False
    return part not in {"deny", "authorize", "shadow", "address_filters", "geo_filters"} or value.startswith(
        (f"{origin}:", f"{origin} ")
    )


def _short(error: Any) -> str:
    return f"{error.file}:{error.line}" if error.line else str(error.file)


def _has(model: Any, key: str) -> bool:
    for step in key.split("."):
        if model is None or step not in getattr(model, "model_fields_set", ()):
            return False
        model = getattr(model, step)
    return model is not None


def _parts(route: dict[str, Any]) -> Iterator[tuple[str, str]]:
    match, access = route["match"], route["access"]
    yield "listeners", ", ".join(route["listeners"])
    yield "hosts", ", ".join(match["hosts"] or ["any"])
    yield "path", match["path"]
    yield "methods", ", ".join(match["methods"])
    if isinstance(access, dict):
        known = access["authenticated"]
        word = "all of " if known.get("all_of") else ""
        yield "authenticate", word + ", ".join(known["providers"])
        if not known["rules"]:
            yield "access", "authenticated"
    else:
        yield "access", "public"
    for rule in route.get("tenants", ()):
        yield "tenants", f"the caller's own: {needed.place(rule['from'])}"
    for rule in route.get("deny", ()):
        yield "deny", f"{rule['source']}: {rule_text(rule)}"
    for rule in needed.rules_of(route)["rule"]:
        yield "authorize", f"{rule['source']}: {rule_text(rule)}"
    for rule in (*route.get("shadow", {}).get("deny", ()), *route.get("shadow", {}).get("rules", ())):
        yield "shadow", f"{rule['source']}: {rule_text(rule)}"
    yield from _filters(route)
    for tried in route.get("shadow_limits", ()):
        for text in shadow_text(tried["limit"]):
            yield "shadow", f"{tried['source']}: {text}"
    for kind in ("address_limits", "rate_limits"):
        for limit in route[kind]:
            yield kind, f"{limit['name']}: {pace_text(limit)}"
    for limit in route.get("concurrency_limits", ()):
        yield "concurrency_limits", f"{limit['name']}: {at_once_text(limit)}"
    yield from _further(route)
    kind, target = next(iter(route["action"].items()))
    yield (
        "service",
        ", ".join(one["service"] for one in target) if kind == "forward" else f"{kind} {target['status']}",
    )
    yield "body", f"{route['body_limit']} bytes"
    times = {key.removesuffix("_ms"): ms for key, ms in route["timeouts"].items() if ms}
    yield "timeouts", ", ".join(f"{key} {ms / 1000:g} s" for key, ms in times.items())


def _filters(route: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in route.get("address_filters", ()):
        lists = [f"{key} {', '.join(one[key])}" for key in ("allow", "deny") if one.get(key)]
        yield "address_filters", f"{one['source']}: {'; '.join(lists)}"
    for one in route.get("geo_filters", ()):
        yield "geo_filters", f"{one['source']}: {geo_text(one)}"
    if route.get("bot_filter"):
        yield "bot_filter", bot_filter.text(route["bot_filter"])
    for quota in route.get("quotas", ()):
        yield "quotas", f"{quota['name']}: {quota_text(quota)}"
    if route.get("login_guard"):
        yield "login_guard", login_guard.text(route["login_guard"])


def _further(route: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What most routes have none of."""
    for key, text in _TEXTS.items():
        if route.get(key):
            yield key, text(route[key])
    if route.get("csrf"):
        pages = ", ".join(["the same host", *route["csrf"]["origins"]])
        yield (
            "csrf",
            f"writes from pages of {pages}"
            + (", by Referer too" if route["csrf"]["referer"] else "")
            + (f", token {route['csrf']['token']}" if route["csrf"].get("token") else "")
            + (f", also in form field {route['csrf']['form']}" if route["csrf"].get("form") else ""),
        )
    if route.get("external_authorization"):
        yield "external_authorization", route["external_authorization"]["endpoint"]["url"].partition("?")[0]
    if route["rewrite"]:
        yield "rewrite", route["rewrite"]["path"]
    for key in ("request_headers", "response_headers"):
        changed = [name for kind in ("remove", "set", "add") for name in route[key].get(kind, ())]
        if changed:
            yield key, ", ".join(changed)


def attack_text(found: dict[str, Any]) -> str:
    """What becomes of attacks, from which score, and where they are in order."""
    spared = [f"{one['in']} {one.get('name', '')}".strip() for one in found.get("exceptions", ())]
    classes = "all classes" if len(found["classes"]) == len(CLASSES) else ", ".join(found["classes"])
    text = f"{'refuses' if found['enforce'] else 'reports'} {classes} from score {found['threshold']}"
    return text + (f"; with exceptions for {', '.join(spared)}" if spared else "")


def geo_text(one: dict[str, Any]) -> str:
    """Who may come in from where."""
    found = [f"{key} {_values(one[key])}" for key in ("countries", "asns") if key in one]
    found += ["no hosting providers"] if one.get("hosting") else []
    found += [f"{key} addresses may" for key in ("unknown", "private") if one.get(key)]
    for key in ("except_addresses", "except_callers"):
        if key in one:
            found.append(f"{key.replace('_', ' ')} {_values(one[key])}")
    return "; ".join(found)


def cors_text(cors: dict[str, Any]) -> str:
    """Whose pages may do what."""
    with_ = ", with credentials" if cors["credentials"] else ""
    return f"pages of {', '.join(cors['origins'])}: {', '.join(cors['methods'])}{with_}"


def _yes(_: Any) -> str:
    return "yes"


_TEXTS: dict[str, Callable[[Any], str]] = {
    "client_certificate": _yes, "hidden": _yes, "sender_constrained": str, "priority": str, "live_check": _yes, "assurance": _yes,
    "websocket": _yes, "mirror": _yes, "security_headers": _yes, "cors": cors_text, "attack_filter": attack_text,
}  # fmt: skip
"""Parts that one word or sentence says, in their order."""


def rule_text(rule: dict[str, Any]) -> str:
    """The parts of a rule, all of which have to hold."""
    sets = ("callers", "scopes", "roles", "permissions")
    found = [f"{part} {_values(rule[part])}" for part in sets if rule.get(part)]
    found += [f"claim {one['name']}{needed.claim(one['test'])}" for one in rule.get("claims", ())]
    if rule.get("addresses"):
        found.append(f"from {', '.join(rule['addresses'])}")
    if rule.get("times"):
        found.append(" or ".join(needed.window(one) for one in rule["times"]))
    if rule.get("device"):
        found.append("a device in order")
    if rule.get("when"):
        found.append(rule["when"])
    return "; ".join(found)


def _values(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_values(item)}" for key, item in value.items() if item)
    if isinstance(value, list):
        return ", ".join(" or ".join(item) if isinstance(item, list) else str(item) for item in value)
    return str(value)


def lines(merged: dict[str, Any]) -> Iterator[str]:
    """For people: a part a line, and where it comes from."""
    yield f"route {merged['route']}" + (f", group {merged['group']}" if merged["group"] else "")
    yield ""
    width = max((len(one["value"]) for one in merged["parts"]), default=0)
    width = min(width, 60)
    last = ""
    for one in merged["parts"]:
        name = "" if one["part"] == last else one["part"]
        last = one["part"]
        yield f"{name:<23}{one['value']:<{width}}  {', '.join(one['from'])}".rstrip()
