"""What is weaker than it could be, for the start and for `yett check`."""

from __future__ import annotations

from yett.config import (
    address_list,
    geo,
)
from yett.config import state as state_part
from yett.config.base import listed
from yett.config.gateway import Gateway
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import Jwt
from yett.config.providers.oidc import Oidc
from yett.config.providers.signed_request import SignedRequest
from yett.config.rates import quotas


def weakened(gateway: Gateway) -> list[str]:
    """What is weaker than it could be, in sentences."""
    found = [
        f"listener `{name}` speaks plain HTTP: {item.plaintext}"
        for name, item in gateway.listeners.items()
        if item.plaintext
    ]
    found += [
        f"service `{name}` is reached over plain HTTP: {item.plaintext}"
        for name, item in gateway.services.items()
        if item.plaintext
    ]
    for name, provider in gateway.identity_providers.items():
        if isinstance(provider, Jwt | Introspection | Oidc) and provider.plaintext:
            found.append(f"identity provider `{name}` is reached over plain HTTP: {provider.plaintext}")
        if isinstance(provider, SignedRequest):
            found += provider.weakened(name)
    found += [
        f"tokens for service `{name}` are fetched over plain HTTP: {item.token.plaintext}"
        for name, item in gateway.services.items()
        if item.token and item.token.plaintext
    ]
    found += [
        f"service `{name}` sees the caller's credential"
        for name, item in gateway.services.items()
        if item.forward_credential
    ]
    found += state_part.weakened(gateway.state) if gateway.state else []
    found += address_list.weakened(gateway.address_lists)
    found += geo.weakened(gateway.geo)
    for name, item in gateway.services.items():
        assertion = item.identity_assertion
        if assertion and assertion.headers:
            found.append(f"service `{name}` gets {listed(assertion.headers)} without a signature")
        if assertion and assertion.reuse:
            found.append(f"an assertion for service `{name}` may be used again within {assertion.reuse}")
    for name, route in gateway.routes.items():
        for target in (route.service, *(route.split or ())) if route.access == "public" else ():
            service = gateway.services.get(target or "")
            if service and service.token:
                found.append(f"route `{name}` is public, and `{target}` gets a token of the gateway's own")
    for kind, items in (("group", gateway.groups), ("route", gateway.routes)):
        found += [
            f"the external check of {kind} `{name}` is reached over plain HTTP: {item.external_authorization.plaintext}"
            for name, item in items.items()
            if item.external_authorization and item.external_authorization.plaintext
        ]
    found += quotas.weakened(gateway)
    if gateway.access_log == "off":
        found.append("the access log is off")
    return found
