"""Requests by which a widening may show: what the changed part lets through, and what other rules of a route ask for."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from yett.policy.access.classes import Class, Classes
from yett.policy.access.sample import Samples, methods
from yett.policy.diff.change import Change, named
from yett.policy.engine import Question
from yett.policy.needed import rules_of
from yett.policy.testing.principals import TOKENS, put

Document = dict[str, Any]
Callers = tuple[dict[str, Any], ...]
# Values of one claim that are tried beside the first, and networks of one route.
VALUES, NETWORKS = 8, 4


class Questions:
    """Requests for routes of the new configuration."""

    def __init__(self, old: Document, new: Document, now_s: int) -> None:
        self._documents = new, old
        self._routes = [named(document["routes"]) for document in (new, old)]
        self._samples = Samples(new)
        self._providers = named(new["providers"])
        self._now_s = now_s

    def of(self, route: Document, change: Change | None = None) -> Iterator[tuple[str, Question]]:
        """Requests that the route takes with who asks, in words; by callers whose tokens are as a change of their provider
        lets them be.
        """
        places = [(listener, method) for listener in route["listeners"] for method in methods(route)]
        for one, tenant, callers in self._callers(route):
            for varied, words in self._told(callers, change):
                for variant in self._variants(route, varied):
                    for (listener, method), address in itertools.product(places, _addresses(route)):
                        question = self._samples.question(
                            route, method, tenant, variant, (), listener, address
                        )
                        yield one.label + words, replace(question, time_ms=self._now_s * 1000)

    def _callers(self, route: Document) -> Iterator[tuple[Class, str, Callers]]:
        access = route["access"]
        accepted = set(access["authenticated"]["providers"]) if isinstance(access, dict) else set()
        seen: set[Class] = set()
        for document, routes in zip(self._documents, self._routes, strict=True):
            classes = Classes(document, [routes[route["name"]]] if route["name"] in routes else [])
            for one in classes.all:
                known = one.provider is None or (one.provider in accepted and one.provider in self._providers)
                if one in seen or not known:
                    continue
                seen.add(one)
                tenant = classes.tenant(one)
                yield one, tenant, classes.principals(one, tenant)

    def _told(self, callers: Callers, change: Change | None) -> Iterator[tuple[Callers, str]]:
        """Callers whose tokens say what their provider did not let through before."""
        parts = change.where.split(".") if change else []
        if change is None or parts[0] != "identity_providers" or len(parts) < 3:
            yield callers, ""
            return
        provider = self._providers.get(parts[1])
        if (
            provider is None
            or not callers
            or callers[0]["provider"] != parts[1]
            or "claims" not in callers[0]
        ):
            yield callers, ""
            return
        for path, value, words in _claimed(parts[2], change, provider, self._now_s):
            claims: dict[str, Any] = {}
            put(claims, path, value)
            yield ({**callers[0], "claims": {**callers[0]["claims"], **claims}}, *callers[1:]), f", {words}"

    def _variants(self, route: Document, callers: Callers) -> Iterator[Callers]:
        """The callers, with claims that the rules let through, one value after the other; and of another tenant."""
        yield callers
        provider = self._providers.get(callers[0]["provider"]) if callers else None
        if provider is None or provider["type"] not in TOKENS:
            return
        first, rest = callers[0], callers[1:]
        for values in _values_of(route):
            claims = dict(first["claims"])
            for name, value in values.items():
                declared = provider["claims"].get("declared", {}).get(name)
                if declared:
                    put(claims, declared["from"], value)
            yield ({**first, "claims": claims}, *rest)
        tenant = provider["claims"].get("tenant")
        if tenant:
            other: dict[str, Any] = {}
            put(other, tenant, "another-tenant")
            yield ({**first, "claims": {**first["claims"], **other}}, *rest)


def _claimed(
    part: str, change: Change, provider: Document, now_s: int
) -> Iterator[tuple[list[str], Any, str]]:
    """Claims of a token that only the new provider takes: where, what, and in words."""
    if part in {"audience", "audiences"}:
        for one in sorted(set(change.new) - set(change.old)) or ["another"]:
            yield ["aud"], one, f"with a token for `{one}`"
    elif part == "clients":
        for one in sorted(set(change.new) - set(change.old)) or ["another"]:
            yield provider["claims"].get("client") or ["client_id"], one, f"with a token of client `{one}`"
    elif part == "leeway":
        late = change.old + max(1, (change.new - change.old) // 2)
        yield ["exp"], now_s - late, f"with a token that expired {late} s ago"
    elif part == "max_age":
        age = change.old + 1 + provider["leeway_s"]
        yield ["iat"], now_s - age, f"with a token that is {age} s old"


def _addresses(route: Document) -> list[str]:
    """One of nobody, and those that rules of the route name."""
    networks = [network for rule in rules_of(route)["rule"] for network in rule.get("addresses", ())]
    return ["192.0.2.1", *(str(ipaddress.ip_network(network)[0]) for network in networks[:NETWORKS])]


def _values_of(route: Document) -> Iterator[dict[str, Any]]:
    """Values of claims that the rules let through: all the first ones, then each of the others in its turn."""
    choices: dict[str, list[Any]] = {}
    for rule in rules_of(route)["rule"]:
        for claim in rule.get("claims", ()):
            choices.setdefault(claim["name"], []).extend(_values(claim["test"]))
        device = rule.get("device") or {}
        choices.setdefault("device_posture", []).extend(device.get("posture") or [])
    first = {name: values[0] for name, values in choices.items() if values}
    if not first:
        return
    yield first
    for name, values in choices.items():
        yield from ({**first, name: value} for value in values[1:VALUES])


def _values(test: Document) -> list[Any]:
    kind, value = next(iter(test.items()))
    if kind in {"any_of", "numbers"}:
        return list(value)
    if kind == "has_any":
        return [[one] for one in value]
    if kind == "has_all":
        return [list(value)]
    if kind == "range":
        return [one for one in (value.get("at_least"), value.get("at_most")) if one is not None]
    if kind == "none_of":
        return ["another"]
    return [["another"]] if kind == "has_none" else [value]
