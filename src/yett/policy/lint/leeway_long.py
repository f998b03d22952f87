"""A leeway of more than a minute."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.units import milliseconds
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST_MS = 60_000


def check(context: Context) -> Iterator[Hit]:
    """`leeway` of more than a minute."""
    for name, provider in context.gateway.identity_providers.items():
        leeway = getattr(provider, "leeway", None)
        if leeway is not None and milliseconds(leeway) > MOST_MS:
            message = f"a token counts for `{leeway}` after its end; clocks that are set over the network differ by less than a second; write `30s`"
            yield Hit(("identity_providers", name, "leeway"), message)


RULE = Rule(
    id="leeway-long", severity=Severity.WARNING, title="tokens count long after their end", check=check,
    references=("API2:2023",),
)  # fmt: skip
