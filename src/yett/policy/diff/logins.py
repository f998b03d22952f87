"""Guarded logins in two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.filters.login_guard import text
from yett.policy.diff.change import Change, at, bound, flag, narrows, rest, subset, widens

Document = dict[str, Any]
KNOWN = (
    "kind", "account", "password", "failed", "window_ms", "thresholds", "slow_ms", "ban_ms", "except", "shadow",
)  # fmt: skip
THRESHOLDS = ("accounts", "failures", "guesses", "per_account", "per_fingerprint", "per_password")


def login_guard(old: Document | None, new: Document | None) -> Iterator[Change]:
    """More attempts, shorter waits and more exceptions widen; so does another reading of what an attempt is."""
    if old is None or new is None:
        if old is not None:
            yield widens("", f"nobody watches logins any more: {text(old)}", old, None)
        elif new is not None:
            yield narrows("", f"logins are watched: {text(new)}", None, new)
        return
    for key in ("kind", "account", "failed"):
        if old.get(key) != new.get(key):
            yield widens(key, f"logins: `{key}` is read otherwise", old.get(key), new.get(key))
    before, after = old.get("password"), new.get("password")
    if before != after:
        make = narrows if before is None else widens
        yield make(
            "password", "whether one password is tried on many accounts is seen otherwise", before, after
        )
    for key, unit, what in (("window_ms", "window", "the time in which failures fade"), ("slow_ms", "slow", "how long a suspicious attempt waits"), ("ban_ms", "ban", "how long an address is banned")):  # fmt: skip
        if old[key] != new[key]:
            make = narrows if new[key] > old[key] else widens
            yield make(unit, f"{what}: {old[key]} ms before, {new[key]} ms now", old[key], new[key])
    for key in THRESHOLDS:
        limits = old["thresholds"][key], new["thresholds"][key]
        yield from bound(f"thresholds.{key}", f"the threshold `{key}` of logins", *limits)
    yield from at(
        "thresholds", rest("", "thresholds of logins", old["thresholds"], new["thresholds"], THRESHOLDS)
    )
    yield from subset(
        "exceptions", "networks that are not guarded against", old.get("except", ()), new.get("except", ())
    )
    yield from flag(
        "shadow", "logins are guarded, no longer in shadow", "logins are guarded in shadow only",
        not old.get("shadow"), not new.get("shadow"),
    )  # fmt: skip
    yield from rest("", "how logins are guarded", old, new, KNOWN)
