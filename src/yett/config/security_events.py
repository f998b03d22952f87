"""Receivers of security events: an identity provider tells what it knows of sessions and accounts (SSF, CAEP, RISC; RFC 8935)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from yett.config.base import Model, refuse
from yett.config.providers.jwt import Jwt
from yett.config.types import Items, Name, OneOrAny, Secret

if TYPE_CHECKING:
    from yett.config.gateway import Gateway
    from yett.config.merge import Merger, Policy

_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", re.ASCII)


def _path(value: Any) -> Any:
    if not isinstance(value, str) or not _PATH.fullmatch(value) or len(value) > 256:
        raise refuse("path_invalid", f"`{value}` is no plain path; write one such as `/security-events`")
    return value


class SecurityEvents(Model):
    """A path to which an identity provider pushes security events; revocations follow from them."""

    provider: Name
    """The provider of type `jwt` whose issuer and keys vouch for the events."""
    audience: OneOrAny
    """One of these has to be in `aud` of the tokens: what the stream is configured with at the provider."""
    path: Annotated[
        str, BeforeValidator(_path), WithJsonSchema({"type": "string", "examples": ["/security-events"]})
    ]
    """The exact path; it goes before routes."""
    listeners: Items = ()
    """Its listeners; they have to be named where there is more than one."""
    token: Secret | None = None
    """What the transmitter has to send as `Authorization: Bearer`."""


def check_events(merger: Merger, policies: list[Policy]) -> None:
    """Providers and listeners are there, and no route stands in the same place."""
    gateway = merger.gateway
    for name, events in gateway.security_events.items():
        at = ("security_events", name)
        provider = gateway.identity_providers.get(events.provider)
        if provider is None:
            merger.unknown(
                (*at, "provider"), "identity provider", events.provider, gateway.identity_providers
            )
        elif not isinstance(provider, Jwt):
            merger.fault(
                (*at, "provider"),
                "provider_unfit",
                f"`{events.provider}` signs no tokens; name a provider of type `jwt`",
            )
        for listener in events.listeners:
            if listener not in gateway.listeners:
                merger.unknown((*at, "listeners"), "listener", listener, gateway.listeners)
        if not events.listeners and len(gateway.listeners) > 1:
            merger.fault(
                at, "listeners_missing", "there is more than one listener; say which with `listeners`", True
            )
        here = set(listeners_of(gateway, events))
        for policy in policies:
            if policy.path == events.path and here & set(policy.listeners):
                merger.fault(
                    (*at, "path"),
                    "path_taken",
                    f"route `{policy.name}` has the same path, and would never be asked; choose another",
                )


def listeners_of(gateway: Gateway, events: SecurityEvents) -> list[str]:
    """Names of its listeners."""
    return sorted(events.listeners or gateway.listeners)


def compiled(gateway: Gateway) -> list[dict[str, Any]]:
    """Their part of the IR."""
    return [
        {
            "name": name, "listeners": listeners_of(gateway, events), "path": events.path, "provider": events.provider,
            "audiences": list(events.audience),
            "token": f"security_events.{name}.token" if events.token else None,
        }
        for name, events in sorted(gateway.security_events.items())
    ]  # fmt: skip
