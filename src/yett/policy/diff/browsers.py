"""What pages of other origins may do: two readings of a route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.origin import covers
from yett.policy.diff.change import Change, flag, moves, narrows, quoted, rest, subset, widens

Document = dict[str, Any]
_KNOWN = ("origins", "methods", "headers", "expose", "credentials", "max_age_s", "private_network")


def cors(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Without `cors` requests of every page reach the service, and what it says of pages passes: so it widens both ways."""
    if old is None or new is None:
        if new is not None:
            yield widens("", f"pages of {quoted(new['origins'])} may read its answers", old, new)
        elif old is not None:
            yield widens(
                "", "requests of every page reach the service, which says itself who may read", old, new
            )
        return
    yield from _origins(old["origins"], new["origins"])
    yield from subset("methods", "methods that foreign pages may use", old["methods"], new["methods"])
    yield from subset("headers", "header fields that foreign pages may send", old["headers"], new["headers"])
    yield from subset("expose", "header fields that foreign pages may read", old["expose"], new["expose"])
    yield from flag(
        "credentials", "foreign pages act without cookies now", "foreign pages act with cookies and certificates now",
        not old["credentials"], not new["credentials"],
    )  # fmt: skip
    yield from flag(
        "private_network", "pages of public networks may not use it any more", "pages of public networks may use it now",
        not old["private_network"], not new["private_network"],
    )  # fmt: skip
    if old["max_age_s"] != new["max_age_s"]:
        pair = old["max_age_s"], new["max_age_s"]
        yield moves("max_age", f"browsers remember a preflight for {pair[1]} s, before {pair[0]} s", *pair)
    yield from rest("", "what foreign pages may do", old, new, _KNOWN)


def _beyond(these: set[str], others: set[str]) -> set[str]:
    """Those that none of the others covers."""
    return {
        one
        for one in these
        if not any(covers(wide, one) or (wide == "any" and one != "null") for wide in others)
    }


def _origins(old: list[str], new: list[str]) -> Iterator[Change]:
    """Pages of other origins; `any` is all but those without one."""
    before, after = set(old), set(new)
    if before == after:
        return
    pair = sorted(before), sorted(after)
    fresh, gone = _beyond(after, before), _beyond(before, after)
    if fresh:
        yield widens("origins", f"pages of {quoted(fresh)} may use it, too", *pair)
    if gone:
        yield narrows("origins.less", f"pages of {quoted(gone)} may not use it any more", *pair)
    if not fresh and not gone:
        yield moves("origins", "the same pages may use it, written otherwise", *pair)


def csrf(old: Document | None, new: Document | None) -> Iterator[Change]:
    """A session asks for a page of its own host by itself, so one that names others widens what was there without."""
    if old is None or new is None:
        if new is not None and (new["origins"] or new["referer"] or new.get("token")):
            yield widens(
                "",
                f"pages of {quoted(new['origins']) or 'the host, by Referer or token,'} may write with a session",
                old,
                new,
            )
        elif new is not None:
            yield narrows("", "writes have to come from a page of the same host", old, new)
        elif old is not None:
            yield widens("", "nobody asks any more from whose page a write comes", old, new)
        return
    yield from _origins(old["origins"], new["origins"])
    if old["referer"] != new["referer"]:
        # Where it counts, a program that sends one of a foreign page is refused; where it does not, nothing is said.
        text = (
            "`Referer` may say whose page it is"
            if new["referer"]
            else "`Referer` says no more whose page it is, not of a foreign one either"
        )
        yield widens("referer", text, old["referer"], new["referer"])
    before, after = old.get("token"), new.get("token")
    if before != after:
        # A token lets in browsers that say nothing; `always` keeps out pages that send none.
        make = narrows if (before, after) in {("needed", "always"), ("needed", None)} else widens
        yield make("token", f"a token of the session counts {after or 'no more'}", before, after)
    before, after = old.get("form"), new.get("form")
    if before != after:
        make = narrows if after is None else widens
        text = (
            "forms have no token of the session any more"
            if after is None
            else f"field `{after}` of forms may have the token of the session, and services are told it"
        )
        yield make("form", text, before, after)
    yield from rest("", "from whose pages writes may come", old, new, ("origins", "referer", "token", "form"))
