"""A revoked token that goes on for minutes."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import Location
from yett.config.providers.introspection import Introspection
from yett.config.units import milliseconds
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST_MS = 5 * 60_000


def check(context: Context) -> Iterator[Hit]:
    """What is remembered of tokens for more than five minutes."""
    found: list[tuple[Location, str]] = []
    for name, provider in context.gateway.identity_providers.items():
        if isinstance(provider, Introspection):
            found.append((("identity_providers", name, "cache", "max_age"), provider.cache.max_age))
    found += [
        ((kind, name, "live_check", "max_age"), part.live_check.max_age)
        for kind, name, part in context.parts()
        if part.live_check
    ]
    state = context.gateway.state
    if state and state.redis:
        found.append((("state", "redis", "stale"), state.redis.stale))
    for at, value in found:
        if milliseconds(value) > MOST_MS:
            yield Hit(
                at,
                f"what was revoked may go on for `{value}`; that is how long a thief has; write `5m` or less",
            )


RULE = Rule(
    id="revocation-late", severity=Severity.WARNING, title="what was revoked goes on for minutes", check=check,
    references=("API2:2023",),
)  # fmt: skip
