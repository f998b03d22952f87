"""One path of a service that two routes expose, with different rules."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from yett.config import template
from yett.config.merge import Policy
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
    return not methods.isdisjoint(other.methods) and _asked(one) != _asked(other)


def _asked(policy: Policy) -> tuple[object, ...]:
    """What a caller has to be, without where it is written."""
    rules, deny = (
        sorted(
            json.dumps({key: part for key, part in rule.items() if key != "source"}, sort_keys=True)
            for rule in rules
        )
        for rules in (policy.rules, policy.deny)
    )
    tenants = sorted(next(iter(tenant["from"])) for tenant in policy.tenants)
    return (
        policy.access, tuple(sorted(policy.providers)), policy.all_of, rules, deny, tenants, policy.client_certificate,
        policy.sender_constrained, policy.external and policy.external[2].url, str(policy.assurance), policy.live_check is None,
    )  # fmt: skip


RULE = Rule(
    id="exposed-twice", severity=Severity.WARNING, title="one path of a service is exposed by two routes with different rules", check=check,
    references=("API5:2023", "API9:2023"),
)  # fmt: skip
