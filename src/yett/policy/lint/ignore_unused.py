"""An exception that matches nothing."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:  # noqa: ARG001
    """Known only when every other rule was asked: `yett.policy.linter.run` asks `Ignores.unused` then."""
    yield from ()


RULE = Rule(
    id="ignore-unused", severity=Severity.WARNING, title="an exception that matches nothing", check=check, fixable=True,
)  # fmt: skip
