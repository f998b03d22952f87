"""Rules in shadow: nobody gets in or is refused by them, whatever they say. What is enforced is compared elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.base import listed
from yett.policy.diff.change import Change, moves, unknown

KINDS = ("rules", "deny")


def compare(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Iterator[Change]:
    """Which are tried out now, and which no more."""
    if old == new:
        return
    if not {*(old or {}), *(new or {})} <= set(KINDS):
        yield unknown("shadow", "what is tried out", old, new)
        return
    before, after = _rules(old), _rules(new)
    for names, text in (
        (after.keys() - before.keys(), "in shadow now, and refuses nobody"),
        (before.keys() - after.keys(), "not in shadow any more"),
        (
            {name for name in before.keys() & after.keys() if before[name] != after[name]},
            "in shadow, and another one",
        ),
    ):
        if names:
            yield moves(
                f"shadow.{text.split(',')[0].replace(' ', '_')}",
                f"{listed(sorted(names))} is {text}",
                old,
                new,
            )


def _rules(shadow: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    return {rule["source"]: rule for kind in KINDS for rule in (shadow or {}).get(kind, ())}
