"""Routes of two configurations: what they take, who may use them, and where requests go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from yett.config.base import listed
from yett.policy.diff import policy
from yett.policy.diff.change import Change, Kind, at, bound, moves, narrows, rest, subset, widens

Document = dict[str, Any]
MATCH = ("match", "listeners", "path_allow")
EFFECTS = (
    "action",
    "rewrite",
    "request_headers",
    "response_headers",
    "security_headers",
    "mirror",
    "timeouts",
)
HARMLESS = ("priority", "early_hints", "unlisted")


class Routes:
    """The comparison."""

    def __init__(self, old: Document, new: Document) -> None:
        self.old = {route["name"]: route for route in old["routes"]}
        self.new = {route["name"]: route for route in new["routes"]}
        self.kinds = {
            provider["name"]: provider["type"]
            for document in (old, new)
            for provider in document["providers"]
        }
        self._index: dict[int, list[Document]] | None = None

    def compare(self) -> Iterator[Change]:
        """Every difference of routes."""
        renamed = dict(self._renamed())
        for name, route in self.old.items():
            other = self.new.get(name) or self.new.get(renamed.get(name, ""))
            if other is None:
                yield narrows(f"routes.{name}", f"route `{name}` is gone", _shown(route), None)
                yield from at(f"routes.{name}", self._fall_through(route))
                continue
            if name in renamed:
                yield moves(
                    f"routes.{name}.name",
                    f"route `{name}` is called `{renamed[name]}` now",
                    name,
                    renamed[name],
                )
            label = other["name"]
            yield from (_named(one, label) for one in at(f"routes.{label}", self._route(route, other), label))
        for name in self.new.keys() - self.old.keys() - set(renamed.values()):
            route = self.new[name]
            text = f"route `{name}` is new: {' '.join(route['match']['methods'])} {route['match']['path']}"
            yield replace(widens(f"routes.{name}", text, None, _shown(route)), route=name)

    def _renamed(self) -> Iterator[tuple[str, str]]:
        """Routes that are the same but for their names."""
        added = {_content(self.new[name]): name for name in self.new.keys() - self.old.keys()}
        for name in self.old.keys() - self.new.keys():
            other = added.pop(_content(self.old[name]), None)
            if other is not None:
                yield name, other

    def _route(self, old: Document, new: Document) -> Iterator[Change]:
        shrinks: set[str] = set()
        for one in self._match(old, new):
            if one.kind is Kind.NARROWS:
                shrinks.add(one.where)
            yield one
        if shrinks:
            # a place that stands goes on answering 405 to other methods
            fewer = set(old["match"]["methods"]) - set(new["match"]["methods"])
            yield from self._fall_through(old, new["name"], fewer if shrinks == {"methods.less"} else None)
        if shrinks & {"hosts", "hosts.less", "match.headers", "match.query"}:
            yield from self._rises(old, new)
        yield from policy.compare(old, new, self.kinds)
        yield from self._effects(old, new)
        known = {*policy.FIELDS, *MATCH, *EFFECTS, *HARMLESS, "name", "group"}
        yield from rest("", "the route", old, new, known)

    def _match(self, old: Document, new: Document) -> Iterator[Change]:
        before, after = old["match"], new["match"]
        if before["path"] != after["path"]:
            yield widens(
                "path", f"it takes {after['path']}, before {before['path']}", before["path"], after["path"]
            )
            yield from self._fall_through(old, besides=new["name"])
        yield from _hosts(before["hosts"], after["hosts"])
        yield from subset("methods", "methods", before["methods"], after["methods"])
        yield from subset("listeners", "listeners", old["listeners"], new["listeners"])
        yield from subset("path_allow", "unusual paths", old["path_allow"], new["path_allow"])
        for key in ("headers", "query"):
            if before[key] == after[key]:
                continue
            more = before[key].items() <= after[key].items()
            make, text = (
                (narrows, "more is asked for") if more else (widens, "less or something else is asked for")
            )
            yield make(
                f"match.{key}",
                f"{text} in the {key if key == 'query' else 'header fields'} that it takes",
                before[key],
                after[key],
            )

    def _fall_through(
        self, old: Document, besides: str | None = None, methods: set[str] | None = None
    ) -> Iterator[Change]:
        """What a route takes no more, another one may take."""
        for other in self._near(old):
            if other["name"] not in {besides, old["name"]} and not self._before(other, old):
                yield from self._goes(old, other, methods)

    def _rises(self, old: Document, new: Document) -> Iterator[Change]:
        """A route whose hosts or conditions are more precise goes before others that went before it."""
        for other in self.old.values():
            if other["name"] != old["name"] and not precedes(old, other):
                yield from self._goes(other, new, None)

    def _goes(self, old: Document, other: Document, methods: set[str] | None) -> Iterator[Change]:
        """What becomes of requests of an old route that a new one may take: those with its methods, and where nothing
        keeps its place, those with others, which were 405 there. `methods` are all that it takes no more, where it keeps it.
        """
        if not overlaps(old, other):
            return
        theirs = set(other["match"]["methods"])
        same = all(old["match"][key] == other["match"][key] for key in ("hosts", "path"))
        own = set(old["match"]["methods"]) if methods is None else methods
        why = None
        if theirs & own:
            worse = [one for one in policy.compare(old, other, self.kinds) if one.kind is Kind.WIDENS]
            why = (
                worse[0].text if worse else "it goes elsewhere" if old["action"] != other["action"] else None
            )
        if why is None and methods is None and not same and theirs - own:
            why = f"{listed(sorted(theirs - own))} was not allowed there"
        if why:
            text = f"requests that `{old['name']}` took or refused may go to `{other['name']}`: {why}"
            found = widens(f"falls_to.{other['name']}", text, _shown(old), _shown(other))
            yield replace(found, route=other["name"])

    def _before(self, other: Document, old: Document) -> bool:
        """Whether another route had before, too, whatever both could take."""
        then = self.old.get(other["name"])
        return then is not None and all(then[key] == other[key] for key in MATCH) and precedes(other, old)

    def _near(self, old: Document) -> list[Document]:
        """Routes of the new configuration whose first segment could be the same."""
        index = self._firsts()
        first = _first(old)
        if first is None:
            return list(self.new.values())
        return [*index.get(first, ()), *index.get(None, ())]

    def _firsts(self) -> dict[str | None, list[Document]]:
        if not hasattr(self, "_by_first"):
            self._by_first: dict[str | None, list[Document]] = {}
            for route in self.new.values():
                self._by_first.setdefault(_first(route), []).append(route)
        return self._by_first

    def _effects(self, old: Document, new: Document) -> Iterator[Change]:
        yield from _action(old["action"], new["action"])
        if old["rewrite"] != new["rewrite"]:
            yield widens("rewrite", "the service sees another path", old["rewrite"], new["rewrite"])
        if old["request_headers"] != new["request_headers"]:
            yield widens(
                "request_headers",
                "the service sees other header fields",
                old["request_headers"],
                new["request_headers"],
            )
        if old["response_headers"] != new["response_headers"]:
            yield moves(
                "response_headers",
                "the client sees other header fields",
                old["response_headers"],
                new["response_headers"],
            )
        before, after = old.get("security_headers"), new.get("security_headers")
        if before != after:
            make = narrows if before is None else widens
            yield make("security_headers", "browsers are told other things", before, after)
        if old.get("mirror") != new.get("mirror"):
            mirror = new.get("mirror")
            text = f"`{mirror['service']}` gets copies" if mirror else "no service gets copies any more"
            yield (widens if mirror else narrows)("mirror", text, old.get("mirror"), mirror)
        for key in ("timeouts", *HARMLESS):
            if old.get(key) != new.get(key):
                yield moves(key, f"`{key}` is different", old.get(key), new.get(key))


def _named(change: Change, route: str) -> Change:
    return replace(change, text=f"route `{route}`: {change.text}")


def _shown(route: Document) -> Document:
    return {key: route[key] for key in ("match", "listeners", "access")}


def _content(route: Document) -> str:
    import json

    plain = json.loads(json.dumps(route))
    name = plain.pop("name")
    return (
        json.dumps(plain, sort_keys=True)
        .replace(f"route {name}", "route *")
        .replace(f"route:{name}", "route:*")
    )


def _hosts(old: list[str] | None, new: list[str] | None) -> Iterator[Change]:
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


def _covers(wide: str, host: str) -> bool:
    if wide == host:
        return True
    return wide.startswith("*.") and host.removeprefix("*").endswith(wide[1:]) and host != wide[2:]


def _action(old: Document, new: Document) -> Iterator[Change]:
    if old == new:
        return
    before, after = ({one["service"] for one in action.get("forward", [])} for action in (old, new))
    if after - before:
        yield widens("service", f"requests reach {listed(sorted(after - before))}", old, new)
    elif before - after and after:
        yield narrows("service", f"requests do not reach {listed(sorted(before - after))} any more", old, new)
    else:
        yield moves("action", "what becomes of allowed requests is different", old, new)


def overlaps(one: Document, other: Document) -> bool:
    """Whether some request could be taken by both, as far as hosts, paths and listeners say."""
    mine, theirs = one["match"], other["match"]
    return (
        bool(set(one["listeners"]) & set(other["listeners"]))
        and _hosts_overlap(mine["hosts"], theirs["hosts"])
        and _paths_overlap(mine["path"].split("/")[1:], theirs["path"].split("/")[1:])
    )


def precedes(one: Document, other: Document) -> bool:
    """Whether the router asks the first one first for every request that both could take: its host is more precise, or of
    the same hosts its path is, segment by segment: a literal, then a variable, then the rest."""
    mine, theirs = one["match"], other["match"]
    if mine["hosts"] != theirs["hosts"]:
        return theirs["hosts"] is None
    for first, second in zip(mine["path"].split("/"), theirs["path"].split("/"), strict=False):
        if _rank(first) != _rank(second):
            return _rank(first) < _rank(second)
    return False


def _rank(segment: str) -> int:
    return 2 if segment.endswith("...}") else 1 if segment.startswith("{") else 0


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


def _first(route: Document) -> str | None:
    first = route["match"]["path"].split("/")[1]
    return None if first.startswith("{") else str(first)


__all__ = ["Routes", "bound", "overlaps"]
