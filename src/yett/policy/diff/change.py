"""One difference between two configurations, and what becomes of access by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from yett.config.words import code, one_line

# Hexadecimal digits of an id that stand for its content: nobody finds another difference with the same ones.
DIGEST = 16


class Kind(StrEnum):
    """What a difference does to access."""

    WIDENS = "widens"
    NARROWS = "narrows"
    MOVES = "moves"


@dataclass(frozen=True)
class Change:
    """One difference. What cannot be shown to be equal or narrower widens."""

    kind: Kind
    where: str
    """`routes.orders.scopes`"""
    text: str
    """In words. Never a secret, a key or its hash."""
    old: Any = None
    """All that it is about, for the id; never shown."""
    new: Any = None
    route: str | None = None
    """The route of the new configuration that it is about, for an example."""
    example: str | None = None
    names: tuple[str, ...] = ()
    """Where it is the same for several routes: all of them."""

    @property
    def part(self) -> str:
        """The part of a route that it is about: `scopes` of `routes.orders.scopes.GET`."""
        below = self.where.partition(f"routes.{self.route}.")[2] or self.where.partition(".")[2]
        return below.partition(".")[0]

    @property
    def id(self) -> str:
        """Stable for exactly this difference: the same place with another content is another one."""
        place = one_line(self.where).replace(" ", "-")
        # Two places that differ by a blank only are two.
        blank = [self.where] if " " in self.where else []
        content = json.dumps([self.kind, self.text, self.old, self.new, self.names, *blank], sort_keys=True)
        return f"{place}@{hashlib.sha256(content.encode()).hexdigest()[:DIGEST]}"


def example(change: Change, text: str) -> Change:
    """The same, shown by a request."""
    return replace(change, example=text)


def at(where: str, changes: Iterable[Change], route: str | None = None) -> Iterator[Change]:
    """The same below a place, of a route."""
    for one in changes:
        yield replace(one, where=".".join(filter(None, (where, one.where))), route=one.route or route)


def widens(where: str, text: str, old: Any, new: Any) -> Change:
    """It may let in more."""
    return Change(Kind.WIDENS, where, text, old, new)


def narrows(where: str, text: str, old: Any, new: Any) -> Change:
    """It lets in less."""
    return Change(Kind.NARROWS, where, text, old, new)


def moves(where: str, text: str, old: Any, new: Any) -> Change:
    """It changes nothing about who gets in."""
    return Change(Kind.MOVES, where, text, old, new)


def unknown(where: str, what: str, old: Any, new: Any) -> Change:
    """A difference that nothing here understands."""
    return widens(where, f"{what} is different, and it cannot be shown that nothing widens", old, new)


def bound(where: str, what: str, old: int | None, new: int | None, unit: str = "") -> Iterator[Change]:
    """A bound: a larger one widens, none at all most."""
    if old == new:
        return
    shown = [f"{value}{unit}" if value is not None else "none" for value in (old, new)]
    text = f"{what}: {shown[0]} before, {shown[1]} now"
    smaller = new is not None and (old is None or new < old)
    yield (narrows if smaller else widens)(where, text, old, new)


def flag(where: str, strict: str, loose: str, old: bool, new: bool) -> Iterator[Change]:
    """Something that tightens where it is set."""
    if old and not new:
        yield widens(where, loose, old, new)
    elif new and not old:
        yield narrows(where, strict, old, new)


def switched(where: str, strict: str, loose: str, old: Any, new: Any) -> Iterator[Change]:
    """A check that is there on one side only; nothing where both have it, or neither."""
    if old is None and new is not None:
        yield narrows(where, strict, old, new)
    elif new is None and old is not None:
        yield widens(where, loose, old, new)


def subset(
    where: str, what: str, old: Iterable[str], new: Iterable[str], any_if_empty: bool = False
) -> Iterator[Change]:
    """Alternatives: more of them widen. An empty list may stand for everything."""
    before, after = set(old), set(new)
    if before == after:
        return
    pair = sorted(before), sorted(after)
    if any_if_empty and (not before or not after):
        make, text = (narrows, "restricted to") if not before else (widens, "not restricted any more to")
        yield make(where, f"{what}: {text} {quoted(before or after)}", *pair)
        return
    if after - before:
        yield widens(where, f"{what}: {quoted(after - before)} added", *pair)
    if before - after:
        yield narrows(f"{where}.less", f"{what}: {quoted(before - after)} removed", *pair)


def whose_is(source: str) -> str:
    """`group shop: ` before a text; nothing for a route, which is named already."""
    return "" if source.startswith("route ") else f"{source}: "


def by_source(
    what: str,
    old: list[dict[str, Any]],
    new: list[dict[str, Any]],
    compare: Callable[[str, dict[str, Any], dict[str, Any]], Iterable[Change]],
) -> Iterator[Change]:
    """Filters of `what` of a listener or a route, by where they stand; `compare` says how one changed."""
    before, after = ({one["source"]: one for one in all_} for all_ in (old, new))
    for source in sorted(before.keys() | after.keys()):
        one, other = before.get(source), after.get(source)
        if one == other:
            continue
        if one is None or other is None:
            make, when = (narrows, "now") if one is None else (widens, "no more")
            yield make(source, f"{whose_is(source)}{what} are filtered {when}", one, other)
            continue
        yield from at(source, compare(source, one, other))


def named(parts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Parts of a document by their names."""
    return {part["name"]: part for part in parts}


