"""Guarded logins in two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.filters.login_guard import text
from yett.config.login_challenge import text as work
from yett.policy.diff.change import Change, at, bound, flag, narrows, rest, subset, widens

Document = dict[str, Any]
KNOWN = (
    "kind", "account", "password", "failed", "passed", "window_ms", "thresholds", "slow_ms", "ban_ms", "except", "shadow",
    "challenge",
)  # fmt: skip
CHALLENGE = ("at", "difficulty", "holds_ms", "attempts", "refuse_others", "secret")
THRESHOLDS = ("accounts", "failures", "guesses", "per_account", "per_fingerprint", "per_password", "per_asn")
PER_ASN = 100


def login_guard(old: Document | None, new: Document | None) -> Iterator[Change]:
    """More attempts, shorter waits and more exceptions widen; so does another reading of what an attempt is."""
    if old is None or new is None:
        if old is not None:
            yield widens("", f"nobody watches logins any more: {text(old)}", old, None)
        elif new is not None:
            yield narrows("", f"logins are watched: {text(new)}", None, new)
        return
    for key in ("kind", "account"):
        if old.get(key) != new.get(key):
            yield widens(key, f"logins: `{key}` is read otherwise", old.get(key), new.get(key))
    yield from _failed(old.get("failed"), new.get("failed"))
    yield from _passed(old.get("passed"), new.get("passed"))
    before, after = old.get("password"), new.get("password")
    if before != after:
        make = narrows if before is None else widens
        seen = (
            "one password on many accounts is seen now"
            if before is None
            else (
                "one password on many accounts is not seen any more"
                if after is None
                else "logins: the password is read from another place"
            )
        )
        yield make("password", seen, before, after)
    for key, unit, what in (("window_ms", "window", "the time in which failures fade"), ("slow_ms", "slow", "how long a suspicious attempt waits"), ("ban_ms", "ban", "how long an address is banned")):  # fmt: skip
        if old[key] != new[key]:
            make = narrows if new[key] > old[key] else widens
            yield make(unit, f"{what}: {_span(old[key])} before, {_span(new[key])} now", old[key], new[key])
    for key in THRESHOLDS:
        limits = [one["thresholds"].get(key, PER_ASN) for one in (old, new)]
        yield from bound(f"thresholds.{key}", f"the threshold `{key}` of logins", *limits)
    yield from at(
        "thresholds", rest("", "thresholds of logins", old["thresholds"], new["thresholds"], THRESHOLDS)
    )
    yield from subset(
        "exceptions", "networks that are not guarded against", old.get("except", ()), new.get("except", ())
    )
    yield from at("challenge", _challenge(old.get("challenge"), new.get("challenge")))
    yield from flag(
        "shadow", "logins are guarded, no longer in shadow", "logins are guarded in shadow only",
        not old.get("shadow"), not new.get("shadow"),
    )  # fmt: skip
    yield from rest("", "how logins are guarded", old, new, KNOWN)


def _challenge(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Work stands in for a wait, and for a refusal: neither to ask for it nor not to is narrower in every case."""
    if old is None or new is None:
        if new is not None:
            yield widens(
                "", f"browsers that calculate get in where they were refused: {work(new)}", None, new
            )
        elif old is not None:
            yield widens("", f"browsers do not calculate any more before they try: {work(old)}", old, None)
        return
    if old["at"] != new["at"]:
        what = "browsers calculate" if new["at"] < old["at"] else "browsers try without calculating"
        yield widens("at", f"from a score of {min(old['at'], new['at'])} on {what} in place of what they did", old["at"], new["at"])  # fmt: skip
    if old["difficulty"] != new["difficulty"]:
        make = narrows if new["difficulty"] > old["difficulty"] else widens
        amount = f"{old['difficulty']} before, {new['difficulty']} now"
        yield make("difficulty", f"keys that browsers derive: {amount}", old["difficulty"], new["difficulty"])
    if old["holds_ms"] != new["holds_ms"]:
        make = narrows if new["holds_ms"] < old["holds_ms"] else widens
        spans = f"{_span(old['holds_ms'])} before, {_span(new['holds_ms'])} now"
        yield make("holds", f"how long a proof counts: {spans}", old["holds_ms"], new["holds_ms"])
    yield from bound("attempts", "attempts that a proof is good for", old["attempts"], new["attempts"])
    yield from flag(
        "others", "suspicious attempts that are no browser's are refused", "suspicious attempts that are no browser's wait only",
        old["refuse_others"], new["refuse_others"],
    )  # fmt: skip
    before, after = old.get("secret"), new.get("secret")
    if before != after:
        make = narrows if after is None else widens
        yield make("secret", "whose proofs count beside those of this instance is different", before, after)
    yield from rest("", "what browsers calculate", old, new, CHALLENGE)


def _failed(old: Document | None, new: Document | None) -> Iterator[Change]:
    """What says no in addition to what did narrows; anything else may be read as a success now."""
    if old == new:
        return
    before, after = old or {}, new or {}
    more = set(before.get("status", ())) <= set(after.get("status", ()))
    more &= all(key not in before or before[key] == after.get(key) for key in ("header", "body"))
    if more and not (before.keys() | after.keys()) - {"status", "header", "body"}:
        yield narrows("failed", "logins: more answers say that one failed", old, new)
    else:
        yield widens("failed", "logins: `failed` is read otherwise", old, new)


def _passed(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Whatever else has to be there narrows; anything else may be read as a success now."""
    if old is None and new is not None:
        yield narrows("passed", "logins: a success has to have something in its body", old, new)
    elif old is not None and new is None:
        yield widens("passed", "logins: a success need have nothing in its body any more", old, new)
    elif old != new:
        yield widens("passed", "logins: `passed` is read otherwise", old, new)


def _span(milliseconds: int) -> str:
    """As one writes it in a configuration: `15m`."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds % size == 0 and (milliseconds or unit == "s"):
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
