"""A route whose only limit is one for everybody."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = (
    "the limit is one bucket for everybody, so one caller can use it up and all others are refused; "
    "add a limit with `key: principal` beside it"
)


def check(context: Context) -> Iterator[Hit]:
    """Authenticated routes with limits that all say `key: route`."""
    for policy in context.policies:
        shared = policy.rate_limits and all(limit["key"] == "route" for limit in policy.rate_limits)
        if policy.access == "authenticated" and shared and not policy.address_limits:
            yield context.hit(policy, MESSAGE, "rate_limit")


RULE = Rule(
    id="shared-limit-only", severity=Severity.WARNING, title="one caller can use up the limit of all", check=check,
    references=("API4:2023",),
)  # fmt: skip
