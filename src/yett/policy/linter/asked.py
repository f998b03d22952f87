"""What a route asks of callers, in a form that two routes can be compared by."""

from __future__ import annotations

import json

from yett.config.merge import Policy


def asked(policy: Policy) -> tuple[object, ...]:
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
