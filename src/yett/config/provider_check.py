"""What does not fit together of identity providers."""

from __future__ import annotations

from collections.abc import Iterable

from yett.config.base import Location
from yett.config.headers import OF_REQUESTS, owned
from yett.config.jwt_check import issuers_of
from yett.config.merge import Merger
from yett.config.providers.api_key import ApiKey
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.providers.jwt import Jwt

_CREDENTIAL_CARRIERS = OF_REQUESTS | {"if-match", "if-none-match"}


def check_api_key(merger: Merger, at: Location, provider: ApiKey) -> None:
    """The header of API keys."""
    if owned(provider.header, False) or provider.header in _CREDENTIAL_CARRIERS:
        merger.fault(
            (*at, "header"),
            "header_owned",
            f"`{provider.header}` has another meaning; choose one such as `x-api-key`",
        )


def check_together(merger: Merger) -> None:
    """A credential leads to one provider."""
    issuers: dict[str, str] = {}
    headers: dict[str, str] = {}
    for name, provider in merger.gateway.identity_providers.items():
        keys: Iterable[str]
        if isinstance(provider, Jwt):
            keys, seen, word = issuers_of(provider), issuers, "issuer"
        elif isinstance(provider, ClientAssertion):
            # Clients are the issuers of their assertions.
            keys, seen, word = tuple(provider.clients), issuers, "clients"
        elif isinstance(provider, ApiKey):
            keys, seen, word = (provider.header,), headers, "header"
        else:
            continue
        clash = next((seen[key] for key in keys if key in seen), None)
        if clash is not None:
            merger.fault(
                ("identity_providers", name, word),
                "provider_ambiguous",
                f"`{clash}` has the same {'issuer' if word == 'clients' else word}; a credential has to lead to one provider",
            )
        seen.update(dict.fromkeys(keys, name))
