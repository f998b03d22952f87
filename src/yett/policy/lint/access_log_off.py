"""A gateway that writes no access log."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`access_log: off`."""
    if context.gateway.access_log == "off":
        message = "who asked for what, and what was refused, can be found out by nobody afterwards; write `access_log: stdout`, or a file"
        yield Hit(("access_log",), message, context.grave)


RULE = Rule(
    id="access-log-off", severity=Severity.ERROR, title="no access log is written", check=check,
    references=("SP 800-204 4.4", "CWE-778"),
)  # fmt: skip
