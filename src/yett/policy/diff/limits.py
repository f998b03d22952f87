"""Limits of rates in two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.rates.measure import key_text
from yett.config.rates.repeats import repeats_text
from yett.config.rates.text import cost_text
from yett.policy.diff.change import (
    Change,
    at,
    bound,
    counted,
    moves,
    narrows,
    rest,
    switched,
    unknown,
    widens,
)

Document = dict[str, Any]
KNOWN = ("name", "scope", "key", "count", "period_ms", "burst", "cost", "jitter_s", "shared", "idempotency")
MODES = (None, "cached", "exact")
LOSSES = ("fail_open", "local", "refuse")
ONE = {"default": 1}


def limits(where: str, old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Rates and bursts, by name, where they are counted and whose they are. Callers, times and classes are not compared: where
    they differ, it may widen."""
    before, after = counted(old), counted(new)
    for key, one in before.items():
        other = after.get(key)
        if other is None:
            text = f"the limit `{key[0]}` ({key[1]}, by {key_text(one['key'])}) is gone"
            yield widens(f"{where}.{key[0]}", text, one, None)
            continue
        slower = one["period_ms"] * other["count"] <= other["period_ms"] * one["count"]
        if any(one[part] != other[part] for part in ("count", "period_ms", "burst")):
            less = slower and other["burst"] <= one["burst"]
            text = f"the limit `{key[0]}`: {_pace(one)} before, {_pace(other)} now"
            yield (narrows if less else widens)(f"{where}.{key[0]}", text, one, other)
        yield from costs(f"{where}.{key[0]}.cost", key[0], one.get("cost", ONE), other.get("cost", ONE))
        if one.get("jitter_s") != other.get("jitter_s"):
            text = f"the limit `{key[0]}`: `Retry-After` has another jitter"
            yield moves(f"{where}.{key[0]}.jitter", text, one.get("jitter_s"), other.get("jitter_s"))
        repeats = (one.get("idempotency"), other.get("idempotency"))
        yield from free(f"{where}.{key[0]}.idempotency", f"the limit `{key[0]}`", *repeats)
        yield from _shared(f"{where}.{key[0]}.shared", key[0], one.get("shared"), other.get("shared"))
        yield from at(f"{where}.{key[0]}", rest("", f"the limit `{key[0]}`", one, other, KNOWN))
    for key, one in after.items():
        if key not in before:
            yield narrows(f"{where}.{key[0]}.more", f"the limit `{key[0]}`: {_pace(one)}", None, one)


def concurrency(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Requests at once, by name, where they are counted and whose they are."""
    before, after = counted(old), counted(new)
    for key, one in before.items():
        where, what = f"concurrency_limits.{key[0]}", f"the limit `{key[0]}` of requests at once"
        other = after.get(key)
        if other is None:
            yield widens(where, f"{what} is gone", one, None)
            continue
        yield from bound(where, what, one["requests"], other["requests"])
        strict, loose = f"{what} is shared fairly", f"{what} is not shared fairly any more"
        yield from switched(f"{where}.fair", strict, loose, one.get("fair"), other.get("fair"))
        known = {
            "name",
            "scope",
            "key",
            "requests",
            *([] if one.get("fair") and other.get("fair") else ["fair"]),
        }
        yield from at(where, rest("", what, one, other, known))
    for key, one in after.items():
        if key not in before:
            text = f"the limit `{key[0]}` of requests at once: {one['requests']}"
            yield narrows(f"concurrency_limits.{key[0]}.more", text, None, one)


def classes(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Who is in a class of callers. A class that comes or goes shows in the limits."""
    before, after = ({one["source"]: one for one in these} for these in (old, new))
    for source, one in before.items():
        other = after.get(source)
        name = source.rpartition("rate_limit.")[2]
        if other is not None and one != other:
            yield unknown(f"rate_limits.{name}.class", f"who is in the class `{name}`", one, other)
    if before.keys() != after.keys():
        yield moves("rate_limits.classes", "it has other classes of callers", sorted(before), sorted(after))


def costs(where: str, name: str, old: Document, new: Document) -> Iterator[Change]:
    if old == new:
        return
    text = f"the limit `{name}`: {cost_text(old)} before, {cost_text(new)} now"
    methods = {*old.get("methods", {}), *new.get("methods", {}), ""}
    said = [
        [one.get("methods", {}).get(method, one["default"]) for method in sorted(methods)]
        for one in (old, new)
    ]
    same = old.get("after") == new.get("after") or "after" not in old
    known = (
        same
        and {*old, *new} <= {"default", "methods", "after"}
        and all(isinstance(cost, int) for cost in (*said[0], *said[1]))
    )
    dearer = known and all(before <= after for before, after in zip(*said, strict=True))
    yield (narrows if dearer else widens)(where, text, old, new)


def free(where: str, what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    """Repeats that cost nothing: more of them, or for longer, widen."""
    bounds = [(one["repeats"], one["within_ms"]) if one else (0, 0) for one in (old, new)]
    if bounds[0] != bounds[1]:
        said = [repeats_text({"idempotency": one}) if one else "each repeat costs" for one in (old, new)]
        fewer = all(now <= before for before, now in zip(*bounds, strict=True))
        text = f"{what}: {said[1]}, before: {said[0]}"
        yield (narrows if fewer else widens)(where, text, old, new)
    if old and new:
        yield from at(
            where, rest("", f"which repeats cost nothing in {what}", old, new, ("repeats", "within_ms"))
        )


def _shared(where: str, name: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    modes = [one["mode"] if one else None for one in (old, new)]
    if modes[0] != modes[1]:
        said = [f"shared by instances (`{mode}`)" if mode else "each instance's own" for mode in modes]
        text = f"the limit `{name}`: {said[1]}, before {said[0]}"
        yield (narrows if _stricter(MODES, *modes) else widens)(where, text, old, new)
    losses = [one["state_loss"] if one else "local" for one in (old, new)]
    if losses[0] != losses[1]:
        text = f"the limit `{name}` while Redis does not answer: {losses[1]}, before {losses[0]}"
        make = narrows if _stricter(LOSSES, *losses) else widens
        yield make(f"{where}.state_loss", text, losses[0], losses[1])
    if old and new:
        yield from at(where, rest("", f"how the limit `{name}` is shared", old, new, ("mode", "state_loss")))


def _stricter(order: tuple[str | None, ...], old: str | None, new: str | None) -> bool:
    return old in order and new in order and order.index(new) > order.index(old)


def _pace(limit: Document) -> str:
    return f"{limit['count']} in {limit['period_ms'] / 1000:g} s, burst {limit['burst']}"
