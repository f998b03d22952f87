"""What requests have to be: `request_validation` of two routes, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import (
    Change,
    bound,
    flag,
    moves,
    narrows,
    rest,
    subset,
    switched,
    unknown,
    widens,
)

Document = dict[str, Any]
# Which requests pass: those with a body, those without one.
BODIES = {"required": ["with one"], "refused": ["without one"], "optional": ["with one", "without one"]}
# What the data plane takes where nothing is said (`crates/yett-core/src/ir/validation.rs`).
FORM = {"fields": 100, "field": 64 * 1024, "file": 2**64 - 1}
JSON = ("depth", "keys", "items", "string", "number")
GRAPHQL = ("depth", "aliases", "directives", "cost", "batch")
GRAPHQL_OTHERS = ("operations", "root_fields", "introspection", "list_arguments", "persisted")
PARTS = {"body", "bodies", "json", "formats", "parameters", "query", "headers", "form", "graphql"}


def compare(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Every difference. A schema that is another one cannot be shown to be stricter."""
    if old == new:
        return
    if old is None or new is None:
        strict, loose = "requests are validated now", "requests are not validated any more"
        yield from switched("on", strict, loose, old, new)
        return
    pair = [BODIES.get(one["body"], [one["body"]]) for one in (old, new)]
    yield from subset("body", "bodies: requests", pair[0], pair[1])
    yield from _bodies(old["bodies"], new["bodies"])
    for key in JSON:
        yield from bound(f"json.{key}", f"the largest `{key}` of JSON", old["json"].get(key), new["json"].get(key))  # fmt: skip
    yield from rest("json", "bounds of JSON", old["json"], new["json"], JSON)
    formats = [one.get("formats", True) for one in (old, new)]
    yield from flag("formats", "formats are checked", "formats are not checked any more", *formats)
    yield from _parameters(old.get("parameters", []), new.get("parameters", []))
    for key in ("query", "headers"):
        yield from _names(key, old.get(key), new.get(key))
    forms = [{**FORM, **one.get("form", {})} for one in (old, new)]
    for key in FORM:
        yield from bound(f"form.{key}", f"the largest `{key}` of forms", forms[0][key], forms[1][key])
    yield from rest("form", "bounds of forms", forms[0], forms[1], FORM)
    yield from _graphql(old.get("graphql"), new.get("graphql"))
    yield from rest("", "what requests have to be", old, new, PARTS)


def _bodies(old: list[Document], new: list[Document]) -> Iterator[Change]:
    if old == new:
        return
    before, after = ({one["content_type"]: one for one in these} for these in (old, new))
    if len(before) < len(old) or len(after) < len(new) or not after:
        yield unknown("bodies", "which bodies pass", old, new)
        return
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one is None:
            yield widens(f"bodies.{name}", f"bodies of `{name}` pass, too", one, other)
        elif other is None and any("*" in wide for wide in after):
            yield unknown(f"bodies.{name}", f"what bodies of `{name}` have to be", one, other)
        elif other is None:
            yield narrows(f"bodies.{name}", f"bodies of `{name}` are refused", one, other)
        elif one != other:
            yield unknown(f"bodies.{name}", f"what bodies of `{name}` have to be", one, other)


def _parameters(old: list[Document], new: list[Document]) -> Iterator[Change]:
    before, after = ({(one["in"], one["name"]): one for one in these} for these in (old, new))
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        where, what = f"parameters.{key[0]}.{key[1]}", f"the {key[0]} parameter `{key[1]}`"
        if one == other:
            continue
        if one is None:
            yield narrows(where, f"{what} is held against a schema", one, other)
        elif other is None:
            yield widens(where, f"{what} may be anything, or be missing", one, other)
        elif {**one, "required": True} == other:
            yield narrows(where, f"{what} is required", one, other)
        else:
            yield unknown(where, what, one, other)
    if [*before] != [*after] and before == after:
        yield moves("parameters.order", "parameters are checked in another order", [*map(list, before)], [*map(list, after)])  # fmt: skip


def _graphql(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        strict, loose = "GraphQL queries are bounded now", "GraphQL queries are not looked at any more"
        yield from switched("graphql", strict, loose, old, new)
        return
    for key in GRAPHQL:
        yield from bound(f"graphql.{key}", f"the largest `{key}` of GraphQL", old[key], new[key])
    for key, what in (("operations", "kinds of operations"), ("root_fields", "root fields")):
        yield from _names(f"graphql.{key}", old.get(key), new.get(key), f"{what} of GraphQL")
    told = [not one.get("introspection", False) for one in (old, new)]
    yield from flag("graphql.introspection", "the schema is not told any more", "the schema is told", *told)
    # Without an argument that was counted a query costs less than before.
    pair = old["list_arguments"], new["list_arguments"]
    if set(pair[0]) != set(pair[1]):
        counted = narrows if set(pair[0]) <= set(pair[1]) else widens
        yield counted("graphql.list_arguments", "other arguments say how long a list is", *pair)
    pair = old["persisted"], new["persisted"]
    if pair == ("allow", "refuse"):
        yield narrows("graphql.persisted", "documents that the service has are not asked for any more", *pair)
    elif pair[0] != pair[1]:
        yield unknown("graphql.persisted", "what becomes of documents that the service has", *pair)
    yield from rest("graphql", "what GraphQL requests may ask for", old, new, {*GRAPHQL, *GRAPHQL_OTHERS})


def _names(key: str, old: list[str] | None, new: list[str] | None, what: str = "") -> Iterator[Change]:
    """Names that are let through; any, where there is no list."""
    what = what or f"names in {key}"
    if old is None or new is None:
        if old != new:
            make, text = (narrows, "only known ones pass") if old is None else (widens, "any of them passes")
            yield make(key, f"{what}: {text}", old, new)
        return
    yield from subset(key, what, old, new)
