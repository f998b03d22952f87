"""A key set that goes on for days while nobody can say whether it is still good."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.units import milliseconds
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST_MS = 3 * 86_400_000


def check(context: Context) -> Iterator[Hit]:
    """`stale` of more than three days."""
    for name, provider in context.gateway.identity_providers.items():
        for key in ("jwks", "discovery"):
            stale = getattr(getattr(provider, key, None), "stale", None)
            if stale is not None and milliseconds(stale) > MOST_MS:
                message = (
                    f"keys that the issuer withdrew go on for `{stale}` where it cannot be reached, or where someone sees to that; "
                    "write `24h` or less"
                )
                yield Hit(("identity_providers", name, key, "stale"), message)


RULE = Rule(
    id="key-set-stale", severity=Severity.WARNING, title="keys count for days after they were last seen", check=check,
    references=("API2:2023",),
)  # fmt: skip
