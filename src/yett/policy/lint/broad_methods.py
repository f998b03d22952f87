"""A route that takes nearly every method."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import WRITES, Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Routes that read, create, change and delete under one rule."""
    for policy in context.policies:
        methods = set(policy.methods)
        if methods >= {"GET", "DELETE"} and len(methods & WRITES) >= 3 and not _told_apart(policy.rules):
            message = (
                "reading, writing and deleting are allowed by the same rule; make it several routes, or name scopes for each method: "
                "`scopes: {methods: {GET: read, DELETE: administer}}`"
            )
            yield Hit(("routes", policy.name, "match", "methods"), message)


def _told_apart(rules: list[dict[str, object]]) -> bool:
    return any("methods" in scopes for rule in rules if isinstance(scopes := rule.get("scopes"), dict))


RULE = Rule(
    id="broad-methods", severity=Severity.WARNING, title="one rule for reading, writing and deleting", check=check,
    references=("API5:2023",),
)  # fmt: skip
