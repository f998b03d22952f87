"""A provider whose tokens are accepted however old they are."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.providers.jwt import Jwt
from yett.config.units import milliseconds
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST_MS = 86_400_000


def check(context: Context) -> Iterator[Hit]:
    """Signed tokens without `max_age`, or with one of more than a day."""
    for name, provider in context.gateway.identity_providers.items():
        if not isinstance(provider, Jwt):
            continue
        if provider.max_age is None:
            message = (
                f"how long a token of `{name}` is good is up to its issuer, and a stolen one is good as long; write `max_age: 15m`, "
                "or what its tokens are made for"
            )
            yield Hit(
                ("identity_providers", name),
                message,
                Severity.WARNING if context.production else Severity.INFO,
            )
        elif milliseconds(provider.max_age) > MOST_MS:
            message = f"tokens count for `{provider.max_age}`, and a stolen one does, too; let clients get new ones: `max_age: 15m`"
            yield Hit(("identity_providers", name, "max_age"), message)


RULE = Rule(
    id="long-lived-token", severity=Severity.WARNING, title="tokens are accepted however old they are", check=check,
    references=("API2:2023",),
)  # fmt: skip
