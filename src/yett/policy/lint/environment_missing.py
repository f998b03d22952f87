"""A gateway that others can reach, and nobody says which one it is."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.gateway import PRODUCTION
from yett.config.types import is_loopback
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """No `environment`, and a listener that other machines reach."""
    reached = [name for name, one in context.gateway.listeners.items() if not is_loopback(one.address)]
    if context.gateway.environment is None and reached:
        message = f"the rules for production ask nothing of a file that does not say what it is; write `environment: {PRODUCTION}`, or another name"
        yield Hit(("listeners", reached[0], "address"), message)


RULE = Rule(
    id="environment-missing", severity=Severity.WARNING, title="nobody says which environment this is", check=check,
    references=("API9:2023",),
)  # fmt: skip
