"""One path of a service that two routes expose, with different rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from yett.config import template
from yett.config.merge import Policy
from yett.policy.linter.asked import asked
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Routes that lead to the same path and method of a service, and do not ask for the same."""
    seen: dict[tuple[str, str], list[Policy]] = defaultdict(list)
    for policy in context.policies:
        for service in context.services(policy):
            found = template.read(policy.rewrite or policy.path)
            if isinstance(found, str):
                continue
            others = seen[(service, found.shape)]
            other = next((one for one in others if _differ(one, policy)), None)
            if other is not None:
                place = context.places.shown_at(("routes", other.name))
                message = (
                    f"`{found.text}` of `{service}` can be reached through `{other.name}` ({place}) as well, under other rules; "
                    "whoever one of them refuses takes the other; let both ask for the same, or remove one"
                )
                yield Hit(("routes", policy.name), message)
            others.append(policy)


def _differ(one: Policy, other: Policy) -> bool:
    methods = {*one.methods, *(("HEAD",) if "GET" in one.methods else ())}
    return not methods.isdisjoint(other.methods) and asked(one) != asked(other)


RULE = Rule(
    id="exposed-twice", severity=Severity.WARNING, title="one path of a service is exposed by two routes with different rules", check=check,
    references=("API5:2023", "API9:2023"),
)  # fmt: skip
