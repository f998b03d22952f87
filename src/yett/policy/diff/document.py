"""Two whole configurations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from yett.config.base import listed
from yett.policy.diff import addresses, listeners, places, process, providers, services
from yett.policy.diff.change import Change, Kind, accounted, moved, moves, rest, widens
from yett.policy.diff.routes import Routes

Document = dict[str, Any]
CERTIFICATE = {"use": None, "owner": None, "subject": None, "serial": None, "not_after_s": None}
IDENTITY = {
    "issuer": None,
    "keys": [{"id": None, "algorithm": None, "secret": None, "index": None, "from_s": None}],
}
PARTS = {
    "routes", "providers", "secrets", "listeners", "services", "access_log", "decision_log", "admin", "state", "dpop", "security_events",
    "security_headers", "process", "environment", "zone", "identity", "challenges", "certificates", "address_lists", "geo",
}  # fmt: skip


def compare(old: Document, new: Document) -> list[Change]:
    """Every difference once, those that widen first."""
    found = accounted("configuration", "the configuration", old, new, _all(old, new))
    once = {one.id: one for one in found}
    return ordered(_together(once.values()))


def ordered(changes: Iterable[Change]) -> list[Change]:
    """Those that widen first."""
    kinds = list(Kind)
    return sorted(changes, key=lambda one: (kinds.index(one.kind), one.where))


def _together(changes: Iterable[Change]) -> Iterator[Change]:
    """The same difference of several routes, as that of their group, is one."""
    groups: dict[str, list[Change]] = {}
    for one in changes:
        mark = f"route `{one.route}`: "
        same = one.route is not None and one.text.startswith(mark)
        where, text = one.where.removeprefix(f"routes.{one.route}"), one.text.removeprefix(mark)
        key = json.dumps([one.kind, where, text, one.old, one.new], sort_keys=True) if same else one.id
        groups.setdefault(key, []).append(one)
    for found in groups.values():
        first = found[0]
        if len(found) == 1:
            yield first
            continue
        names = sorted(str(one.route) for one in found)
        text = first.text.removeprefix(f"route `{first.route}`: ")
        where = f"routes{first.where.removeprefix(f'routes.{first.route}')}"
        yield replace(
            first, where=where, text=f"{len(names)} routes ({listed(names)}): {text}", names=tuple(names)
        )


def _all(old: Document, new: Document) -> Iterator[Change]:
    yield from Routes(old, new).compare()
    yield from providers.compare(old, new)
    yield from _secrets(old["secrets"], new["secrets"])
    yield from listeners.compare(old, new)
    yield from services.compare(old, new)
    yield from process.compare(old, new)
    yield from addresses.lists(old, new)
    yield from places.databases(old.get("geo"), new.get("geo"))
    for key in ("environment", "zone", "challenges"):
        yield from moved(key, f"`{key}` is different", old.get(key), new.get(key), None)
    text = "what assertions of identity are signed with"
    yield from moved("identity", text, old.get("identity"), new.get("identity"), IDENTITY)
    text = "other certificates are in use"
    yield from moved("certificates", text, old.get("certificates"), new.get("certificates"), [CERTIFICATE])
    yield from rest("", "the configuration", old, new, PARTS)


OURS = ("listeners.", "services.", "identity.")
"""Secrets by which others know the gateway. Who knows one of the others is let in."""


def _secrets(old: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    """Another secret at the same place. One that is new or gone goes with what names it."""
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        if name.startswith(OURS):
            yield moves(f"secrets.{name}", f"the secret `{name}` is another one", old[name], new[name])
        else:
            text = f"the secret `{name}` is another one, and others may know it"
            yield widens(f"secrets.{name}", text, old[name], new[name])
