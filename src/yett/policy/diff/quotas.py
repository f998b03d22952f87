"""Quotas in two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.rates.text import quota_text
from yett.policy.diff.change import Change, at, bound, counted, flag, moves, narrows, rest, widens
from yett.policy.diff.limits import ONE, costs, free

Document = dict[str, Any]
KNOWN = (
    "name",
    "scope",
    "key",
    "amount",
    "period",
    "zone",
    "cost",
    "warn",
    "state_loss",
    "class",
    "except",
    "idempotency",
    "shared",
)


def quotas(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Amounts and periods, by name, where they are counted and whose they are. A larger amount widens, and so does another
    period: what was used in the one before does not count in it."""
    before, after = counted(old), counted(new)
    for key, one in before.items():
        where, what = f"quotas.{key[0]}", f"the quota `{key[0]}`"
        other = after.get(key)
        if other is None:
            yield widens(where, f"{what} ({key[1]}) is gone: {quota_text(one)}", one, None)
            continue
        yield from bound(f"{where}.amount", f"{what}: the amount", one["amount"], other["amount"])
        for part in ("period", "zone", "class", "except"):
            if one.get(part) != other.get(part):
                text = f"{what}: {quota_text(one)} before, {quota_text(other)} now"
                yield widens(f"{where}.{part}", text, one.get(part), other.get(part))
        yield from costs(f"{where}.cost", key[0], one.get("cost", ONE), other.get("cost", ONE))
        yield from free(f"{where}.idempotency", what, one.get("idempotency"), other.get("idempotency"))
        if one.get("warn") != other.get("warn"):
            yield moves(f"{where}.warn", f"{what} has other thresholds", one.get("warn"), other.get("warn"))
        strict, loose = f"{what} is shared by instances", f"{what} is each machine's own"
        yield from flag(
            f"{where}.shared", strict, loose, one.get("shared") is True, other.get("shared") is True
        )
        strict = f"{what} refuses while use cannot be written down or Redis does not answer"
        loose = f"{what} is counted in memory alone while use cannot be written down or Redis does not answer"
        yield from flag(
            f"{where}.state_loss",
            strict,
            loose,
            one["state_loss"] == "refuse",
            other["state_loss"] == "refuse",
        )
        yield from at(where, rest("", what, one, other, KNOWN))
    for key, one in after.items():
        if key not in before:
            yield narrows(f"quotas.{key[0]}.more", f"the quota `{key[0]}`: {quota_text(one)}", None, one)
