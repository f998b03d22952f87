"""A route that nobody can satisfy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """A group and a route that ask for things of which no caller can have both."""
    for policy in context.policies:
        for one, other in combinations(policy.rules, 2):
            what = _callers(one, other) or _claims(one, other) or _addresses(one, other)
            if what:
                message = f"{what}, so nobody can satisfy both ({one['source']}, {other['source']}); make them agree"
                yield Hit(("routes", policy.name, "authorize"), message)


def _callers(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    mine, theirs = one.get("callers") or {}, other.get("callers") or {}
    if len(mine) == 1 and mine.keys() == theirs.keys():
        (kind,) = mine
        if kind != "spiffe" and set(mine[kind]).isdisjoint(theirs[kind]):
            return f"group and route name different {kind} in `callers`"
    return None


def _claims(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    for mine in one.get("claims", ()):
        for theirs in other.get("claims", ()):
            a, b = mine["test"].get("any_of"), theirs["test"].get("any_of")
            if mine["name"] == theirs["name"] and a and b and set(a).isdisjoint(b):
                return f"group and route ask for different values of `{mine['name']}`"
    return None


def _addresses(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    mine, theirs = ([ipaddress.ip_network(net) for net in rule.get("addresses", ())] for rule in (one, other))
    if mine and theirs and not any(a.version == b.version and a.overlaps(b) for a in mine for b in theirs):
        return "group and route name `addresses` without one in common"
    return None


RULE = Rule(
    id="never-allowed", severity=Severity.WARNING, title="nobody can satisfy a route and its group", check=check,
    references=("API9:2023",),
)  # fmt: skip
