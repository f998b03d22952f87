"""Identity providers of two configurations: whose credentials count, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from yett.policy.diff.change import (
    Change,
    accounted,
    at,
    bound,
    flag,
    moved,
    moves,
    named,
    narrows,
    rest,
    subset,
    widens,
)
from yett.policy.diff.machines import FIXED, api_key, machines

Document = dict[str, Any]
LIMITS = ("rate_limits", "address_limits", "concurrency_limits", "quotas", "shadow_limits")


def compare(old: Document, new: Document) -> Iterator[Change]:
    """Every difference of providers. One that is new counts for nothing before a route accepts it."""
    before, after = named(old["providers"]), named(new["providers"])
    plain = _reads_no_less(old) and _reads_no_less(new)
    for name, provider in before.items():
        other = after.get(name)
        where = f"identity_providers.{name}"
        if other is None and provider["type"] in {"api_key", "signed_request"}:
            text = f"`{name}` is gone: requests that carry its credential beside another one are not refused any more"
            yield widens(where, text, provider, None)
        elif other is None:
            yield narrows(where, f"`{name}` is gone", provider, None)
        elif provider["type"] != other["type"]:
            yield widens(where, f"`{name}` is of another type", provider, other)
        elif provider != other:
            found = at(where, _one(provider, other, plain))
            for one in accounted(where, "the provider", provider, other, found):
                yield replace(one, text=f"`{name}`: {one.text}")
    for name in sorted(after.keys() - before.keys()):
        text = f"`{name}` is new; it counts where a route accepts it"
        yield moves(f"identity_providers.{name}", text, None, after[name])


def _one(old: Document, new: Document, plain: bool) -> Iterator[Change]:
    if old["type"] == "api_key":
        return api_key(old, new, plain)
    if old["type"] == "jwt":
        return _jwt(old, new)
    if old["type"] in FIXED:
        return machines(old, new, plain)
    return _tokens(old, new)


def _reads_no_less(document: Document) -> bool:
    """Whether having less never helps a caller: no rule denies, no condition or limit is in CEL or of a class, nobody else
    is asked."""
    for route in document["routes"]:
        counted = [route.get(part) for part in LIMITS]
        if route.get("limit_classes") or '"cel"' in json.dumps(counted):
            return False
        access = route["access"]
        rules = access["authenticated"]["rules"] if isinstance(access, dict) else []
        if (
            any(rule.get("when") for rule in rules)
            or route.get("deny")
            or route.get("external_authorization")
        ):
            return False
        tests = (claim["test"] for rule in rules for claim in rule.get("claims", ()))
        if any(test.keys() & {"none_of", "has_none"} for test in tests):
            return False
    return True


def _tokens(old: Document, new: Document) -> Iterator[Change]:
    """Of `introspection` and `oidc`: what bounds their word; everything else cannot be compared."""
    known = ["type", "name"]
    for key, what, none_is_all in (("audiences", "audiences", True), ("clients", "clients", True), ("algorithms", "algorithms", False)):  # fmt: skip
        if key in old and key in new:
            known.append(key)
            yield from subset(key, what, old[key], new[key], any_if_empty=none_is_all)
    for key, what, unit in (("leeway_s", "the leeway of times", " s"), ("max_age_ms", "the age of an issuer's word", " ms")):  # fmt: skip
        if key in old and key in new:
            known.append(key)
            yield from bound(key, what, old[key], new[key], unit)
    if "session" in old and "session" in new:
        known.append("session")
        yield from at("session", _session(old["session"], new["session"]))
    yield from rest("", "the provider", old, new, known)


def _session(old: Document, new: Document) -> Iterator[Change]:
    for key, what in (("idle_s", "how long a session may be idle"), ("absolute_s", "how long a session lasts")):  # fmt: skip
        yield from bound(key, what, old[key], new[key], " s")
    yield from rest("", "sessions", old, new, {"idle_s", "absolute_s"})


def _jwt(old: Document, new: Document) -> Iterator[Change]:
    if old["issuer"] != new["issuer"]:
        yield widens(
            "issuer",
            f"tokens of {new['issuer']} count, before those of {old['issuer']}",
            old["issuer"],
            new["issuer"],
        )
    yield from subset("audience", "audiences", old["audiences"], new["audiences"], any_if_empty=True)
    yield from subset("clients", "clients", old.get("clients", []), new.get("clients", []), any_if_empty=True)
    yield from subset("algorithms", "algorithms", old["algorithms"], new["algorithms"])
    yield from bound("leeway", "the leeway of times", old["leeway_s"], new["leeway_s"], " s")
    yield from bound("max_age", "the age of tokens", old.get("max_age_s"), new.get("max_age_s"), " s")
    kinds = [one.get("token_type", "any-access") for one in (old, new)]
    if kinds[0] != kinds[1]:
        make = narrows if kinds[1] == "at+jwt" else widens
        yield make("token_type", f"tokens of type {kinds[1]} count, before {kinds[0]}", *kinds)
    yield from _required(old.get("required", {}), new.get("required", {}))
    before, after = old.get("tenants", {}), new.get("tenants", {})
    if before != after:
        fewer = bool(after) and after.items() <= before.items()
        yield (narrows if fewer else widens)("tenants", "the issuers of tenants are different", before, after)
    yield from flag(
        "key_issuer",
        "keys count for their issuer only",
        "keys count for every issuer",
        bool(old.get("key_issuer")),
        bool(new.get("key_issuer")),
    )
    if old["jwks"] != new["jwks"]:
        yield from _keys(old["jwks"], new["jwks"])
    bindings = [old.get("sender_constrained"), new.get("sender_constrained")]
    if bindings[0] != bindings[1]:
        make = narrows if bindings[0] is None else widens
        yield make(
            "sender_constrained",
            f"tokens have to be bound: {bindings[1] or 'no'}, before {bindings[0] or 'no'}",
            *bindings,
        )
    known = {
        "type", "name", "issuer", "audiences", "clients", "algorithms", "leeway_s", "max_age_s", "token_type", "required",
        "tenants", "key_issuer", "jwks", "sender_constrained",
    }  # fmt: skip
    yield from rest("", "the provider", old, new, known)


def _required(old: dict[str, list[str]], new: dict[str, list[str]]) -> Iterator[Change]:
    if old == new:
        return
    strict = all(name in new and set(new[name]) <= set(values) for name, values in old.items())
    make, text = (narrows, "more") if strict else (widens, "less or something else")
    yield make("required", f"{text} is asked for in claims", old, new)


def _keys(old: Document, new: Document) -> Iterator[Change]:
    """Fewer keys of the same set narrow; everything else may let in tokens that somebody else signs."""
    sets = [_inline(one) for one in (old, new)]
    if sets[0] is None or sets[1] is None:
        (was, before), (kind, after) = (next(iter(one.items())) for one in (old, new))
        if was == kind and isinstance(before, dict) and isinstance(after, dict):
            yield from at("jwks", _fetched("the keys", before, after))
            return
        yield widens("jwks", f"the keys come from {_origin(new)}, before from {_origin(old)}", old, new)
        return
    added, removed = sets[1].keys() - sets[0].keys(), sets[0].keys() - sets[1].keys()
    shown = sets[0] | sets[1]
    for keys, make, text in ((added, widens, "counts that did not before"), (removed, narrows, "counts no more")):  # fmt: skip
        if keys:
            names = ", ".join(f"`{name}`" for name in sorted(shown[key] for key in keys))
            yield make("jwks" if make is widens else "jwks.less", f"signing key {names} {text}", old, new)
    if not added and not removed:
        yield moves("jwks.order", "the same signing keys stand there otherwise", old, new)


def _fetched(what: str, old: Document, new: Document) -> Iterator[Change]:
    """What is fetched: from where, how surely, and how long it counts."""
    places = [one.get("url") or "where the issuer says" for one in (old, new)]
    if places[0] != places[1]:
        yield widens("url", f"{what} come from {places[1]}, before from {places[0]}", old, new)
    for key, text in (("refresh_ms", "before they are fetched again"), ("stale_ms", "where they cannot be fetched")):  # fmt: skip
        yield from bound(key, f"how long {what} count {text}", old.get(key), new.get(key), " ms")
    pauses = [old.get("min_interval_ms"), new.get("min_interval_ms")]
    yield from moved(
        "min_interval_ms", f"{what} may be fetched again sooner or later", pauses[0], pauses[1], None
    )
    tls = [not one.get("plaintext") for one in (old, new)]
    yield from flag("plaintext", f"{what} come over TLS", f"{what} may come over plain HTTP", *tls)
    if old.get("ca") != new.get("ca"):
        text = f"other authorities vouch for where {what} come from"
        yield widens("ca", text, old.get("ca"), new.get("ca"))
    hosts = [one.get("hosts", []) for one in (old, new)]
    yield from subset("hosts", f"hosts of which {what} may speak", hosts[0], hosts[1])
    if old.get("discovery") != new.get("discovery"):
        found = _fetched("the issuer's metadata", old.get("discovery") or {}, new.get("discovery") or {})
        yield from at("discovery", found)
    known = {"url", "refresh_ms", "stale_ms", "min_interval_ms", "plaintext", "ca", "hosts", "discovery"}
    yield from rest("", f"how {what} are fetched", old, new, known)


def _inline(jwks: Document) -> dict[str, str] | None:
    """The keys of a set with their ids; nothing where they are fetched, or cannot be read."""
    try:
        document = json.loads(jwks["inline"])
        keys = {
            json.dumps(key, sort_keys=True): str(key.get("kid", "without id")) for key in document["keys"]
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return keys if document.keys() == {"keys"} else None


def _origin(jwks: Document) -> str:
    kind, value = next(iter(jwks.items()))
    if isinstance(value, dict) and value.get("url"):
        return f"{value['url']}"
    return {"inline": "a file", "discovered": "the issuer's metadata"}.get(kind, "a secret")
