"""A new authority for clients takes the place of an old one: who passes at which step, and what becomes of open connections."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from yett.control.rehearse.authority import Authority, Issued
from yett.control.rehearse.cases import SERVED, Played, Stage, load
from yett.control.rehearse.scratch import CLOSED, Scratch, Trust, politely_closed

_NAME = "yett-rehearsal.invalid"
_UNKNOWN = "the gateway refuses: client_certificate_unknown_ca"
_UNLISTED = "the gateway refuses: client_certificate_unlisted"


def rollover(
    scratch: Scratch, listener: str, clients: dict[str, Any], now: datetime, timeout: float
) -> Iterator[Played]:
    """Old authority; both; only the new one. With revocation lists also the step that is easily forgotten."""
    ours = Stage.built(Authority("yett rehearsal root", now))
    old, new = (Authority(f"yett rehearsal {which} clients", now) for which in ("old", "new"))
    holders = {"old": old.issue("old"), "new": new.issue("new")}
    listed = bool(clients.get("crls"))

    def trust(*authorities: Authority, lists: tuple[Authority, ...] | None = None) -> Trust:
        crls = tuple(one.revoke() for one in (authorities if lists is None else lists)) if listed else ()
        return Trust(clients["mode"], "".join(one.pem for one in authorities), crls)

    steps = [
        ("old authority", trust(old), {"old": SERVED, "new": _UNKNOWN}),
        ("old and new", trust(old, new), {"old": SERVED, "new": SERVED}),
        ("new only", trust(new), {"old": _UNKNOWN, "new": SERVED}),
    ]
    if listed:
        forgot = (
            "old and new, no list of the new",
            trust(old, new, lists=(old,)),
            {"old": SERVED, "new": _UNLISTED},
        )
        steps.insert(1, forgot)
    pair = ours.pair(_NAME)
    idle: tuple[str, ssl.SSLSocket] | None = None
    for step, trusted, expected in steps:
        refused = load(scratch, pair, trusted)
        if refused:
            yield Played(listener, f"rollover, {step}", SERVED, *refused)
            return
        if idle:
            who, connection = idle
            with connection:
                happened = politely_closed(connection, timeout)
            yield Played(
                listener, f"rollover, {step}: a connection of {who} from before", "closes politely", happened
            )
        for who, what in expected.items():
            happened = scratch.ask(_NAME, ours.root.pem, holders[who], CLOSED)
            yield Played(listener, f"rollover, {step}: the {who} certificate", what, happened)
        idle = _idle(scratch, ours, "old" if expected["old"] == SERVED else "new", holders)


def _idle(
    scratch: Scratch, ours: Stage, who: str, holders: dict[str, Issued]
) -> tuple[str, ssl.SSLSocket] | None:
    try:
        return f"the {who} certificate", scratch.connect(_NAME, ours.root.pem, holders[who])
    except OSError:
        return None
