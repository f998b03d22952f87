"""A route that callers may use as often as they like."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.merge import Policy
from yett.config.rates.shadow import enforced
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = 'nothing bounds how often one caller may ask; add `rate_limit`, or say why there is none: `rate_limit: {none: "reason"}`'


def check(context: Context) -> Iterator[Hit]:
    """Routes that forward, without a limit and without a reason."""
    for policy in context.policies:
        if context.services(policy) and not _limited(context, policy):
            yield context.hit(policy, MESSAGE, severity=context.grave)


def _limited(context: Context, policy: Policy) -> bool:
    if policy.rate_limits or policy.address_limits or policy.unlimited is not None:
        return True
    listeners = [context.gateway.listeners[name] for name in policy.listeners]
    return policy.access == "public" and all(enforced(listener.address_limit) for listener in listeners)


RULE = Rule(
    id="rate-limit-missing", severity=Severity.ERROR, title="a route without a rate limit, and without a reason", check=check,
    references=("API4:2023", "API6:2023", "SP 800-204 4.5"),
)  # fmt: skip
