"""Limits of rates in two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import Change, at, narrows, rest, widens

Document = dict[str, Any]
KNOWN = ("name", "scope", "key", "count", "period_ms", "burst")


def limits(where: str, old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Rates and bursts, by name and where they are counted."""
    before, after = ({(one["name"], one["scope"], one["key"]): one for one in these} for these in (old, new))
    for key, one in before.items():
        other = after.get(key)
        if other is None:
            text = f"the limit `{key[0]}` ({key[1]}, by {key[2]}) is gone"
            yield widens(f"{where}.{key[0]}", text, one, None)
            continue
        slower = one["period_ms"] * other["count"] <= other["period_ms"] * one["count"]
        if any(one[part] != other[part] for part in ("count", "period_ms", "burst")):
            less = slower and other["burst"] <= one["burst"]
            text = f"the limit `{key[0]}`: {_pace(one)} before, {_pace(other)} now"
            yield (narrows if less else widens)(f"{where}.{key[0]}", text, one, other)
        yield from at(f"{where}.{key[0]}", rest("", f"the limit `{key[0]}`", one, other, KNOWN))
    for key, one in after.items():
        if key not in before:
            yield narrows(f"{where}.{key[0]}.more", f"the limit `{key[0]}`: {_pace(one)}", None, one)


def _pace(limit: Document) -> str:
    return f"{limit['count']} in {limit['period_ms'] / 1000:g} s, burst {limit['burst']}"
