"""Two whole configurations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from yett.config.base import listed
from yett.config.gateway import PRODUCTION
from yett.policy.diff import addresses, listeners, places, process, providers, services
from yett.policy.diff.change import Change, Kind, accounted, moved, moves, named, rest, widens
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
    defined = _Defined(old, new)
    once = {one.id: one for one in map(defined.told, found)}
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


class _Defined:
    """What is new and has a name. Whoever allows that it is used allows what it is: an id stands for both."""

    def __init__(self, old: Document, new: Document) -> None:
        self.parts: dict[str, Any] = {}
        for key in ("services", "providers", "address_lists"):
            before, after = named(old.get(key, [])), named(new.get(key, []))
            for name in after.keys() - before.keys():
                self.parts.setdefault(name, []).append(after[name])
        secrets = {name: new["secrets"][name] for name in new["secrets"].keys() - old["secrets"].keys()}
        for name, parts in self.parts.items():
            text = json.dumps(parts)
            parts.append(
                {
                    key: value
                    for key, value in secrets.items()
                    if json.dumps(key) in text or f".{name}." in key
                }
            )

    def told(self, change: Change) -> Change:
        """The same, with what it names."""
        if change.kind is not Kind.WIDENS or not self.parts:
            return change
        content = json.dumps([change.text, change.old, change.new])
        named_here = {name: parts for name, parts in sorted(self.parts.items()) if name in content}
        return replace(change, new=[change.new, named_here]) if named_here else change


def _environment(old: str | None, new: str | None) -> Iterator[Change]:
    if old == new:
        return
    if old == PRODUCTION:
        text = f"the environment is {f'`{new}`' if new else 'not said'}, no more `{PRODUCTION}`: what has to be there in production may be missing"
        yield widens("environment", text, old, new)
    else:
        yield moves("environment", "`environment` is different", old, new)


def _all(old: Document, new: Document) -> Iterator[Change]:
    yield from Routes(old, new).compare()
    yield from providers.compare(old, new)
    yield from _secrets(old["secrets"], new["secrets"])
    yield from listeners.compare(old, new)
    yield from services.compare(old, new)
    yield from process.compare(old, new)
    yield from addresses.lists(old, new)
    guarded = any("login_guard" in route for route in new["routes"])
    yield from places.databases(old.get("geo"), new.get("geo"), guarded)
    yield from _environment(old.get("environment"), new.get("environment"))
    for key in ("zone", "challenges"):
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
