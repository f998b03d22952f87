"""An example for each widening: a request that the new configuration lets in and the old one refuses."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from yett.policy.access.classes import Class, Classes
from yett.policy.access.sample import Samples, methods
from yett.policy.diff.change import Change, Kind, example
from yett.policy.engine import Engine, Question, Unanswerable
from yett.policy.needed import rules_of
from yett.policy.testing.principals import TOKENS, put

# Questions for one route at most: a diff of many is still read by people.
MOST = 600
# Routes that are asked about: of a configuration that is all new, the first ones show enough.
ROUTES = 50
# Requests in a row at most, for a limit.
ROW = 10_000
# What the old configuration refuses with, where this part of a route was what refused.
REASONS = {
    "scopes": {"scope_missing"},
    "roles": {"role_missing", "permission_missing"},
    "claims": {"attribute_mismatch"},
    "callers": {"caller_not_allowed"},
    "addresses": {"address_not_allowed"},
    "times": {"time_not_allowed"},
    "device": {"device_not_allowed"},
    "when": {"policy_denied", "policy_error"},
    "deny": {"policy_denied", "policy_error"},
    "tenant": {"tenant_mismatch", "tenant_missing", "tenant_ambiguous"},
    "rate_limits": {"rate_limited"},
    "address_limits": {"address_limited"},
    "access": {"credential_missing"},
    "authenticate": {
        "provider_not_accepted",
        "token_issuer_unknown",
        "credential_missing",
        "api_key_unknown",
    },
    "methods": {"method_not_allowed", "route_not_found"},
    "hosts": {"route_not_found"},
    "path": {"route_not_found", "method_not_allowed"},
}


def add(old: Engine, new: Engine, changes: list[Change]) -> list[Change]:
    """The same changes; those that widen with an example where one was found."""
    return Examples(old, new).add(changes)


class Examples:
    """Asks both."""

    def __init__(self, old: Engine, new: Engine) -> None:
        self.old, self.new = old, new
        self._classes = [Classes(new.document), Classes(old.document)]
        self._samples = Samples(new.document)
        self._found: dict[str, dict[str, str]] = {}

    def add(self, changes: list[Change]) -> list[Change]:
        """As `add`."""
        return [
            example(one, found) if one.kind is Kind.WIDENS and (found := self._of(one)) else one
            for one in changes
        ]

    def _of(self, change: Change) -> str | None:
        names = change.names or (change.route,)
        routes = [one for one in self.new.routes if one["name"] in names]
        return next((found for route in routes if (found := self._on(route, change))), None)

    def _on(self, route: dict[str, Any], change: Change) -> str | None:
        part = change.part
        if part in {"rate_limits", "address_limits"} and isinstance(change.old, dict):
            return next(iter(self._search(route, min(change.old["burst"] + 1, ROW)).values()), None)
        if route["name"] not in self._found:
            if len(self._found) >= ROUTES:
                return None
            self._found[route["name"]] = self._search(route)
        wanted = REASONS.get(part)
        found = self._found[route["name"]]
        return next((text for reason, text in found.items() if wanted is None or reason in wanted), None)

    def _search(self, route: dict[str, Any], times: int = 1) -> dict[str, str]:
        """Requests that only the new one lets in, one for each reason of the old one."""
        fitting = []
        few = MOST if times == 1 else 20
        for one, question in itertools.islice(self._questions(route), few):
            asked = replace(question, times=times)
            try:
                fitting.append((one, asked, self.new.asked(asked), self._asked_of_old(asked)))
            except Unanswerable:
                continue
        after = self.new.decide_many([asked for _, _, asked, _ in fitting])
        allowed = [
            fit
            for fit, decision in zip(fitting, after, strict=True)
            if "error" not in decision and decision["refusal"] is None and decision["route"] == route["name"]
        ]
        known = [fit for fit in allowed if fit[3] is not None]
        answers = iter(self.old.decide_many([fit[3] for fit in known if fit[3] is not None]))
        found: dict[str, str] = {}
        for one, question, _, before in allowed:
            said: dict[str, Any] = next(answers) if before is not None else {"error": "refused"}
            if "error" not in said and said["refusal"] is None:
                continue
            reason = "refused" if "error" in said else str(said["refusal"]["reason"])
            shown = "refused" if "error" in said else f"{said['status']} `{reason}`"
            row = f"{times} times in a row, " if times > 1 else ""
            url = question.url.partition("?")[0]
            found.setdefault(
                reason,
                f"{row}{question.method} {url} by {one.label}: before {shown}, now allowed by `{route['name']}`",
            )
        return found

    def _asked_of_old(self, question: Question) -> dict[str, Any] | None:
        """Nothing where the old configuration has no such listener or provider: it refuses."""
        names = {provider["name"] for provider in self.old.providers}
        if question.listener not in self.old.listeners:
            return None
        if any(one["provider"] not in names for one in question.principals):
            return None
        return self.old.asked(question)

    def _questions(self, route: dict[str, Any]) -> Iterator[tuple[Class, Question]]:
        access = route["access"]
        accepted = set(access["authenticated"]["providers"]) if isinstance(access, dict) else set()
        places = [(listener, method) for listener in route["listeners"] for method in methods(route)]
        seen: set[Class] = set()
        for classes in self._classes:
            for one in classes.all:
                if one in seen or (one.provider is not None and one.provider not in accepted):
                    continue
                seen.add(one)
                tenant = classes.tenant(one)
                for principals in self._variants(route, classes.principals(one, tenant)):
                    for (listener, method), address in itertools.product(places, _addresses(route)):
                        question = self._samples.question(
                            route, method, tenant, principals, (), listener, address
                        )
                        yield one, question

    def _variants(
        self, route: dict[str, Any], principals: tuple[dict[str, Any], ...]
    ) -> Iterator[tuple[dict[str, Any], ...]]:
        """The callers, with claims that the new rules let through, one value after the other; and of another tenant."""
        yield principals
        providers = {provider["name"]: provider for provider in self.new.providers}
        provider = providers.get(principals[0]["provider"]) if principals else None
        if provider is None or provider["type"] not in TOKENS:
            return
        first, rest = principals[0], principals[1:]
        for values in _claims(route):
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


def _addresses(route: dict[str, Any]) -> list[str]:
    """One of nobody, and those that rules of the route name."""
    networks = [network for rule in rules_of(route)["rule"] for network in rule.get("addresses", ())]
    return ["192.0.2.1", *(str(ipaddress.ip_network(network)[0]) for network in networks[:4])]


def _claims(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
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
        yield from ({**first, name: value} for value in values[1:8])


def _values(test: dict[str, Any]) -> list[Any]:
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
