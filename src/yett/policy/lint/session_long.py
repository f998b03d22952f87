"""A session that goes on for days."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.providers.oidc import Oidc
from yett.config.units import milliseconds
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST = {"idle": 8 * 3_600_000, "absolute": 24 * 3_600_000}


def check(context: Context) -> Iterator[Hit]:
    """Sessions that may idle for more than eight hours, or go on for more than a day."""
    for name, provider in context.gateway.identity_providers.items():
        if not isinstance(provider, Oidc):
            continue
        for key, most in MOST.items():
            value = getattr(provider.session, key)
            if milliseconds(value) > most:
                message = (
                    f"whoever finds the browser open within `{value}` is logged in; write `{most // 3_600_000}h` or less, "
                    "and let the provider's own login decide how often people are asked"
                )
                yield Hit(("identity_providers", name, "session", key), message)


RULE = Rule(
    id="session-long", severity=Severity.WARNING, title="a login counts for days", check=check,
    references=("API2:2023",),
)  # fmt: skip
