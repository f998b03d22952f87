"""A gateway in production that forgets what was revoked."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Callers who could be revoked, and no `state`; in production."""
    if (
        context.production
        and context.gateway.state is None
        and any(one.providers for one in context.policies)
    ):
        message = (
            "revocations, and what else outlives a request, are forgotten when the process ends, and other instances never know them; "
            "write `state: {directory: /var/lib/yett}`, or `redis`"
        )
        yield Hit(("state",), message)


RULE = Rule(
    id="state-missing", severity=Severity.WARNING, title="what was revoked is forgotten with the process", check=check,
    references=("API2:2023",),
)  # fmt: skip
