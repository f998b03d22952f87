"""WebSocket connections from any page."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`origins: any`."""
    for policy in context.policies:
        if policy.websocket and policy.websocket["origins"] == "any":
            message = "any page that a person opens may connect in their browser; name the pages that are yours in `origins`"
            yield context.hit(policy, message, "websocket")


RULE = Rule(
    id="websocket-any-origin", severity=Severity.WARNING, title="any page may open WebSocket connections", check=check,
    references=("API8:2023", "CWE-1385"),
)  # fmt: skip
