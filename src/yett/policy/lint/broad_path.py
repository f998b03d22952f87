"""A route that takes every path."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Routes whose template has nothing before its rest. Of public ones `public-rest` says more."""
    for policy in context.policies:
        whole = policy.path.startswith("/{") and policy.path.endswith("...}") and policy.path.count("/") == 1
        if whole and policy.access != "public" and context.services(policy):
            message = (
                f"`{policy.path}` takes every path, so whatever the service has, also what it adds later, can be reached; "
                "write a route for each part that is meant"
            )
            yield Hit(("routes", policy.name, "match", "path"), message, on_key=False)


RULE = Rule(
    id="broad-path", severity=Severity.WARNING, title="a route takes every path of a service", check=check,
    references=("API5:2023", "API9:2023"),
)  # fmt: skip
