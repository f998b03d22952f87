"""A route that any verified caller may use."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter import conditions
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`access: authenticated`, or conditions that are true of every caller, without anything that asks who it is."""
    for policy in context.policies:
        asked = (
            any(conditions.asked(rule) for rule in policy.rules)
            or policy.tenants
            or policy.external
            or policy.deny
        )
        if policy.access != "public" and not asked and context.services(policy):
            message = "any verified caller may come in here, whoever it is and whatever it was given access for; name `scopes` or `roles` in `authorize`"
            yield context.hit(policy, message, "access", "authorize")


RULE = Rule(
    id="authenticated-only", severity=Severity.WARNING, title="any verified caller may use a route", check=check,
    references=("API5:2023", "SP 800-204 4.1"),
)  # fmt: skip
