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
    limiting = {name for name, one in context.gateway.listeners.items() if enforced(one.address_limit)}
    for policy in context.policies:
        if context.services(policy) and not _limited(policy, limiting):
            yield context.hit(policy, MESSAGE, severity=context.grave)


def _limited(policy: Policy, limiting: set[str]) -> bool:
    """`limiting`: the listeners that limit by address, which bounds whoever needs no credential."""
    if policy.rate_limits or policy.address_limits or policy.unlimited is not None:
        return True
    return policy.access == "public" and limiting.issuperset(policy.listeners)


RULE = Rule(
    id="rate-limit-missing", severity=Severity.ERROR, title="a route without a rate limit, and without a reason", check=check,
    references=("API4:2023", "API6:2023", "SP 800-204 4.5"),
)  # fmt: skip