def counted(parts: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Limits by their names, where they are counted and whose they are."""
    return {(part["name"], part["scope"], json.dumps(part["key"])): part for part in parts}


def quoted(names: Iterable[str]) -> str:
    """All of them: what is cut off cannot be judged."""
    return ", ".join(code(name) for name in sorted(names))


def rest(
    where: str, what: str, old: dict[str, Any], new: dict[str, Any], known: Iterable[str]
) -> Iterator[Change]:
    """Whatever nobody looked at: a difference of it cannot be shown to be harmless."""
    for key in sorted((old.keys() | new.keys()) - set(known)):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield unknown(f"{where}.{key}" if where else key, f"{what}: `{key}`", before, after)


Shape = Any
"""What a value may consist of: None for a plain value or a list of them, a list of one shape, an object of shapes by key."""


def moved(where: str, text: str, old: Any, new: Any, shape: Shape) -> Iterator[Change]:
    """What decides nothing about access as long as it consists of what is known."""
    if old == new:
        return
    if fits(old, shape) and fits(new, shape):
        yield moves(where, text, old, new)
    else:
        yield unknown(where, text, old, new)


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value has nothing in it but what the shape names."""
    if isinstance(shape, dict):
        return not isinstance(value, dict) or all(
            key in shape and fits(inner, shape[key]) for key, inner in value.items()
        )
    if isinstance(value, list):
        return all(fits(one, shape[0] if isinstance(shape, list) else None) for one in value)
    return not isinstance(value, dict)


def accounted(where: str, what: str, old: Any, new: Any, changes: Iterable[Change]) -> Iterator[Change]:
    """The changes; and where there are none although something is different, that it is not known what."""
    empty = True
    for one in changes:
        empty = False
        yield one
    if empty and old != new:
        yield unknown(where, what, old, new)


def each(
    place: str,
    noun: str,
    old: dict[str, dict[str, Any]],
    new: dict[str, dict[str, Any]],
    gone: Callable[[str, str, Any, Any], Change],
    compare: Callable[[str, dict[str, Any], dict[str, Any]], Iterator[Change]],
) -> Iterator[Change]:
    """The parts below a place that were there before, by name: compared, or gone."""
    for name, before in old.items():
        where, what = f"{place}.{name}", f"{noun} `{name}`"
        after = new.get(name)
        if after is None:
            yield gone(where, f"{what} is gone", before, None)
        elif before != after:
            yield from accounted(where, what, before, after, at(where, compare(what, before, after)))
