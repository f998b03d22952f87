"""Which requests two routes could both take, as far as hosts, paths and listeners say; and which one is asked first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.base import listed
from yett.policy.diff.change import Change, narrows, widens

Document = dict[str, Any]


def overlaps(one: Document, other: Document) -> bool:
    """Whether some request could be taken by both."""
    mine, theirs = one["match"], other["match"]
    return (
        bool(set(one["listeners"]) & set(other["listeners"]))
        and _hosts_overlap(mine["hosts"], theirs["hosts"])
        and _paths_overlap(mine["path"].split("/")[1:], theirs["path"].split("/")[1:])
    )


def precedes(one: Document, other: Document) -> bool:
    """Whether the router asks the first one first for every request that both could take.

    Its host is more precise, or of the same hosts its path is, segment by segment: a literal, then a variable, then the rest.
    """
    mine, theirs = one["match"], other["match"]
    if mine["hosts"] != theirs["hosts"]:
        return theirs["hosts"] is None
    for first, second in zip(mine["path"].split("/"), theirs["path"].split("/"), strict=False):
        if _rank(first) != _rank(second):
            return _rank(first) < _rank(second)
    return False


def first_segment(route: Document) -> str | None:
    """What a path has to begin with; nothing where that is a variable."""
    first = route["match"]["path"].split("/")[1]
    return None if first.startswith("{") else str(first)


def hosts(old: list[str] | None, new: list[str] | None) -> Iterator[Change]:
    """Hosts that a route takes; nothing is any."""
    if old == new:
        return
    if new is None or old is None:
        make, text = (
            (widens, "it takes any host") if new is None else (narrows, f"it takes {listed(new)} only")
        )
        yield make("hosts", text, old, new)
        return
    wider = [host for host in new if not any(_covers(wide, host) for wide in old)]
    fewer = [host for host in old if not any(_covers(wide, host) for wide in new)]
    if wider:
        yield widens("hosts", f"hosts: {listed(wider)} added", old, new)
    if fewer:
        yield narrows("hosts.less", f"hosts: {listed(fewer)} removed", old, new)
    if not wider and not fewer:
        # the same hosts, but a name of its own goes before a wildcard
        yield narrows("hosts.less", f"hosts: {listed(new)} in place of {listed(old)}", old, new)


def _covers(wide: str, host: str) -> bool:
    if wide == host:
        return True
    return wide.startswith("*.") and host.removeprefix("*").endswith(wide[1:]) and host != wide[2:]


def _hosts_overlap(one: list[str] | None, other: list[str] | None) -> bool:
    if one is None or other is None:
        return True
    return any(_covers(mine, theirs) or _covers(theirs, mine) for mine in one for theirs in other)


def _paths_overlap(one: list[str], other: list[str]) -> bool:
    for index in range(max(len(one), len(other))):
        mine = one[index] if index < len(one) else None
        theirs = other[index] if index < len(other) else None
        if any(part is not None and part.endswith("...}") for part in (mine, theirs)):
            return True
        if mine is None or theirs is None:
            return False
        if mine != theirs and not mine.startswith("{") and not theirs.startswith("{"):
            return False
    return True


def _rank(segment: str) -> int:
    return 2 if segment.endswith("...}") else 1 if segment.startswith("{") else 0
