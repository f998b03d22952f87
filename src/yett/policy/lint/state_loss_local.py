"""A gateway that goes on without asking whether a caller was revoked."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`state_loss: local`."""
    redis = context.gateway.state.redis if context.gateway.state else None
    if redis and redis.state_loss == "local":
        message = (
            "whoever can keep Redis from being reached also keeps revocations of other instances from counting; "
            "write `state_loss: refuse`, or accept it with a reason"
        )
        yield Hit(("state", "redis", "state_loss"), message)


RULE = Rule(
    id="state-loss-local", severity=Severity.WARNING, title="requests go on without what the others know (fail-open)", check=check,
    references=("API2:2023",),
)  # fmt: skip
