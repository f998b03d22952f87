"""An example for each widening: a request that the new configuration lets in and the old one refuses."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

from yett.policy.access.sample import methods
from yett.policy.diff.change import Change, Kind, example
from yett.policy.diff.questions import Questions
from yett.policy.engine import Engine, Question, Unanswerable

# Questions for one route at most, and where they are asked many times in a row or with a large body.
MOST, FEW = 600, 20
# Routes that are asked about, of all changes and of one: of a configuration that is all new, the first ones show enough.
ROUTES, ROUTES_OF_ONE = 50, 5
# Requests in a row at most, for a limit; bytes of a body.
ROW = 10_000
BODY = 1 << 20
# What the old configuration refuses with, where this part of a route or provider was what refused.
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
    "quotas": {"quota_exceeded"},
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
    "body": {"body_too_large"},
    "audience": {"token_audience_mismatch"},
    "audiences": {"token_audience_mismatch"},
    "clients": {"token_client_not_accepted"},
    "leeway": {"token_expired"},
    "max_age": {"token_expired"},
    "keys": {"refused", "api_key_unknown", "api_key_expired", "api_key_address_forbidden"},
}
# Parts that show in a token or connection, not in what an engine can be asked without one.
SIGNED = {
    "jwks",
    "key_issuer",
    "algorithms",
    "issuer",
    "token_type",
    "salt",
    "pepper",
    "header",
    "identities",
}


def add(old: Engine, new: Engine, changes: list[Change]) -> list[Change]:
    """The same changes; those that widen with an example where one was found."""
    examples = Examples(old, new)
    return [
        example(one, found) if one.kind is Kind.WIDENS and (found := examples.of(one)) else one
        for one in changes
    ]


class Examples:
    """Asks both."""

    def __init__(self, old: Engine, new: Engine) -> None:
        self.old, self.new = old, new
        self._questions = Questions(old.document, new.document, int(time.time()))
        self._found: dict[str, dict[str, str]] = {}

    def of(self, change: Change) -> str | None:
        """An example in words, if there is one."""
        if change.names or change.route:
            names = change.names or (change.route,)
            routes = [one for one in self.new.routes if one["name"] in names]
            return next((found for route in routes if (found := self._on(route, change))), None)
        section, _, rest = change.where.partition(".")
        name, _, part = rest.partition(".")
        if section == "listeners":
            routes = [one for one in self.new.routes if name in one["listeners"]]
            part = part.partition(".")[0]
            if part in {"address_limits", ""}:
                return self._first(routes, replace(change, where=f"routes.*.{part}"))
        if section == "identity_providers":
            routes = [one for one in self.new.routes if name in _accepted(one)]
            part = part.partition(".")[0]
            if part in SIGNED:
                return _said(routes, name, self._questions)
            return self._first(routes, change, part)
        return None

    def _first(self, routes: list[dict[str, Any]], change: Change, part: str | None = None) -> str | None:
        few = routes[:ROUTES_OF_ONE]
        return next((found for route in few if (found := self._on(route, change, part))), None)

    def _on(self, route: dict[str, Any], change: Change, part: str | None = None) -> str | None:
        key = part or change.part
        wanted = REASONS.get(key)
        if key in {"rate_limits", "address_limits"} and isinstance(change.old, dict):
            found = self._search(route, change, times=min(change.old["burst"] + 1, ROW))
        elif key == "quotas" and change.part == "quotas" and isinstance(change.old, dict | int):
            amount = change.old["amount"] if isinstance(change.old, dict) else change.old
            found = self._search(route, change, times=min(amount + 1, ROW))
        elif key == "body":
            large = change.old + 1 if change.old < BODY else None
            found = self._search(route, change, body=large) if large else {}
        elif part is not None:
            found = self._search(route, change)
        else:
            found = self._once(route)
        return next((text for reason, text in found.items() if wanted is None or reason in wanted), None)

    def _once(self, route: dict[str, Any]) -> dict[str, str]:
        """What shows on a route at all, asked once."""
        if route["name"] not in self._found:
            if len(self._found) >= ROUTES:
                return {}
            self._found[route["name"]] = self._search(route)
        return self._found[route["name"]]

    def _search(
        self, route: dict[str, Any], change: Change | None = None, times: int = 1, body: int | None = None
    ) -> dict[str, str]:
        """Requests that only the new one lets in, one for each reason of the old one."""
        fitting = []
        few = MOST if times == 1 and body is None else FEW
        for label, question in itertools.islice(self._questions.of(route, change), few):
            asked = replace(question, times=times, body=None if body is None else b" " * body)
            try:
                fitting.append((label, asked, self.new.asked(asked), self._asked_of_old(asked)))
            except Unanswerable:
                continue
        after = self.new.decide_many([asked for _, _, asked, _ in fitting])
        allowed = [
            fit
            for fit, decision in zip(fitting, after, strict=True)
            if "error" not in decision and decision["refusal"] is None and decision["route"] == route["name"]
        ]
        answers = iter(self.old.decide_many([before for _, _, _, before in allowed if before is not None]))
        found: dict[str, str] = {}
        for label, question, _, before in allowed:
            said: dict[str, Any] = next(answers) if before is not None else {"error": "no such place"}
            if "error" not in said and said["refusal"] is None:
                continue
            reason = "refused" if "error" in said else str(said["refusal"]["reason"])
            shown = "refused" if "error" in said else f"{said['status']} `{reason}`"
            found.setdefault(
                reason, f"{_words(question, label)}: before {shown}, now allowed by `{route['name']}`"
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


def _accepted(route: dict[str, Any]) -> list[str]:
    access = route["access"]
    return list(access["authenticated"]["providers"]) if isinstance(access, dict) else []


def _words(question: Question, label: str) -> str:
    row = f"{question.times} times in a row, " if question.times > 1 else ""
    size = f" with a body of {len(question.body)} bytes" if question.body is not None else ""
    return f"{row}{question.method} {question.url}{size} by {label}"


def _said(routes: list[dict[str, Any]], name: str, questions: Questions) -> str | None:
    """Of what a signature shows, in words: there is no key here to sign a request with."""
    for route in routes:
        for label, question in questions.of(route):
            if f"of {name}" in label and question.method in methods(route):
                return f"{_words(question, label)} that only the changed `{name}` takes (not asked: nothing here can sign it)"
    return None
