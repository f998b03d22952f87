"""Programs that pretend, and crawlers: `bot_filter` of two routes, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import Change, bound, flag, narrows, rest, subset, widens

Document = dict[str, Any]
KINDS = {
    "impostors": "programs that pretend to be browsers",
    "programs": "programs that say what they are",
    "scanners": "programs that look for holes",
}
_PARTS = ("enforce", "threshold", *KINDS, "crawlers", "undecided_passes", "resolvers", "except")


def compare(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Refusing fewer kinds, from a higher score on, or proving less of crawlers widens."""
    if old == new:
        return
    if new is None:
        yield widens("", "programs that pretend are not looked for any more", old, new)
        return
    if old is None:
        yield narrows("", "programs that pretend are looked for", old, new)
        return
    yield from flag(
        "mode", "programs that pretend are refused now", "programs that pretend pass, and are reported",
        old["enforce"], new["enforce"],
    )  # fmt: skip
    yield from bound("threshold", "the score of an impostor", old["threshold"], new["threshold"])
    for key, what in KINDS.items():
        if old[key] == new[key]:
            continue
        if new[key] == "refuse":
            yield narrows(key, f"{what} are refused", old[key], new[key])
        else:
            yield widens(key, f"{what} are not refused any more", old[key], new[key])
    yield from flag(
        "crawlers.undecided", "a crawler that nobody can verify is refused", "a crawler that nobody can verify passes",
        not old.get("undecided_passes"), not new.get("undecided_passes"),
    )  # fmt: skip
    pair = old.get("resolvers", []), new.get("resolvers", [])
    if pair[0] != pair[1]:
        yield widens("crawlers.resolvers", "others are asked whether a crawler is who it says", *pair)
    yield from _crawlers(old["crawlers"], new["crawlers"])
    yield from subset(
        "exceptions", "networks that are not looked at", old.get("except", ()), new.get("except", ())
    )
    yield from rest("", "programs that pretend", old, new, _PARTS)


def _crawlers(old: list[Document], new: list[Document]) -> Iterator[Change]:
    before, after = ({one["name"]: one for one in these} for these in (old, new))
    for name in sorted(before.keys() | after.keys()):
        one, other, where = before.get(name), after.get(name), f"crawlers.{name}"
        if one == other:
            continue
        if other is None:
            yield widens(where, f"nobody has to prove any more that he is the crawler `{name}`", one, other)
        elif one is None:
            # What is proved is not looked at any further.
            make = widens if other["allowed"] else narrows
            yield make(where, f"the crawler `{name}` has to prove that it is it, and " + ("passes then" if other["allowed"] else "is refused"), one, other)  # fmt: skip
        elif {**one, "allowed": None} != {**other, "allowed": None}:
            yield widens(where, f"the crawler `{name}` is recognised or proved otherwise", one, other)
        else:
            yield from flag(
                where, f"the crawler `{name}` is refused", f"the crawler `{name}` may come in",
                not one["allowed"], not other["allowed"],
            )  # fmt: skip
    # Which one a request is that names two depends on their order.
    orders = [name for name in before if name in after], [name for name in after if name in before]
    if orders[0] != orders[1]:
        yield widens("crawlers", "crawlers are looked for in another order", *orders)
