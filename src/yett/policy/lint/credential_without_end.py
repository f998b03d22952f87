"""A key that never ends."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.providers.signed_request import SignedRequest
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """API keys and keys of signed requests without `expires`."""
    for name, keys in context.keys.items():
        for label, key in keys.file.keys.items():
            if key.expires is None:
                message = f"the key `{label}` of `{name}` never ends, so a copy of it never does; give it an end: `yett keys expire`"
                place = (keys.source.shown, *keys.source.place(("keys", label), True))
                yield Hit(("identity_providers", name, "keys"), message, file=place)
    for name, provider in context.gateway.identity_providers.items():
        if isinstance(provider, SignedRequest):
            for key_id, signing in provider.keys.items():
                if signing.expires is None:
                    message = f"the key `{key_id}` never ends; write `expires: 2027-06-30T00:00:00Z`, and a new key before that"
                    yield Hit(("identity_providers", name, "keys", key_id), message)


RULE = Rule(
    id="credential-without-end", severity=Severity.WARNING, title="a key that never ends", check=check,
    references=("API2:2023",),
)  # fmt: skip
