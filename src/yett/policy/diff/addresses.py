"""Who may come in by address: lists, and the filters that name them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import (
    Change,
    by_source,
    each,
    moves,
    named,
    narrows,
    quoted,
    rest,
    whose_is,
    widens,
)

Document = dict[str, Any]


def filters(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Filters of a listener or a route, by where they stand."""
    return by_source("addresses", old, new, _filter)


def _filter(source: str, old: Document, new: Document) -> Iterator[Change]:
    whose = whose_is(source)
    allow, deny = ((set(old.get(key, [])), set(new.get(key, []))) for key in ("allow", "deny"))
    if allow[0] != allow[1]:
        pair = sorted(allow[0]), sorted(allow[1])
        if not allow[1]:
            yield widens("allow", f"{whose}every address may come in that is not denied", *pair)
        elif not allow[0]:
            yield narrows("allow", f"{whose}only addresses of {quoted(allow[1])} may come in", *pair)
        else:
            if allow[1] - allow[0]:
                yield widens(
                    "allow", f"{whose}addresses of {quoted(allow[1] - allow[0])} may come in, too", *pair
                )
            if allow[0] - allow[1]:
                text = f"{whose}addresses of {quoted(allow[0] - allow[1])} may not come in any more"
                yield narrows("allow.less", text, *pair)
    if deny[0] - deny[1]:
        text = f"{whose}addresses of {quoted(deny[0] - deny[1])} are not kept out any more"
        yield widens("deny", text, sorted(deny[0]), sorted(deny[1]))
    if deny[1] - deny[0]:
        text = f"{whose}addresses of {quoted(deny[1] - deny[0])} are kept out"
        yield narrows("deny.more", text, sorted(deny[0]), sorted(deny[1]))
    yield from rest("", whose + "the filter", old, new, ("source", "allow", "deny"))


def lists(old: Document, new: Document) -> Iterator[Change]:
    """Lists of two configurations. What stands in their files is not looked at: it changes without a reload."""
    before, after = (named(one.get("address_lists", [])) for one in (old, new))
    allowing = {name for one in (old, new) for name in _named(one, "allow")}
    yield from each(
        "address_lists", "address list", before, after, moves, lambda what, one, other: _list(what, one, other, allowing)
    )  # fmt: skip
    for name in sorted(after.keys() - before.keys()):
        yield moves(f"address_lists.{name}", f"address list `{name}` is new", None, after[name])


def _named(document: Document, key: str) -> Iterator[str]:
    for part in (*document["listeners"], *document["routes"]):
        for one in part.get("address_filters", ()):
            yield from one.get(key, ())


def _list(what: str, old: Document, new: Document, allowing: set[str]) -> Iterator[Change]:
    nets = [set(one.get("networks", [])) for one in (old, new)]
    added, removed = nets[1] - nets[0], nets[0] - nets[1]
    allows = new["name"] in allowing
    if added:
        yield (widens if allows else narrows)(
            "networks", f"{what}: {quoted(added)} added", sorted(nets[0]), sorted(nets[1])
        )
    if removed:
        # A list may allow in one place and deny in another.
        yield widens("networks.less", f"{what}: {quoted(removed)} removed", sorted(nets[0]), sorted(nets[1]))
    if old.get("file") != new.get("file"):
        yield widens("file", f"{what} is read from another file", old.get("file"), new.get("file"))
    if old.get("unavailable") != new.get("unavailable"):
        make = widens if new.get("unavailable") == "empty" else narrows
        text = f"{what}: while its file was never read it is {new.get('unavailable') or 'unknown, which refuses'}"
        yield make("unavailable", text, old.get("unavailable"), new.get("unavailable"))
    yield from rest("", what, old, new, ("name", "networks", "file", "unavailable"))
