"""Which routes, rules and reasons of a configuration no test has exercised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from yett.policy.engine import outcome
from yett.policy.testing.run import Result

PARTS = {
    "callers": "caller_not_allowed",
    "scopes": "scope_missing",
    "roles": "role_missing",
    "permissions": "permission_missing",
    "claims": "attribute_mismatch",
    "addresses": "address_not_allowed",
    "times": "time_not_allowed",
    "device": "device_not_allowed",
    "when": "policy_denied",
}
"""What each part of a rule refuses with."""
KINDS = ("routes", "rules", "reasons")


@dataclass
class Coverage:
    """What there is, and what of it was exercised."""

    there: dict[str, list[str]] = field(default_factory=dict)
    exercised: dict[str, set[str]] = field(default_factory=dict)

    def missing(self, kind: str) -> list[str]:
        """What no test has exercised, in the order of the configuration."""
        return [name for name in self.there[kind] if name not in self.exercised[kind]]

    @property
    def percent(self) -> float:
        """Of everything, rounded down to a tenth, so that 100 means all."""
        there = sum(len(names) for names in self.there.values())
        missing = sum(len(self.missing(kind)) for kind in KINDS)
        return 100.0 if not there else int((there - missing) * 1000 / there) / 10


def measure(document: dict[str, Any], results: Iterable[Result]) -> Coverage:
    """A route is exercised by a test that it lets in, a rule by one that it refuses for its reason, a reason by any test
    that passed and is refused with it."""
    rules = list(dict.fromkeys(_rules(document)))
    coverage = Coverage(
        {
            "routes": [route["name"] for route in document["routes"] if "\x00" not in route["name"]],
            "rules": rules,
            "reasons": list(dict.fromkeys(_reasons(document))),
        },
        {kind: set() for kind in KINDS},
    )
    for result in results:
        if not result.passed or "error" in result.decision:
            continue
        decision, got = result.decision, outcome(result.decision)
        refusal = decision["refusal"]
        if refusal is None:
            coverage.exercised["routes"].add(str(decision["route"]))
            continue
        coverage.exercised["reasons"].add(got)
        coverage.exercised["rules"].add(_rule(str(refusal["rule"]), got))
    return coverage


def _rule(source: str, reason: str) -> str:
    return f"{source}: {reason}"


def _rules(document: dict[str, Any]) -> Iterator[str]:
    for listener in document["listeners"]:
        for limit in listener["address_limits"]:
            yield _rule(limit["name"], "address_limited")
    for route in document["routes"]:
        for tenant in route.get("tenants", ()):
            yield _rule(tenant["source"], "tenant_mismatch")
        for rule in route.get("deny", ()):
            yield _rule(rule["source"], "policy_denied")
        for rule in _authorize(route):
            for part, reason in PARTS.items():
                if rule.get(part):
                    yield _rule(rule["source"], reason)
        for limit in route["address_limits"]:
            yield _rule(limit["name"], "address_limited")
        for limit in route.get("concurrency_limits", ()):
            yield _rule(limit["name"], "concurrency_limited")
        for quota in route.get("quotas", ()):
            yield _rule(quota["name"], "quota_exceeded")
        for limit in route["rate_limits"]:
            yield _rule(limit["name"], "rate_limited")


def _authorize(route: dict[str, Any]) -> list[dict[str, Any]]:
    access = route["access"]
    return list(access["authenticated"]["rules"]) if isinstance(access, dict) else []


def _reasons(document: dict[str, Any]) -> Iterator[str]:
    """The refusals that are this configuration's own decisions, beside those that every gateway has."""
    yield from ("route_not_found", "method_not_allowed")
    closed = [route for route in document["routes"] if isinstance(route["access"], dict)]
    if closed:
        yield "credential_missing"
    kinds = {provider["name"]: provider for provider in document["providers"]}
    accepted = {name for route in closed for name in route["access"]["authenticated"]["providers"]}
    used = [kinds[name] for name in sorted(accepted)]
    if any(provider["type"] == "jwt" for provider in used):
        yield "token_expired"
    if any(provider["type"] == "jwt" and provider.get("audiences") for provider in used):
        yield "token_audience_mismatch"
    if any(key.get("expires") for provider in used for key in _keys(provider)):
        yield "api_key_expired"
    if any(key.get("allowed_addresses") for provider in used for key in _keys(provider)):
        yield "api_key_address_forbidden"
    if _foreign(closed, kinds):
        yield "provider_not_accepted"
    if any("login_guard" in route for route in document["routes"]):
        yield "login_limited"
    if any((route.get("login_guard") or {}).get("challenge") for route in document["routes"]):
        yield "login_challenge"
    for key, reason in (
        ("client_certificate", "client_certificate_required"),
        ("sender_constrained", "not_bound"),
        ("assurance", "insufficient_user_authentication"),
    ):
        if any(route.get(key) for route in closed):
            yield reason
    if any((route.get("attack_filter") or {}).get("enforce") for route in document["routes"]):
        yield "attack_suspected"
    bots = [route["bot_filter"] for route in document["routes"] if route.get("bot_filter")]
    if any(
        one["enforce"] and "refuse" in (one["impostors"], one["programs"], one["scanners"]) for one in bots
    ):
        yield "bot_refused"
    yield from (rule.rpartition(": ")[2] for rule in _rules(document))


def _keys(provider: dict[str, Any]) -> list[dict[str, Any]]:
    return list(provider.get("keys", ())) if provider["type"] == "api_key" else []


def _foreign(closed: list[dict[str, Any]], kinds: dict[str, dict[str, Any]]) -> bool:
    """Whether some route takes no credential of a kind that another one takes."""
    explicit = {"jwt": "token", "introspection": "token", "api_key": "key", "signed_request": "signature"}
    takes = [
        {explicit.get(kinds[name]["type"]) for name in route["access"]["authenticated"]["providers"]} - {None}
        for route in closed
    ]
    return bool(takes) and any(kind not in one for one in takes for kind in set().union(*takes))
