"""An exception whose last day has passed."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.ignores import Ignores
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """What it accepted is found again; this says why."""
    yield from Ignores(context).expired()


RULE = Rule(
    id="ignore-expired", severity=Severity.WARNING, title="an exception whose last day has passed", check=check,
)  # fmt: skip
