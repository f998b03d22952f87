"""Tokens or signatures that whoever checks them could make."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.providers.jwt import Jwt
from yett.config.providers.signed_request import SignedRequest
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """HS256 and its kin, and signatures by HMAC."""
    for name, provider in context.gateway.identity_providers.items():
        if isinstance(provider, Jwt) and provider.shared_secret is not None:
            message = (
                "with a shared secret everyone who checks tokens can make them, the gateway included; "
                "have the issuer sign with ES256, EdDSA or RS256, and write `jwks`"
            )
            yield Hit(("identity_providers", name, "shared_secret"), message)
        if isinstance(provider, SignedRequest):
            for key_id, key in provider.keys.items():
                if key.shared_secret is not None:
                    message = f"who checks signatures of `{key_id}` can make them; have it sign with `ed25519`, and write `public_key`"
                    yield Hit(("identity_providers", name, "keys", key_id), message)


RULE = Rule(
    id="shared-secret", severity=Severity.WARNING, title="whoever checks a token or signature could make it (HS256, HMAC)", check=check,
    references=("API2:2023",),
)  # fmt: skip
