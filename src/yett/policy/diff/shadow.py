"""Rules in shadow: nobody gets in or is refused by them, whatever they say. What is enforced is compared elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.base import listed
from yett.policy.diff import logic
from yett.policy.diff.change import Change, Shape, moved

_SETS = dict.fromkeys(("any_of", "all_of"))
_TEST = {
    **dict.fromkeys(("any_of", "none_of", "has_any", "has_all", "has_none", "is", "numbers")),
    "range": dict.fromkeys(("at_least", "at_most")),
}
_METHODS = dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), _SETS)
RULE: Shape = {
    **dict.fromkeys(("source", "addresses", "when", "headers")),
    "callers": dict.fromkeys(logic.CALLERS),
    "scopes": {**_SETS, "methods": _METHODS},
    "roles": _SETS,
    "permissions": _SETS,
    "claims": [{"name": None, "test": _TEST}],
    "times": [dict.fromkeys(("days", "from_min", "to_min", "zone"))],
    "device": dict.fromkeys(logic.DEVICE),
}
"""All that a rule may consist of."""
_KEY = dict.fromkeys(("header", "value"))
_TIME = dict.fromkeys(("minutes", "hours", "days", "months", "weekdays", "zone", "minutes_long"))
_METHOD_COSTS = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_RATE: Shape = {
    **dict.fromkeys(("name", "scope", "count", "period_ms", "burst", "class", "except", "jitter_s")),
    "key": _KEY,
    "cost": {"default": None, "methods": _METHOD_COSTS, "value": None},
    "during": _TIME,
    "outside": [_TIME],
}
LIMITS: Shape = [
    {
        "source": None,
        "limit": {
            "address": _RATE,
            "rate": {"limits": [_RATE], "classes": [RULE]},
            "concurrency": {**dict.fromkeys(("name", "scope", "requests", "fair")), "key": _KEY},
        },
    }
]
SHAPE: Shape = {"rules": [RULE], "deny": [RULE]}


def compare(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Iterator[Change]:
    """Which are tried out now, and which no more."""
    yield from moved("shadow", _said("rules", _rules(old), _rules(new)), old, new, SHAPE)


def _said(what: str, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> str:
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    said = [
        f"{listed(sorted(names))} is {text}"
        for names, text in (
            (after.keys() - before.keys(), "in shadow now, and refuses nobody"),
            (before.keys() - after.keys(), "not in shadow any more"),
            (changed, "in shadow as before, and another one"),
        )
        if names
    ]
    return "; ".join(said) or f"{what} in shadow are different"


def limits(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[Change]:
    """Which limits are tried out now, and which no more."""
    before, after = ({one["source"]: one for one in these} for these in (old, new))
    yield from moved("shadow_limits", _said("limits", before, after), old, new, LIMITS)


def _rules(shadow: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    return {
        rule["source"]: rule for rules in (shadow or {}).values() if isinstance(rules, list) for rule in rules
    }
