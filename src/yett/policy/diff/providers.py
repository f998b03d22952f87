"""Identity providers of two configurations: whose credentials count, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import Change, at, bound, flag, narrows, rest, subset, widens

Document = dict[str, Any]


def compare(old: Document, new: Document) -> Iterator[Change]:
    """Every difference of providers. One that is new counts for nothing before a route accepts it."""
    before = {provider["name"]: provider for provider in old["providers"]}
    after = {provider["name"]: provider for provider in new["providers"]}
    plain = _reads_no_more(old) and _reads_no_more(new)
    for name, provider in before.items():
        other = after.get(name)
        where = f"identity_providers.{name}"
        if other is None:
            if provider["type"] in {"api_key", "signed_request"}:
                text = f"`{name}` is gone: requests that carry its credential beside another one are not refused any more"
                yield widens(where, text, provider["type"], None)
            else:
                yield narrows(where, f"`{name}` is gone", provider["type"], None)
        elif provider["type"] != other["type"]:
            yield widens(where, f"`{name}` is of another type", provider["type"], other["type"])
        elif provider != other:
            compare_one = {"jwt": _jwt, "api_key": _api_key}.get(provider["type"], _other)
            for one in at(where, compare_one(provider, other, plain)):
                yield _named(one, name)
    for name in (key for key in (old["secrets"] | new["secrets"]) if key.startswith("identity_providers.")):
        if name in old["secrets"] and name in new["secrets"] and old["secrets"][name] != new["secrets"][name]:
            yield widens(
                f"secrets.{name}",
                f"the secret `{name}` is another one, and others may know it",
                old["secrets"][name],
                new["secrets"][name],
            )


def _named(change: Change, name: str) -> Change:
    from dataclasses import replace

    return replace(change, text=f"`{name}`: {change.text}")


def _reads_no_more(document: Document) -> bool:
    """Whether having less never helps a caller: no rule denies by scopes or roles, no condition reads them."""
    for route in document["routes"]:
        access = route["access"]
        rules = access["authenticated"]["rules"] if isinstance(access, dict) else []
        if any(rule.get("when") for rule in rules) or route.get("deny"):
            return False
    return True


def _jwt(old: Document, new: Document, _plain: bool) -> Iterator[Change]:
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
        yield _keys(old["jwks"], new["jwks"])
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
        "tenants", "key_issuer", "jwks", "sender_constrained", "opaque",
    }  # fmt: skip
    yield from rest("", "the provider", old, new, known)


def _required(old: dict[str, list[str]], new: dict[str, list[str]]) -> Iterator[Change]:
    if old == new:
        return
    strict = all(name in new and set(new[name]) <= set(values) for name, values in old.items())
    make, text = (narrows, "more") if strict else (widens, "less or something else")
    yield make("required", f"{text} is asked for in claims", old, new)


def _keys(old: Document, new: Document) -> Change:
    """Fewer keys of the same set narrow; everything else may let in tokens that somebody else signs."""
    sets = []
    for one in (old, new):
        text = one.get("inline")
        if text is None:
            return widens("jwks", "the keys come from elsewhere", _origin(old), _origin(new))
        try:
            sets.append({json.dumps(key, sort_keys=True) for key in json.loads(text)["keys"]})
        except (ValueError, KeyError, TypeError):
            return widens("jwks", "the keys are different, and cannot be compared")
    added, removed = len(sets[1] - sets[0]), len(sets[0] - sets[1])
    shown = [sorted(json.loads(key).get("kid", "without id") for key in keys) for keys in sets]
    if added:
        return widens("jwks", f"{added} signing keys count that did not before", *shown)
    return narrows("jwks", f"{removed} signing keys count no more", *shown)


def _origin(jwks: Document) -> str:
    kind, value = next(iter(jwks.items()))
    return f"{kind}: {value.get('url') if isinstance(value, dict) else 'a file or secret'}"


def _api_key(old: Document, new: Document, plain: bool) -> Iterator[Change]:
    for key in ("header", "salt", "pepper"):
        if old[key] != new[key]:
            yield widens(
                key,
                f"`{key}` is different, so other keys may count"
                + ("; requests with the old header are read otherwise" if key == "header" else ""),
            )
    before = {one["id"]: one for one in old["keys"]}
    after = {one["id"]: one for one in new["keys"]}
    for label, one in before.items():
        other, name = after.get(label), one["name"]
        if other is None:
            yield narrows(f"keys.{label}", f"a key of `{name}` counts no more", name, None)
        elif one != other:
            yield _key(one, other, plain)
    for label in after.keys() - before.keys():
        yield widens(
            f"keys.{label}", f"a key of `{after[label]['name']}` counts now", None, after[label]["name"]
        )
    yield from rest("", "the provider", old, new, {"type", "name", "header", "salt", "pepper", "keys"})


def _key(old: Document, new: Document, plain: bool) -> Change:
    shown = [{key: value for key, value in one.items() if key not in {"hash", "id"}} for one in (old, new)]
    less = plain and set(new["scopes"]) <= set(old["scopes"]) and set(new["roles"]) <= set(old["roles"])
    sooner = old["expires"] is None or (new["expires"] is not None and new["expires"] <= old["expires"])
    networks = [one.get("allowed_addresses", []) for one in (old, new)]
    nearer = not networks[0] or (bool(networks[1]) and set(networks[1]) <= set(networks[0]))
    handled = {"scopes", "roles", "expires", "allowed_addresses"}
    same = all(old.get(key) == new.get(key) for key in (old.keys() | new.keys()) - handled)
    unchanged = old["scopes"] == new["scopes"] and old["roles"] == new["roles"]
    make = narrows if same and sooner and nearer and (less or unchanged) else widens
    return make(f"keys.{old['id']}", f"a key of `{new['name']}` is different", *shown)


def _other(old: Document, new: Document, _plain: bool) -> Iterator[Change]:
    yield from rest("", "the provider", old, new, {"type", "name"})
