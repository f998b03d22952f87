"""What is looked for in requests: `attack_filter` of two routes, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import Change, bound, flag, narrows, quoted, rest, widens

Document = dict[str, Any]
_PARTS = ("enforce", "threshold", "classes", "exceptions", "examined", "beyond_passes")


def compare(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Looking for less, later, or without refusing widens."""
    if old == new:
        return
    if new is None:
        yield widens("", "requests are not looked through for attacks any more", old, new)
        return
    if old is None:
        yield narrows("", "requests are looked through for attacks", old, new)
        return
    yield from flag(
        "mode", "what looks like an attack is refused now", "what looks like an attack passes, and is reported",
        old["enforce"], new["enforce"],
    )  # fmt: skip
    yield from bound(
        "threshold", "the score from which a value looks like an attack", old["threshold"], new["threshold"]
    )
    gone, more = set(old["classes"]) - set(new["classes"]), set(new["classes"]) - set(old["classes"])
    if gone:
        yield widens("classes", f"{quoted(gone)} is not looked for any more", old["classes"], new["classes"])
    if more:
        yield narrows("classes.more", f"{quoted(more)} is looked for", old["classes"], new["classes"])
    yield from _exceptions(old.get("exceptions", []), new.get("exceptions", []))
    pair = old["examined"], new["examined"]
    if pair[0] != pair[1]:
        # Where more passes unseen, a lower bound lets more in; where it is refused, a higher one does.
        passes = bool(new.get("beyond_passes"))
        wider = pair[1] < pair[0] if passes else pair[1] > pair[0]
        text = f"{pair[1]} bytes of a request are looked at; before, {pair[0]} bytes"
        yield (widens if wider else narrows)("examined", text, *pair)
    yield from flag(
        "beyond", "what is not looked at is refused", "what is not looked at passes",
        not old.get("beyond_passes"), not new.get("beyond_passes"),
    )  # fmt: skip
    yield from rest("", "what is looked for", old, new, _PARTS)


def _exceptions(old: list[Document], new: list[Document]) -> Iterator[Change]:
    before, after = _by_place(old), _by_place(new)
    for place in sorted(before.keys() | after.keys()):
        where = f"exceptions.{place[0]}" + (f".{place[1]}" if place[1] else "")
        what = f"{place[0]} `{place[1]}`" if place[1] else f"the {place[0]}"
        one, other = before.get(place, set()), after.get(place, set())
        if other - one:
            yield widens(
                where, f"in {what} {quoted(other - one)} is not looked for", sorted(one), sorted(other)
            )
        if one - other:
            yield narrows(
                f"{where}.less", f"in {what} {quoted(one - other)} is looked for", sorted(one), sorted(other)
            )


def _by_place(these: list[Document]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for one in these:
        found.setdefault((one["in"], one.get("name", "")), set()).update(one["classes"])
    return found
