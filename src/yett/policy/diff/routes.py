"""Routes of two configurations: what they take, who may use them, and where requests go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from yett.config.base import listed
from yett.policy.diff import effects, policy
from yett.policy.diff.change import Change, Kind, accounted, at, moves, named, narrows, rest, subset, widens
from yett.policy.diff.overlap import first_segment, hosts, overlaps, precedes

Document = dict[str, Any]
MATCH = ("match", "listeners", "path_allow")


class Routes:
    """The comparison."""

    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = named(old["routes"]), named(new["routes"])
        self.sheds = old["process"].get("load_shedding_ms") is not None
        self.kinds = {
            provider["name"]: provider["type"]
            for document in (old, new)
            for provider in document["providers"]
        }

    def compare(self) -> Iterator[Change]:
        """Every difference of routes."""
        renamed = dict(self._renamed())
        for name, before in self.old.items():
            route = _neutral(before, renamed[name]) if name in renamed else before
            other = self.new.get(name) or self.new.get(renamed.get(name, ""))
            if other is None:
                yield narrows(f"routes.{name}", f"route `{name}` is gone", route, None)
                yield from at(f"routes.{name}", self._fall_through(route))
                continue
            if name in renamed:
                text, reads = f"route `{name}` is called `{renamed[name]}` now", policy.reads_route(route)
                told = widens if reads else moves
                text += ", and a condition of it reads `route`" if reads else ""
                yield told(f"routes.{name}.name", text, name, renamed[name])
            label = other["name"]
            same = {**route, "name": label}
            if same == other:
                continue  # nothing below reads more than the two
            found = accounted("", "it", same, other, self._route(route, other))
            for one in at(f"routes.{label}", found, label):
                yield replace(one, text=f"route `{label}`: {one.text}")
        for name in sorted(self.new.keys() - self.old.keys() - set(renamed.values())):
            route = self.new[name]
            text = f"route `{name}` is new: {' '.join(route['match']['methods'])} {route['match']['path']}"
            yield replace(widens(f"routes.{name}", text, None, route), route=name)

    def _renamed(self) -> Iterator[tuple[str, str]]:
        """Routes that are the same but for their names."""
        added = {_content(self.new[name]): name for name in sorted(self.new.keys() - self.old.keys())}
        for name in sorted(self.old.keys() - self.new.keys()):
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
        yield from effects.compare(old, new, self.sheds)
        known = {*policy.FIELDS, *MATCH, *effects.FIELDS, "name", "group"}
        yield from rest("", "the route", old, new, known)

    def _match(self, old: Document, new: Document) -> Iterator[Change]:
        before, after = old["match"], new["match"]
        if before["path"] != after["path"]:
            yield widens(
                "path", f"it takes {after['path']}, before {before['path']}", before["path"], after["path"]
            )
            yield from self._fall_through(old, besides=new["name"])
        yield from hosts(before["hosts"], after["hosts"])
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
        yield from rest(
            "match", "what it takes", before, after, {"path", "hosts", "methods", "headers", "query"}
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
                yield from self._goes(other, new, None, joins=True)

    def _goes(
        self, old: Document, other: Document, methods: set[str] | None, joins: bool = False
    ) -> Iterator[Change]:
        """What becomes of requests of an old route that a new one may take: those with its methods, and where nothing
        keeps its place or the new one joins it, those with others or without its conditions, which were refused there.
        `methods` are all that it takes no more, where it keeps its place.
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
        if why is None and methods is None and (joins or not same):
            if theirs - own:
                why = f"{listed(sorted(theirs - own))} was not allowed there"
            elif any(
                not old["match"][key].items() <= other["match"][key].items() for key in ("headers", "query")
            ):
                why = "those without its header fields or parameters were refused there"
        if why:
            text = f"requests that `{old['name']}` took or refused may go to `{other['name']}`: {why}"
            found = widens(f"falls_to.{other['name']}", text, old, other)
            yield replace(found, route=other["name"])

    def _before(self, other: Document, old: Document) -> bool:
        """Whether another route had before, too, whatever both could take."""
        then = self.old.get(other["name"])
        return then is not None and all(then[key] == other[key] for key in MATCH) and precedes(other, old)

    def _near(self, old: Document) -> list[Document]:
        """Routes of the new configuration whose first segment could be the same."""
        index = self._firsts()
        first = first_segment(old)
        if first is None:
            return list(self.new.values())
        return [*index.get(first, ()), *index.get(None, ())]

    def _firsts(self) -> dict[str | None, list[Document]]:
        if not hasattr(self, "_by_first"):
            self._by_first: dict[str | None, list[Document]] = {}
            for route in self.new.values():
                self._by_first.setdefault(first_segment(route), []).append(route)
        return self._by_first


def _content(route: Document) -> str:
    return json.dumps({**_neutral(route, "*"), "name": None}, sort_keys=True)


def _neutral(route: Document, name: str) -> Document:
    """A route whose limits and rules stand where those of another name stand."""
    own = str(route["name"])
    found = dict(route)
    for key in ("rate_limits", "address_limits", "concurrency_limits", "quotas"):
        if key in route:
            found[key] = [_limit(one, own, name) for one in route[key]]
    if "shadow_limits" in route:
        found["shadow_limits"] = [_tried(one, own, name) for one in route["shadow_limits"]]
    for key in ("tenants", "deny", "limit_classes", "address_filters", "geo_filters"):
        if key in route:
            found[key] = [_sourced(one, own, name) for one in route[key]]
    if "shadow" in route:
        tried = route["shadow"].items()
        found["shadow"] = {kind: [_sourced(one, own, name) for one in rules] for kind, rules in tried}
    if "external_authorization" in route:
        found["external_authorization"] = _sourced(route["external_authorization"], own, name)
    if isinstance(route["access"], dict):
        who = route["access"]["authenticated"]
        rules = [_sourced(one, own, name) for one in who["rules"]]
        found["access"] = {**route["access"], "authenticated": {**who, "rules": rules}}
    return found


def _limit(limit: Document, own: str, name: str) -> Document:
    found = {**limit, "scope": _place(limit["scope"], f"route:{own}", f"route:{name}")}
    if "class" in found:
        found["class"] = _place(found["class"], f"route {own}", f"route {name}")
    if "except" in found:
        found["except"] = [_place(other, f"route {own}", f"route {name}") for other in found["except"]]
    return found


def _tried(one: Document, own: str, name: str) -> Document:
    """A limit in shadow."""
    limit = {
        kind: {
            "limits": [_limit(rate, own, name) for rate in part["limits"]],
            "classes": [_sourced(rule, own, name) for rule in part.get("classes", ())],
        }
        if kind == "rate"
        else _limit(part, own, name)
        for kind, part in one["limit"].items()
    }
    return {**_sourced(one, own, name), "limit": limit}


def _sourced(one: Document, own: str, name: str) -> Document:
    return {**one, "source": _place(one["source"], f"route {own}", f"route {name}")}


def _place(place: str, own: str, other: str) -> str:
    return (
        other + place.removeprefix(own) if place == own or place.startswith((f"{own} ", f"{own}:")) else place
    )
