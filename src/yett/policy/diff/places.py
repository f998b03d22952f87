"""Who may come in by place: databases, and the filters that ask them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import (
    Change,
    by_source,
    flag,
    moved,
    moves,
    narrows,
    quoted,
    rest,
    whose_is,
    widens,
)

Document = dict[str, Any]
_WORDS = {"countries": "countries", "asns": "autonomous systems"}


def filters(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Filters of a listener or a route, by where they stand."""
    return by_source("places", old, new, _filter)


def _filter(source: str, old: Document, new: Document) -> Iterator[Change]:
    whose = whose_is(source)
    for key, what in _WORDS.items():
        yield from _choice(whose, key, what, old.get(key), new.get(key))
    yield from flag(
        "hosting", f"{whose}hosting providers are kept out", f"{whose}hosting providers may come in",
        bool(old.get("hosting")), bool(new.get("hosting")),
    )  # fmt: skip
    for key in ("unknown", "private"):
        yield from flag(
            key, f"{whose}{key} addresses are kept out", f"{whose}{key} addresses may come in",
            not old.get(key), not new.get(key),
        )  # fmt: skip
    lists = [set(one.get("except_addresses", [])) for one in (old, new)]
    if lists[1] - lists[0]:
        text = f"{whose}it does not concern addresses of {quoted(lists[1] - lists[0])} any more"
        yield widens("except_addresses", text, sorted(lists[0]), sorted(lists[1]))
    if lists[0] - lists[1]:
        text = f"{whose}it concerns addresses of {quoted(lists[0] - lists[1])}, too"
        yield narrows("except_addresses.less", text, sorted(lists[0]), sorted(lists[1]))
    callers = old.get("except_callers"), new.get("except_callers")
    if callers[0] != callers[1]:
        make = narrows if callers[1] is None else widens
        yield make("except_callers", f"{whose}it does not concern other callers than before", *callers)
    known = {"source", *_WORDS, "hosting", "unknown", "private", "except_addresses", "except_callers"}
    yield from rest("", whose + "the filter", old, new, known)


def _choice(whose: str, key: str, what: str, old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        make, text = (narrows, "are chosen now") if old is None else (widens, "are not looked at any more")
        yield make(key, f"{whose}{what} {text}", old, new)
        return
    if old.keys() != new.keys() or len(old) != 1:
        yield widens(key, f"{whose}{what} are chosen otherwise", old, new)
        return
    kind = next(iter(old))
    sets = [set(one[kind]) for one in (old, new)]
    added, removed = ({str(item) for item in one} for one in (sets[1] - sets[0], sets[0] - sets[1]))
    pair = sorted(sets[0], key=str), sorted(sets[1], key=str)
    if added:
        make, text = (widens, "may come in, too") if kind == "allow" else (narrows, "are kept out")
        yield make(f"{key}.{kind}", f"{whose}{what} {quoted(added)} {text}", *pair)
    if removed:
        make, text = (
            (narrows, "may not any more") if kind == "allow" else (widens, "are not kept out any more")
        )
        yield make(f"{key}.{kind}.less", f"{whose}{what} {quoted(removed)} {text}", *pair)


def databases(old: Document | None, new: Document | None, guarded: bool = False) -> Iterator[Change]:
    """What says where addresses are; `guarded`: logins are, which count autonomous systems where they are known. What stands in the files is not looked at: it changes without a reload."""
    if old == new:
        return
    if guarded and new is None and old is not None and old.get("asn"):
        text = "geo: guarded logins do not count autonomous systems any more"
        yield widens("geo.asn", text, old["asn"], None)
    if old is None or new is None:
        # Whatever asks them changes as well.
        yield moves("geo", "there are databases of places " + ("now" if old is None else "no more"), old, new)
        return
    for key in ("country", "asn", "anonymous"):
        if old.get(key) != new.get(key):
            yield widens(f"geo.{key}", f"geo: `{key}` is another database", old.get(key), new.get(key))
    hosting = [set(one.get("hosting_asns", [])) for one in (old, new)]
    pair = sorted(hosting[0], key=str), sorted(hosting[1], key=str)
    if hosting[0] - hosting[1]:
        text = "geo: fewer autonomous systems are those of hosting providers"
        yield widens("geo.hosting_asns", text, *pair)
    if hosting[1] - hosting[0]:
        text = "geo: more autonomous systems are those of hosting providers"
        yield narrows("geo.hosting_asns.more", text, *pair)
    if old.get("unavailable") != new.get("unavailable"):
        make = widens if new.get("unavailable") == "unknown" else narrows
        text = f"geo: databases that were never read are {new.get('unavailable') or 'refusing'}"
        yield make("geo.unavailable", text, old.get("unavailable"), new.get("unavailable"))
    yield from moved(
        "geo.max_age_s", "geo: the age beyond which it is reported", old["max_age_s"], new["max_age_s"], None
    )
    known = {"country", "asn", "anonymous", "hosting_asns", "unavailable", "max_age_s"}
    yield from rest("geo", "geo", old, new, known)
