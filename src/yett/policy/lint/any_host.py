"""A route that takes whatever host a client names."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = "the host is the client's to choose here, and services build links, cookies and mails from it; name the hosts that are yours"


def check(context: Context) -> Iterator[Hit]:
    """`hosts: any` on listeners that other machines reach; in production."""
    for policy in context.policies:
        if (
            policy.hosts is None
            and context.production
            and context.reached_from_elsewhere(policy)
            and context.services(policy)
        ):
            own = context.route(policy).match.hosts is not None
            yield Hit(
                ("routes", policy.name, "match", "hosts") if own else ("groups", policy.group or "", "hosts"),
                MESSAGE,
            )


RULE = Rule(
    id="any-host", severity=Severity.WARNING, title="a route answers for any host", check=check,
    references=("API8:2023",),
)  # fmt: skip
