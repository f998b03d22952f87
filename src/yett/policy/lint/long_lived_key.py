"""A key that is good for years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from yett.config.providers.signed_request import SignedRequest
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST = timedelta(days=400)


def check(context: Context) -> Iterator[Hit]:
    """API keys and keys of signed requests that end more than 400 days from now."""
    for name, keys in context.keys.items():
        for label, key in keys.file.keys.items():
            if key.expires and _far(context, key.expires):
                message = (
                    f"the key `{label}` of `{name}` is good until {key.expires[:10]}; a copy that nobody noticed is good as long; "
                    "rotate it once a year: `yett keys rotate`"
                )
                place = (keys.source.shown, *keys.source.place(("keys", label), True))
                yield Hit(("identity_providers", name, "keys"), message, file=place)
    for name, provider in context.gateway.identity_providers.items():
        if isinstance(provider, SignedRequest):
            for key_id, signing in provider.keys.items():
                if signing.expires and _far(context, signing.expires):
                    message = f"the key `{key_id}` is good until {signing.expires[:10]}; a copy that nobody noticed is good as long; write an end within a year"
                    yield Hit(("identity_providers", name, "keys", key_id), message)


def _far(context: Context, expires: str) -> bool:
    return datetime.fromisoformat(expires) - context.now > MOST


RULE = Rule(
    id="long-lived-key", severity=Severity.WARNING, title="a key that is good for more than 400 days", check=check,
    references=("API2:2023",),
)  # fmt: skip
