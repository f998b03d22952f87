"""A route on which nothing but the client's address decides, by a rule or by a filter."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter import conditions
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Rules that ask for a network and nothing else; public routes for the addresses of a list."""
    closed = {
        name
        for name, one in context.gateway.listeners.items()
        if one.address_filter is not None and one.address_filter.allow
    }
    for policy in context.policies:
        asked = {key for rule in policy.rules for key in conditions.asked(rule)}
        if asked == {"addresses"} and not (policy.tenants or policy.external):
            message = (
                "any verified caller from these networks may come in: an address says where a packet comes from, not who sent it; "
                "name `scopes`, `roles` or `callers` beside `addresses`"
            )
            yield context.hit(policy, message, "authorize")
        listed = any(one.get("allow") for one in policy.address_filters) or (
            policy.listeners and closed.issuperset(policy.listeners)
        )
        if listed and policy.access == "public":
            message = (
                "anybody on these addresses may come in: an address says where a packet comes from, not who sent it; "
                "name `authenticate` and what callers need, and keep `address_filter` beside it"
            )
            yield context.hit(policy, message, "address_filter", "access")


RULE = Rule(
    id="address-only", severity=Severity.ERROR, title="the client's address is the only condition", check=check,
    references=("API5:2023", "CWE-291"),
)  # fmt: skip
