"""A key that is good for years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST = timedelta(days=400)


def check(context: Context) -> Iterator[Hit]:
    """API keys that end more than 400 days from now."""
    for name, keys in context.keys.items():
        for label, key in keys.file.keys.items():
            if key.expires and datetime.fromisoformat(key.expires) - context.now > MOST:
                message = (
                    f"the key `{label}` of `{name}` is good until {key.expires[:10]}; a copy that nobody noticed is good as long; "
                    "rotate it once a year: `yett keys rotate`"
                )
                place = (keys.source.shown, *keys.source.place(("keys", label), True))
                yield Hit(("identity_providers", name, "keys"), message, file=place)


RULE = Rule(
    id="long-lived-key", severity=Severity.WARNING, title="a key that is good for more than 400 days", check=check,
    references=("API2:2023",),
)  # fmt: skip
