"""A public route that changes something."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import listed
from yett.policy.linter.context import WRITES, Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Public routes with methods that write."""
    for policy in context.policies:
        found = [method for method in policy.methods if method in WRITES]
        guarded = policy.login_guard is not None
        if policy.access == "public" and found and not guarded and context.services(policy):
            message = (
                f"anyone may {listed(found)} here, without saying who they are; write `authenticate` and `authorize`, "
                "or keep the methods that only read"
            )
            yield Hit(("routes", policy.name, "access"), message)


RULE = Rule(
    id="public-write", severity=Severity.WARNING, title="a public route takes methods that write", check=check,
    references=("API2:2023", "API6:2023"),
)  # fmt: skip
