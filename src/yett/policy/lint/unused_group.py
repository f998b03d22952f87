"""A group without routes."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.fix import Remove
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Groups that no route names."""
    used = {route.group for route in context.gateway.routes.values()}
    for name in context.gateway.groups:
        if name not in used:
            at = ("groups", name)
            message = f"no route is in `{name}`, so what it asks for protects nothing; put the routes that it is for into it, or remove it"
            yield Hit(at, message, fix=Remove(at, "the unused group"))


RULE = Rule(
    id="unused-group", severity=Severity.WARNING, title="a group without routes", check=check,
    references=("API9:2023",), fixable=True,
)  # fmt: skip
